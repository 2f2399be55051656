# SPDX-License-Identifier: LGPL-2.1-or-later
"""What guests do in these tests. Each line that a test waits for begins with "guest:"."""

MOUNT = """\
fail() { echo "guest: FAILED $*"; poweroff -f; }
mounted() {  # mounted DEVICE FOLDER [OPTIONS]
    mkdir -p "$2"
    mount -t ext4 -o "${3:-rw}" "$1" "$2" || fail "mount $1"
    (cd "$2" && sha256sum -c SUMS) || fail "sums of $1"
    echo "guest: sums of $1 are right"
}
"""

# Looks at each disk, writes files of its own, and goes.
WRITE_FILES = MOUNT + """\
for disk in /dev/vd?; do
    folder=/mnt/${disk#/dev/}
    mounted $disk $folder
    mkdir $folder/guest
    for i in 1 2 3; do
        dd if=/dev/urandom of=$folder/guest/$i bs=20000 count=2 conv=fsync 2>/dev/null ||
            fail "write to $disk"
    done
    (cd $folder && sha256sum guest/* > GUEST_SUMS) || fail "own sums of $disk"
    sync
    umount $folder || fail "umount $disk"
    echo "guest: wrote to $disk"
done
echo "guest: done"
"""

# The second disk must refuse to be written.
READ_ONLY = MOUNT + """\
mounted /dev/vda /mnt/a
mounted /dev/vdb /mnt/b ro
[ "$(cat /sys/block/vdb/ro)" = 1 ] || fail "vdb is not read-only"
if dd if=/dev/zero of=/dev/vdb bs=4096 count=1 conv=fsync; then fail "vdb was written"; fi
if mount -o remount,rw /mnt/b; then fail "vdb was mounted for writing"; fi
echo own > /mnt/a/own || fail "write to vda"
sync
umount /mnt/a /mnt/b || fail umount
echo "guest: done"
"""

# Works on all disks until it is stopped, and complains about any error.
WORK = MOUNT + """\
for disk in /dev/vd?; do mounted $disk /mnt/${disk#/dev/}; done
round=0
while :; do
    for folder in /mnt/vd?; do
        dd if=/dev/urandom of=$folder/work bs=65536 count=1 conv=fsync 2>/dev/null ||
            fail "write in round $round"
        sum=$(sha256sum < $folder/work)
        echo 3 > /proc/sys/vm/drop_caches
        [ "$(sha256sum < $folder/work)" = "$sum" ] || fail "sum in round $round"
    done
    round=$((round + 1))
    echo "guest: round $round"
    if [ -f /mnt/vda/stop ]; then umount /mnt/vd?; echo "guest: done"; poweroff -f; fi
done
"""

# The same, with pauses: for tests that wait long, since what a guest does takes their time.
WORK_SLOWLY = WORK.replace("while :; do", "while sleep 0.5; do")


def rounds(guest):
    """How far a guest that does WORK has come."""
    return guest.console().count("guest: round")


# Takes the disk away from a driver and gives it back, more than once.
REBIND = MOUNT + """\
rebind() {  # rebind DEVICE DRIVER TIMES
    for i in $(seq $3); do
        echo $1 > $2/unbind || fail "unbind $i"
        [ -b /dev/vda ] && fail "vda is still there"
        echo $1 > $2/bind || fail "bind $i"
        mounted /dev/vda /mnt/$i
        echo $i > /mnt/$i/rebound
        umount /mnt/$i || fail "umount $i"
    done
}
"""
REBIND_TRANSPORT = REBIND + """\
rebind $(basename $(readlink -f /sys/block/vda/device/..)) /sys/bus/platform/drivers/virtio-mmio 3
echo "guest: done"
"""
# The transport's driver has to stay: it would take the grants' data away, and use them afterwards
# (xen_grant_setup_dma_ops() of Linux up to 7.3).
REBIND_DISK = REBIND + """\
mounted /dev/vda /mnt/0
for round in $(seq 30); do
    dd if=/dev/urandom of=/mnt/0/work bs=65536 count=1 conv=fsync 2>/dev/null || fail "write"
    echo "guest: round $round"
done
umount /mnt/0 || fail "umount"
rebind $(basename $(readlink -f /sys/block/vda/device)) /sys/bus/virtio/drivers/virtio_blk 6
if dmesg | grep "Grant still in use"; then fail "a page is still mapped"; fi
echo "guest: done"
"""
