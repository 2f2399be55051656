# SPDX-License-Identifier: LGPL-2.1-or-later
"""Each way to the guest's memory with each path of its notifications, for a guest of four CPUs that
takes its disk away from the driver, gives it back, reboots, and does it again.

The way that has most to be given back, and the path that every kernel has. XEN_VIRTIO_CROSS=pairs:
all ways with all paths; XEN_VIRTIO_CROSS=all: also with two banks of memory, where the way can have
them.
"""

import itertools
import os
from dataclasses import dataclass, replace

import pytest
from lab import scripts
from lab.test_memory import PROFILE_TEXT
from lab.test_notify import DROPIN, TEXTS
from labkit.domu import Guest, check_image, make_disk

CROSS = os.environ.get("XEN_VIRTIO_CROSS")
SMALL_MIB, TWO_BANKS_MIB = 64, 3584
# A guest of two banks is mapped anew after each of its resets.
SECONDS = 300
PROFILES = "/etc/xen-virtio/backends"
DISK_PROFILE = "/usr/share/xen-virtio/backends/qemu-storage-daemon.conf"
REFERENCE = PROFILE_TEXT.replace("FURTHER", "")

# The other has no irqfd and no ioeventfd, and Debian's guests do not grant.
pytestmark = pytest.mark.only_kernel("lab")


@dataclass(frozen=True)
class Way:
    """A way to the guest's memory: what the frontend says of it, and how one gets it."""

    text: str
    memory: str
    profile: str | None = None  # None: qemu-storage-daemon's
    grants: bool = False
    largest: int = TWO_BANKS_MIB


WAYS = {
    "preload": Way("mapped by the backend as a file", "preload"),
    "foreign": Way("XEN_MMAP, foreign", "xen-mmap", REFERENCE),
    "grants": Way("XEN_MMAP, grants", "auto", REFERENCE, grants=True),
    # Linux maps no more at once, unless it is told to.
    "seeded": Way("seeded grants", "seed", largest=256),
}
SOME = [("grants", "relay")]
PAIRS = list(itertools.product(WAYS, TEXTS)) if CROSS else SOME

SCRIPT = scripts.REBIND + """\
mounted /dev/vda /mnt/0
boot=1
[ -f /mnt/0/booted ] && boot=2
touch /mnt/0/booted
for cpu in 0 1 2 3; do
    taskset -c $cpu dd if=/dev/urandom of=/mnt/0/work$boot$cpu bs=65536 count=2 conv=fsync \\
        2>/dev/null || fail "write on CPU $cpu" &
done
wait
(cd /mnt/0 && sha256sum work* > GUEST_SUMS) || fail "own sums"
umount /mnt/0
rebind $(basename $(readlink -f /sys/block/vda/device)) /sys/bus/virtio/drivers/virtio_blk 2
mounted /dev/vda /mnt/0
(cd /mnt/0 && sha256sum -c GUEST_SUMS) || fail "own sums after the driver came back"
umount /mnt/0
echo "guest: boot $boot is done"
[ $boot = 1 ] && reboot -f
"""


@pytest.fixture(params=PAIRS, ids="-".join)
def crossing(request, dom0):
    """A way and a path, and all devices that are made go these."""
    name, path = request.param
    way = WAYS[name]
    text = way.profile or dom0.check(f"cat {DISK_PROFILE}")
    text = "".join(line for line in text.splitlines(keepends=True)
                   if not line.startswith("Memory="))
    text = text.replace("[Backend]\n", f"[Backend]\nMemory={way.memory}\n")
    (dom0.lab.share / "cross.conf").write_text(text, encoding="utf-8")
    (dom0.lab.share / "cross-path.conf").write_text(
        f"[Service]\nEnvironment=XEN_VIRTIO_NOTIFY={path}\n", encoding="utf-8")
    dom0.check(f"mkdir -p {PROFILES} {DROPIN} && "
               f"cp /mnt/lab/cross.conf {PROFILES}/00-cross.conf && "
               f"cp /mnt/lab/cross-path.conf {DROPIN}/cross.conf && "
               "systemctl daemon-reload && systemctl restart xen-virtiod")
    yield way, path
    dom0.run(f"rm -rf {PROFILES}/00-cross.conf {DROPIN}; systemctl daemon-reload; "
             "systemctl restart xen-virtiod")


def test_cross(dom0, crossing):
    way, path = crossing
    disk = replace(make_disk(dom0, "cross"), grants=way.grants)
    guest = Guest(dom0, "cross", [disk], SCRIPT, vcpus=4,
                  memory=way.largest if CROSS == "all" else SMALL_MIB,
                  settings="max_grant_frames = 512")
    guest.create(timeout=SECONDS)
    first = guest.created
    guest.wait_for("guest: boot 2 is done", timeout=SECONDS)
    assert "FAILED" not in guest.console()
    story = dom0.journal(f"VIRTIO_DEVICE={first}-disk-51712")
    assert way.text in story
    assert f"notifications: {TEXTS[path]}" in story
    assert "illegal" not in story
    dom0.wait("! xl domid cross", SECONDS)
    dom0.expect_clean()
    check_image(dom0, disk, "sha256sum -c SUMS && sha256sum -c GUEST_SUMS && "
                            "[ $(ls work* | wc -l) = 8 ] && [ $(cat rebound) = 2 ]")
