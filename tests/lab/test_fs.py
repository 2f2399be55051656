# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest works with a folder of dom0, by Debian's virtiofsd: the example of docs/devices/fs.md."""

import os

import pytest
from labkit.domu import MEMORY_MIB

from lab import examples

LONG = bool(os.environ.get("XEN_VIRTIO_LONG"))
MEGABYTES = 256 if LONG else 16
SMALL_FILES = 1000 if LONG else 100

# dom0 and the guest have Debian's kernel; the lab's, if there is time.
KERNELS = ("stock", "lab") if LONG else ("stock",)
pytestmark = pytest.mark.only_kernel(*KERNELS)

# Files of all kinds, with their sums. In memory: how fast the disk is says nothing of us.
MAKE_TREE = f"""
mkdir -p /srv/guest1 && mount -t tmpfs lab /srv/guest1 || exit 1
mkdir -p /srv/guest1/tree/deep/er && cd /srv/guest1/tree || exit 1
for i in $(seq {SMALL_FILES}); do echo "file $i" > deep/small$i; done
head -c 1000000 /dev/urandom > deep/er/large; : > empty
ln -s deep/er/large link; ln -s nowhere dangling; ln empty hard
chmod 0640 deep/small1; chmod 0701 deep/er; chown 1000:1001 deep/small2; touch -d @86400 empty
find . -type f | sort | xargs sha256sum > ../SUMS
"""
DESCRIBE = "find . | sort | xargs stat -c '%n %a %u %g %s %F'"

SCRIPT = f"""\
fail() {{ echo "guest: FAILED $*"; poweroff -f; }}
seconds() {{ cut -d ' ' -f 1 /proc/uptime; }}
mkdir -p /mnt/data && mount -t virtiofs data /mnt/data || fail mount
cd /mnt/data/tree && sha256sum -c ../SUMS > /dev/null || fail sums
echo "guest: sums are right"
cp -a /mnt/data/tree /tmp/tree || fail copy there
cp -a /tmp/tree /mnt/data/back || fail copy back
echo "guest: copied"
[ "$(readlink dangling)" = nowhere ] && [ "$(stat -c %h hard)" = 2 ] || fail links
cd /mnt/data
mv back/deep/small3 back/renamed && [ ! -e back/deep/small3 ] || fail rename
mv back/renamed back/deep/small3 || fail rename back
cp /bin/busybox busybox && ./busybox true || fail mmap
mkfifo pipe || fail fifo
if mknod null c 1 3 2>/dev/null; then fail "a device node was made"; fi
rm -r /tmp/tree
before=$(seconds); dd if=/dev/zero of=big bs=1M count={MEGABYTES} conv=fsync 2>/dev/null || fail dd
echo "guest: wrote in $before $(seconds)"
echo 3 > /proc/sys/vm/drop_caches
before=$(seconds); dd if=big of=/dev/null bs=1M 2>/dev/null || fail dd
echo "guest: read in $before $(seconds)"
rm big
echo "guest: files done"
while [ ! -e /mnt/data/go ]; do sleep 0.1; done
cd / && umount /mnt/data || fail umount
echo "guest: done"
"""


def speed(guest, what, megabytes):
    """MB/s, by the guest's clock."""
    [line] = [line for line in guest.console().splitlines() if line.startswith(f"guest: {what} in")]
    before, after = map(float, line.split()[-2:])
    return f"{megabytes * 1.048576 / max(after - before, 0.01):.0f} MB/s"


def ready_after(dom0, device):
    """How long the device took to be ready, in the daemon's words."""
    story = dom0.journal(f"VIRTIO_DEVICE={device}")
    [line] = [line for line in story.splitlines() if " ready, " in line]
    return line.partition("ready, ")[2].partition(" after")[0]


def cpu_share(dom0, guest):
    """What part of the backend's CPU time the frontend used in addition."""
    used = {role: int(dom0.check(f"systemctl show -P CPUUsageNSec {guest.units(role)[0]}"))
            for role in ("frontend", "backend")}
    return f"{100 * used['frontend'] / used['backend']:.0f} % of the backend's"


@pytest.fixture
def tree(dom0):
    """A tree of files in /srv/guest1."""
    make_tree(dom0)
    yield
    dom0.run("xl destroy guest1; umount /srv/guest1")


def make_tree(dom0):
    """Makes it; it is gone when the folder is unmounted."""
    dom0.check(MAKE_TREE)


@pytest.mark.usefixtures("tree")
def test_folder_is_shared(dom0, figures):
    guest = examples.make_guest(dom0, ["fs"], SCRIPT, kernel=dom0.kernel_kind,
                                memory=MEMORY_MIB[dom0.kernel_kind] + 32)
    guest.create()
    guest.wait_for("guest: files done", timeout=300 if LONG else 40)
    figures("fs: time to ready", ready_after(dom0, f"{guest.domid()}-virtio-0"))
    figures("fs: write, flushed", speed(guest, "wrote", MEGABYTES))
    figures("fs: read", speed(guest, "read", MEGABYTES))
    figures("fs: frontend's CPU time", cpu_share(dom0, guest))
    dom0.check("cd /srv/guest1/back && sha256sum -c --quiet ../SUMS && test -p ../pipe")
    described = [dom0.check(f"cd /srv/guest1/{name} && {DESCRIBE}") for name in ("tree", "back")]
    assert described[0] == described[1]
    assert len(described[0].splitlines()) > SMALL_FILES

    [backend] = guest.units("backend")
    confined(dom0, backend)
    # A file that the host makes is there for the guest, too.
    dom0.check("touch /srv/guest1/go")
    guest.wait_for("guest: done")
    guest.wait_gone()


def confined(dom0, backend):
    """Of dom0's files virtiofsd sees its folder alone, and of its processes none."""
    pid = dom0.check(f"systemctl show -P MainPID {backend}").strip()
    inside = f"nsenter --target {pid} --mount --pid"
    assert dom0.check(f"{inside} ls /srv").split() == ["guest1"]
    assert not dom0.check(f"{inside} find /mnt /root /home /etc/xen /proc/xen /var -type f "
                          "2>/dev/null || true")
    assert "/srv/guest1" not in dom0.check(f"{inside} ls /proc")
    status = dom0.check(f"cat /proc/{pid}/status")
    assert "CapBnd:\t0000000000000000" in status
    # CHOWN, DAC_OVERRIDE, FOWNER, FSETID, SETGID, SETUID
    assert "CapPrm:\t00000000000000db" in status
