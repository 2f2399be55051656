# SPDX-License-Identifier: LGPL-2.1-or-later
"""What goes on when something fails: a service manager, and a guest's driver."""

import contextlib
import os
import signal
import threading
import time

from sim.guest import NEEDS_RESET, SECTOR, Disk
from sim.slack import has_passed, slack
from sim.xen import GuestCrash

PATIENCE = 13.0  # more than DEVICE_HOLD_USEC, and than any deadline of the session
TEMPFAIL, CONFIG = 75, 78
# Ends after which systemd starts the next one.
DOCUMENTED = (TEMPFAIL, CONFIG, -signal.SIGKILL)
AGAIN = 0.02


class Hang(AssertionError):
    """Something waits for ever."""


class StartOver(Exception):
    """The device wants to be reset."""


class Service:
    """The frontend as systemd runs it: when a process has failed, there is the next one.

    start() starts a process.
    """

    def __init__(self, start):
        self._start = start
        self._lock = threading.Lock()  # nobody ends a process while the next one is started
        self.ended = []  # processes that have failed
        self._begin()

    def _begin(self):
        self._is_ending = False
        self.frontend = self._start()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self):
        while True:
            status = self.frontend.process.wait()
            with self._lock:
                if self._is_ending or status not in DOCUMENTED:
                    return
                self.frontend.wait_exit(status)
                if status > 0:
                    self.ended.append(self.frontend)
                time.sleep(AGAIN)
                self.frontend = self._start()

    def end(self):
        """Ends the process in order, and starts none. It may have failed on its own."""
        with self._lock:
            self._is_ending = True
            self.frontend.process.terminate()
        self._thread.join(PATIENCE * slack())
        if self._thread.is_alive():
            raise Hang("the frontend does not end")
        status = self.frontend.process.returncode
        if status in DOCUMENTED:
            self.ended.append(self.frontend)
        if status in (*DOCUMENTED, -signal.SIGTERM):  # or it had only just been started
            self.frontend.wait_exit(status)

    def crash(self):
        """Ends the process as a crash would; there is a next one."""
        self.frontend.process.kill()

    def replace(self):
        """Ends the process in order, and starts the next one."""
        self.end()
        self._begin()


class PatientDisk(Disk):
    """A driver that waits as long as it takes, and resets a device that asks for it.

    may_forget: whether the device may have been reset by itself, which nobody tells the driver.
    """

    may_forget = False

    def read(self, offset, size=4, timeout=PATIENCE):
        return super().read(offset, size, timeout)

    def write(self, offset, value, timeout=PATIENCE):
        super().write(offset, value, timeout)

    def next_interrupt(self, timeout=PATIENCE):
        try:
            causes = super().next_interrupt(max(timeout, PATIENCE))
        except GuestCrash:
            raise
        except AssertionError as error:
            if self.may_forget and self.status == 0:
                raise StartOver from error
            raise Hang(str(error)) from None
        if self.status & NEEDS_RESET:
            raise StartOver
        return causes

    def prepare(self):
        """Starts the device, unless it is started."""
        if self.rings:
            return
        try:
            self.start()
        except (GuestCrash, Hang):
            raise
        except AssertionError as error:  # there is no device, or it broke meanwhile
            self.rings = []
            raise StartOver from error

    def until_done(self, work):
        """Does work(), and starts over with the device when that asks for it."""
        start = time.monotonic()
        while not has_passed(start, 2 * PATIENCE):
            with contextlib.suppress(StartOver):
                self.prepare()
                return work()
            self.rings = []
            time.sleep(AGAIN)
        raise Hang("the device never works")

    def use(self, sector=0, between=lambda: None):
        """Writes, and reads the same again. between() is called while a request is under way.

        Returns what was written.
        """
        def work():
            data = os.urandom(SECTOR)
            self.write_sectors(sector, data)
            request = self.submit(0, sector, SECTOR)
            between()
            self.notify()
            assert self.complete(request, timeout=PATIENCE) == (0, data)
            return data
        return self.until_done(work)
