# SPDX-License-Identifier: LGPL-2.1-or-later
"""systemd's file descriptor store of one unit: what a process leaves there, the next one gets."""

import contextlib
import fcntl
import os
import select
import socket
import sys
import threading

from sim.slack import slack
from sim.xen import DEADLINE

MAXIMUM = 67  # FileDescriptorStoreMax=
FIRST = 3  # SD_LISTEN_FDS_START
HIGH = 700  # where no descriptor is that was made before

# Puts the descriptors where systemd does, which knows the process's number by then.
LAUNCHER = f"""\
import fcntl, os, sys
numbers = [int(fd) for fd in sys.argv[1].split(",")]
fds = [fcntl.fcntl(fd, fcntl.F_DUPFD, {HIGH}) for fd in numbers]
for fd in numbers:
    os.close(fd)
for number, fd in enumerate(fds, {FIRST}):
    os.dup2(fd, number)
    os.close(fd)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
"""


class DescriptorStore:
    """Listens to all processes of the unit, one after the other."""

    def __init__(self, path):
        self.path = path
        self.notices = []  # all that it was told, but for descriptors
        self.kept = []  # (name, descriptor)
        self.is_full = False  # it keeps nothing more, nor throws anything away
        self._changed = threading.Condition()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(path)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        while True:
            data, fds, _, _ = socket.recv_fds(self._socket, 4096, MAXIMUM)
            lines = data.decode().splitlines()
            with self._changed:
                self._note(lines, fds)
                self._changed.notify_all()
            if "X_END=1" in lines:
                return

    def _note(self, lines, fds):
        name = next((line[7:] for line in lines if line.startswith("FDNAME=")), None)
        if self.is_full and name:
            for fd in fds:
                os.close(fd)
        elif "FDSTOREREMOVE=1" in lines:
            self.drop(lambda found, _: found == name)
        elif "FDSTORE=1" in lines:
            self.kept += [(name, fd) for fd in fds]
            assert len(self.kept) <= MAXIMUM
        else:
            assert not fds
            self.notices += lines

    def drop(self, condition):
        """Throws away the descriptors for which that is true of their name and number."""
        for entry in [entry for entry in self.kept if condition(*entry)]:
            os.close(entry[1])
            self.kept.remove(entry)

    def put(self, name, fd):
        """Keeps a descriptor that no process of the unit has sent, in the place of another."""
        self.drop(lambda found, _: found == name)
        self.kept.append((name, fd))

    @property
    def names(self):
        """The names of what is kept."""
        with self._changed:
            return sorted(name for name, _ in self.kept)

    def find(self, name):
        """A descriptor that is kept; it stays the store's."""
        return next(fd for found, fd in self.kept if found == name)

    def wait_for(self, condition, what, timeout=DEADLINE):
        """Waits until condition() is true."""
        with self._changed:
            assert self._changed.wait_for(condition, timeout * slack()), f"no {what}: {self.names}"

    def settle(self, text="X_SETTLED=1"):
        """Waits until all is known that was sent by now, and forgets what was hung up."""
        with self._changed:
            before = self.notices.count(text)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(text.encode(), self.path)
        self.wait_for(lambda: self.notices.count(text) > before, text)
        poll = select.poll()
        for _, fd in self.kept:
            poll.register(fd, 0)
        gone = {fd for fd, _ in poll.poll(0)}
        self.drop(lambda _, fd: fd in gone)

    def plug(self, inherited, environment, command):
        """Prepares the start of a process: the descriptors that it inherits besides (by name) get
        other numbers. Returns how it is run."""
        self.settle()
        for name, fd in inherited.items():
            inherited[name] = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, HIGH)
            os.close(fd)
        environment |= {"NOTIFY_SOCKET": self.path, "FDSTORE": str(MAXIMUM)}
        if not self.kept:
            return command
        environment |= {"LISTEN_FDS": str(len(self.kept)),
                        "LISTEN_FDNAMES": ":".join(name for name, _ in self.kept)}
        numbers = ",".join(str(fd) for _, fd in self.kept)
        return [sys.executable, "-I", "-S", "-c", LAUNCHER, numbers, *command]

    def close(self):
        """Ends it."""
        self.settle("X_END=1")
        self._thread.join()
        self.drop(lambda *_: True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        self._socket.close()
