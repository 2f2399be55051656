# SPDX-License-Identifier: LGPL-2.1-or-later
"""Debian's U-Boot reads, checks and writes the disk of docs/devices/disk.md, loads Linux from it
and starts that, which goes on with the disk and all its queues."""

import os
import re
import struct
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
FILE_SYSTEM_SECTORS = (FILE_SYSTEM_MIB << 20) // SECTOR  # behind which the disk goes on a little

# Below U-Boot's own memory, which takes more than half of 64 MiB. Linux is larger than its file.
KERNEL, A, B = "40400000", "41100000", "41200000"
COMMANDS = (
    "virtio info",
    f"virtio read {A} 0 {SECTORS:x}",
    f"crc32 {A} {SIZE:x}",
    f"virtio write {A} {FILE_SYSTEM_SECTORS:x} {SECTORS:x}",
    f"virtio read {B} {FILE_SYSTEM_SECTORS:x} {SECTORS:x} && cmp.b {A} {B} {SIZE:x}",
    f"ext4load virtio 0 {B} data && crc32 {B} $filesize",
    f"ext4load virtio 0 {KERNEL} Image",
    f"ext4load virtio 0 {A} initrd",
    f"booti {KERNEL} {A}:$filesize $fdtcontroladdr",
    "poweroff",
)

# What U-Boot looks for by itself: a partition of Linux's that one can boot from, and this in it.
PARTITION_START = 2048
PARTITION_TABLE = (bytes(446) + struct.pack("<B3xB3xII", 0x80, 0x83, PARTITION_START,
                                            FILE_SYSTEM_SECTORS) + bytes(48) + b"\x55\xaa")
EXTLINUX = """\
label linux
    kernel /Image
    initrd /initrd
    append console=hvc0 quiet norandmaps
"""

LINUX = f"""\
fail() {{ echo "guest: FAILED $*"; poweroff -f; }}
[ $(ls -d /sys/block/vda/mq/* | wc -l) = {QUEUES} ] || fail queues
[ -b /dev/vda1 ] && disk=/dev/vda1 || disk=/dev/vda
mkdir /mnt/a
mount -t ext4 $disk /mnt/a && cd /mnt/a && sha256sum -c SUMS || fail sums
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


def make_disk(dom0, data, table=b""):
    """The image, with Linux in it, and a partition if there is a table; returns how it begins."""
    share = dom0.lab.share
    for name, content in (("guest.cpio", cpio({"guest.sh": LINUX.encode()})), ("data", data),
                          ("extlinux.conf", EXTLINUX.encode()), ("table", table)):
        (share / name).write_bytes(content)
    offset = PARTITION_START * SECTOR if table else 0
    dom0.check(f"mkdir -p {GUEST_FOLDER}/tree/extlinux && cd {GUEST_FOLDER}/tree && "
               "cp /mnt/lab/data . && cp /mnt/lab/extlinux.conf extlinux && "
               "cp /srv/lab/guests/lab/kernel Image && "
               "cat /srv/lab/guests/lab/initrd /mnt/lab/guest.cpio > initrd && "
               "sha256sum data > SUMS && cd .. && cp /mnt/lab/table raw.img && "
               f"mke2fs -q -F -t ext4 -d tree -E offset={offset} raw.img {FILE_SYSTEM_MIB}M && "
               f"truncate -s {offset + (FILE_SYSTEM_MIB << 20) + SIZE} raw.img && "
               f"head -c {SIZE} raw.img > /mnt/lab/first && "
               f"qemu-img convert -O qcow2 raw.img {NAME}.qcow2 && rm -r raw.img tree")
    return (share / "first").read_bytes()


def boot(dom0, kernel, memory=None):
    """A guest's life; returns the guest and what U-Boot said."""
    (dom0.lab.share / "serial.dtb").write_bytes(firmware.serial_line())
    guest = Guest(dom0, NAME, [], kernel, vcpus=QUEUES, memory=memory,
                  settings=f"virtio = {pages.entries('disk', NAME, 'virtio')}\n"
                           'vuart = "sbsa_uart"\ndevice_tree = "/mnt/lab/serial.dtb"')
    dom0.check(f"rm -f {SERIAL}")
    guest.create()
    guest.wait_gone()
    said = dom0.check(f"cat {SERIAL}")
    assert "guest: done" in guest.console(), said + guest.console()
    return guest, said


@pytest.mark.usefixtures("qcow2")
def test_u_boot(dom0, u_boot, tmp_path, figures):
    data = os.urandom(SIZE)
    first = make_disk(dom0, data)
    guest, said = boot(dom0, firmware.make_image(u_boot, tmp_path, COMMANDS))
    for text in (f"==> {zlib.crc32(first):08x}", f"==> {zlib.crc32(data):08x}",
                 f"Total of {SIZE} byte(s) were the same"):
        assert text in said, said
    dom0.check(f"cd {GUEST_FOLDER} && qemu-img convert -O raw {NAME}.qcow2 raw.img && "
               f"e2fsck -f -n raw.img && tail -c {SIZE} raw.img | cmp - /mnt/lab/first")
    story = dom0.journal(f"VIRTIO_DEVICE={guest.created}-virtio-0", output="short-monotonic")
    [seen] = re.findall(r"([\d.]+)\].* seen in xenstore", story)
    requests = re.findall(r"([\d.]+)\].*the guest's first request", story)
    assert len(requests) == 2, story  # U-Boot's, and that of Linux
    sizes = re.findall(r"(\d+) bytes read in (\d+) ms", said)
    figures("U-Boot: its first request after xl adds the disk; Linux loaded",
            f"{float(requests[0]) - float(seen):.2f} s; {sizes[1][0]} bytes in {sizes[1][1]} ms")


@pytest.mark.skipif(not os.environ.get("XEN_VIRTIO_LONG"), reason="waits for keys for two seconds")
@pytest.mark.usefixtures("qcow2")
def test_u_boot_by_itself(dom0, u_boot, tmp_path):
    """Nobody tells it anything: it finds the file on the disk that says what to boot."""
    make_disk(dom0, os.urandom(SIZE), PARTITION_TABLE)
    _, said = boot(dom0, firmware.make_image(u_boot, tmp_path), memory=192)
    assert "Booting bootflow 'virtio-blk#0.bootdev.part_1' with extlinux" in said
