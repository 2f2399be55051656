# SPDX-License-Identifier: LGPL-2.1-or-later
"""A frontend of several devices that is stopped in order hands all of them over."""

import threading
import time

import pytest

from sim.backend import GET_VRING_BASE, Hangup
from sim.guest import ACKNOWLEDGE, DRIVER, DRIVER_OK, FEATURES_OK, NEEDS_RESET
from sim.shared import Guest
from sim.slack import slack
from sim.test_shared import at_work

RUNNING = ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK
LEAVE = 1.5  # LEAVE_USEC


@pytest.fixture
def guest(build, tmp_path):
    """A guest with four vCPUs."""
    guest = Guest(build, tmp_path, n_vcpus=4)
    yield guest
    guest.close()


def leave(guest, timeout=LEAVE):
    """The frontend is stopped, as systemd does. Returns how long that took."""
    start = time.monotonic()
    guest.process.process.terminate()
    guest.process.wait_exit(0, timeout)
    return time.monotonic() - start


def when(told):
    """A backend that does not answer before it is told."""
    def answer(connection, reply):
        told.wait(LEAVE)
        connection.send(reply)
    return answer


def after(seconds):
    """A backend that takes its time."""
    def answer(connection, reply):
        time.sleep(seconds)
        connection.send(reply)
    return answer


def hang(connection, reply):
    """Neither an answer, nor another connection, for some time."""
    time.sleep(LEAVE + 1)
    raise Hangup


def test_under_load(guest):
    """No driver notices, whatever its backend can do."""
    devices = [guest.add("qemu" if number % 2 else "reference") for number in range(4)]
    guest.start(*devices)
    with at_work(devices) as workers:
        for _ in range(5):
            leave(guest)
            guest.frontend()
            for worker in workers:
                worker.wait_progress(5)
    for device in devices:
        assert device.disk().status == RUNNING


def test_it_waits_for_the_last(guest):
    """Devices without rings, or without a backend, have nothing to hand over."""
    slow, quick, idle = [guest.add("scripted") for _ in range(3)]
    away = guest.add()
    slow.backend.misbehave = {GET_VRING_BASE: after(0.4)}
    guest.start(slow, quick, idle, away)
    disks = [device.disk().start() for device in (slow, quick)]
    for device in (slow, quick, idle):
        device.wait_status("ready\n")
    assert leave(guest) > 0.4
    before = dict(guest.xen.interrupts_of)
    guest.frontend()
    for device, disk in zip((slow, quick), disks, strict=True):
        guest.xen.wait_interrupt(before[device.irq] + 1, irq=device.irq)  # its rings go on
        assert disk.status == RUNNING


def test_no_device_is_left(guest):
    """Nobody has to be waited for."""
    device = guest.add("scripted")
    guest.start(device)
    guest.relist()
    assert leave(guest) < LEAVE / 2 * slack()


@pytest.mark.plain_build(reason="waits for long")
def test_one_that_hangs(guest):
    """It ends as in a crash; the others are handed over."""
    bad, good = guest.add("scripted"), guest.add("qemu")
    bad.backend.misbehave = {GET_VRING_BASE: hang}
    guest.start(bad, good)
    broken, disk = bad.disk().start(), good.disk(1).start()
    assert leave(guest, LEAVE + 0.5) > LEAVE - 0.2
    guest.frontend()
    guest.xen.wait_for(lambda: broken.status & NEEDS_RESET, "broken device")
    assert disk.status == RUNNING
    disk.read_sectors(0, 1)


def test_a_reload_meanwhile(guest):
    """The next process looks at the list itself."""
    slow, newcomer = guest.add("scripted"), guest.add("reference")
    reloaded = threading.Event()
    slow.backend.misbehave = {GET_VRING_BASE: when(reloaded)}
    guest.start(slow)
    disk = slow.disk().start()
    guest.process.process.terminate()
    slow.backend.wait_request(GET_VRING_BASE)
    guest.relist(newcomer)
    reloaded.set()
    guest.process.wait_exit(0, LEAVE)
    assert newcomer.status == ""
    guest.list(slow, newcomer)
    before = guest.xen.interrupts_of[slow.irq]
    guest.frontend()
    guest.xen.wait_interrupt(before + 1, irq=slow.irq)
    assert disk.status == RUNNING
    newcomer.disk().start().read_sectors(0, 1)
