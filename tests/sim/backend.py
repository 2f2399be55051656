# SPDX-License-Identifier: LGPL-2.1-or-later
"""Backends: Debian's qemu-storage-daemon, and one made of Python that does as it is told."""

import contextlib
import os
import socket
import struct
import subprocess
import threading
import time
from dataclasses import dataclass, field

from sim import process
from sim.slack import has_passed
from sim.xen import DEADLINE

GET_FEATURES, SET_FEATURES, SET_OWNER, SET_MEM_TABLE = 1, 2, 3, 5
SET_VRING_NUM, SET_VRING_ADDR, SET_VRING_BASE, GET_VRING_BASE = 8, 9, 10, 11
SET_VRING_KICK, SET_VRING_CALL, SET_VRING_ERR = 12, 13, 14
GET_PROTOCOL_FEATURES, SET_PROTOCOL_FEATURES, GET_QUEUE_NUM = 15, 16, 17
SET_VRING_ENABLE, SET_BACKEND_REQ_FD, GET_CONFIG = 18, 21, 24
SET_CONFIG, GET_INFLIGHT_FD, SET_INFLIGHT_FD, RESET_DEVICE, SET_STATUS = 25, 31, 32, 34, 39
GET_STATUS, NET_SET_MTU = 40, 20
BACKEND_CONFIG_CHANGE = 2
F_NET_MTU, F_RESET_DEVICE, F_STATUS = 1 << 4, 1 << 13, 1 << 16

HEADER = struct.Struct("<III")  # request, flags, size
VERSION, REPLY, NEED_REPLY = 1, 4, 8
PROTOCOL_FEATURES_BIT = 1 << 30
F_MQ, F_REPLY_ACK, F_BACKEND_REQ, F_CONFIG, F_INFLIGHT = 1 << 0, 1 << 3, 1 << 5, 1 << 9, 1 << 12
INFLIGHT = struct.Struct("<QQHHI")  # size, offset, queues, queue size, padding
VIRTIO_F_VERSION_1 = 1 << 32
FD_MAX = 16


class Program:
    """A backend from a package, which takes the place of its former socket."""

    def __init__(self, socket_path, *command):
        self.log_path = f"{socket_path}.log"
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log)
        start = time.monotonic()
        while not os.path.exists(socket_path):
            assert self.process.poll() is None, f"{command[0]} failed: see {self.log_path}"
            assert not has_passed(start, DEADLINE), f"{command[0]} does not listen"
            time.sleep(0.01)

    def kill(self):
        """Ends it as a crash would."""
        process.kill(self.process)

    def stop(self):
        """Ends it properly, so that what it has written is complete."""
        process.end(self.process)


class StorageDaemon(Program):
    """qemu-storage-daemon with one disk, which takes so many requests a second."""

    def __init__(self, socket_path, image, writable=True, queues=1, rate=100000):
        super().__init__(
            socket_path, "qemu-storage-daemon",
            "--blockdev", f"driver=file,node-name=file,filename={image},"
                          f"read-only={'off' if writable else 'on'}",
            "--object", f"throttle-group,id=limit,x-iops-total={rate}",
            "--blockdev", "driver=throttle,node-name=disk,file=file,throttle-group=limit",
            "--export", f"type=vhost-user-blk,id=export,node-name=disk,num-queues={queues},"
                        f"writable={'on' if writable else 'off'},"
                        f"addr.type=unix,addr.path={socket_path}")


class Virtiofsd(Program):
    """QEMU's virtiofsd with one folder. It ends with its connection."""

    PROGRAM = "/usr/lib/qemu/virtiofsd"

    def __init__(self, socket_path, folder):
        super().__init__(socket_path, self.PROGRAM, f"--socket-path={socket_path}",
                         "-o", f"source={folder}", "-o", "sandbox=chroot")


@dataclass
class Message:
    """What the frontend sent."""

    request: int
    flags: int
    payload: bytes
    fds: list = field(default_factory=list)

    @property
    def u64(self):
        """A payload that is one number."""
        return struct.unpack("<Q", self.payload)[0]

    @property
    def state(self):
        """A payload that is (queue, number)."""
        return struct.unpack("<II", self.payload)


class Hangup(Exception):
    """Close the connection."""


class Connection:
    """One connection of a frontend."""

    def __init__(self, backend, sock):
        self.backend = backend
        self.socket = sock
        self.messages = []
        self.closed = False
        self.fds = []
        self.kicks, self.calls = {}, {}  # by queue
        self.sent = self.received = 0  # bytes
        self.cut = backend.cuts.pop(0) if backend.cuts else (None, None)

    def requests(self):
        """The numbers of all requests so far, in order."""
        return [message.request for message in list(self.messages)]

    def serve(self):
        """Answers until either side has enough."""
        try:
            while True:
                message = self._receive()
                self._note(message)
                self.messages.append(message)  # which tests wait for
                answer = self.backend.answer(message)
                if answer is not None:
                    reply = Message(message.request, VERSION | REPLY, answer)
                    if message.request == GET_INFLIGHT_FD:
                        reply.fds = [self.backend.areas[-1]]
                    self.backend.send(self, message, reply)
        except (Hangup, ConnectionError, OSError):
            pass
        finally:
            self.socket.close()
            self.closed = True

    def _receive_bytes(self, size):
        data, fds = b"", []
        while len(data) < size:
            if self.received == self.cut[1]:
                raise Hangup
            want = self._receivable(size - len(data))
            more, new_fds, _, _ = socket.recv_fds(self.socket, want, FD_MAX)
            if not more:
                raise Hangup
            self.received += len(more)
            data += more
            fds += new_fds
        return data, fds

    def _receivable(self, size):
        return size if self.cut[1] is None else min(size, self.cut[1] - self.received)

    def _receive(self):
        header, fds = self._receive_bytes(HEADER.size)
        request, flags, size = HEADER.unpack(header)
        payload, more_fds = self._receive_bytes(size)
        self.fds += fds + more_fds
        return Message(request, flags, payload, fds + more_fds)

    def _note(self, message):
        if message.request == SET_VRING_KICK and message.fds:
            self.kicks[message.u64 & 0xff] = message.fds[0]
        if message.request == SET_VRING_CALL and message.fds:
            self.calls[message.u64 & 0xff] = message.fds[0]

    def send(self, message, fds=()):
        """Sends a message as it is."""
        self.send_bytes(HEADER.pack(message.request, message.flags, len(message.payload)) +
                        message.payload, fds or message.fds)

    def send_bytes(self, data, fds=()):
        """Sends bytes that need not be a message."""
        left = len(data) if self.cut[0] is None else self.cut[0] - self.sent
        if fds and left:
            socket.send_fds(self.socket, [data[:left]], list(fds))
        else:
            self.socket.sendall(data[:left])
        self.sent += min(left, len(data))
        if left < len(data) or self.sent == self.cut[0]:
            raise Hangup

    def call(self, queue=0):
        """Interrupts the guest."""
        os.eventfd_write(self.calls[queue], 1)

    def take_kicks(self, queue=0):
        """How often the guest has kicked since this was asked."""
        try:
            return os.eventfd_read(self.kicks[queue])
        except BlockingIOError:
            return 0

    def close(self):
        """Ends the connection."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def release(self):
        """Closes the descriptors that came with messages."""
        for fd in self.fds:
            os.close(fd)
        self.fds = []


class ScriptedBackend:
    """A backend that records each message, serves no queue, and misbehaves on demand.

    misbehave: {request number: function(connection, message, reply)} replaces the sending of that
    reply; requests without a reply can only be met with a Hangup by answer_hook. It holds for the
    first `times` connections. cuts: for each connection to come, after how many bytes (sent,
    received) it ends, or None. Others, as `features`, replace what the class has: a frontend that
    is waiting connects before a test can set them.
    """

    features = VIRTIO_F_VERSION_1 | PROTOCOL_FEATURES_BIT | 1 << 9  # VIRTIO_BLK_F_FLUSH
    protocol_features = F_MQ | F_REPLY_ACK | F_CONFIG
    n_queues = 4
    config = struct.pack("<Q", 2048)

    def __init__(self, socket_path, misbehave=None, times=1, listen=socket.socket.listen,
                 **attributes):
        self.path = socket_path
        for name, value in attributes.items():
            assert hasattr(type(self), name), name
            setattr(self, name, value)
        self.connections = []
        self.misbehave = misbehave or {}
        self.times = times
        self.acknowledged = 0  # protocol features
        self.status = 0  # the driver's, as it was told
        self.cuts = []
        self.areas = []  # descriptors of those that were asked for, GET_INFLIGHT_FD
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(socket_path)
        listen(self._listener)
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def connection(self):
        """The latest connection."""
        return self.connections[-1]

    @property
    def offer(self):
        """What it offers, for another one to offer the same."""
        return {"features": self.features, "protocol_features": self.protocol_features}

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            connection = Connection(self, sock)
            self.connections.append(connection)
            connection.serve()

    def answer(self, message):
        """The payload of the right answer to a message, or None where there is none."""
        if message.request == SET_PROTOCOL_FEATURES:
            self.acknowledged = message.u64
        if message.request == SET_STATUS:
            self.status = message.u64
        answers = {GET_FEATURES: struct.pack("<Q", self.features),
                   GET_STATUS: struct.pack("<Q", self.status),
                   GET_PROTOCOL_FEATURES: struct.pack("<Q", self.protocol_features),
                   GET_QUEUE_NUM: struct.pack("<Q", self.n_queues)}
        if message.request in answers:
            return answers[message.request]
        if message.request == GET_VRING_BASE:
            return struct.pack("<II", message.state[0], 0)
        if message.request == GET_INFLIGHT_FD:
            return self._area(*INFLIGHT.unpack(message.payload)[2:4])
        if message.request == GET_CONFIG:
            offset, size, flags = struct.unpack_from("<III", message.payload)
            content = self.config.ljust(256, b"\0")[offset:offset + size]
            return struct.pack("<III", offset, size, flags) + content
        return struct.pack("<Q", 0) if message.flags & NEED_REPLY else None

    def _area(self, queues, queue_size):
        """Makes an area for requests, as libvhost-user does."""
        size = queues * (16 * queue_size + 64)
        self.areas.append(os.memfd_create("area"))
        os.ftruncate(self.areas[-1], size)
        return INFLIGHT.pack(size, 0, queues, queue_size, 0)

    def send(self, connection, message, reply):
        """Sends a reply, or what a test wants instead."""
        wrong = self.misbehave.get(message.request)
        if wrong and len(self.connections) <= self.times:
            wrong(connection, reply)
        else:
            connection.send(reply)

    def wait_for(self, condition, what, timeout=DEADLINE):
        """Waits until condition() is true."""
        start = time.monotonic()
        while not condition():
            assert not has_passed(start, timeout), f"no {what} within {timeout} s"
            time.sleep(0.005)

    def wait_request(self, request, timeout=DEADLINE):
        """Waits until the latest connection has had such a request, and returns it."""
        def found():
            return self.connections and request in self.connection.requests()
        self.wait_for(found, f"request {request}", timeout)
        return next(m for m in self.connection.messages if m.request == request)

    def stop_listening(self):
        """Takes no more connections; the socket's file goes away."""
        if os.path.exists(self.path):
            os.unlink(self.path)
        with contextlib.suppress(OSError):  # it has been called before
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def stop(self):
        """Ends it, unless it has been ended."""
        self.stop_listening()
        start = time.monotonic()
        while self._thread.is_alive() and not has_passed(start, DEADLINE):
            for connection in self.connections:  # one may just have been accepted
                connection.close()
            self._thread.join(0.1)
        for connection in self.connections:
            connection.release()
        for area in self.areas:
            os.close(area)
        self.areas = []

    kill = stop
