# SPDX-License-Identifier: LGPL-2.1-or-later
"""Eight devices of one guest, all at work at the same time, for ten minutes of real time."""

import os

import pytest
from labkit import program
from labkit.domu import check_image, make_disk

from lab import examples
from lab.test_devices import chips, configured  # noqa: F401 (fixtures)
from lab.test_fs import make_tree
from lab.test_net import HERE, HOST, LEASE, start_servers
from lab.test_vsock import backend as vsock_backend  # noqa: F401 (a fixture)

MINUTES = float(os.environ.get("XEN_VIRTIO_MINUTES", 10))
PAGES = ("fs", "net", "rng", "i2c", "gpio", "console", "vsock")
ECHO_PORT, VSOCK_PORT, SIZE = 7007, 2000, 300000

# Each round moves the same new data through every device that carries data.
SCRIPT = f"""\
fail() {{ echo "guest: FAILED $* in round $round"; poweroff -f; }}
now() {{ cut -d . -f 1 /proc/uptime; }}
same() {{ [ "$(sha256sum < $1)" = "$sum" ] || fail "sum of $1"; }}
round=0
mkdir -p /mnt/disk /mnt/fs
mount -t ext4 /dev/vda /mnt/disk || fail disk
mount -t virtiofs data /mnt/fs || fail fs
(cd /mnt/disk && sha256sum -c SUMS > /dev/null) || fail "sums of the disk"
(cd /mnt/fs/tree && sha256sum -c ../SUMS > /dev/null) || fail "sums of the folder"
mv /stream /bin/stream
ip link set lo up; ip link set eth0 up
udhcpc -i eth0 -s /lease.sh -n -q || fail lease
echo virtio_rng.0 > /sys/class/misc/hw_random/rng_current || fail rng
exec 3<>/dev/hvc1
stty -F /dev/hvc1 raw -echo || fail console  # while it is open, or Linux forgets it
base=$(cat /sys/class/gpio/gpiochip*/base)
echo $base > /sys/class/gpio/export && echo out > /sys/class/gpio/gpio$base/direction || fail gpio
echo "guest: all devices are there"
until [ -e /mnt/fs/begin ]; do sleep 0.1; done
end=$(($(now) + {60 * MINUTES:.0f}))
while [ $(now) -lt $end ]; do
    round=$((round + 1))
    head -c {SIZE} /dev/urandom > /tmp/data
    sum=$(sha256sum < /tmp/data)
    stream tcp {HOST} {ECHO_PORT} < /tmp/data > /tmp/net &
    stream vsock 2 {VSOCK_PORT} < /tmp/data > /tmp/vsock &
    cp /tmp/data /mnt/disk/work & cp /tmp/data /mnt/fs/work &
    wait
    sync
    echo 3 > /proc/sys/vm/drop_caches
    for copy in /tmp/net /tmp/vsock /mnt/disk/work /mnt/fs/work; do same $copy; done
    [ $(head -c 4096 /dev/hwrng | sort -u | wc -c) -gt 3000 ] || fail rng
    byte=$(printf 0x%02x $((round % 256)))
    i2cset -y 0 0x50 0x10 $byte && [ $(i2cget -y 0 0x50 0x10) = $byte ] || fail i2c
    echo $((round % 2)) > /sys/class/gpio/gpio$base/value || fail gpio
    [ $(cat /sys/class/gpio/gpio$base/value) = $((round % 2)) ] || fail "gpio value"
    echo "round $round" >&3
    read -r line <&3
    [ "$line" = "round $round" ] || fail "console: $line"
    echo "guest: round $round"
done
echo "guest: all rounds"
while [ ! -e /mnt/fs/go ]; do sleep 0.1; done
umount /mnt/disk /mnt/fs || fail umount
echo "guest: done"
"""

# Ten minutes of real time, with both of the machine's CPUs.
pytestmark = [pytest.mark.only_kernel(),
              pytest.mark.skipif(os.environ.get("XEN_VIRTIO_LONG") != "1", reason="ten minutes")]


@pytest.fixture
def servers(dom0):
    """A folder of files, and somebody who sends back what a connection brings."""
    make_tree(dom0)
    start_servers(dom0)
    dom0.check(f"systemd-run -q -u lab-echo socat TCP-LISTEN:{ECHO_PORT},fork,reuseaddr EXEC:cat")
    yield
    dom0.run("systemctl stop lab-down lab-up lab-echo lab-vsock; umount /srv/guest1; "
             "ip route del default via 10.0.2.2")


def resources(dom0, guest):
    """Descriptors and memory of each process that serves the guest, and of the daemon."""
    pids = {**guest.pids(), "xen-virtiod": dom0.check("systemctl show -P MainPID xen-virtiod")}
    return {unit: tuple(int(word) for word in dom0.check(
        f"ls /proc/{pid.strip()}/fd | wc -l; "
        f"awk '/^RssAnon/ {{ print $2 }}' /proc/{pid.strip()}/status").split())
        for unit, pid in pids.items()}


@pytest.mark.usefixtures("configured", "servers", "vsock_backend")
def test_together(dom0, figures):
    disk = make_disk(dom0, "guest1")
    stream = program.build(HERE / "stream.c", dom0.lab.share)
    guest = examples.make_guest(dom0, PAGES, SCRIPT, disks=[disk], memory=128, vcpus=2,
                                files={"lease.sh": LEASE, "stream": stream.read_bytes()})
    guest.create()
    guest.wait_for("guest: all devices are there", timeout=300)
    folder = f"/run/xen-virtio/{guest.created}-virtio-{PAGES.index('vsock')}"
    # It counts, as nobody may tell it that the guest has half closed its connection.
    dom0.check(f"systemd-run -q -u lab-vsock socat UNIX-LISTEN:{folder}/vsock_{VSOCK_PORT},fork,"
               f"mode=0666 'EXEC:head -c {SIZE}'")
    dom0.wait(f"[ -S {folder}/vsock_{VSOCK_PORT} ] && touch /srv/guest1/begin")
    guest.wait_for("guest: round 20")
    pids, before = guest.pids(), resources(dom0, guest)
    guest.wait_for("guest: all rounds", timeout=60 * MINUTES + 60)
    console = guest.console()
    assert "FAILED" not in console
    after = resources(dom0, guest)
    assert guest.pids() == pids
    figures(f"rounds through eight devices in {MINUTES:g} minutes", console.count("guest: round"))
    growth = {unit: after[unit][1] - before[unit][1] for unit in before}
    figures("memory that grew most, KiB", max(growth.items(), key=lambda item: item[1]))
    for unit, (descriptors, kib) in before.items():
        assert after[unit][0] <= descriptors + 2, (unit, before, after)
        assert after[unit][1] <= 1.25 * kib + 1024, (unit, before, after)
    story = dom0.journal("--priority=warning", "-u xen-virtiod", "-u 'xen-virtio-*'")
    assert "illegal" not in story
    figures("warnings", len(story.splitlines()))
    dom0.check("touch /srv/guest1/go")
    guest.wait_for("guest: done")
    guest.wait_gone()
    check_image(dom0, disk, "sha256sum -c SUMS")
