# SPDX-License-Identifier: LGPL-2.1-or-later
"""A frontend made of Python, for what the reference backend can do and no guest can ask for."""

import array
import errno
import mmap
import os
import select
import socket
import struct
import time
from types import SimpleNamespace

from sim.backend import (GET_FEATURES, GET_PROTOCOL_FEATURES, GET_VRING_BASE, HEADER, NEED_REPLY,
                         REPLY, SET_BACKEND_REQ_FD, SET_FEATURES, SET_MEM_TABLE, SET_OWNER,
                         SET_PROTOCOL_FEATURES, SET_VRING_ADDR, SET_VRING_BASE, SET_VRING_CALL,
                         SET_VRING_ENABLE, SET_VRING_KICK, SET_VRING_NUM, VERSION)
from sim.rings import PackedRing, RingDriver, SplitRing
from sim.slack import has_passed, slack
from sim.xen import DEADLINE

GET_INFLIGHT_FD, SET_INFLIGHT_FD, RESET_DEVICE = 31, 32, 34
GET_MAX_MEM_SLOTS, ADD_MEM_REG, REM_MEM_REG, SET_STATUS, GET_STATUS = range(36, 41)
BACKEND_CONFIG_CHANGE = 2
F_BACKEND_REQ, F_SEND_FD, F_INFLIGHT, F_RESET = 1 << 5, 1 << 10, 1 << 12, 1 << 13
F_SLOTS, F_STATUS, F_XEN_MMAP = 1 << 15, 1 << 16, 1 << 17
PROTOCOL_FEATURES = 1 << 30
PACKED_NEW = 0x80008000  # both wrap counters are 1


def connect_to(path):
    """A socket that is connected to who listens there, or is about to."""
    sock, start = socket.socket(socket.AF_UNIX), time.monotonic()
    while sock.connect_ex(path) == errno.ECONNREFUSED:
        assert not has_passed(start, DEADLINE), "nobody listens"
        time.sleep(0.002)
    return sock


class Client:
    """One connection to a backend."""

    def __init__(self, sock, memory):
        self.memory = memory
        self.socket = sock
        self.socket.settimeout(DEADLINE * slack())
        self.acks = 0
        self.kicks, self.calls = {}, {}
        self.channel = None

    def close(self):
        """Ends the connection."""
        for fd in [*self.kicks.values(), *self.calls.values()]:
            os.close(fd)
        if self.channel:
            self.channel.close()
        self.socket.close()

    def ask(self, request, payload=b"", fds=()):
        """Sends a request that has an answer. Returns its payload and its descriptors."""
        message = HEADER.pack(request, VERSION | self.acks, len(payload)) + payload
        socket.send_fds(self.socket, [message], list(fds))
        header, fds, _, _ = socket.recv_fds(self.socket, HEADER.size, 8, socket.MSG_WAITALL)
        assert header, "the backend closed the connection"
        answered, flags, size = HEADER.unpack(header)
        assert (answered, flags) == (request, VERSION | REPLY)
        return self.socket.recv(size, socket.MSG_WAITALL) if size else b"", fds

    def ask_u64(self, request):
        """A request whose answer is a number."""
        return struct.unpack("<Q", self.ask(request)[0])[0]

    def tell(self, request, payload=b"", fds=()):
        """Sends a request that may have an acknowledgement, which must say yes."""
        if isinstance(payload, int):
            payload = struct.pack("<Q", payload)
        if self.acks:
            answer, _ = self.ask(request, payload, fds)
            assert answer == bytes(8), f"request {request} is refused"
        else:
            message = HEADER.pack(request, VERSION, len(payload)) + payload
            socket.send_fds(self.socket, [message], list(fds))

    def negotiate(self, features, protocol):
        """All that comes before memory. The features are those of the rings."""
        assert self.ask_u64(GET_FEATURES) & features == features
        assert self.ask_u64(GET_PROTOCOL_FEATURES) & protocol == protocol
        self.tell(SET_PROTOCOL_FEATURES, protocol)
        self.acks = NEED_REPLY
        self.tell(SET_OWNER)
        if protocol & F_BACKEND_REQ:
            self.channel, other = socket.socketpair()
            self.channel.settimeout(DEADLINE * slack())
            self.tell(SET_BACKEND_REQ_FD, fds=[other.fileno()])
            other.close()
        self.tell(SET_FEATURES, features | PROTOCOL_FEATURES)

    def region(self, bank, xen=False):
        """The description of a bank of memory."""
        return struct.pack("<QQQQ", bank.base, bank.size, bank.base, 0) + (bytes(8) if xen else b"")

    def set_memory(self, xen=False):
        """Hands all memory over in one table."""
        banks = self.memory.banks
        table = b"".join(self.region(bank, xen) for bank in banks)
        self.tell(SET_MEM_TABLE, struct.pack("<II", len(banks), 0) + table,
                  [bank.fd for bank in banks])

    def start(self, index, ring, base=None):
        """Starts a ring."""
        if base is None:
            base = PACKED_NEW if isinstance(ring, PackedRing) else 0
        self.kicks[index] = os.eventfd(0, os.EFD_NONBLOCK)
        self.calls[index] = os.eventfd(0, os.EFD_NONBLOCK)
        self.tell(SET_VRING_NUM, struct.pack("<II", index, ring.size))
        self.tell(SET_VRING_BASE, struct.pack("<II", index, base))
        self.tell(SET_VRING_ADDR, struct.pack("<IIQQQQ", index, 0, ring.descriptors, ring.used,
                                              ring.available, 0))
        self.tell(SET_VRING_CALL, index, [self.calls[index]])
        self.tell(SET_VRING_KICK, index, [self.kicks[index]])
        self.tell(SET_VRING_ENABLE, struct.pack("<II", index, 1))

    def stop(self, index):
        """Stops a ring. Returns its base."""
        answer, _ = self.ask(GET_VRING_BASE, struct.pack("<II", index, 0))
        answered, base = struct.unpack("<II", answer)
        assert answered == index
        os.close(self.kicks.pop(index))
        os.close(self.calls.pop(index))
        return base

    def next_request(self):
        """What the backend asks next on its channel: the request, and how many descriptors."""
        header, control, _, _ = self.channel.recvmsg(HEADER.size, socket.CMSG_SPACE(64))
        request, flags, size = HEADER.unpack(header)
        assert (flags, size) == (VERSION | NEED_REPLY, 0)
        fds = array.array("i", b"".join(data for _, _, data in control))
        for fd in fds:
            os.close(fd)
        return request, len(fds)

    def answer(self, request, value=0):
        """Answers a request of the backend's."""
        self.channel.sendall(HEADER.pack(request, VERSION | REPLY, 8) + struct.pack("<Q", value))


class DirectDriver(RingDriver):
    """A driver of the loop-back device whose kicks and interrupts are the backend's own."""

    def __init__(self, memory, features, queues=1, size=16):
        super().__init__(SimpleNamespace(memory=memory, vcpus=[None]))
        kind = PackedRing if features & 1 << 34 else SplitRing
        self.rings = [kind(memory, size, features) for _ in range(queues)]
        self.client = None

    def notify(self, queue=0):
        """Kicks."""
        os.eventfd_write(self.client.kicks[queue], 1)

    def next_interrupt(self, timeout=DEADLINE):
        """Waits for a call."""
        ready, _, _ = select.select(list(self.client.calls.values()), [], [], timeout * slack())
        assert ready, "no interrupt"
        for fd in ready:
            os.eventfd_read(fd)


def inflight_is_empty(fd, size):
    """Whether an inflight buffer of one split queue has nothing in flight."""
    with mmap.mmap(fd, 0) as area:
        return not any(area[16 + 16 * number] for number in range(size))
