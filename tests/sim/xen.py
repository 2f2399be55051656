# SPDX-License-Identifier: LGPL-2.1-or-later
"""The hypervisor's side of the simulation, with Xen's rules.

Xen and the frontend share a page of request slots, one for each vCPU. A vCPU that accesses the
device fills its slot and sends an event; the frontend moves the slot's state forward to RESPONSE
and notifies; the vCPU takes the answer and goes on. Xen kills a guest whose slot goes backwards or
holds a state that does not exist: here the test fails.
"""

import contextlib
import errno
import mmap
import os
import selectors
import socket
import struct
import threading
import time

from sim.memory import GuestMemory
from sim.slack import has_passed

SLOT = struct.Struct("<QQIIIHBB")  # struct ioreq: addr data count size vp_eport pad bits type
PAD, STATE_OFFSET = 5, 30
LAST_SLOT = mmap.PAGESIZE - SLOT.size
NONE, READY, INPROCESS, RESPONSE = range(4)
DIR_READ = 0x20
DATA_IS_POINTER = 0x10
COPY, INVALIDATE = 1, 8
BINDING = struct.Struct("<QII")  # base (0: a call, no kick), interrupt or queue, whether bound
QUEUE_NOTIFY = 0x050

BASE, IRQ = 0x2000000, 33
RANGE_SIZE = 0x200
DEADLINE = 5.0  # for an answer that nothing holds up


class GuestCrash(AssertionError):
    """The frontend did what makes Xen kill the guest."""


class Vcpu:
    """One virtual CPU. read() and write() block, as an instruction does, until answered."""

    def __init__(self, xen, number, base=BASE):
        self._xen = xen
        self._base = base
        self.number = number

    def at(self, base):
        """The same vCPU, with its eyes on another device's range."""
        return Vcpu(self._xen, self.number, base)

    def read(self, offset, size=4, timeout=DEADLINE):
        """Loads from the device's range."""
        self.begin(offset, size)
        return self.finish(timeout)

    def write(self, offset, value, size=4, timeout=DEADLINE):
        """Stores to the device's range."""
        self.begin(offset, size, value)
        self.finish(timeout)

    def begin(self, offset, size=4, value=None, kind=COPY, count=1, flags=0):
        """Starts an access: a load if there is no value. Any nonsense is possible."""
        flags |= DIR_READ if value is None else 0
        self._xen.request(self.number, (self._base + offset) % (1 << 64), value or 0, count, size,
                          flags, kind)

    def finish(self, timeout=DEADLINE):
        """Waits for the answer to the access and returns what was loaded."""
        return self._xen.response(self.number, timeout)

    @property
    def state(self):
        """The state of its slot."""
        return self._xen.state(self.number)


class Xen:
    """A guest's memory, vCPUs and one IOREQ server that the frontend serves."""

    def __init__(self, memory_size, n_vcpus=1):
        self.memory = GuestMemory(memory_size)
        self.vcpus = [Vcpu(self, number) for number in range(n_vcpus)]
        self.interrupts_of = {IRQ: 0}  # how many of each that a device may raise
        self.has_kernel_paths = False  # as of the next plug(): whether the kernel binds eventfds
        self.bound = {}  # eventfds of the call, under None, and of kicks, by their queue
        self.refuses = {}  # the errno with which the kernel refuses to bind one of these
        self.keeps_call = False  # somebody has the call's eventfd, also when its frontend is gone
        self.grant_table = None  # as of the next plug(): a GrantTable, if dom0 gets at it
        self._kernel = None
        self._page_fd = os.memfd_create("ioreq")
        os.ftruncate(self._page_fd, mmap.PAGESIZE)
        self._page = mmap.mmap(self._page_fd, mmap.PAGESIZE)
        self._seen = [NONE] * n_vcpus  # the latest state of each slot that was looked at
        self._errors = []
        self._changed = threading.Condition()
        self._selector = selectors.DefaultSelector()
        self._events = None
        self._masked, self._pending, self._notified = set(), set(), set()
        self._stop_read, self._stop_write = os.pipe()
        self._selector.register(self._stop_read, selectors.EVENT_READ, None)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def interrupts(self):
        """How often the device has interrupted the guest."""
        return self.interrupts_of[IRQ]

    def close(self):
        """Ends the simulation. Fails if anything was wrong that no vCPU has told yet."""
        os.close(self._stop_write)
        self._thread.join()
        self.keeps_call = False
        self._unplug()
        os.close(self._stop_read)
        self._page.close()
        os.close(self._page_fd)
        self.memory.close()
        if self.grant_table:
            self.grant_table.close()
        self._raise_errors()

    # What a frontend process inherits.

    def plug(self):
        """Makes the descriptors of a new frontend process, and binds its event channels.

        Returns the process's ends of them by name. The caller closes them after the start.
        """
        self._unplug()
        events, frontend_events = socket.socketpair()
        notify, frontend_notify = os.pipe()
        irq, frontend_irq = os.pipe()
        with self._changed:
            self._events = events
            self._masked, self._pending = set(), set()
            self._register(events, self._on_unmask)
            self._register(notify, self._on_notify)
            self._register(irq, self._on_interrupt)
            for vcpu in self.vcpus:
                self._notice(vcpu.number)
                self._send_event(vcpu.number)  # binding makes a port pending
                if self._seen[vcpu.number] == RESPONSE:
                    self._notified.add(vcpu.number)  # hypervisor_open() notifies, to be sure
        kernel = self._plug_kernel() if self.has_kernel_paths else {}
        frontend_events.setblocking(False)
        ends = kernel | {"page": os.dup(self._page_fd), "events": frontend_events.detach(),
                "notify": frontend_notify, "irq": frontend_irq}
        for number, bank in enumerate(self.memory.banks):
            ends[f"ram{number}"] = os.dup(bank.fd)
        if self.grant_table:
            ends["table"] = os.dup(self.grant_table.fd)
        return ends

    def _plug_kernel(self):
        self._kernel, frontend_kernel = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with self._changed:
            self._register(self._kernel, self._on_binding)
        return {"kernel": frontend_kernel.detach()}

    def _register(self, file, handler):
        os.set_blocking(file if isinstance(file, int) else file.fileno(), False)
        self._selector.register(file, selectors.EVENT_READ, handler)

    def _unplug(self):
        with self._changed:
            for key in list(self._selector.get_map().values()):
                if key.data and key.fd not in self.bound.values():
                    self._forget(key.fileobj)
            self._events = self._kernel = None
            for queue in list(self.bound):
                if not (self.keeps_call and queue is None):
                    self._unbind(queue)

    def _forget(self, file):
        self._selector.unregister(file)
        if isinstance(file, int):
            os.close(file)
        else:
            file.close()

    # A thread serves what the frontend sends.

    def _serve(self):
        while True:
            ready = self._selector.select()
            with self._changed:
                for key, _ in ready:
                    if not key.data:
                        return
                    if self._selector.get_map().get(key.fd) is key:  # not closed meanwhile
                        self._receive(key)
                self._changed.notify_all()

    def _receive(self, key):
        if key.fileobj is self._kernel:
            try:
                data, fds, _, _ = socket.recv_fds(self._kernel, BINDING.size, 1)
            except BlockingIOError:
                return
            if data:
                self._on_binding(fds[0], *BINDING.unpack(data))
            else:
                self._forget(self._kernel)
            return
        try:
            data = os.read(key.fd, 65536)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        if not data:  # the frontend is gone
            if key.fileobj is self._events:
                self._events = None
            self._forget(key.fileobj)
            return
        for (number,) in struct.iter_unpack("<I", data):
            key.data(number)

    def _on_unmask(self, vcpu):
        if vcpu not in self._masked:
            self._error(f"event channel {vcpu} was not masked")
        self._masked.discard(vcpu)
        if vcpu in self._pending:
            self._send_event(vcpu)

    def _on_notify(self, vcpu):
        state = self._notice(vcpu)
        if state != RESPONSE:
            self._error(f"vCPU {vcpu} is notified in state {state}")
        self._notified.add(vcpu)

    def _on_interrupt(self, irq):
        if irq not in self.interrupts_of:
            self._error(f"interrupt {irq} is no device's")
        self.interrupts_of[irq] = self.interrupts_of.get(irq, 0) + 1

    # What the kernel does by itself.

    def _on_binding(self, fd, base, number, is_bound):
        queue = number if base else None
        error = 0
        if not is_bound:
            os.close(fd)
            if queue in self.bound:
                self._unbind(queue)
        elif error := self.refuses.get(queue, errno.EBUSY if queue in self.bound else 0):
            os.close(fd)
        else:
            self.bound[queue] = fd
            if not base:
                self._selector.register(fd, selectors.EVENT_READ,
                                        lambda count: count and self._on_interrupt(number))
        self._kernel.send(struct.pack("<i", -error))

    def _unbind(self, queue):
        fd = self.bound.pop(queue)
        if queue is None and fd in self._selector.get_map():
            self._selector.unregister(fd)
        os.close(fd)

    def _answer_kick(self, vcpu, address, data, size, flags, kind):
        """Whether the kernel has answered the request: a kick that is bound."""
        queue = data & 0xffff
        if (address, size, flags, kind) != (BASE + QUEUE_NOTIFY, 4, 0, COPY) or \
                queue not in self.bound:
            return False
        os.eventfd_write(self.bound[queue], 1)
        self._notified.add(vcpu)
        return True

    def _send_event(self, vcpu):
        """An event channel that is masked remembers an event, once."""
        if vcpu in self._masked:
            self._pending.add(vcpu)
            return
        self._pending.discard(vcpu)
        if self._events:
            self._masked.add(vcpu)
            # A frontend that is gone hears nothing; the next one looks at every slot.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self._events.send(struct.pack("<I", vcpu))

    # The slots.

    def raised(self, vcpu=None):
        """How many interrupts the frontend has raised, modulo 2^16: by now, or by the moment when
        it gave this vCPU its last answer."""
        start = LAST_SLOT if vcpu is None else vcpu * SLOT.size
        return SLOT.unpack_from(self._page, start)[PAD]

    def state(self, vcpu):
        """The state of a vCPU's slot, as Xen sees it."""
        return self._page[vcpu * SLOT.size + STATE_OFFSET] & 0xf

    def _notice(self, vcpu):
        """Looks at a slot's state, which only Xen itself may lower."""
        state = self.state(vcpu)
        if state > RESPONSE or state < self._seen[vcpu]:
            self._error(f"vCPU {vcpu}: state {self._seen[vcpu]} -> {state}")
        self._seen[vcpu] = state
        return state

    def _error(self, text):
        self._errors.append(GuestCrash(text))

    def _raise_errors(self):
        if self._errors:
            raise self._errors[0]

    def request(self, vcpu, address, data, count, size, flags, kind):
        """A vCPU fills its slot and sends the event."""
        start = vcpu * SLOT.size
        with self._changed:
            assert self.state(vcpu) == NONE, "a vCPU does one thing at a time"
            self._notified.discard(vcpu)
            SLOT.pack_into(self._page, start, address, data, count, size, vcpu, 0, flags, kind)
            answered = self._answer_kick(vcpu, address, data, size, flags, kind)
            self._seen[vcpu] = RESPONSE if answered else READY
            self._page[start + STATE_OFFSET] = flags | self._seen[vcpu]
            self._send_event(vcpu)  # in both cases: the kernel tells all who listen

    def response(self, vcpu, timeout):
        """Waits for the answer, takes it and frees the slot."""
        start = time.monotonic()
        with self._changed:
            while True:
                self._raise_errors()
                state = self._notice(vcpu)
                if state == RESPONSE and vcpu in self._notified:
                    break
                if has_passed(start, timeout):
                    raise TimeoutError(f"vCPU {vcpu} waits for {timeout} s, in state {state}")
                self._changed.wait(0.02)
            data = SLOT.unpack_from(self._page, vcpu * SLOT.size)[1]
            self._page[vcpu * SLOT.size + STATE_OFFSET] &= 0xf0
            self._seen[vcpu] = NONE
        return data

    def wait_for(self, condition, what, timeout=DEADLINE):
        """Waits until condition() is true; what the frontend sends is looked at meanwhile."""
        start = time.monotonic()
        with self._changed:
            while not condition():
                self._raise_errors()
                assert not has_passed(start, timeout), f"no {what} within {timeout} s"
                self._changed.wait(0.005)

    def wait_unmasked(self, vcpu):
        """Waits until the frontend hears at once what the vCPU does: unmasking takes Xen's time
        here, while the frontend runs on."""
        self.wait_for(lambda: vcpu not in self._masked, "unmasking")

    def wait_interrupt(self, count, timeout=DEADLINE, irq=IRQ):
        """Waits until the device has raised so many interrupts since the guest was made."""
        self.wait_for(lambda: self.interrupts_of[irq] >= count, f"interrupt {count}", timeout)
