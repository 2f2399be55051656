# SPDX-License-Identifier: LGPL-2.1-or-later
"""The disk that docs/devices/disk.md makes of a qcow2 image: formatted, filled, checked, discarded,
made larger, and read again after its backend was started anew. test_main_job.py has the others."""

import re
from pathlib import Path

import pytest
from labkit.domu import Guest

from lab import pages
from lab.test_devices import GUESTS, PROFILES, guest_file, put, wait

NAME = "guest2"
QUEUES = 4
SMALL_MIB, LARGE_MIB, FILE_MIB = 48, 64, 2
SECTORS_OF_MIB = 2048
TOOLS = ("/usr/sbin/mke2fs", "/usr/sbin/e2fsck", "/usr/sbin/resize2fs")

# Nothing here has to do with dom0's kernel.
pytestmark = pytest.mark.only_kernel("lab")

GUEST = f"""\
fail() {{ echo "guest: FAILED $*"; poweroff -f; }}
disk=/sys/block/vda
[ $(ls $disk/mq | wc -l) = {QUEUES} ] || fail "queues"
[ $(cat $disk/size) = {SMALL_MIB * SECTORS_OF_MIB} ] || fail "size"
echo "write back" > $disk/cache_type && [ "$(cat $disk/cache_type)" = "write back" ] ||
    fail "nothing to be flushed"
/usr/sbin/mke2fs -q -t ext4 /dev/vda || fail mke2fs
mkdir /mnt/a
mount -t ext4 /dev/vda /mnt/a || fail mount
for cpu in 0 1 2 3; do
    taskset -c $cpu dd if=/dev/urandom of=/mnt/a/kept$cpu bs=64k count={16 * FILE_MIB} \\
        conv=fsync 2>/dev/null || fail "write on CPU $cpu" &
    taskset -c $cpu dd if=/dev/urandom of=/mnt/a/gone$cpu bs=64k count={16 * FILE_MIB} \\
        conv=fsync 2>/dev/null || fail "write on CPU $cpu" &
done
wait
(cd /mnt/a && sha256sum kept* > SUMS) || fail sums
sync
echo "guest: full"
until [ $(cat $disk/size) = {LARGE_MIB * SECTORS_OF_MIB} ]; do sleep 0.1; done
rm /mnt/a/gone*
sync
fstrim /mnt/a || fail fstrim
umount /mnt/a
/usr/sbin/e2fsck -f -n /dev/vda > /dev/null || fail e2fsck
/usr/sbin/resize2fs /dev/vda > /dev/null 2> /dev/null || fail resize2fs
name=$(basename $(readlink -f $disk/device))
echo $name > /sys/bus/virtio/drivers/virtio_blk/unbind
echo "guest: unbound"
sleep 3
echo $name > /sys/bus/virtio/drivers/virtio_blk/bind || fail bind
/usr/sbin/e2fsck -f -n /dev/vda > /dev/null || fail "e2fsck after the restart"
mount -t ext4 /dev/vda /mnt/a || fail "mount after the restart"
(cd /mnt/a && sha256sum -c SUMS) || fail "sums after the restart"
[ $(df -m /mnt/a | awk 'NR == 2 {{ print $2 }}') -gt {SMALL_MIB} ] || fail "it has not grown"
umount /mnt/a
echo "guest: done"
"""


def programs(dom0):
    """Programs of dom0 with their libraries, for a guest's root folder."""
    dom0.check("rm -rf /mnt/lab/tools && mkdir /mnt/lab/tools")
    files = {}
    for path in TOOLS:
        paths = [path, *re.findall(r"(?:=> |^\t)(/\S+)", dom0.check(f"ldd {path}"), re.MULTILINE)]
        for file in set(paths) - set(files):
            dom0.check(f"cp -L {file} /mnt/lab/tools/file")
            files[file.removeprefix("/")] = (dom0.lab.share / "tools/file").read_bytes()
    folders = {str(parent): None for file in files for parent in reversed(Path(file).parents)
               if str(parent) != "."}
    return {**dict(sorted(folders.items())), **files}


def image_kib(dom0):
    """What the image takes of dom0's disk."""
    return int(dom0.check(f"du -k /srv/guests/{NAME}.qcow2").split()[0])


@pytest.fixture
def qcow2(dom0):
    """The profile and the guest file of the page, and an image."""
    [(profile, text)] = pages.of_folder("disk", PROFILES).items()
    put(dom0, f"{PROFILES}/{profile}", text)
    guest_file(dom0, NAME, "disk")
    dom0.check("systemctl restart xen-virtiod && mkdir -p /srv/guests && "
               f"qemu-img create -q -f qcow2 /srv/guests/{NAME}.qcow2 {SMALL_MIB}M")
    yield
    dom0.check(f"rm -rf {PROFILES} {GUESTS} && systemctl restart xen-virtiod")


def test_life_of_a_disk(dom0, qcow2, figures):
    guest = Guest(dom0, NAME, [], GUEST, vcpus=QUEUES, files=programs(dom0),
                  settings=f"virtio = {pages.entries('disk', NAME, 'virtio')}")
    guest.create()
    instance = f"{guest.created}-virtio-0"
    wait(guest, "full")
    full = image_kib(dom0)
    dom0.check("echo '{\"execute\": \"qmp_capabilities\"} {\"execute\": \"block_resize\", "
               f"\"arguments\": {{\"node-name\": \"disk0\", \"size\": {LARGE_MIB << 20}}}}}' | "
               f"socat -t 2 - UNIX-CONNECT:/run/xen-virtio/{instance}/qmp.sock | grep -v error")
    wait(guest, "unbound")
    assert image_kib(dom0) < full - 3 * FILE_MIB * 1024
    [backend] = guest.units("backend")
    before = guest.pids()[backend]
    dom0.check(f"kill -9 {before}")
    wait(guest, "done")
    story = dom0.journal(f"VIRTIO_DEVICE={instance}")
    assert story.count("the backend answered") >= 2
    guest.wait_gone()
    dom0.check(f"cd /srv/guests && qemu-img check -q {NAME}.qcow2 && "
               f"qemu-img convert -O raw {NAME}.qcow2 raw.img && e2fsck -f -n raw.img")
    figures("qcow2 image: full, after discarding half", f"{full} KiB, {image_kib(dom0)} KiB")
