# SPDX-License-Identifier: LGPL-2.1-or-later
"""Guests come and go while the orchestrator is away."""

import pytest
from labkit.domu import Guest, check_image, make_disk

from lab import scripts

# Nothing here has to do with the kernel.
pytestmark = pytest.mark.only_kernel("lab")


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
