# SPDX-License-Identifier: LGPL-2.1-or-later
"""More devices than Xen has IOREQ servers for a guest, and many guests, and many deaths.

XEN_VIRTIO_LONG=1 makes these tests larger, for hours in which nobody waits.
"""

import json
import os
import random
import re
import statistics
from collections import Counter

import pytest
from lab import scripts
from lab.test_figures import claims
from lab.test_memory import PROFILE_TEXT
from labkit.domu import GUEST_FOLDER, Disk, Guest, check_image, make_disk

LONG = os.environ.get("XEN_VIRTIO_LONG") == "1"
KILLS = 100 if LONG else 3
GUESTS_AT_ONCE = 4
GUESTS_IN_A_ROW = 100 if LONG else 3

# Seconds, by the clock on the wall, which is not dom0's.
WALL = 900

# As many as libxl has interrupts for. Of Xen's eight servers one is left to others.
DEVICES, OTHER_DEVICES = 11, 2
ALONE, SHARED = 6, 5
GUEST_FILES = "sha256sum -c SUMS && sha256sum -c GUEST_SUMS && [ $(ls guest | wc -l) = 3 ]"
# A little on each disk, and the sums of all at once, so that a round is short.
WORK = scripts.MOUNT + """\
for disk in /dev/vd?; do mounted $disk /mnt/${disk#/dev/}; done
round=0
while :; do
    for folder in /mnt/vd?; do
        dd if=/dev/urandom of=$folder/work bs=8192 count=1 conv=fsync 2>/dev/null ||
            fail "write in round $round"
    done
    sha256sum /mnt/vd?/work > /tmp/sums || fail "read in round $round"
    echo 3 > /proc/sys/vm/drop_caches
    sha256sum -c -s /tmp/sums || fail "sum in round $round"
    round=$((round + 1))
    echo "guest: round $round"
done
"""

# At some moment, and until the next one is there.
KILL = """\
busybox usleep {usec}
main() {{ systemctl show -P MainPID xen-virtiod; }}
pid=$(main)
kill -9 $pid
until next=$(main); [ $next != 0 ] && [ $next != $pid ] && systemctl is-active --quiet xen-virtiod
do busybox usleep 50000; done
"""

CONFIG = "/etc/xen-virtio"
# Without packed rings, with which nobody goes on after a crash. The disks of "virtio=" have no path
# in xl.cfg.
PROFILE = PROFILE_TEXT.replace("FURTHER", "--features=0xfffffffbffffffff")
PROFILES = {
    "zz-disk": PROFILE,
    "zz-path": PROFILE.replace("%{disk.path}", "%{path}") + "[Options]\npath=required\n",
}

pytestmark = pytest.mark.only_kernel("lab")


@pytest.fixture(scope="module", autouse=True)
def profiles(dom0):
    """The reference backend may be named in guest files."""
    for name, text in PROFILES.items():
        (dom0.lab.share / f"{name}.conf").write_text(text, encoding="utf-8")
    dom0.check(f"mkdir -p {CONFIG}/backends {CONFIG}/guests && "
               f"cp /mnt/lab/zz-*.conf {CONFIG}/backends/ && systemctl reload xen-virtiod")
    yield
    dom0.check(f"rm -r {CONFIG}; systemctl reload xen-virtiod")


def make_guest(dom0, name, script):
    """A guest with eleven disks, the last ones of which are "virtio=" devices."""
    first = make_disk(dom0, name, megabytes=4, files=1)
    paths = [f"{GUEST_FOLDER}/{name}-{number}.img" for number in range(DEVICES)]
    dom0.check(f"for path in {' '.join(paths)}; do cp {first.path} $path; done; rm {first.path}")
    disks, others = paths[:-OTHER_DEVICES], paths[-OTHER_DEVICES:]
    text = "[blk]\nBackend=zz-disk\n" + "".join(
        f"[virtio-{devid}]\nBackend=zz-path\npath={path}\n" for devid, path in enumerate(others))
    (dom0.lab.share / f"{name}.conf").write_text(text, encoding="utf-8")
    dom0.check(f"cp /mnt/lab/{name}.conf {CONFIG}/guests/")
    entry = '"type=virtio,device2,transport=mmio,grant_usage=0"'
    guest = Guest(dom0, name, [Disk(path) for path in disks], script,
                  settings=f"virtio = [ {', '.join([entry] * OTHER_DEVICES)} ]")
    guest.paths = paths
    return guest


def devices(dom0, guest):
    """What xen-virtioctl says of the guest's devices."""
    return [entry for entry in json.loads(dom0.check("xen-virtioctl --json list"))
            if entry["domain"] == guest.name]


def assert_all_served(dom0, guest):
    """Each device has a backend, and a frontend of its own or its part of the shared one."""
    found = devices(dom0, guest)
    assert [entry["state"] for entry in found] == ["ready"] * DEVICES, found
    shared = f"{guest.domid()}-shared"
    counts = Counter(entry["frontend"] == shared for entry in found)
    assert counts == {True: SHARED, False: ALONE}, found
    servers = Counter(entry["ioreq-server"] for entry in found)
    assert sorted(servers.values()) == [1] * ALONE + [SHARED]
    assert len(guest.units("frontend")) == ALONE + 1
    assert len(guest.units("backend")) == DEVICES


def claim_times(dom0, domids):
    """Text about how long the claims of these domains took."""
    times = sorted(ms for domid, ms in claims(dom0) if domid in domids)
    return (f"median {statistics.median(times):.1f} ms, p99 "
            f"{times[(99 * len(times) + 99) // 100 - 1]:.1f} ms, of {len(times)} claims")


@pytest.fixture
def working(dom0):
    """A guest that works with all of its eleven disks."""
    guest = make_guest(dom0, "many", WORK)
    guest.create(timeout=WALL)
    guest.wait_for("guest: round 1", timeout=WALL)
    return guest


def goes_on(guest, rounds=1):
    """The guest works, and has seen no error."""
    guest.wait_for("guest: round", count=scripts.rounds(guest) + rounds, timeout=WALL)
    assert "FAILED" not in guest.console()


def take_away(dom0, guest, device):
    """The toolstack asks for the end of one device; the guest, which would crash, is paused."""
    domid, kind, devid = device.split("-")
    folder = {"virtio": "virtio", "disk": "virtio_disk"}[kind]
    node = f"/local/domain/0/backend/{folder}/{domid}/{devid}/state"
    dom0.check(f"xl pause {guest.name} && xenstore-write {node} 5")
    dom0.wait(f"[ $(xenstore-read {node}) = 6 ]", timeout=10)
    assert [entry["state"] for entry in devices(dom0, guest)] == ["ready"] * (DEVICES - 1)


def test_eleven_devices(dom0, working, figures):
    assert_all_served(dom0, working)
    figures(f"node to claimed range, {DEVICES} devices at once",
            claim_times(dom0, {working.domid()}))
    domid = working.domid()
    rows = [line.split() for line in dom0.check("xen-virtioctl list").splitlines()]
    assert Counter(row[3] for row in rows) == {"FRONTEND": 1, "own": ALONE, "shared": SHARED}
    member = next(row[0] for row in rows if row[3] == "shared")
    assert f"xen-virtio-frontend@{domid}-shared.service" in dom0.check(
        f"xen-virtioctl show {member}")

    # The orchestrator goes and comes at any moment, and nobody notices.
    pids = working.pids()
    before = scripts.rounds(working)
    dom0.check("systemctl restart xen-virtiod")
    chance = random.Random(1)
    for _ in range(KILLS):
        dom0.check(KILL.format(usec=chance.randrange(300000)), timeout=WALL)
    goes_on(working, 2)
    figures(f"rounds of I/O on {DEVICES} disks during {KILLS} kills of xen-virtiod",
            f"{scripts.rounds(working) - before}")
    assert working.pids() == pids
    dom0.wait(f"[ $(xen-virtioctl list | grep -c ' ready ') = {DEVICES} ]")
    assert_all_served(dom0, working)

    # The shared process crashes, and is stopped in order: the others are not touched.
    unit = f"xen-virtio-frontend@{domid}-shared.service"
    for end in (f"systemctl kill --signal=KILL {unit}",
                f"xen-virtioctl restart --frontend {member}"):
        dom0.check(end)
        dom0.wait(f"[ $(systemctl show -P MainPID {unit}) != {pids[unit]} ] && "
                  f"systemctl is-active --quiet {unit}")
        goes_on(working)
        after = working.pids()
        assert {name for name in pids if pids[name] != after[name]} == {unit}
        pids = after
    dom0.wait(f"[ $(xen-virtioctl list | grep -c ' ready ') = {DEVICES} ]")
    assert_all_served(dom0, working)
    entries = devices(dom0, working)
    assert {entry["frontend-restarts"] for entry in entries} == {0, 2}

    take_away(dom0, working, member)
    after = working.pids()
    assert {name for name in pids if pids[name] != after.get(name)} == {
        f"xen-virtio-backend@{member}.service"}
    working.destroy()
    dom0.expect_clean()


@pytest.mark.skipif(not LONG, reason="takes long, and shows hardly more than one guest does")
def test_guests_at_once(dom0, figures):
    guests = [make_guest(dom0, f"many{number}", scripts.WRITE_FILES)
              for number in range(GUESTS_AT_ONCE)]
    dom0.check("for config in " + " ".join(guest.config for guest in guests) +
               "; do xl create $config & pids=\"$pids $!\"; done; "
               "for pid in $pids; do wait $pid || exit 1; done", timeout=WALL)
    for guest in guests:
        guest.created = guest.domid()
    figures(f"node to claimed range, {GUESTS_AT_ONCE} guests of {DEVICES} devices at once",
            claim_times(dom0, {guest.created for guest in guests}))
    for guest in guests:
        guest.wait_for("guest: done", timeout=WALL)
        assert guest.console().count("guest: wrote to") == DEVICES
        guest.wait_gone(timeout=WALL)
    dom0.expect_clean()
    for guest in guests:
        for path in guest.paths:
            check_image(dom0, Disk(path), GUEST_FILES)


def test_guests_one_after_another(dom0, figures):
    """Each is created and destroyed, and nothing is left of any."""
    guest = Guest(dom0, "row", [make_disk(dom0, "row", "r", megabytes=2, files=1)], None, memory=16)
    domids = set()
    for _ in range(GUESTS_IN_A_ROW):
        guest.create(timeout=WALL)
        domids.add(guest.created)
        guest.destroy()
        if LONG:
            dom0.expect_clean()
    assert len(domids) == GUESTS_IN_A_ROW
    dom0.wait("! ls -d /run/systemd/units/*:xen-virtio-*@* 2>/dev/null")
    figures(f"node to claimed range, {GUESTS_IN_A_ROW} guests in a row", claim_times(dom0, domids))
    descriptors = dom0.check("ls /proc/$(systemctl show -P MainPID xen-virtiod)/fd | wc -l")
    figures("descriptors of xen-virtiod when all are gone", descriptors.strip())
    assert re.fullmatch(r"\d+", descriptors.strip()) and int(descriptors) < 32
