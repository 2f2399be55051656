# SPDX-License-Identifier: LGPL-2.1-or-later
"""What hangs is killed by systemd's watchdog and started again, and the guest works on."""

import pytest
from labkit.domu import Guest, check_image, make_disk

from lab import scripts
from lab.test_memory import PROFILE, profile_write

# WatchdogSec= of the units, and a second.
SECONDS = 11

# systemd's part is the same on any kernel.
pytestmark = pytest.mark.only_kernel("lab")


@pytest.fixture(scope="module")
def running(dom0):
    """A guest whose disk goes on after a crash: its backend tracks requests."""
    profile_write(dom0, "--features=0xfffffffbffffffff")  # no packed rings, which are not tracked
    disk = make_disk(dom0, "hang")
    guest = Guest(dom0, "hang", [disk], scripts.WORK_SLOWLY)
    guest.create()
    guest.wait_for("guest: round 1")
    yield guest
    guest.destroy()
    dom0.check(f"rm {PROFILE} && systemctl restart xen-virtiod")
    check_image(dom0, disk)


def recovery(dom0, unit):
    """The seconds from when a unit hangs to when a successor of its process works."""
    process = f"systemctl show -P MainPID {unit}"
    before = dom0.check(process).strip()
    _, seconds = dom0.timed(f"systemctl kill --signal=STOP {unit}; "
                            f"until [ $({process}) != {before} ] && systemctl is-active -q {unit}; "
                            "do busybox usleep 300000; done")
    assert "Watchdog timeout" in dom0.journal(f"UNIT={unit}")
    return seconds


def goes_on(guest):
    """The guest works, and saw no error."""
    guest.wait_for("guest: round", count=scripts.rounds(guest) + 3)
    assert "FAILED" not in guest.console()


def test_orchestrator_that_hangs(dom0, running, figures):
    pids = running.pids()
    seconds = recovery(dom0, "xen-virtiod.service")
    figures("xen-virtiod hangs and works again", f"{seconds:.1f} s")
    assert seconds <= SECONDS
    goes_on(running)
    assert running.pids() == pids


def test_frontend_that_hangs(dom0, running, figures):
    [frontend] = running.units("frontend")
    [backend] = running.units("backend")
    pids = running.pids()
    seconds = recovery(dom0, frontend)
    figures("frontend hangs and its successor works", f"{seconds:.1f} s")
    assert seconds <= SECONDS
    assert "hung and was killed" in dom0.journal("_SYSTEMD_UNIT=xen-virtiod.service")
    goes_on(running)
    assert running.pids()[backend] == pids[backend]
