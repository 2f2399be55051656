# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs the real frontend program, as systemd would."""

import contextlib
import itertools
import os
import signal
import socket
import subprocess
import time

from sim import process
from sim.slack import has_passed, slack
from sim.xen import DEADLINE

# A sanitizer's report ends the program with a status that nothing else uses.
SANITIZER_STATUS = 99
SANITIZERS = {
    "ASAN_OPTIONS": f"exitcode={SANITIZER_STATUS}:detect_leaks=1",
    "UBSAN_OPTIONS": f"print_stacktrace=1:halt_on_error=1:exitcode={SANITIZER_STATUS}",
    "LSAN_OPTIONS": f"exitcode={SANITIZER_STATUS}",
}
NUMBERS = itertools.count(1)  # of all frontends, for the names of their files


class Frontend:
    """One process. What it inherits comes from Xen.plug(). A program may run it: under.

    With a store (DescriptorStore) it gets what the former one has left there, too.
    """

    def __init__(self, program, run_directory, instance, inherited, n_vcpus, environment=(),
                 under=(), store=None):
        number = next(NUMBERS)
        self._store = store
        self._good_ends = {0, -signal.SIGKILL}
        self._ready = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notify_path = f"{run_directory}/notify-{number}"
        self._ready.bind(notify_path)
        self.log_path = f"{run_directory}/frontend-{number}.log"
        variables = {"PATH": os.environ["PATH"], "NOTIFY_SOCKET": notify_path} | SANITIZERS
        command = [*under, program, "--run-directory", run_directory, instance]
        kept = []
        if store:
            command = store.plug(inherited, variables, command)
            kept = [fd for _, fd in store.kept]
        simulation = ",".join(f"{name}:{fd}" for name, fd in inherited.items())
        variables["XEN_VIRTIO_SIM"] = f"{simulation},vcpus:{n_vcpus}"
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                command, env=variables | dict(environment), pass_fds=(*inherited.values(), *kept),
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        for fd in inherited.values():
            os.close(fd)

    @property
    def log(self):
        """All that it has said."""
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def is_ready(self, timeout=DEADLINE):
        """Whether it says READY=1 in that time."""
        if self._store:
            self._store.wait_for(lambda: "READY=1" in self._store.notices, "READY=1", timeout)
            self._store.notices.clear()
            return True
        end = time.monotonic() + timeout
        while (left := end - time.monotonic()) > 0:
            self._ready.settimeout(left)
            try:
                if b"READY=1" in self._ready.recv(4096).split(b"\n"):
                    return True
            except TimeoutError:
                break
        return False

    def take_notices(self):
        """What it has told systemd since this was asked; there has to be room for more."""
        notices = []
        self._ready.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                notices += self._ready.recv(4096).decode().splitlines()
        return notices

    def wait_ready(self, timeout=DEADLINE):
        """Waits until it says READY=1. Returns itself."""
        assert self.is_ready(timeout * slack()), \
            f"the frontend is not ready after {timeout} s:\n{self.log}"
        return self

    def wait_exit(self, expected, timeout=DEADLINE):
        """Waits until it ends by itself, with the exit status that is expected."""
        status = self.process.wait(timeout * slack())
        assert status == expected, f"frontend ends with {status}:\n{self.log}"
        self._good_ends.add(status)

    def kill(self):
        """Ends it as a crash would."""
        process.kill(self.process)

    def stop(self):
        """Ends it as systemd does, unless it has been ended. Fails if it did anything wrong."""
        status = process.end(self.process)
        self._ready.close()
        assert status in self._good_ends, f"frontend ends with {status}:\n{self.log}"

    @property
    def pid(self):
        """Its process id."""
        return self.process.pid

    def descriptors(self):
        """What it has open: a name for each descriptor."""
        folder = f"/proc/{self.pid}/fd"
        names = {}
        for fd in os.listdir(folder):
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                names[fd] = os.readlink(f"{folder}/{fd}")
        return names

    def _stat(self):
        """What proc(5) has in stat, from the state on."""
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as stat:
            return stat.read().rsplit(")", 1)[1].split()

    def _wait_state(self, state):
        start = time.monotonic()
        while self._stat()[0] != state:
            assert not has_passed(start, DEADLINE), f"the frontend is never in state {state}"
            time.sleep(0.001)

    def wait_asleep(self):
        """Waits until it has nothing to do."""
        self._wait_state("S")

    def pause(self):
        """Stops it while it has nothing to do, so that it finds at once what happens until it is
        resumed."""
        self.wait_asleep()
        self.freeze()

    def freeze(self):
        """Stops it wherever it is, until it is resumed."""
        self.process.send_signal(signal.SIGSTOP)
        self._wait_state("T")

    def resume(self):
        """Lets it go on."""
        self.process.send_signal(signal.SIGCONT)

    def cpu_seconds(self):
        """The processor time that it has used so far."""
        fields = self._stat()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
