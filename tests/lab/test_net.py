# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest's network card, by Debian's passt: the example of docs/devices/net.md."""

import os
from pathlib import Path

import pytest
from labkit import program
from labkit.domu import MEMORY_MIB, Guest

from lab import examples
from lab.test_fs import KERNELS, cpu_share, ready_after, speed

HERE = Path(__file__).resolve().parent
LONG = bool(os.environ.get("XEN_VIRTIO_LONG"))
MEGABYTES = 100 if LONG else 10
MAC, MTU, HOST = "00:16:3e:5a:00:01", "9000", "192.0.2.1"
DOWN, UP = 7000, 7001

LEASE = b"""\
#!/bin/busybox sh
[ "$1" = bound ] || exit 0
ip addr flush dev "$interface"
ip addr add "$ip/$mask" dev "$interface" && ip link set "$interface" mtu "$mtu" &&
    ip route add default via "$router"
"""

# When its backend has died, the driver has to be bound anew (docs/devices/net.md).
SCRIPT = f"""\
fail() {{ echo "guest: FAILED $*"; poweroff -f; }}
seconds() {{ cut -d ' ' -f 1 /proc/uptime; }}
connect() {{
    ip link set eth0 up
    until [ "$(cat /sys/class/net/eth0/operstate)" = up ]; do sleep 0.1; done
    [ "$(cat /sys/class/net/eth0/address)" = {MAC} ] || fail mac
    udhcpc -i eth0 -s /lease.sh -n -q || fail lease
    [ "$(cat /sys/class/net/eth0/mtu)" = {MTU} ] || fail mtu
}}
get() {{ stream tcp {HOST} {DOWN} < /dev/null > /tmp/got || fail get; }}
put() {{ stream tcp {HOST} {UP} < /tmp/got > /dev/null || fail put; }}
mv /stream /bin/stream
ip link set lo up
connect
before=$(seconds); get; echo "guest: got in $before $(seconds)"
before=$(seconds); put; echo "guest: sent in $before $(seconds)"
echo "guest: sum $(sha256sum < /tmp/got)"
echo "guest: network done"

cd /sys/bus/virtio/devices/virtio0
until [ $(($(cat status) & 0x40)) != 0 ]; do sleep 0.1; done
echo "guest: the device needs a reset"
cd driver && echo virtio0 > unbind && echo virtio0 > bind || fail bind
connect
get
echo "guest: sum again $(sha256sum < /tmp/got)"
"""

SAY_MAC = """\
echo "guest: mac $(cat /sys/class/net/eth0/address)"
while :; do sleep 60; done
"""


@pytest.fixture
def servers(dom0):
    """dom0 has a default route, sends a file to whoever connects, and takes one."""
    start_servers(dom0)
    yield
    dom0.run("systemctl stop lab-down lab-up; ip route del default via 10.0.2.2")


def start_servers(dom0):
    """Starts them; "ip route" says that there is a route if it is there."""
    dom0.run("ip route add default via 10.0.2.2 dev eth0; systemctl reset-failed lab-down lab-up")
    server = "socat {} TCP-LISTEN:{},fork,reuseaddr {}"
    dom0.check(f"head -c {MEGABYTES}M /dev/urandom > /tmp/down && systemd-run -q -u lab-down "
               + server.format("-U", DOWN, "FILE:/tmp/down") + " && systemd-run -q -u lab-up "
               + server.format("-u", UP, "CREATE:/tmp/up"))


@pytest.mark.only_kernel(*KERNELS)
@pytest.mark.usefixtures("servers")
def test_network(dom0, figures):
    stream = program.build(HERE / "stream.c", dom0.lab.share)
    guest = examples.make_guest(dom0, ["net"], SCRIPT, kernel=dom0.kernel_kind,
                                memory=MEMORY_MIB[dom0.kernel_kind] + 2 * MEGABYTES,
                                files={"lease.sh": LEASE, "stream": stream.read_bytes()})
    guest.create()
    guest.wait_for("guest: network done", timeout=300 if LONG else 90)
    figures("net: time to ready", ready_after(dom0, f"{guest.domid()}-virtio-0"))
    figures("net: to the guest", speed(guest, "got", MEGABYTES))
    figures("net: from the guest", speed(guest, "sent", MEGABYTES))
    figures("net: frontend's CPU time", cpu_share(dom0, guest))
    expected, sent = (dom0.check(f"sha256sum < /tmp/{name}").split()[0] for name in ("down", "up"))
    assert f"guest: sum {expected}" in guest.console()
    assert sent == expected

    [backend] = guest.units("backend")
    dom0.check(f"systemctl kill --signal=KILL {backend}")
    guest.wait_for(f"guest: sum again {expected}")


# Without a guest file. The guest's UUID and the device's number are the same after a reboot.
@pytest.mark.only_kernel("lab")
@pytest.mark.skipif(not LONG, reason="two boots of a guest; the address is a unit test's, too")
def test_mac_stays(dom0):
    guest = Guest(dom0, "plain", [], SAY_MAC,
                  settings='virtio = [ "type=virtio,device1,transport=mmio" ]')
    guest.create()
    guest.wait_for("guest: mac")
    dom0.check("xl reboot plain")
    guest.wait_for("guest: mac", count=2)
    first, second = (line for line in guest.console().splitlines() if "guest: mac" in line)
    assert first == second
    assert guest.domid() != guest.created


# The reference backend as a card whose wire leads back. It counts pairs, and has no configuration
# space, as backends that were made for QEMU.
LOOP = """\
[Backend]
Type=net
ExecStart=/usr/libexec/xen-virtio/xen-virtio-test-backend --type=net --socket-path=%{socket} \
--protocol=0xffffffff
"""
PAIRS = 4
FRAMES = 10  # that frames.c sends from each CPU
PAIRS_SCRIPT = """\
for card in eth0 eth1; do
    echo 1 > /proc/sys/net/ipv6/conf/$card/disable_ipv6  # it would send, too
    ip link set $card up
    until [ "$(cat /sys/class/net/$card/carrier)" = 1 ]; do sleep 0.1; done
    set -- /sys/class/net/$card/queues/tx-*
    echo "guest: $card has $# pairs"
    /frames $card || echo "guest: FAILED"
done
echo "guest: done"
while :; do sleep 60; done
"""


@pytest.fixture
def loop_card(dom0):
    """The guest "pairs" has cards of this backend, of four pairs if they can be had."""
    (dom0.lab.share / "loop.conf").write_text(LOOP, encoding="utf-8")
    (dom0.lab.share / "pairs.conf").write_text(f"[net]\nBackend=loop\nqueue_pairs={PAIRS}\n",
                                               encoding="utf-8")
    folder = "/etc/xen-virtio"
    dom0.check(f"mkdir -p {folder}/backends {folder}/guests && "
               f"cp /mnt/lab/loop.conf {folder}/backends && "
               f"cp /mnt/lab/pairs.conf {folder}/guests && systemctl reload xen-virtiod")
    yield
    dom0.check(f"rm {folder}/backends/loop.conf {folder}/guests/pairs.conf && "
               "systemctl restart xen-virtiod")


@pytest.mark.only_kernel("lab")
@pytest.mark.usefixtures("loop_card")
def test_pairs(dom0):
    """A queue for each CPU, by the frontend's control queue; with grants there is one pair."""
    frames = program.build(HERE / "frames.c", dom0.lab.share)
    entries = [f"type=virtio,device1,transport=mmio,grant_usage={grants}" for grants in (0, 1)]
    guest = Guest(dom0, "pairs", [], PAIRS_SCRIPT, vcpus=PAIRS, settings=f"virtio = {entries}",
                  files={"frames": frames.read_bytes()})
    guest.create()
    guest.wait_for("guest: done\\|guest: FAILED")
    said = guest.console()
    assert "FAILED" not in said, said
    assert f"guest: eth0 has {PAIRS} pairs" in said
    assert "guest: eth1 has 1 pairs" in said
    for devid, unit in enumerate(sorted(guest.units("backend"))):
        dom0.check(f"systemctl kill --signal=HUP {unit}")
        dom0.wait(f"journalctl -o cat -u {unit} | grep -q '^pair {PAIRS - 1}: '", 20, "no counts")
        counts = dom0.check(f"journalctl -o cat -u {unit} | grep '^pair '").splitlines()
        expected = [FRAMES] * PAIRS if devid == 0 else [FRAMES * PAIRS] + [0] * (PAIRS - 1)
        assert counts == [f"pair {pair}: {n} frames" for pair, n in enumerate(expected)]
    many, one = (dom0.journal(f"VIRTIO_DEVICE={guest.created}-virtio-{devid}") for devid in (0, 1))
    assert "the card has one pair" not in many
    assert one.count("the card has one pair of queues: ") == 1
    assert "XEN_MMAP, grants" in one
    assert "illegal" not in many + one
