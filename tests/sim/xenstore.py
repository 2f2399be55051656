# SPDX-License-Identifier: LGPL-2.1-or-later
"""A real xenstored without Xen, a toolstack's connection to it, and something between the two."""

import glob
import os
import select
import signal
import socket
import struct
import subprocess
import threading
import time

from sim.slack import has_passed

HEADER = struct.Struct("<4I")
DIRECTORY, READ, TRANSACTION_START, TRANSACTION_END, INTRODUCE, RELEASE = 1, 2, 6, 7, 8, 9
WRITE, RM, ERROR = 11, 13, 16
DEADLINE = 10


def program():
    """The newest xenstored of Debian's; None if there is none."""
    found = sorted(glob.glob("/usr/lib/xen-*/bin/xenstored"))
    return found[-1] if found else None


class Xenstored:
    """The daemon. domains is a folder with a folder for each domain that lives."""

    def __init__(self, stub, folder, domains):
        self.folder = folder
        self.path = f"{folder}/socket"
        name = program()
        older = ["--internal-db=on", "-R"] if "/xen-4.17/" in name else []
        self._process = subprocess.Popen(
            [name, "-N", *older], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"LD_PRELOAD": str(stub), "XENSTORED_RUNDIR": str(folder),
                 "XEN_VIRTIO_SIM_XEN": str(domains)})
        start = time.monotonic()
        while not self._listens():
            assert not has_passed(start, DEADLINE) and self._process.poll() is None
            time.sleep(0.01)

    def _listens(self):
        with socket.socket(socket.AF_UNIX) as attempt:
            return attempt.connect_ex(self.path) == 0

    def stop_answering(self):
        """As while it is updated."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self._process.send_signal(signal.SIGCONT)

    def domain_ended(self):
        """Xen tells that some domain is dead."""
        self._process.send_signal(signal.SIGUSR2)

    def stop(self):
        self._process.kill()
        self._process.wait()


class Toolstack:
    """A connection that waits for each answer."""

    def __init__(self, path):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._transaction = 0

    def _receive(self, size):
        data = b""
        while len(data) < size:
            piece = self._socket.recv(size - len(data))
            assert piece
            data += piece
        return data

    def ask(self, kind, payload):
        """The answer's bytes; None if it is an error."""
        self._socket.sendall(HEADER.pack(kind, 0, self._transaction, len(payload)) + payload)
        answer, _, _, size = HEADER.unpack(self._receive(HEADER.size))
        data = self._receive(size)
        return None if answer == ERROR else data

    def read(self, path):
        """A node's bytes; None if it is not there."""
        return self.ask(READ, f"{path}\0".encode())

    def text(self, path):
        data = self.read(path)
        return None if data is None else data.decode()

    def write(self, nodes):
        """Writes all of these in one transaction."""
        while True:
            self._transaction = int(self.ask(TRANSACTION_START, b"\0")[:-1])
            for path, value in nodes.items():
                data = value if isinstance(value, bytes) else str(value).encode()
                assert self.ask(WRITE, path.encode() + b"\0" + data) is not None, path
            done = self.ask(TRANSACTION_END, b"T\0")
            self._transaction = 0
            if done is not None:
                return

    def write_one(self, path, value):
        self.ask(WRITE, path.encode() + b"\0" + str(value).encode())

    def remove(self, path):
        self.ask(RM, f"{path}\0".encode())

    def entries(self, path):
        """The names in a folder."""
        data = self.ask(DIRECTORY, f"{path}\0".encode())
        return [] if not data else data.rstrip(b"\0").decode().split("\0")

    def introduce(self, domid):
        assert self.ask(INTRODUCE, f"{domid}\0001\0001\0".encode()) is not None

    def release(self, domid):
        self.ask(RELEASE, f"{domid}\0".encode())

    def close(self):
        self._socket.close()


class Relay:
    """Stands between xenstored and its clients, whose connections it can cut."""

    def __init__(self, path, target):
        self.path = path
        self._target = target
        self._pairs = []
        self._listener = None
        self._orders, self._obey = socket.socketpair()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        self.listen()

    def _order(self, order):
        self._orders.send(order)
        assert self._orders.recv(1) == order

    def listen(self):
        """Lets clients connect (again)."""
        self._order(b"l")

    def cut(self):
        """Ends all connections, and lets nobody connect."""
        self._order(b"c")

    def stop(self):
        self._order(b"c")
        self._order(b"e")
        self._thread.join()
        self._orders.close()
        self._obey.close()

    def _do(self, order):
        if order == b"l":
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(self.path)
            self._listener.listen()
        elif order == b"c":
            for pair in list(self._pairs):
                self._drop(pair)
            if self._listener:
                os.unlink(self.path)
                self._listener.close()
            self._listener = None
        self._obey.send(order)
        return order != b"e"

    def _drop(self, pair):
        self._pairs.remove(pair)
        for end in pair:
            end.close()

    def _forward(self, source):
        pair = next(pair for pair in self._pairs if source in pair)
        try:
            data = source.recv(65536)
            pair[1 - pair.index(source)].sendall(data)
        except OSError:
            data = b""
        if not data:
            self._drop(pair)

    def _run(self):
        while True:
            sources = [self._obey, *([self._listener] if self._listener else []),
                       *sum(self._pairs, ())]
            source = select.select(sources, [], [])[0][0]
            if source is self._obey:
                if not self._do(source.recv(1)):
                    return
            elif source is self._listener:
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._target)
                self._pairs.append((source.accept()[0], server))
            else:
                self._forward(source)
