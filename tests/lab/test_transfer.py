# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest moves data through its card, and copies files in a folder, while the frontend is
restarted in order, and killed, beneath a backend that ends with its connection. What the guest has
to do when that backend dies is in docs/devices."""

import os

import pytest
from labkit import program

from lab import examples
from lab.test_net import DOWN, HERE, HOST, LEASE, UP, start_servers

pytestmark = [pytest.mark.only_kernel("stock"),
              pytest.mark.skipif(not os.environ.get("XEN_VIRTIO_LONG"), reason="minutes")]

MEGABYTES = 4
RESTARTS = 6  # and kills

# Connections are begun, at work, and ended, at whatever moment the frontend goes.
CARD = f"""\
fail() {{ echo "guest: FAILED $* in round $round"; poweroff -f; }}
connect() {{
    ip link set eth0 up
    until [ "$(cat /sys/class/net/eth0/operstate)" = up ]; do sleep 0.1; done
    udhcpc -i eth0 -s /lease.sh -n -q || fail lease
}}
get() {{ stream tcp {HOST} {DOWN} < /dev/null > /tmp/got && sum=$(sha256sum < /tmp/got); }}
work() {{
    round=0
    while :; do
        get && [ "$sum" = "${{first:=$sum}}" ] || fail "get: $sum"
        stream tcp {HOST} {UP} < /tmp/got > /dev/null || fail put
        round=$((round + 1))
        echo "guest: round $round, $sum"
    done
}}
mv /stream /bin/stream
ip link set lo up
connect
work &
cd /sys/bus/virtio/devices/virtio0
until [ $(($(cat status) & 0x40)) != 0 ]; do sleep 0.1; done
kill $!
echo "guest: the device needs a reset"
cd driver && echo virtio0 > unbind && echo virtio0 > bind || fail bind
connect
get || fail "get again"
echo "guest: again $sum"
"""

# A file stays open. At the end nothing is under way: Linux waits for what virtiofsd has not
# answered, even when its driver goes.
FOLDER = """\
fail() { echo "guest: FAILED $* in round $round"; poweroff -f; }
mkdir -p /mnt/data && mount -t virtiofs data /mnt/data || fail mount
exec 3< /mnt/data/large
round=0
until [ -e /mnt/data/stop ]; do
    cp /mnt/data/large /tmp/copy && cp /tmp/copy /mnt/data/back || fail copy
    echo 3 > /proc/sys/vm/drop_caches
    sum=$(sha256sum < /mnt/data/back)
    [ "$sum" = "$(sha256sum < /tmp/copy)" ] || fail sums
    round=$((round + 1))
    echo "guest: round $round, $sum"
done
cmp /tmp/copy - <&3 || fail "the open file"
exec 3<&-
cd /sys/bus/virtio/devices/virtio0
echo "guest: idle"
until [ $(($(cat status) & 0x40)) != 0 ]; do sleep 0.1; done
echo "guest: the device needs a reset"
cd driver && echo virtio0 > unbind && umount /mnt/data || fail umount
echo virtio0 > bind && mount -t virtiofs data /mnt/data || fail "mount again"
echo "guest: again $(sha256sum < /mnt/data/large)"
"""


def rounds(guest):
    """How far the guest has come; it must not have failed."""
    console = guest.console()
    assert "FAILED" not in console, console
    return console.count("guest: round")


def wait(guest, text):
    """Waits until the guest has said this, or has given up."""
    guest.wait_for(f"guest: FAILED\\|guest: {text}", timeout=120)
    return rounds(guest)


def replace_frontends(dom0, guest):
    """Restarts and kills the frontend while the guest is at work; the backend does not notice.
    Returns how far the guest has come by then."""
    [frontend], [backend] = guest.units("frontend"), guest.units("backend")
    wait(guest, "round 1,")
    first = guest.pids()
    instance = frontend.partition("@")[2].removesuffix(".service")
    ways = [f"systemctl restart {frontend}", f"systemctl kill --signal=KILL {frontend}",
            f"xen-virtioctl restart --frontend {instance}"]
    for number in range(RESTARTS):
        before, done = guest.pids(), rounds(guest)
        dom0.check(ways[number % len(ways)])
        wait(guest, f"round {done + 2},")
        assert guest.pids()[frontend] != before[frontend]
    assert guest.pids()[backend] == first[backend]
    said = dom0.journal(f"_SYSTEMD_UNIT={frontend}")
    assert said.count("goes on with the backend's connection") == RESTARTS
    return rounds(guest)


def kill_backend(dom0, guest):
    """Kills it; the driver hears that its device needs a reset."""
    [backend] = guest.units("backend")
    dom0.check(f"systemctl kill --signal=KILL {backend}")
    wait(guest, "the device needs a reset")


def test_card(dom0, figures):
    start_servers(dom0)
    dom0.check(f"truncate -s {MEGABYTES}M /tmp/down")
    stream = program.build(HERE / "stream.c", dom0.lab.share)
    guest = examples.make_guest(dom0, ["net"], CARD, memory=96,
                                files={"lease.sh": LEASE, "stream": stream.read_bytes()})
    try:
        guest.create()
        figures(f"net: rounds while {RESTARTS} frontends were restarted or killed",
                replace_frontends(dom0, guest))
        kill_backend(dom0, guest)
        expected = dom0.check("sha256sum < /tmp/down").split()[0]
        wait(guest, f"again {expected}")
        assert f"guest: round 1, {expected}" in guest.console()
    finally:
        dom0.run("systemctl stop lab-down lab-up; ip route del default via 10.0.2.2")


def test_folder(dom0, figures):
    dom0.check(f"mkdir -p /srv/guest1 && head -c {MEGABYTES}M /dev/urandom > /srv/guest1/large")
    expected = dom0.check("sha256sum < /srv/guest1/large").split()[0]
    guest = examples.make_guest(dom0, ["fs"], FOLDER, memory=96)
    try:
        guest.create()
        figures(f"fs: rounds while {RESTARTS} frontends were restarted or killed",
                replace_frontends(dom0, guest))
        dom0.check("touch /srv/guest1/stop")
        wait(guest, "idle")
        assert f"guest: round 1, {expected}" in guest.console()
        assert dom0.check("sha256sum < /srv/guest1/back").split()[0] == expected
        kill_backend(dom0, guest)
        wait(guest, f"again {expected}")
    finally:
        dom0.run("xl destroy guest1; rm -r /srv/guest1")
