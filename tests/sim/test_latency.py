# SPDX-License-Identifier: LGPL-2.1-or-later
"""How long the guest's accesses take while its backend hangs, wherever it does.

What is asserted is counted: a frontend that slept anywhere but where it waits for the next access
would sleep more often than there are accesses. The time, which is the machine's, has a bar only
with XEN_VIRTIO_LONG=1: a millisecond, or what it takes the same machine twice without a hang.
"""

import os
import threading
import time

import pytest

from sim import backend as vhost
from sim.guest import INTERRUPT_STATUS
from sim.process import status_number
from sim.test_resume import RUNNING, wait_connection
from sim.xen import DEADLINE

LONG = bool(os.environ.get("XEN_VIRTIO_LONG"))
ACCESSES = 2000 if LONG else 100
SLEEPS_MORE = 10  # of the loop's own, for timers
P99_MAX = 0.001

# All that a backend is told or asked when it goes on with the rings.
MESSAGES = ["GET_FEATURES", "GET_PROTOCOL_FEATURES", "SET_PROTOCOL_FEATURES", "SET_OWNER",
            "SET_BACKEND_REQ_FD", "GET_QUEUE_NUM", "GET_CONFIG", "SET_FEATURES", "SET_STATUS",
            "GET_STATUS", "SET_MEM_TABLE", "SET_INFLIGHT_FD", "SET_VRING_NUM", "SET_VRING_BASE",
            "SET_VRING_ADDR", "SET_VRING_CALL", "SET_VRING_KICK", "SET_VRING_ENABLE"]


class HangingBackend:
    """Lets a scripted backend hang at a message, until it is released."""

    def __init__(self, backend):
        self.backend = backend
        self._answer, self._message = backend.answer, None
        self._hangs, self._released = threading.Event(), threading.Event()
        backend.answer = self._serve

    def _serve(self, message):
        if message.request != self._message:
            return self._answer(message)
        self._message = None
        self._hangs.set()
        self._released.wait()
        raise vhost.Hangup

    def hang_at(self, message):
        """Has the frontend connect anew, and returns when it is told that."""
        self._hangs.clear()
        self._released.clear()
        self._message = message
        self.backend.connection.close()
        assert self._hangs.wait(DEADLINE)

    def release(self):
        """Ends that connection; the next one is good."""
        number = len(self.backend.connections)
        self._released.set()
        wait_connection(self.backend, number + 1)


def sleeps(process):
    """How often it has waited for something so far."""
    return status_number(process.pid, "voluntary")


def times_of(driver):
    """How long each of some accesses takes, seconds."""
    times = []
    for _ in range(ACCESSES):
        before = time.monotonic()
        driver.read(INTERRUPT_STATUS)
        times.append(time.monotonic() - before)
    return times


def percentile(times, percent):
    """The time that so many of all accesses do not exceed."""
    return sorted(times)[len(times) * percent // 100]


@pytest.mark.plain_build(reason="sanitizers have a cost of their own")
def test_backend_hangs_anywhere(machine, record_property):
    """Each access is answered at once, by a process that waits for nothing else."""
    hanging = HangingBackend(machine.scripted_backend())
    hanging.backend.protocol_features |= (vhost.F_INFLIGHT | vhost.F_STATUS | vhost.F_BACKEND_REQ |
                                          vhost.F_RESET_DEVICE)
    frontend = machine.frontend().wait_ready()
    driver = machine.disk().start()
    idle, times = [], []
    for name in MESSAGES:
        hanging.hang_at(getattr(vhost, name))
        before = sleeps(frontend)
        times += times_of(driver)
        assert sleeps(frontend) - before <= ACCESSES + SLEEPS_MORE, name
        assert driver.status == RUNNING
        hanging.release()
        idle += times_of(driver)
    record_property("figure", f"99 % of accesses: {percentile(idle, 99) * 1e6:.0f} us, while the "
                              f"backend hangs {percentile(times, 99) * 1e6:.0f} us")
    assert not LONG or percentile(times, 99) <= max(P99_MAX, 2 * percentile(idle, 99))
