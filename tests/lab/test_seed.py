# SPDX-License-Identifier: LGPL-2.1-or-later
"""Seeded grants: direct I/O on a real block device, and what is in the way of it."""

import os
from contextlib import contextmanager
from dataclasses import replace

import pytest
from lab import scripts
from labkit.domu import Guest, check_image, make_disk

PROFILE = "/etc/xen-virtio/backends/00-direct.conf"
PROFILE_TEXT = """\
[Backend]
Type=blk
ExecStart=/usr/bin/qemu-storage-daemon --blockdev driver=%{disk.driver},node-name=file0,\
filename=%{disk.path:qemu},cache.direct=on,aio=threads --export type=vhost-user-blk,id=export0,\
node-name=file0,writable=on,addr.type=unix,addr.path=%{socket:qemu}
ReadWritePaths=%{disk.path}
"""
# A backend that tracks its requests, and knows of XEN_MMAP, which is not used then.
REFERENCE = """\
[Backend]
Type=blk
ExecStart=/usr/libexec/xen-virtio/xen-virtio-test-backend --socket-path=%{socket} \
--blk-file=%{disk.path} --protocol=0xffffffff --features=0xfffffffbffffffff
ReadWritePaths=%{disk.path}
"""
O_DIRECT = 0o200000  # asm/fcntl.h of arm64
MEMORY = 256  # MiB: 128 frames of grants, and all that Linux maps at once unless it is told to
ROOM = "max_grant_frames = 512"
GUEST_FILES = "sha256sum -c SUMS && sha256sum -c GUEST_SUMS && [ $(ls guest | wc -l) = 3 ]"
WRITE_ROUNDS = scripts.MOUNT + """\
mounted /dev/vda /mnt/a
for round in $(seq 300); do  # dom0 looks a few times a second
    dd if=/dev/urandom of=/mnt/a/work bs=65536 count=1 conv=fsync 2>/dev/null || fail "write"
    echo "guest: round $round"
done
(cd /mnt/a && sha256sum work > ROUND_SUM) && umount /mnt/a && echo "guest: done"
"""
READ = """\
dd if=/dev/vda of=/dev/null bs=4096 count=1 && echo "guest: read"
dmesg | grep "I/O error, dev vda"
echo "guest: done"
"""


@pytest.fixture
def profile(dom0):
    """Lets qemu-storage-daemon do direct I/O, with guest memory the given way."""
    def write(memory, text=PROFILE_TEXT):
        (dom0.lab.share / "direct.conf").write_text(f"{text}Memory={memory}\n", encoding="utf-8")
        dom0.check(f"mkdir -p $(dirname {PROFILE}) && cp /mnt/lab/direct.conf {PROFILE} && "
                   "systemctl restart xen-virtiod")
    yield write
    dom0.check(f"rm -f {PROFILE} && systemctl restart xen-virtiod")


@contextmanager
def block_devices(dom0, *disks):
    """The disks as loop devices over their images, which are on ext4."""
    devices = [dom0.check(f"losetup --find --show {disk.path}").strip() for disk in disks]
    try:
        yield [replace(disk, path=device) for disk, device in zip(disks, devices, strict=True)]
    finally:
        dom0.check(f"losetup -d {' '.join(devices)}")


def is_direct(dom0, guest, device):
    """Whether the guest's backend has opened the device for direct I/O."""
    pid = next(pid for unit, pid in guest.pids().items() if "backend" in unit)
    flags = dom0.check(f"for fd in /proc/{pid}/fd/*; do [ \"$(readlink $fd)\" != {device} ] || "
                       f"awk '/^flags/ {{ print $2 }}' /proc/{pid}/fdinfo/${{fd##*/}}; done")
    return any(int(flag, 8) & O_DIRECT for flag in flags.split())


def finish(dom0, guest):
    """The guest goes, with all that was its own. Returns what its first device's units said."""
    guest.wait_for("guest: done")
    guest.wait_gone()
    dom0.expect_clean()
    return dom0.journal(f"VIRTIO_DEVICE={guest.created}-disk-51712")


@pytest.mark.only_kernel("stock")
def test_direct(dom0, profile, figures):
    """What two disks give the guest and get from it is right, without a page of cache in dom0."""
    profile("seed")
    disks = [make_disk(dom0, name) for name in ("direct-a", "direct-b")]
    with block_devices(dom0, *disks) as devices:
        guest = Guest(dom0, "seed", devices, scripts.WRITE_FILES, memory=MEMORY, settings=ROOM)
        figures("create with two disks of seeded grants, s", guest.create())
        assert is_direct(dom0, guest, devices[0].path)
        assert "seeded grants" in finish(dom0, guest)
    for disk in disks:
        check_image(dom0, disk, GUEST_FILES)


@pytest.mark.only_kernel("stock")
def test_rebind(dom0, profile):
    """More connections than a frontend has descriptors: its successors find their entries."""
    profile("seed")
    disk = make_disk(dom0, "direct")
    with block_devices(dom0, disk) as devices:
        guest = Guest(dom0, "seed", devices, scripts.REBIND_TRANSPORT, memory=MEMORY, settings=ROOM)
        guest.create()
        assert "no descriptor for grants is left" in finish(dom0, guest)
    check_image(dom0, disk, "[ $(cat rebound) = 3 ]")


@pytest.mark.only_kernel("lab")
@pytest.mark.skipif("XEN_VIRTIO_LONG" not in os.environ, reason="hundreds of rounds")
def test_backend_is_killed(dom0, profile):
    """What it had mapped is let go: the next one maps it again, and the guest notices nothing."""
    profile("seed", REFERENCE)
    disk = make_disk(dom0, "direct")
    guest = Guest(dom0, "seed", [disk], WRITE_ROUNDS, memory=MEMORY, settings=ROOM)
    guest.create()
    guest.wait_for("guest: round 3")
    dom0.check(f"systemctl kill --signal=KILL xen-virtio-backend@{guest.created}-disk-51712")
    story = finish(dom0, guest)
    assert "the backend goes on with the rings" in story
    assert "illegal" not in story
    check_image(dom0, disk, "sha256sum -c ROUND_SUM")


@pytest.mark.only_kernel("lab")
def test_destroy(dom0, profile):
    """A guest that goes in the middle of its direct I/O leaves nothing, least of all its memory."""
    profile("seed")
    with block_devices(dom0, make_disk(dom0, "direct")) as devices:
        guest = Guest(dom0, "seed", devices, scripts.WORK, memory=MEMORY, settings=ROOM)
        guest.create()
        guest.wait_for("guest: round 2")
        guest.destroy()
        dom0.expect_clean()


@pytest.mark.only_kernel("stock")
def test_preload_cannot(dom0, profile):
    """Linux does no direct I/O on a foreign mapping (EFAULT): the guest's requests fail."""
    profile("preload")
    with block_devices(dom0, make_disk(dom0, "direct")) as devices:
        guest = Guest(dom0, "seed", devices, READ)
        guest.create()
        assert is_direct(dom0, guest, devices[0].path)
        finish(dom0, guest)
        said = guest.console()
        assert "I/O error, dev vda" in said and "guest: read" not in said


@pytest.mark.only_kernel("stock")
def test_no_room(dom0, profile):
    """Xen's default is a table that the guest's own drivers may need: the toolstack is told."""
    profile("seed")
    guest = Guest(dom0, "seed", [make_disk(dom0, "direct")], READ, memory=MEMORY)
    assert dom0.run(f"xl create {guest.config}").status != 0  # after 10 s of dom0
    dom0.run("xl destroy seed")
    dom0.expect_clean()
    assert "max_grant_frames=192" in dom0.journal("SYSLOG_IDENTIFIER=xen-virtio-frontend")
