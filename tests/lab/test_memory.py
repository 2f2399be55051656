# SPDX-License-Identifier: LGPL-2.1-or-later
"""The ways in which a backend gets at the guest's memory that it maps by itself (XEN_MMAP)."""

from dataclasses import replace

import pytest
from lab import scripts
from labkit.domu import Guest, check_image, make_disk

PROFILE = "/etc/xen-virtio/backends/00-reference.conf"
# As any user would write it: our library is loaded, too, and has to keep out of it.
PROFILE_TEXT = """\
[Backend]
Type=blk
ExecStart=/usr/libexec/xen-virtio/xen-virtio-test-backend \
--socket-path=%{socket} --blk-file=%{disk.path} --protocol=0xffffffff FURTHER
ReadWritePaths=%{disk.path}
"""

# Guests with Debian's kernel do not know Xen's grants for virtio; the rest is the same there.
pytestmark = pytest.mark.only_kernel("lab")


def profile_write(dom0, further=""):
    """Lets the reference backend serve disks, with further options."""
    (dom0.lab.share / "reference.conf").write_text(PROFILE_TEXT.replace("FURTHER", further),
                                                   encoding="utf-8")
    dom0.check(f"mkdir -p $(dirname {PROFILE}) && cp /mnt/lab/reference.conf {PROFILE} && "
               "systemctl restart xen-virtiod")


@pytest.fixture(scope="module", autouse=True)
def reference(dom0):
    """Disks are served by the reference backend."""
    profile_write(dom0)
    yield
    dom0.check(f"rm {PROFILE} && systemctl restart xen-virtiod")


def work(dom0, disk, script, kill_at=None):
    """A guest does its work with a disk, and goes. Returns what the device's units said.

    The backend is killed when the guest has said kill_at.
    """
    guest = Guest(dom0, "memory", [disk], script)
    guest.create()
    device = f"{guest.domid()}-disk-51712"
    if kill_at:
        guest.wait_for(kill_at)
        dom0.check(f"systemctl kill --signal=KILL xen-virtio-backend@{device}")
    guest.wait_for("guest: done")
    guest.wait_gone()
    story = dom0.journal(f"VIRTIO_DEVICE={device}")
    assert "illegal" not in story
    dom0.expect_clean()
    return story


def test_foreign_rebind(dom0):
    disk = make_disk(dom0, "memory")
    work(dom0, disk, scripts.REBIND_TRANSPORT)
    check_image(dom0, disk, "[ $(cat rebound) = 3 ]")


def test_grants_rebind(dom0):
    """Nothing stays mapped that the guest takes back, also of a backend that was killed."""
    disk = replace(make_disk(dom0, "memory"), grants=True)
    profile_write(dom0, "--features=0xfffffffbffffffff")  # no packed rings, which are not tracked
    story = work(dom0, disk, scripts.REBIND_DISK, kill_at="guest: round 3")
    assert "the backend goes on with the rings" in story
    assert "no descriptor for grants is left" in story  # and the frontend's successor goes on
    check_image(dom0, disk, "[ $(cat rebound) = 6 ]")
