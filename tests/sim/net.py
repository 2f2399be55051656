# SPDX-License-Identifier: LGPL-2.1-or-later
"""A network card's driver, as Linux has it, with as many pairs of queues as there are."""

import struct
import time

from sim.guest import VERSION_1
from sim.rings import EVENT_IDX, INDIRECT_DESC, RingDriver
from sim.slack import has_passed
from sim.xen import DEADLINE

NET = 1  # device id
F_STATUS, F_CTRL_VQ, F_MQ = 1 << 16, 1 << 17, 1 << 22
CLASS_MQ, PAIRS_SET = 4, 0
OK, ERR = 0, 1
HEADER_SIZE, BUFFER_SIZE = 12, 12 + 1514
RING_SIZE, BUFFERS = 16, 4


class Card(RingDriver):
    """The driver. Queue 2n receives and queue 2n + 1 sends, for each pair n; control is behind."""

    knows = VERSION_1 | INDIRECT_DESC | EVENT_IDX | F_STATUS | F_CTRL_VQ | F_MQ

    def __init__(self, xen, vcpu=0):
        super().__init__(xen, vcpu)
        self.n_pairs = 0  # that the card has
        self._buffers = {}  # by pair and id, of those to receive into

    def bring_up(self, wanted=knows, more=0):
        """From reset to DRIVER_OK, with all queues. Returns itself."""
        self.negotiate(wanted | more)
        self.n_pairs = int.from_bytes(self.space(10)[8:], "little") if self.features & F_MQ else 1
        for queue in range(2 * self.n_pairs + bool(self.features & F_CTRL_VQ)):
            self.add_ring(queue, RING_SIZE)
        for pair in range(self.n_pairs):
            for _ in range(BUFFERS):
                self._offer_buffer(pair)
        self.add_status(4)
        return self

    @property
    def control(self):
        """The number of the control queue, and its ring's."""
        return 2 * self.n_pairs

    def _offer_buffer(self, pair, address=None):
        address = address or self.xen.memory.allocate(BUFFER_SIZE, align=64)
        key = self.rings[2 * pair].add((address, BUFFER_SIZE, True))
        self._buffers[pair, key] = address

    def _kick(self, queue):
        if self.rings[queue].wants_kick():
            self.notify(queue)

    # Frames.

    def send(self, pair, data):
        """Sends a frame."""
        memory = self.xen.memory
        address = memory.allocate(HEADER_SIZE + len(data), align=1)
        memory.write(address, bytes(HEADER_SIZE) + data)
        self.rings[2 * pair + 1].add((address, HEADER_SIZE, False),
                                     (address + HEADER_SIZE, len(data), False))
        self._kick(2 * pair + 1)

    def is_sent(self, pair):
        """Whether the card has taken a frame."""
        return self.rings[2 * pair + 1].is_used

    def receive(self, pair, timeout=DEADLINE):
        """Waits for a frame, as a driver does. Returns it."""
        ring = self.rings[2 * pair]
        while not ring.is_used:
            ring.allow_interrupts(True)
            if not ring.is_used:
                self.next_interrupt(timeout)
        key, written = ring.take()
        address = self._buffers.pop((pair, key))
        data = self.xen.memory.read(address, written)
        assert data[:HEADER_SIZE] == bytes(10) + b"\1\0"  # num_buffers
        self._offer_buffer(pair, address)
        self._kick(2 * pair)
        return data[HEADER_SIZE:]

    def exchange(self, pair, data):
        """Sends a frame, gets it back, and takes back what was sent."""
        self.send(pair, data)
        assert self.receive(pair) == data
        ring = self.rings[2 * pair + 1]
        wait_until(lambda: ring.is_used, "end of sending")
        ring.take()

    # Commands.

    def begin_command(self, *command, data=b"", indirect=None, kick=True):
        """Gives a command to the card: its class and number, and data. Returns where its answer
        will stand."""
        memory = self.xen.memory
        header = memory.allocate(2 + len(data), align=2)
        memory.write(header, bytes(command) + data)
        answer = memory.allocate(1, align=1)
        memory.write(answer, b"\xff")
        if indirect is None:
            indirect = bool(self.features & INDIRECT_DESC)
        parts = [(header, 2, False)] + ([(header + 2, len(data), False)] if data else [])
        ring = self.rings[self.control]
        ring.allow_interrupts(False)
        ring.add(*parts, (answer, 1, True), indirect=indirect)
        if kick:
            self._kick(self.control)
        return answer

    def end_command(self, answer, timeout=DEADLINE):
        """Waits for the answer to the oldest command, as Linux does: it looks. Returns it."""
        ring = self.rings[self.control]
        wait_until(lambda: ring.is_used, "answer to a command", timeout)
        _, written = ring.take()
        assert written == 1
        return self.xen.memory.read(answer, 1)[0]

    def command(self, *command, data=b"", indirect=None):
        """A whole command."""
        return self.end_command(self.begin_command(*command, data=data, indirect=indirect))

    def begin_pairs(self, n_pairs, kick=True):
        """Gives the command for so many pairs."""
        return self.begin_command(CLASS_MQ, PAIRS_SET, data=struct.pack("<H", n_pairs), kick=kick)

    def set_pairs(self, n_pairs):
        """Takes so many pairs into use. Returns the answer."""
        return self.end_command(self.begin_pairs(n_pairs))


def wait_until(condition, what, timeout=DEADLINE):
    """Looks until it is so."""
    start = time.monotonic()
    while not condition():
        assert not has_passed(start, timeout), f"no {what} within {timeout} s"
        time.sleep(0.001)
