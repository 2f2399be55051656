# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is measured, and how: a guest times its requests to a disk in dom0's memory."""

import itertools
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from labkit import program
from labkit.domu import Disk, Guest
from labkit.ui import LabError

KIB, MIB = 1024, 1024 * 1024
GUEST_IO = Path(__file__).with_name("guest-io.c")
FOLDER = "/srv/bench"
IMAGE = f"{FOLDER}/disk.img"
PROFILE = "xen-virtio/backends/qemu-storage-daemon.conf"
DROPIN = "/etc/systemd/system/xen-virtio-frontend@.service.d"
ENDED = "lab-guest: /guest.sh ended"
# Of the emulating machine, which may be busy.
GUEST_SECONDS = 1800

REFERENCE = ("s|^ExecStart=.*|ExecStart=/usr/libexec/xen-virtio/xen-virtio-test-backend "
             "--socket-path=%{socket} --blk-file=%{disk.path} --protocol=0xffffffff|;")


@dataclass(frozen=True)
class Way:
    """A way to the guest's memory: how it is written in the shipped profile, and what it takes."""

    edit: str  # for sed
    text: str  # what the frontend says of it
    settings: str = ""  # of the guest
    grants: bool = False
    is_block: bool = False  # the disk is a block device, over the image


ROOM = "max_grant_frames = 512"
WAYS = {
    "preload": Way("s/^Memory=.*/Memory=preload/", "mapped by the backend as a file"),
    "seeded": Way("s/^Memory=.*/Memory=seed/", "seeded grants", ROOM),
    "seeded, O_DIRECT": Way("s/^Memory=.*/Memory=seed/; s/cache.direct=off/cache.direct=on/",
                            "seeded grants", ROOM, is_block=True),
    "XEN_MMAP, foreign": Way(REFERENCE + "s/^Memory=.*/Memory=xen-mmap/", "XEN_MMAP, foreign"),
    "XEN_MMAP, grants": Way(REFERENCE, "XEN_MMAP, grants", grants=True),
}
# The paths of kicks and calls, as XEN_VIRTIO_NOTIFY has them, each with what the frontend says when
# it has taken it.
PATHS = {"relay": "relayed", "irqfd": "interrupts by the kernel (irqfd)",
         "kernel": "by the kernel (irqfd, ioeventfd)"}


@dataclass(frozen=True)
class Workload:
    """Requests of one kind: how large, and how many of them are under way at a time."""

    operation: str
    size: int
    depth: int

    @property
    def count(self):
        """How many of them are measured: enough for a steady figure, few enough for the clock."""
        return (800 if self.size < MIB else 100) * (1 if self.depth == 1 else 4)


WORKLOADS = [Workload(operation, size, depth) for size, depth, operation in
             itertools.product((4 * KIB, MIB), (1, 32), ("read", "write"))]

# Printed at the end alone: dom0 has nothing to do for the console while the guest measures.
MEASURE = "sleep 3\n" + "".join(
    f"/guest-io /dev/vda {load.operation} {load.size} {load.depth} {load.count} >> /tmp/figures "
    "|| exit 1\n" for load in WORKLOADS) + 'echo "bench:" $(cat /tmp/figures)\n'


def make_image(host):
    """A disk in dom0's memory: what is measured is the way to it."""
    host.check(f"mkdir -p {FOLDER} && mount -t tmpfs -o size=80m,mode=755 bench {FOLDER} && "
               f"head -c 64M /dev/zero > {IMAGE}")


def configure(host, way, path):
    """Makes all devices that start from now on go this way and path."""
    host.check(f"mkdir -p /etc/xen-virtio/backends {DROPIN} && "
               f"sed '{way.edit}' /usr/share/{PROFILE} > /etc/{PROFILE} && "
               f"printf '[Service]\\nEnvironment=XEN_VIRTIO_NOTIFY={path}\\n' > "
               f"{DROPIN}/bench.conf && systemctl daemon-reload && "
               "systemctl restart xen-virtiod")


def disk_of(host, way):
    """The disk as this way wants it."""
    if not way.is_block:
        return Disk(IMAGE, grants=way.grants)
    found = host.run(f"losetup -n -O NAME -j {IMAGE}").output.strip()
    return Disk(found or host.check(f"losetup --find --show {IMAGE}").strip())


def wait_for_end(host, guest):
    """Waits until the guest's script has ended; asleep until its console has something new, as
    asking again and again would be measured, too."""
    host.check(f"exec 3< <(exec tail -n +1 -F {guest.log} 2>&1); "
               f"grep -q -m 1 '{ENDED}' <&3; status=$?; kill $!; exit $status", GUEST_SECONDS)


def measure(host, guest_io, row, way, path):
    """The nanoseconds of each workload, for one way and path."""
    configure(host, way, path)
    guest = Guest(host, re.sub(r"\W+", "-", row), [disk_of(host, way)], MEASURE, memory=192,
                  files={"guest-io": guest_io}, settings=way.settings)
    guest.create()
    [unit] = guest.units("frontend")
    said = host.journal(f"_SYSTEMD_UNIT={unit}")
    for text in (way.text, f"notifications: {PATHS[path]}"):
        if text not in said:
            raise LabError(f"\"{row}\" is not gone: no \"{text}\" in\n{said}")
    wait_for_end(host, guest)
    found = re.search(r"bench: ([\d ]+)", guest.console())
    if not found:
        raise LabError(f"the guest failed:\n{guest.console()}")
    guest.wait_gone()
    return dict(zip(WORKLOADS, map(int, found.group(1).split()), strict=True))


def rows(only):
    """All ways and paths by "way, path": those that have any of these words in it."""
    pairs = {f"{name}, {path}": (way, path)
             for (name, way), path in itertools.product(WAYS.items(), PATHS)}
    return {row: pair for row, pair in pairs.items() if any(word in row for word in only)}


def measure_rows(host, only):
    """The figures of these rows."""
    guest_io = program.build(GUEST_IO, host.lab.folder).read_bytes()
    make_image(host)
    figures = {}
    for row, (way, path) in rows(only).items():
        figures[row] = measure(host, guest_io, row, way, path)
        print(f"{row}: {list(figures[row].values())}", file=sys.stderr, flush=True)
    return figures
