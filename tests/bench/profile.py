# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where the instructions of a request go, by function: each that the emulated CPU executes is
logged for a while, and found in the symbols of Xen, the kernels and the programs.

Guest and dom0 run the same kernel at the same addresses. Whose turn it is changes only where Xen
switches vCPUs, so each stretch between two switches belongs to the one whose functions it shows.
"""

import bisect
import re
import socket
import time
from collections import Counter

from labkit import program
from labkit.domu import Disk, Guest
from labkit.ui import LabError, check

from .measure import GUEST_IO, IMAGE, configure, make_image

NM = "aarch64-linux-gnu-nm"
KERNEL_START = 0xffff_0000_0000_0000
PROGRAM_COUNTER = re.compile(rb"^Trace \d+: \S+ \[[0-9a-f]+/([0-9a-f]+)/", re.M)
# Of the emulating machine, which logs a million lines a second.
SETTLE_SECONDS, WINDOW_SECONDS = 20, 6
STARTED = "guest: reads"
FUNCTIONS = 12  # that are named
# Functions that only one side calls in a request, in the kernel that both run.
DOM0_ONLY = re.compile(r"evtchn_|privcmd_|eventfd_|ep_|do_epoll|irqfd_|ioeventfd_|io_uring")
GUEST_ONLY = re.compile(r"virtblk_|virtio_queue_rq|vm_notify|vm_interrupt|virtqueue_|blkdev_")
SWITCH, REQUEST = "__context_switch", "virtio_queue_rq"


class Symbols:
    """Functions by address."""

    def __init__(self, text, base=0):
        found = sorted((int(address, 16) + base, name) for address, kind, name in
                       re.findall(r"^([0-9a-f]+) (\w) (\S+)", text, re.M)
                       if kind in "tTwW" and not name.startswith(("$", ".L")))
        self.addresses = [address for address, _ in found]
        self.names = [name for _, name in found]

    def find(self, address):
        """The function that an address is in."""
        index = bisect.bisect_right(self.addresses, address) - 1
        return self.names[index] if index >= 0 else "?"

    def start(self, name):
        """A function's address."""
        return self.addresses[self.names.index(name)]


class Machine:
    """All that runs: which program, and which of its functions, an address belongs to."""

    def __init__(self, host, guest):
        self.host = host
        xen = host.lab.state["xen"]
        with open(f"{xen}/symbols", encoding="ascii") as file:
            self.xen = Symbols(file.read())
        self.kernel = Symbols(host.check("cat /proc/kallsyms"))
        self.maps = []
        for unit, pid in guest.pids().items():
            self._add_program("frontend" if "-frontend@" in unit else "backend", pid)
        self._found = {}

    def _add_program(self, role, pid):
        for start, end, offset, path in re.findall(
                r"^([0-9a-f]+)-([0-9a-f]+) r-xp ([0-9a-f]+) \S+ \d+ +(\S+)",
                self.host.check(f"cat /proc/{pid}/maps"), re.M):
            start, end, offset = (int(number, 16) for number in (start, end, offset))
            name = path.rpartition("/")[2]
            symbols = None
            if name == "xen-virtio-frontend":
                self.host.check(f"cp {path} /mnt/lab/{name}")
                text = check(NM, "--defined-only", self.host.lab.share / name).decode()
                symbols = Symbols(text, start - offset)
            self.maps.append((start, end, role, name, symbols))

    def find(self, address):
        """(who, function) of an address; "kernel" is dom0's or the guest's."""
        if address not in self._found:
            self._found[address] = self._look(address)
        return self._found[address]

    def _look(self, address):
        if address >= KERNEL_START:
            return "kernel", self.kernel.find(address)
        if self.xen.addresses[0] <= address <= self.xen.addresses[-1]:
            return "Xen", self.xen.find(address)
        for start, end, role, name, symbols in self.maps:
            if start <= address < end:
                return role, symbols.find(address) if symbols else name
        return "guest's program", "-"


def _trace(lab):
    """The addresses of all instructions executed in a while."""
    path = lab.folder / "trace"
    with socket.socket(socket.AF_UNIX) as monitor:
        monitor.connect(str(lab.folder / "monitor"))
        for line in (f"logfile {path}", "singlestep on", "log exec,nochain"):
            monitor.sendall(line.encode() + b"\n")
        time.sleep(WINDOW_SECONDS)
        for line in ("log none", "singlestep off", "info status"):
            monitor.sendall(line.encode() + b"\n")
        monitor.settimeout(60)
        answer = b""
        while b"VM status" not in answer:
            answer += monitor.recv(4096)
    addresses = [int(found, 16) for found in PROGRAM_COUNTER.findall(path.read_bytes())]
    path.unlink()
    return addresses


def _side(stretch):
    """Whose kernel runs in a stretch between two switches, by who it shows."""
    for who, function in stretch:
        if who == "guest's program" or (who == "kernel" and GUEST_ONLY.match(function)):
            return "guest's kernel"
        if who in ("frontend", "backend") or (who == "kernel" and DOM0_ONLY.match(function)):
            return "dom0's kernel"
    return "a kernel"


def count(machine, addresses):
    """Instructions by (who, function) of one request, and how many requests were looked at."""
    first_of_request = machine.kernel.start(REQUEST)
    marks = [n for n, address in enumerate(addresses) if address == first_of_request]
    if len(marks) < 3:
        raise LabError(f"only {len(marks)} requests in {len(addresses)} instructions")
    counts, stretch = Counter(), Counter()
    switch = machine.xen.start(SWITCH)
    for address in addresses[marks[0]:marks[-1]]:
        if address == switch:
            _settle(stretch, counts)
        stretch[machine.find(address)] += 1
    _settle(stretch, counts)
    requests = len(marks) - 1
    return {key: n / requests for key, n in counts.items()}, requests


def _settle(stretch, counts):
    side = _side(stretch)
    for (who, function), n in stretch.items():
        counts[side if who == "kernel" else who, function] += n
    stretch.clear()


def profile(host, way, path):
    """Instructions of a 4 KiB read at depth 1 by (who, function), and how many were looked at."""
    guest_io = program.build(GUEST_IO, host.lab.folder).read_bytes()
    make_image(host)
    configure(host, way, path)
    # Until long after the trace: the guest is destroyed while it reads.
    script = f'echo "{STARTED}"\nsleep 3\n/guest-io /dev/vda read 4096 1 1000000\n'
    guest = Guest(host, "profiled", [Disk(IMAGE)], script, memory=192,
                  files={"guest-io": guest_io})
    guest.create()
    guest.wait_for(STARTED)
    machine = Machine(host, guest)
    time.sleep(SETTLE_SECONDS)
    result = count(machine, _trace(host.lab))
    guest.destroy()
    return result


def table(result):
    """Who executes how many instructions, and in which functions most of them, in Markdown."""
    counts, requests = result
    sums = Counter()
    for (who, _), n in counts.items():
        sums[who] += n
    lines = [f"| mean of {requests} requests | {sum(sums.values()):,.0f} | |", "|---|--:|---|"]
    for who, total in sums.most_common():
        largest = sorted(((n, function) for (whose, function), n in counts.items()
                          if whose == who), reverse=True)[:FUNCTIONS]
        lines.append(f"| {who} | {total:,.0f} | " + ", ".join(
            f"{function} {n:,.0f}" for n, function in largest if n >= 1) + " |")
    return "\n".join(lines)
