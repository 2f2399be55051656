# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a folder and a network card carry: for a Xen guest by our frontends, and for a virtual
machine of QEMU and KVM, which speaks to the same backends itself. Kernels, initramfs, and what the
guest does are the same; the plain machine's host is dom0's Linux without Xen."""

import re
import statistics
import sys
from pathlib import Path

from lab import examples
from labkit import program
from labkit.domu import COMMAND_LINE, Guest
from labkit.ui import LabError

from .measure import wait_for_end

STREAM = Path(__file__).resolve().parents[1] / "lab/stream.c"
# Of the guest: two backends map it, and dom0's kernel has addresses for 896 MiB.
MEMORY_MIB = 240
ROUNDS = 5
FOLDER_MIB, CARD_MIB = 128, 64
# As in the examples of docs/devices.
FOLDER, TAG, MAC, MTU, LOOPBACK = "/srv/guest1", "data", "00:16:3e:5a:00:01", 9000, "192.0.2.1"
ADDRESS, ROUTER = "10.0.2.15", "10.0.2.2"  # of the emulated host, and so of its guests
DOWN, UP = 7000, 7001
TRANSFERS = ("folder: write, flushed", "read", "card: to the guest", "from the guest")
KERNEL = "stock"

# Nothing is said before the end: a line on the console is work, too. The first round does not
# count: a plain machine gets its memory only when it touches it.
SCRIPT = f"""\
fail() {{ echo "guest: FAILED $*"; exit 1; }}
timed() {{
    read -r start _ < /proc/uptime
    "$@" 2> /tmp/said || fail "$*: $(cat /tmp/said)"
    read -r end _ < /proc/uptime
    echo "$start $end" >> /tmp/figures
}}
get() {{ /stream tcp {LOOPBACK} {DOWN} < /dev/null > /tmp/got; }}
put() {{ /stream tcp {LOOPBACK} {UP} < /tmp/got > /dev/null; }}
mkdir -p /mnt/data && mount -t virtiofs {TAG} /mnt/data || fail mount
ip addr add {ADDRESS}/24 dev eth0 && ip link set eth0 mtu {MTU} up &&
    ip route add default via {ROUTER} || fail network
sleep 3
for round in $(seq 0 {ROUNDS}); do
    [ $round = 1 ] && rm /tmp/figures
    timed dd if=/dev/zero of=/mnt/data/big bs=1M count={FOLDER_MIB} conv=fsync
    echo 3 > /proc/sys/vm/drop_caches
    timed dd if=/mnt/data/big of=/dev/null bs=1M
    rm /mnt/data/big
    timed get
    timed put
    [ $(wc -c < /tmp/got) = {CARD_MIB << 20} ] || fail "what was got"
done
echo "bench:" $(cat /tmp/figures)
"""

# virtiofsd and passt as their users start them, with what our profiles and examples say besides.
PLAIN_BACKENDS = {
    "fs": "/usr/libexec/virtiofsd --socket-path=/run/bench-fs --cache=auto "
          f"--shared-dir={FOLDER}",
    "net": f"passt --foreground --vhost-user --socket-path=/run/bench-net --mtu={MTU} "
           f"--map-host-loopback={LOOPBACK} --tcp-ports=none --udp-ports=none"}


class PlainGuest(Guest):
    """A guest of QEMU and KVM; its devices are on a bus of QEMU's: "pci" or "mmio"."""

    def __init__(self, host, name, script, bus, **options):
        super().__init__(host, name, [], script, **options)
        self._bus = bus

    def create(self, timeout=60):
        """Starts backends and QEMU; returns at once."""
        for kind, command in PLAIN_BACKENDS.items():
            self.host.check(f"systemd-run -q -u bench-{kind} {command}")
            self.host.wait(f"[ -S /run/bench-{kind} ]", timeout)
        self.host.check(f"systemd-run -q -u bench-machine {' '.join(self._command())}")

    def _command(self):
        fs, net = {"pci": ("vhost-user-fs-pci", "virtio-net-pci,romfile="),
                   "mmio": ("vhost-user-fs-device", "virtio-net-device")}[self._bus]
        return [
            "qemu-system-aarch64", "-nodefaults", "-display", "none", "-smp", "1",
            "-M", "virt,gic-version=3,memory-backend=memory", "-accel", "kvm", "-cpu", "host",
            "-m", str(MEMORY_MIB), "-object",
            f"memory-backend-memfd,id=memory,size={MEMORY_MIB}M,share=on",
            "-global", "virtio-mmio.force-legacy=false",
            "-kernel", f"{self.files}/kernel", "-initrd", f"/srv/guests/{self.name}.initrd",
            "-append", f"'{COMMAND_LINE}'", "-device", "virtio-serial-pci",
            "-chardev", f"file,id=console,path={self.log}",
            "-device", "virtconsole,chardev=console",
            "-chardev", "socket,id=fs,path=/run/bench-fs",
            "-device", f"{fs},chardev=fs,tag={TAG}",
            "-chardev", "socket,id=net,path=/run/bench-net",
            "-netdev", "vhost-user,id=card,chardev=net",
            "-device", f"{net},netdev=card,mac={MAC}"]


def prepare(host):
    """A folder in memory, a default route, somebody who sends and somebody who takes."""
    server = "systemd-run -q -u bench-{} socat {} TCP-LISTEN:{},fork,reuseaddr {}"
    host.check(f"mkdir -p {FOLDER} && mount -t tmpfs bench {FOLDER} && "
               f"ip route add default via {ROUTER} dev eth0 && "
               f"head -c {CARD_MIB}M /dev/urandom > /tmp/down && "
               + server.format("down", "-U", DOWN, "FILE:/tmp/down") + " && "
               + server.format("up", "-u", UP, "OPEN:/dev/null"))


def measure(host, guest):
    """MB/s of each transfer, by the guest's clock: the median of the rounds."""
    guest.create()
    wait_for_end(host, guest)
    found = re.search(r"bench: ([\d. ]+)", guest.console())
    if not found:
        raise LabError(f"the guest failed:\n{guest.console()}")
    times = [float(word) for word in found[1].split()]
    seconds = [end - start for start, end in zip(times[::2], times[1::2], strict=True)]
    sizes = (FOLDER_MIB, FOLDER_MIB, CARD_MIB, CARD_MIB)
    return [size * 1.048576 / statistics.median(seconds[kind::len(sizes)])
            for kind, size in enumerate(sizes)]


def show(row, speeds):
    """Says how far it is."""
    print(f"{row}: {[f'{speed:.0f} MB/s' for speed in speeds]}", file=sys.stderr, flush=True)
    return speeds


def _options(host):
    stream = program.build(STREAM, host.lab.folder).read_bytes()
    return {"kernel": KERNEL, "memory": MEMORY_MIB, "files": {"stream": stream}}


def xen_rows(host):
    """The figures of a Xen guest."""
    prepare(host)
    guest = examples.make_guest(host, ["fs", "net"], SCRIPT, **_options(host))
    return {"Xen": show("Xen", measure(host, guest))}


def plain_rows(host):
    """Those of plain machines, by their bus."""
    prepare(host)
    figures = {}
    for bus, name in {"pci": "KVM, virtio-pci", "mmio": "KVM, virtio-mmio"}.items():
        guest = PlainGuest(host, f"plain-{bus}", SCRIPT, bus, **_options(host))
        figures[name] = show(name, measure(host, guest))
        host.check("systemctl stop bench-machine bench-fs bench-net; "
                   "rm -f /run/bench-fs* /run/bench-net*")
    return figures


def table(figures):
    """A table in Markdown."""
    lines = ["| | " + " | ".join(TRANSFERS) + " |", "|---|" + "--:|" * len(TRANSFERS)]
    lines += [f"| {row} | " + " | ".join(f"{speed:.0f} MB/s" for speed in speeds) + " |"
              for row, speeds in figures.items()]
    return "\n".join(lines)
