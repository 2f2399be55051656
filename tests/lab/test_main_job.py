# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest works with its disks, and dom0 agrees with it afterwards."""

import shlex
from dataclasses import replace

import pytest
from lab import scripts
from labkit.domu import Disk, Guest, check_image, make_disk

GUEST_FILES = "sha256sum -c SUMS && sha256sum -c GUEST_SUMS && [ $(ls guest | wc -l) = 3 ]"
LARGE_MIB = 3072 + 64


@pytest.mark.also_smp
def test_guest_reads_and_writes_its_disk(dom0, figures):
    disk = make_disk(dom0, "main")
    guest = Guest(dom0, "main", [disk], scripts.WRITE_FILES,
                  kernel=dom0.kernel_kind)
    figures("xl create", f"{guest.create():.2f} s")
    device = f"{guest.domid()}-disk-51712"
    processes = dom0.check("pgrep --list-full qemu")
    assert "qemu-storage-daemon" in processes and "qemu-system" not in processes
    guest.wait_for("guest: done")
    guest.wait_gone()
    check_image(dom0, disk, GUEST_FILES)
    story = dom0.journal(f"VIRTIO_DEVICE={device}")
    assert "claimed MMIO range 0x2000000" in story
    assert "the backend answered" in story
    dom0.expect_clean()


def test_read_only_disk_is_untouched(dom0):
    disk, fixed = make_disk(dom0, "own"), make_disk(dom0, "fixed", "r")
    before = dom0.check(f"sha256sum {fixed.path}")
    guest = Guest(dom0, "readonly", [disk, fixed], scripts.READ_ONLY)
    guest.create()
    guest.wait_for("guest: done")
    guest.wait_gone()
    assert dom0.check(f"sha256sum {fixed.path}") == before
    check_image(dom0, disk, "grep -q own own")


def rename(dom0, disk, name):
    """The same disk under another name."""
    odd = replace(disk, path=f"/srv/guests/{name}.img")
    dom0.check(f"mv {disk.path} {shlex.quote(odd.path)}")
    return odd


@pytest.mark.only_kernel("stock")  # names are no matter of the kernel's
def test_two_guests_with_two_disks_each(dom0):
    """Their images have names that a shell, systemd or our own expansion would take apart."""
    names = {"left": ("per%cent", "dollar$HOME"), "right": ("sp ace", "%{disk.path}")}
    disks = {guest: [rename(dom0, make_disk(dom0, f"{guest}{number}"), name)
                     for number, name in enumerate(odd)] for guest, odd in names.items()}
    guests = [Guest(dom0, name, mine, scripts.WRITE_FILES, vcpus=2) for name, mine in disks.items()]
    for guest in guests:
        guest.create()
    for guest in guests:
        guest.wait_for("guest: done")
        guest.wait_gone()
    for mine in disks.values():
        for disk in mine:
            check_image(dom0, disk, GUEST_FILES)


# It is the kernel of the guest that has the memory; dom0's takes minutes more to map it.
@pytest.mark.only_kernel("lab")
def test_guest_with_two_banks_of_memory(dom0):
    """Arm guests have 3 GiB in one bank, and the rest far above it."""
    disk = make_disk(dom0, "large")
    guest = Guest(dom0, "large", [disk], scripts.WORK, memory=LARGE_MIB)
    guest.create()
    guest.wait_for("guest: round 1", timeout=180)
    [backend] = guest.units("backend")
    assert dom0.mapped_kib(guest.pids()[backend]) == LARGE_MIB << 10
    dom0.check(f"xl destroy {guest.name}")
    check_image(dom0, disk)


@pytest.mark.only_kernel("stock")
def test_block_device_as_disk(dom0):
    disk = make_disk(dom0, "loop")
    device = dom0.check(f"losetup --find --show {disk.path}").strip()
    guest = Guest(dom0, "blockdev", [Disk(device)], scripts.WRITE_FILES)
    guest.create()
    guest.wait_for("guest: done")
    guest.wait_gone()
    dom0.expect_clean()
    dom0.check(f"losetup --detach {device}")
    check_image(dom0, disk, GUEST_FILES)
