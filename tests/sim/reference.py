# SPDX-License-Identifier: LGPL-2.1-or-later
"""The reference backend: proves every message legal, and misbehaves on command."""

import itertools
import os
import signal
import subprocess
import time

from sim import process
from sim.frontend import SANITIZERS
from sim.slack import has_passed, slack
from sim.xen import DEADLINE

ILLEGAL_STATUS = 3
NUMBERS = itertools.count(1)  # of all backends, for the names of their files


class ReferenceBackend:
    """One process of xen-virtio-test-backend. It fails the test if the frontend broke a rule."""

    def __init__(self, socket_path, program, *options):
        self._report = f"{socket_path}.illegal"
        self._expected = 0
        self.log_path = f"{socket_path}.log-{next(NUMBERS)}"
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [program, f"--socket-path={socket_path}", f"--report={self._report}", *options],
                env=os.environ | SANITIZERS, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        start = time.monotonic()
        while not os.path.exists(socket_path):
            assert self.process.poll() is None, f"the backend does not start: {self.log}"
            assert not has_passed(start, DEADLINE), "the backend does not listen"
            time.sleep(0.002)

    @property
    def log(self):
        """All that it has said."""
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    @property
    def illegal(self):
        """What the frontend did that it may not do: lines."""
        if not os.path.exists(self._report):
            return []
        with open(self._report, encoding="utf-8") as file:
            return file.read().splitlines()

    def was_asked(self, name):
        """Whether there was such a request; needs --trace."""
        return f"request: {name}\n" in self.log

    def take_illegal(self):
        """The same, for a test that wanted it so."""
        lines = self.illegal
        os.unlink(self._report)
        self._expected = ILLEGAL_STATUS
        return lines

    def refresh(self):
        """Lets it look at the world again, and tell the frontend if something has changed."""
        self.process.send_signal(signal.SIGHUP)

    def descriptors(self):
        """How many it has open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def wait_exit(self, expected, timeout=DEADLINE):
        """Waits until it ends by itself, with the exit status that is expected."""
        assert self.process.wait(timeout * slack()) == expected, self.log
        self._expected = expected

    def kill(self):
        """Ends it as a crash would."""
        process.kill(self.process)

    def stop(self):
        """Ends it, unless it has been ended. Fails if anything was illegal, or went wrong."""
        status = process.end(self.process)
        assert not self.illegal, f"the frontend broke the protocol: {self.illegal}"
        assert status in (self._expected, -signal.SIGKILL), \
            f"the backend ends with {status}: {self.log}"
