# SPDX-License-Identifier: LGPL-2.1-or-later
"""Debian's U-Boot reads, checks and writes the disk of docs/devices/disk.md, loads Linux from it
and starts that, which goes on with the disk and all its queues."""

import os
import re
import zlib

import pytest
from labkit.apt import Apt, File, MissingFile, machine_mirror
from labkit.domu import GUEST_FOLDER, Guest
from labkit.guest import cpio
from labkit.ui import Console, check

from lab import firmware, pages
from lab.test_disks import NAME, QUEUES, qcow2  # noqa: F401  (a fixture)

VERSION = "2025.01-3+deb13u1"
PACKAGE = File(f"u-boot-qemu_{VERSION}_all.deb",
               f"{machine_mirror()}/pool/main/u/u-boot/u-boot-qemu_{VERSION}_all.deb",
               "a3751b5d36a411457b2e7a2834cdce0e5d40493e6588a65d51c5603740a0c71c")

# Nothing here has to do with dom0's kernel.
pytestmark = pytest.mark.only_kernel("lab")

SERIAL = f"/var/log/xen/console/guest-{NAME}-vuart0.log"
SECTOR = 512
SIZE = QUEUES * (64 << 10)
SECTORS = SIZE // SECTOR
FILE_SYSTEM_MIB = 24
BEHIND = (FILE_SYSTEM_MIB << 20) // SECTOR  # here the disk goes on for a while

# Below U-Boot's own memory, which takes more than half of 64 MiB. Linux is larger than its file.
KERNEL, A, B = "40400000", "41100000", "41200000"
COMMANDS = (
    "virtio info",
    f"virtio read {A} 0 {SECTORS:x}",
    f"crc32 {A} {SIZE:x}",
    f"virtio write {A} {BEHIND:x} {SECTORS:x}",
    f"virtio read {B} {BEHIND:x} {SECTORS:x} && cmp.b {A} {B} {SIZE:x}",
    f"ext4load virtio 0 {B} data && crc32 {B} $filesize",
    f"ext4load virtio 0 {KERNEL} Image",
    f"ext4load virtio 0 {A} initrd",
    f"booti {KERNEL} {A}:$filesize $fdtcontroladdr",
    "poweroff",
)

LINUX = f"""\
fail() {{ echo "guest: FAILED $*"; poweroff -f; }}
[ $(ls /sys/block/vda/mq | wc -l) = {QUEUES} ] || fail queues
mkdir /mnt/a
mount -t ext4 /dev/vda /mnt/a && cd /mnt/a && sha256sum -c SUMS || fail sums
for cpu in 0 1 2 3; do
    taskset -c $cpu dd if=data of=data$cpu bs=64k count=1 skip=$cpu conv=fsync 2>/dev/null ||
        fail "CPU $cpu" &
done
wait
echo 3 > /proc/sys/vm/drop_caches
cat data[0-3] | cmp - data || fail "what was written"
cd /
umount /mnt/a || fail umount
echo "guest: done"
"""


@pytest.fixture
def u_boot(tmp_path):
    """Debian's program, for QEMU's board."""
    try:
        [package] = Apt(Console()).fetch("firmware", [PACKAGE])
    except MissingFile:
        pytest.skip(f"Debian's archive has u-boot-qemu {VERSION} no more")
    check("dpkg-deb", "--extract", package, tmp_path)
    return (tmp_path / "usr/lib/u-boot/qemu_arm64/u-boot.bin").read_bytes()


def make_disk(dom0, data):
    """The image, with Linux in it; returns how it begins."""
    share = dom0.lab.share
    (share / "guest.cpio").write_bytes(cpio({"guest.sh": LINUX.encode()}))
    (share / "data").write_bytes(data)
    dom0.check(f"mkdir {GUEST_FOLDER}/tree && cd {GUEST_FOLDER}/tree && cp /mnt/lab/data . && "
               "cp /srv/lab/guests/lab/kernel Image && "
               "cat /srv/lab/guests/lab/initrd /mnt/lab/guest.cpio > initrd && "
               "sha256sum data > SUMS && "
               f"mke2fs -q -F -t ext4 -d . ../raw.img {FILE_SYSTEM_MIB}M && cd .. && "
               f"truncate -s +{SIZE} raw.img && "
               f"head -c {SIZE} raw.img > /mnt/lab/first && "
               f"qemu-img convert -O qcow2 raw.img {NAME}.qcow2 && rm -r raw.img tree")
    return (share / "first").read_bytes()


@pytest.mark.usefixtures("qcow2")
def test_u_boot(dom0, u_boot, tmp_path, figures):
    data = os.urandom(SIZE)
    first = make_disk(dom0, data)
    (dom0.lab.share / "serial.dtb").write_bytes(firmware.serial_line())
    guest = Guest(dom0, NAME, [], firmware.make_image(u_boot, COMMANDS, tmp_path), vcpus=QUEUES,
                  settings=f"virtio = {pages.entries('disk', NAME, 'virtio')}\n"
                           'vuart = "sbsa_uart"\ndevice_tree = "/mnt/lab/serial.dtb"')
    dom0.check(f"rm -f {SERIAL}")
    start = dom0.uptime()
    guest.create()
    guest.wait_gone()
    said = dom0.check(f"cat {SERIAL}")
    for text in (f"==> {zlib.crc32(first):08x}", f"==> {zlib.crc32(data):08x}",
                 f"Total of {SIZE} byte(s) were the same"):
        assert text in said, said
    assert "guest: done" in guest.console(), said + guest.console()
    dom0.check(f"cd {GUEST_FOLDER} && qemu-img convert -O raw {NAME}.qcow2 raw.img && "
               f"e2fsck -f -n raw.img && tail -c {SIZE} raw.img | cmp - /mnt/lab/first")
    story = dom0.journal(f"VIRTIO_DEVICE={guest.created}-virtio-0", output="short-monotonic")
    times = re.findall(r"([\d.]+)\].*the guest's first request", story)
    assert len(times) == 2, story  # of U-Boot, and of Linux
    sizes = re.findall(r"(\d+) bytes read in (\d+) ms", said)
    figures("U-Boot: first request after xl create; Linux loaded",
            f"{float(times[0]) - start:.2f} s; {sizes[1][0]} bytes in {sizes[1][1]} ms")
