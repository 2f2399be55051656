# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest's network card, by Debian's passt: the example of docs/devices/net.md."""

import os

import pytest

from lab import examples
from lab.test_fs import cpu_share, ready_after, speed

LONG = bool(os.environ.get("XEN_VIRTIO_LONG"))
MEGABYTES = 100 if LONG else 10
MAC, MTU, HOST = "00:16:3e:5a:00:01", "9000", "192.0.2.1"
DOWN = 7000

LEASE = b"""\
#!/bin/busybox sh
[ "$1" = bound ] || exit 0
ip addr add "$ip/$mask" dev "$interface" && ip link set "$interface" mtu "$mtu" &&
    ip route add default via "$router"
"""

SCRIPT = f"""\
fail() {{ echo "guest: FAILED $*"; poweroff -f; }}
seconds() {{ cut -d ' ' -f 1 /proc/uptime; }}
ip link set lo up; ip link set eth0 up
[ "$(cat /sys/class/net/eth0/address)" = {MAC} ] || fail mac
udhcpc -i eth0 -s /lease.sh -n -q || fail lease
[ "$(cat /sys/class/net/eth0/mtu)" = {MTU} ] || fail mtu
get() {{ nc {HOST} {DOWN} < /dev/null > /tmp/got || fail get; }}
before=$(seconds); get; echo "guest: got in $before $(seconds)"
echo "guest: sum $(sha256sum < /tmp/got)"
echo "guest: network done"
sleep 5
echo "guest: done"
"""


@pytest.fixture
def servers(dom0):
    """dom0 has a default route, and sends a file to whoever connects."""
    start_servers(dom0)
    yield
    dom0.run("systemctl stop lab-down; ip route del default via 10.0.2.2")


def start_servers(dom0):
    """Starts them; "ip route" says that there is a route if it is there."""
    dom0.run("ip route add default via 10.0.2.2 dev eth0; systemctl reset-failed lab-down")
    dom0.check(f"head -c {MEGABYTES}M /dev/urandom > /tmp/down && "
               f"systemd-run -q -u lab-down socat -U TCP-LISTEN:{DOWN},fork,reuseaddr "
               "FILE:/tmp/down")


@pytest.mark.only_kernel("lab")
@pytest.mark.usefixtures("servers")
def test_network(dom0, figures):
    guest = examples.make_guest(dom0, ["net"], SCRIPT, memory=64 + 2 * MEGABYTES,
                                files={"lease.sh": LEASE})
    guest.create()
    guest.wait_for("guest: network done", timeout=300 if LONG else 40)
    figures("net: time to ready", ready_after(dom0, f"{guest.domid()}-virtio-0"))
    figures("net: to the guest", speed(guest, "got", MEGABYTES))
    figures("net: frontend's CPU time", cpu_share(dom0, guest))
    expected = dom0.check("sha256sum < /tmp/down").split()[0]
    guest.wait_for(f"guest: sum {expected}")
    guest.wait_for("guest: done")
