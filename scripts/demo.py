# SPDX-License-Identifier: LGPL-2.1-or-later
"""Shows what xen-virtio does: boots a real Xen host under emulation, and lets a guest use a disk,
a folder of the host's and a network card through it. Tells the story as it goes, and ends with
"demo: PASS", or says what failed."""

import argparse
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent
sys.path.insert(0, str(SCRIPTS))

from labkit import domu  # noqa: E402  (found through the line above)
from labkit.client import Lab  # noqa: E402
from labkit.host import Host  # noqa: E402
from labkit.ui import LabError  # noqa: E402

LAB = "demo"
GUEST = "guest1"
FOLDER = "/srv/guest1"
HOST, PORT = "192.0.2.1", 8000  # dom0's 127.0.0.1, as the guest sees it

SETTINGS = """\
virtio = [
    "type=virtio,device1a,transport=mmio",
    "type=virtio,device1,transport=mmio"
]
"""
GUEST_FILE = f"""\
[fs]
shared_dir={FOLDER}
tag=data
[net]
host_loopback={HOST}
"""

# passt gives the guest the address of the interface that has the default route.
PREPARE_HOST = f"""\
mkdir -p /etc/xen-virtio/guests && cp /mnt/lab/guest-file /etc/xen-virtio/guests/{GUEST}.conf &&
mkdir -p {FOLDER} && cd {FOLDER} && head -c 1000000 /dev/urandom > large && seq 1000 > numbers &&
sha256sum large numbers > SUMS &&
ip route replace default via 10.0.2.2 dev eth0 &&
systemd-run -q -u demo-web busybox httpd -f -p 127.0.0.1:{PORT} -h {FOLDER}
"""

LEASE = b"""\
#!/bin/busybox sh
[ "$1" = bound ] || exit 0
ip addr add "$ip/$mask" dev "$interface" && ip link set "$interface" mtu "$mtu" &&
    ip route add default via "$router"
"""

GUEST_SCRIPT = f"""\
mkdir -p /mnt/disk
mount -t ext4 /dev/vda /mnt/disk || exit 1
cd /mnt/disk
echo "guest: /dev/vda is mounted, $(ls file* | wc -l) files are on it"
sha256sum -c SUMS || exit 1
mkdir guest
for i in 1 2 3; do dd if=/dev/urandom of=guest/file$i bs=100000 count=5 conv=fsync || exit 1; done
sha256sum guest/* > GUEST_SUMS
cd / && umount /mnt/disk
echo "guest: wrote three files of 500000 bytes, each with fsync, and unmounted"

mkdir -p /mnt/data
mount -t virtiofs data /mnt/data || exit 1
cd /mnt/data
echo "guest: the host's folder is mounted, with $(ls | wc -l) files"
sha256sum -c SUMS || exit 1
echo "written by the guest" > from-guest && cp large copy && sync || exit 1
cd / && umount /mnt/data
echo "guest: wrote two files there, and unmounted"

ip link set eth0 up
udhcpc -i eth0 -s /lease.sh -n -q || exit 1
echo "guest: got the address $(ip -4 -o addr show eth0 | cut -d ' ' -f 7)"
cd /tmp
for file in large numbers SUMS; do wget -q http://{HOST}:{PORT}/$file || exit 1; done
echo "guest: fetched three files from the host's web server"
sha256sum -c SUMS || exit 1
"""

# What the journal tells of a device, and the names of these messages.
STEPS = (
    ("node seen", "LOG_ID_DEVICE_SEEN"),
    ("MMIO range claimed", "LOG_ID_DEVICE_CLAIMED"),
    ("backend answering", "LOG_ID_BACKEND_ANSWERED"),
    ("ready, xl create goes on", "LOG_ID_DEVICE_READY"),
    ("guest's driver up", "LOG_ID_DRIVER_READY"),
    ("guest's first request", "LOG_ID_FIRST_REQUEST"),
    ("device gone", "LOG_ID_DEVICE_GONE"),
)


def title(text):
    """A new chapter."""
    print(f"\n\033[1m== {text}\033[0m" if sys.stdout.isatty() else f"\n== {text}", flush=True)


def show(text):
    """Something that somebody else wrote."""
    for line in text.rstrip().splitlines():
        print(f"    {line}", flush=True)


def prepare():
    """Installs what is missing, builds and boots the lab, and installs this checkout in it."""
    title("Preparing: packages, Xen, kernel, dom0 (the first time takes a while)")
    subprocess.run([SCRIPTS / "setup", "build", "lab"], check=True)
    subprocess.run([SCRIPTS / "lab", "build", "--kernel", "lab"], check=True,
                   stdout=subprocess.DEVNULL)
    subprocess.run([SCRIPTS / "lab", "stop", "--name", LAB], check=True, stdout=subprocess.DEVNULL)
    title("Booting a Xen host, and installing xen-virtio there")
    # Instructions count, not time: no deadline of libxl passes because the machine is busy.
    subprocess.run([SCRIPTS / "lab", "boot", "--name", LAB, "--exact"], check=True)
    subprocess.run([SCRIPTS / "lab", "install", "--name", LAB], check=True)


class Observer(threading.Thread):
    """Looks at xenstore and systemd while the guest is being created, and keeps what it saw."""

    def __init__(self, host):
        super().__init__(daemon=True)
        self._host = host
        self.nodes = ""
        self.units = ""

    def run(self):
        """Takes the disk's nodes and all units once the devices are served."""
        self._host.wait("[ $(systemctl list-units --plain --no-legend --state=active "
                        "'xen-virtio-frontend@*' | wc -l) = 3 ]", 60)
        self.nodes = self._host.check(
            f"xenstore-ls /local/domain/0/backend/virtio_disk/$(xl domid {GUEST})")
        self.units = self._host.check(
            "systemctl list-units --plain --no-legend 'xen-virtio-*' | cut -c 1-100; "
            "systemd-cgls --no-pager -u xen-virtio.slice || true")


def message_ids():
    """The MESSAGE_IDs by the names that the source gives them."""
    header = (SCRIPTS.parent / "common/log.h").read_text(encoding="utf-8")
    return dict(re.findall(r'#define (LOG_ID_\w+)\s+"(\w+)"', header))


def step_times(host, device):
    """When each step of a device's life happened, in milliseconds after the first."""
    ids = message_ids()
    times = []
    start = None
    for what, name in STEPS:
        line = host.run(f"journalctl -o short-monotonic --no-pager MESSAGE_ID={ids[name]} "
                        f"VIRTIO_DEVICE={device} | head -1").output
        found = re.match(r"\[\s*([0-9.]+)\]", line)
        if not found:
            raise RuntimeError(f"the journal does not tell of {device}: {what}")
        at = float(found.group(1))
        start = at if start is None else start
        # Where the message has the time itself, it is better than journald's.
        said = re.search(r"([0-9.]+) ms after the node was seen", line)
        times.append(float(said.group(1)) if said else (at - start) * 1000)
    return times


def show_times(host, domid):
    """The times of all devices, side by side."""
    devices = {"disk": "disk-51712", "fs": "virtio-0", "net": "virtio-1"}
    columns = [step_times(host, f"{domid}-{device}") for device in devices.values()]
    print("    " + "".join(f"{kind:>10}" for kind in devices) + "  ms")
    for (what, _), *times in zip(STEPS, *columns, strict=True):
        print("    " + "".join(f"{time:10.1f}" for time in times) + f"  {what}")


def make_guest(host):
    """The guest with its disk, folder and network card, and what they have on the host's side."""
    (host.lab.share / "guest-file").write_text(GUEST_FILE, encoding="utf-8")
    host.check(PREPARE_HOST)
    disk = domu.make_disk(host, GUEST)
    return disk, domu.Guest(host, GUEST, [disk], GUEST_SCRIPT, files={"lease.sh": LEASE},
                            settings=SETTINGS)


def story(host):
    """The main job."""
    title("A disk with three files and a folder with two, whose checksums are known")
    disk, guest = make_guest(host)
    show(host.check(f"debugfs -R 'cat SUMS' {disk.path} 2>/dev/null; cat {FOLDER}/SUMS"))
    title("The guest's configuration: xl.cfg, and its file in /etc/xen-virtio/guests")
    show(guest.text)
    show(GUEST_FILE)

    title("xl create")
    observer = Observer(host)
    observer.start()
    print(f"    took {guest.create():.2f} s")
    observer.join()
    print("  the disk's nodes in xenstore, written by xl, state 2 by us:")
    show(observer.nodes)
    print("  units that xen-virtiod started:")
    show(observer.units)

    title("What the guest saw and wrote (its console)")
    guest.wait_for("lab-guest: /guest.sh ended")
    guest.wait_gone()
    console = guest.console()
    show("\n".join(line for line in console.splitlines()
                   if "guest:" in line or ": OK" in line or "FAILED" in line))
    if "ended with status 0" not in console:
        raise RuntimeError("the guest failed")

    title("dom0 looks at the image and the folder")
    domu.check_image(host, disk, "sha256sum -c --quiet SUMS GUEST_SUMS && ls -l guest")
    print("    e2fsck finds it clean; the guest's files are there, and all sums are right")
    show(host.check(f"cd {FOLDER} && cmp large copy && cat from-guest && ls -l"))

    title("Times, each instruction of the emulated machine being a nanosecond")
    show_times(host, guest.created)

    title("What is left of the devices")
    host.expect_clean()
    print("    nothing: no unit, process, socket, folder, node or domain")


def main():
    """Tells the story; returns the exit status."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the lab running afterwards: "
                        f"scripts/lab shell --name {LAB}")
    arguments = parser.parse_args()
    started = time.monotonic()
    try:
        prepare()
        story(Host(Lab(LAB), "lab"))
    except (subprocess.CalledProcessError, LabError, RuntimeError, OSError) as error:
        print(f"\ndemo: FAIL: {error}")
        print("  build logs: ~/.cache/xen-virtio-lab/log; "
              f"dom0's journal: scripts/lab run --name {LAB} journalctl")
        return 1
    if not arguments.keep:
        subprocess.run([SCRIPTS / "lab", "stop", "--name", LAB], check=True,
                       stdout=subprocess.DEVNULL)
    print(f"\ndemo: PASS ({time.monotonic() - started:.0f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
