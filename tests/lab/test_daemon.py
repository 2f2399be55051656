# SPDX-License-Identifier: LGPL-2.1-or-later
"""The orchestrator comes and goes; the devices of running guests do not notice."""

import pytest

from lab import scripts
from labkit.domu import Guest, check_image, make_disk


@pytest.fixture
def working(dom0):
    """A guest that works with its disk, and must go on doing so."""
    guest = Guest(dom0, "steady", [make_disk(dom0, "steady")], scripts.WORK)
    guest.create()
    guest.wait_for("guest: round 1")
    yield guest
    assert "FAILED" not in guest.console()
    guest.destroy()
    dom0.expect_clean()


def goes_on(guest, pids):
    """The guest works as before, with the same processes."""
    before = guest.console().count("guest: round")
    guest.wait_for("guest: round", count=before + 3)
    assert guest.pids() == pids
    assert len(pids) == 2


def test_restart(dom0, working):
    pids = working.pids()
    dom0.check("systemctl restart xen-virtiod")
    goes_on(working, pids)


@pytest.mark.also_smp
def test_kill(dom0, working):
    pids = working.pids()
    for _ in range(3):
        dom0.check("systemctl kill --signal=KILL xen-virtiod")
        dom0.wait("systemctl is-active --quiet xen-virtiod")
        goes_on(working, pids)


# Debian's kernel is not preemptible: on one CPU xl's call to destroy the domain keeps everything
# else from running, the processes among it that still have the guest's memory mapped.
@pytest.mark.only_kernel("lab")
def test_guest_that_went_while_the_daemon_was_away(dom0):
    disk = make_disk(dom0, "away")
    guest = Guest(dom0, "away", [disk], scripts.WRITE_FILES)
    guest.create()
    dom0.check("systemctl stop xen-virtiod")
    guest.wait_for("guest: done")
    guest.wait_gone(timeout=90)
    dom0.check("systemctl start xen-virtiod")
    dom0.expect_clean()
    check_image(dom0, disk)


def test_guest_that_came_while_the_daemon_was_away(dom0):
    disk = make_disk(dom0, "early")
    guest = Guest(dom0, "early", [disk], scripts.WRITE_FILES)
    dom0.check("systemctl stop xen-virtiod")
    dom0.check("(sleep 2; systemctl start xen-virtiod) >/dev/null 2>&1 &")
    guest.create()
    guest.wait_for("guest: done")
    guest.wait_gone()
    check_image(dom0, disk)
