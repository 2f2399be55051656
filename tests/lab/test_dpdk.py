# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest's card on a bridge, by DPDK's testpmd: the second example of docs/devices/net.md.

It is the one backend of others' that leaves the control queue of several pairs to the frontend.
"""

import os
import re
from pathlib import Path

import pytest
from labkit import dom0 as debian
from labkit import program
from labkit.apt import Apt
from labkit.domu import Guest
from labkit.ui import Console

from lab import pages

HERE = Path(__file__).resolve().parent
NAME = "guest2"
PAIRS = 2
MEGABYTES = 1
GUARD = 300
HOST, ADDRESS = "192.0.2.1", "192.0.2.2"
DOWN, UP = 7000, 7001
PACKAGES = ["dpdk-dev", "librte-net-vhost25", "librte-net-af-packet25", "ethtool"]
FOLDERS = ("/etc/xen-virtio/guests", "/etc/xen-virtio/backends", "/etc/systemd/system")

pytestmark = [
    pytest.mark.only_kernel("stock"),  # the lab's has no bridge
    pytest.mark.skipif(not os.environ.get("XEN_VIRTIO_LONG"), reason="250 packages of Debian's")]

# Each CPU sends by a pair of its own. When testpmd has been started again, the driver has to be
# bound anew; what is under way goes on then.
SCRIPT = f"""\
fail() {{ echo "guest: FAILED $*"; poweroff -f; }}
connect() {{
    ip link set eth0 up
    until [ "$(cat /sys/class/net/eth0/carrier)" = 1 ]; do sleep 0.1; done
    ip addr add {ADDRESS}/24 dev eth0
    set -- /sys/class/net/eth0/queues/tx-*
    [ $# = {PAIRS} ] || fail "$# pairs"
    ping -c 3 {HOST} || fail ping
}}
watch() {{
    until [ $(($(cat /sys/bus/virtio/devices/virtio0/status) & 0x40)) != 0 ]; do sleep 0.1; done
    cd /sys/bus/virtio/drivers/virtio_net && echo virtio0 > unbind && echo virtio0 > bind ||
        fail bind
    connect
    echo "guest: bound anew"
}}
get() {{ stream tcp {HOST} {DOWN} < /dev/null > /tmp/got || fail get; }}
put() {{ taskset $1 /bin/stream tcp {HOST} {UP} < /tmp/got > /dev/null || fail put; }}
mv /stream /bin/stream
ip link set lo up
connect
watch &
while :; do get; put 1; put 2; echo "guest: sum $(sha256sum < /tmp/got)"; done
"""


@pytest.fixture
def bridge(dom0):
    """dom0 has the page's files, the bridge, and who sends a file and takes one."""
    debian.add_packages(dom0.lab, Apt(Console()), PACKAGES)
    for folder in FOLDERS:
        for name, text in pages.of_folder("net", folder).items():
            if not name.startswith("guest1"):
                (dom0.lab.share / "file").write_text(text, encoding="utf-8")
                dom0.check(f"mkdir -p {folder} && cp /mnt/lab/file {folder}/{name}")
    server = "socat {} TCP-LISTEN:{},fork,reuseaddr {}"
    dom0.check(f"ip link add br0 type bridge && ip addr add {HOST}/24 dev br0 && "
               "ip link set br0 up && systemctl daemon-reload && "
               f"systemctl reload xen-virtiod && systemctl start {NAME}-port && "
               f"rm -f /tmp/sums && head -c {MEGABYTES}M /dev/urandom > /tmp/down && "
               "systemd-run -q -u lab-down "
               + server.format("-U", DOWN, "FILE:/tmp/down") + " && systemd-run -q -u lab-up "
               + server.format("-u", UP, "'SYSTEM:sha256sum >> /tmp/sums'"))
    yield
    dom0.run(f"xl destroy {NAME}; systemctl stop {NAME}-port lab-down lab-up; ip link delete br0; "
             f"rm /etc/xen-virtio/guests/{NAME}.conf /etc/xen-virtio/backends/testpmd.conf "
             f"/etc/systemd/system/{NAME}-port.service; systemctl daemon-reload; "
             "systemctl reload xen-virtiod")


def packets(dom0, unit):
    """What testpmd has forwarded from each of the guest's queues: it says so when it ends."""
    said = dom0.check(f"journalctl -o cat -u {unit}")
    return [int(n) for n in re.findall(r"RX Port= 0/Queue= \d .*\n +RX-packets: (\d+)", said)]


def next_right(guest, right):
    """Waits until the guest has begun something anew, and come to its end."""
    guest.wait_for(right, timeout=GUARD, count=guest.console().count(right) + 2)


@pytest.mark.usefixtures("bridge")
def test_bridge(dom0):
    stream = program.build(HERE / "stream.c", dom0.lab.share)
    guest = Guest(dom0, NAME, [], SCRIPT, vcpus=PAIRS, memory=96,
                  files={"stream": stream.read_bytes()},
                  settings=f"virtio = {pages.entries('net', NAME, 'virtio')}")
    guest.create()
    expected = dom0.check("sha256sum < /tmp/down").strip()
    right = f"guest: sum {expected}"
    guest.wait_for(right, timeout=GUARD)

    device = f"{guest.created}-virtio-0"
    dom0.check(f"xen-virtioctl restart --frontend {device}")
    next_right(guest, right)
    assert "the backend goes on with the rings" in dom0.journal(f"VIRTIO_DEVICE={device}")

    [backend] = guest.units("backend")
    dom0.check(f"xen-virtioctl restart --backend {device}")
    guest.wait_for("guest: bound anew", timeout=GUARD)
    next_right(guest, right)
    from_guest = packets(dom0, backend)
    assert len(from_guest) == PAIRS
    assert all(n > MEGABYTES * 100 for n in from_guest)
    said = guest.console()
    assert said.count(right) == said.count("guest: sum")
    assert "FAILED" not in said
    sent = dom0.check("cat /tmp/sums").splitlines()
    assert len(sent) >= PAIRS * said.count(right)
    assert set(sent) == {expected}
