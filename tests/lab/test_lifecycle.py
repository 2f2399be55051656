# SPDX-License-Identifier: LGPL-2.1-or-later
"""What xl does to a guest while it works with its disks, and what is left afterwards: nothing."""

import pytest

from lab import scripts
from labkit.domu import Guest, make_disk


@pytest.fixture
def working(dom0):
    """A guest that writes and reads its disk all the time."""
    guest = Guest(dom0, "working", [make_disk(dom0, "work")], scripts.WORK, vcpus=2)
    guest.create()
    guest.wait_for("guest: round 1")
    return guest


def test_destroy_under_load(dom0, working, figures):
    seconds = working.destroy()
    figures("xl destroy under I/O", f"{seconds:.2f} s")
    assert seconds < 2
    dom0.expect_clean()


def test_reboot_and_shutdown(dom0, working):
    first = working.domid()
    before = scripts.rounds(working)
    dom0.check("xl reboot working")
    working.wait_for("sums of /dev/vda are right", count=2)
    working.wait_for("guest: round", count=before + 2)
    assert working.domid() != first
    # What the guest was writing at that moment fails: Linux breaks its virtio devices when it goes.
    assert not dom0.run(f"ls /run/xen-virtio | grep '^{first}-'").output
    dom0.check("xl shutdown -w working")
    dom0.expect_clean()


def test_backend_that_hangs_does_not_hold_up_destroy_for_long(dom0, working, figures):
    for unit in working.units("backend"):
        dom0.check(f"systemctl kill --signal=STOP {unit}")
    seconds = working.destroy()
    figures("xl destroy with a hung backend", f"{seconds:.2f} s")
    assert seconds < 11
    dom0.expect_clean()
