# SPDX-License-Identifier: LGPL-2.1-or-later
"""A host whose systemd is real: this machine's own, as process 1 of namespaces, with our units.

Its root is made of nothing: programs are the machine's, read-only; all that may be written is a
tmpfs or a folder of the test's. None of the machine's units is there, so that no other service
starts. xenstored, Xen and the toolstack are those of host.py and xen.py.
"""

import contextlib
import functools
import os
import selectors
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path

from sim.guest import Disk
from sim.host import CLOSED, CLOSING, Guest, wait
from sim.memory import MIB
from sim.slack import has_passed, slack
from sim.xen import BASE, IRQ, RANGE_SIZE, Xen
from sim.xenstore import DEADLINE, Toolstack, Xenstored

MEMORY_SIZE = 256 * MIB  # as Guest has it in xenstore
KIND = "virtio_disk"
INSTANCE = "5-disk-51712"
SYSTEMD = "/usr/lib/systemd/systemd"
NAMESPACES = ["unshare", "--mount", "--pid", "--net", "--ipc", "--uts", "--fork", "--kill-child"]
# What systemd itself needs, instead of the machine's.
TARGETS = {
    "sysinit.target": "DefaultDependencies=no\n",
    "basic.target": "DefaultDependencies=no\nRequires=sysinit.target\nAfter=sysinit.target\n",
    "shutdown.target": "DefaultDependencies=no\n",
    "default.target": "Requires=basic.target\nAfter=basic.target\nWants=xen-virtiod.service\n",
}
SYSTEM_CONF = """[Manager]
DefaultEnvironment=XENSTORED_PATH=/run/xenstored/socket XEN_VIRTIO_SIM_XEN=/srv/xen
"""
# All that is changed of a unit: Xen, which the daemon claims ranges from, is a folder here.
DAEMON_CONF = "[Service]\nReadWritePaths=/srv/xen\n"
# Stands for the frontend: gets its guest from the test, then is the simulation's build of it.
FRONTEND = """#!/usr/bin/python3 -IS
import os, socket, sys
if "--reload" not in sys.argv:
    with socket.socket(socket.AF_UNIX) as guest:
        guest.connect("/srv/guests")
        guest.sendall(sys.argv[1].encode())
        names, fds, _, _ = socket.recv_fds(guest, 4096, 16)
    for fd in fds:
        os.set_inheritable(fd, True)
    pairs = [f"{name}:{fd}" for name, fd in zip(names.decode().split(), fds)]
    os.environ["XEN_VIRTIO_SIM"] = ",".join([*pairs, "vcpus:1"])
os.execv(sys.argv[0] + "-sim", sys.argv)
"""
# Arguments: the control group, which the second shell sees as the root of all; what that one runs,
# and its argument.
JOIN = 'echo 0 >"$1/cgroup.procs"; exec unshare --cgroup sh -ec "$2" - "$3"'
ROOT = """
mount -t tmpfs -o mode=0755 none "$1/root"
cd "$1/root"
mkdir -p dev etc home proc root run srv sys tmp usr var/tmp old
ln -s usr/bin usr/lib usr/lib64 usr/sbin .
ln -s /run var/run
mount --bind /usr usr
mount -o remount,bind,ro usr
mount --bind "$1/tree/usr/local" usr/local
mount --bind "$1/units" usr/lib/systemd/system
mount -t tmpfs none usr/lib/systemd/system-generators
mount -t tmpfs -o mode=0755 none run
mkdir -p run/systemd/journal run/xenstored
mount --bind "$1/journal" run/systemd/journal
mount --bind "$1/xenstored" run/xenstored
mount --bind "$1/srv" srv
mount -t tmpfs -o mode=1777 none tmp
mount -t tmpfs -o mode=1777 none var/tmp
# systemd mounts the machine's own /dev if this is no mount.
mount -t tmpfs -o mode=0755 none dev
mkdir dev/xen
for name in full null random tty urandom zero; do
    : >dev/$name
    mount --bind /dev/$name dev/$name
done
for name in evtchn gntdev hypercall privcmd xenbus; do
    mknod dev/xen/$name c 1 3
done
ln -s pts/ptmx dev/ptmx
: >dev/kmsg
mount --bind "$1/kmsg" dev/kmsg
cp -L /etc/group /etc/ld.so.cache /etc/nsswitch.conf /etc/passwd etc
mkdir etc/systemd
cp "$1/system.conf" etc/systemd
echo 5eed5eed5eed5eed5eed5eed5eed5eed >etc/machine-id
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
pivot_root . old
umount -l old
rmdir old
exec env -i container=other PATH=/usr/sbin:/usr/bin """ + SYSTEMD + """ \\
    --system --show-status=no --log-target=kmsg
"""


def cgroups():
    """Where the machine has its unified control groups; None if it has none."""
    with open("/proc/mounts", encoding="utf-8") as mounts:
        found = [line.split()[1] for line in mounts if line.split()[2] == "cgroup2"]
    return Path(found[0]) if found else None


@functools.cache
def can_boot():
    """Whether namespaces and a control group can be had."""
    if not cgroups():
        return False
    group = cgroups() / f"xen-virtio-probe-{os.getpid()}"
    try:
        group.mkdir()
    except OSError:
        return False
    result = subprocess.run([*NAMESPACES, "sh", "-ec", JOIN, "-", str(group),
                             "mount -t proc proc /proc; mount -t cgroup2 cgroup2 /sys", "-"],
                            stderr=subprocess.DEVNULL)
    remove(group)
    return result.returncode == 0


def remove(group):
    """Removes the control group, when the last process in it is gone."""
    wait(lambda: "populated 0" in (group / "cgroup.events").read_text())
    for path, _, _ in os.walk(group, topdown=False):
        os.rmdir(path)


class Log:
    """Plays the kernel's log, where systemd speaks, and the journal, where the programs do."""

    def __init__(self, folder):
        self.text = ""
        self._selector = selectors.DefaultSelector()
        os.mkfifo(folder / "kmsg")
        self._add(os.open(folder / "kmsg", os.O_RDWR | os.O_NONBLOCK), os.read)
        (folder / "journal").mkdir()
        for kind, name in ((socket.SOCK_DGRAM, "socket"), (socket.SOCK_STREAM, "stdout")):
            listener = socket.socket(socket.AF_UNIX, kind)
            listener.bind(str(folder / "journal" / name))
            (folder / "journal" / name).chmod(0o666)
            if kind == socket.SOCK_STREAM:
                listener.listen(64)
            self._add(listener.detach(), os.read if kind == socket.SOCK_DGRAM else self._accept)
        self._end = os.pipe()
        self._selector.register(self._end[0], selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _add(self, fd, read):
        self._selector.register(fd, selectors.EVENT_READ, read)

    def _accept(self, fd, _size):
        with socket.socket(fileno=os.dup(fd)) as listener:
            connection, _ = listener.accept()
        self._add(connection.detach(), os.read)
        return b"\n"

    def _serve(self):
        while True:
            for key, _ in self._selector.select():
                if not key.data:
                    return
                data = key.data(key.fd, 65536)
                self.text += data.decode(errors="replace")
                if not data:
                    self._close(key.fd)

    def _close(self, fd):
        self._selector.unregister(fd)
        os.close(fd)

    def stop(self):
        """Nobody listens any more."""
        os.close(self._end[1])
        self._thread.join()
        for fd in list(self._selector.get_map()):
            self._close(fd)


class Systemd:
    """The process, its control groups, and what it and its units say."""

    def __init__(self, folder):
        self.group = cgroups() / f"xen-virtio-test-{os.getpid()}"
        self.group.mkdir()
        self._log = Log(folder)
        # It dies with the test, however that ends.
        self._process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *NAMESPACES, "sh", "-ec", JOIN, "-", str(self.group),
             ROOT, str(folder)], stdin=subprocess.DEVNULL)

    @property
    def log(self):
        """All that it has said, and all units."""
        return self._log.text

    def wait_for(self, text):
        """Waits until somebody has said this."""
        start = time.monotonic()
        while text not in self.log:
            assert not has_passed(start, DEADLINE) and self._process.poll() is None, self.log
            time.sleep(0.005)

    @property
    def pid(self):
        """Its process, the only child of the one that made its namespaces."""
        parent = self._process.pid
        return int(Path(f"/proc/{parent}/task/{parent}/children").read_text())

    @property
    def run(self):
        """Its /run."""
        return Path(f"/proc/{self.pid}/root/run")

    def _ctl(self, *arguments):
        return subprocess.run(
            ["nsenter", "--all", f"--target={self.pid}", "systemctl", *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=DEADLINE * slack())

    def ctl(self, *arguments):
        """What systemctl says."""
        result = self._ctl(*arguments)
        assert result.returncode == 0, result.stdout + self.log
        return result.stdout

    def execute_again(self):
        """As after an upgrade: its private socket is another one."""
        self.ctl("daemon-reexec")
        wait(lambda: self._ctl("show").returncode == 0)

    def show(self, unit, *names):
        """These properties of a unit."""
        lines = self.ctl("show", f"--property={','.join(names)}", unit).splitlines()
        return dict(line.split("=", 1) for line in lines)

    def units(self):
        """The units of devices that it knows in any state."""
        lines = self.ctl("list-units", "--all", "--plain", "--no-legend", "xen-virtio*")
        return {line.split()[0] for line in lines.splitlines()} - {
            "xen-virtiod.service", "xen-virtio.slice"}

    def processes(self, unit):
        """The processes of a unit, as this machine numbers them."""
        pids = []
        for path in self.group.glob(f"**/{unit}/**/cgroup.procs"):
            with contextlib.suppress(OSError):  # it has just gone
                pids += [int(line) for line in path.read_text().splitlines()]
        return pids

    def stop(self):
        """It and all in it are gone."""
        self._process.kill()
        self._process.wait()
        remove(self.group)
        self._log.stop()


class Guests:
    """Gives each frontend that starts what of its guest it would open."""

    def __init__(self, path):
        self.xens = {}  # by instance
        self._refusals = 0
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def refuse(self, n_times):
        """The next ones get nothing, as if Xen did not know their IOREQ server."""
        self._refusals = n_times

    def _serve(self):
        while True:
            try:
                frontend, _ = self._listener.accept()
            except OSError:  # it was shut down
                return
            with frontend:
                xen = self.xens[frontend.recv(256).decode()]
                ends = {} if self._refusals else xen.plug()
                self._refusals -= bool(self._refusals)
                socket.send_fds(frontend, [" ".join(ends).encode() or b" "], list(ends.values()))
            for fd in ends.values():
                os.close(fd)

    def stop(self):
        """Nobody asks any more."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        for xen in set(self.xens.values()):
            xen.close()


def disk(number):
    """The number of a disk as Linux and libxl count: xvda, xvdb, ..."""
    return 51712 + 16 * number


class BootedHost:
    """All parts together."""

    def __init__(self, build, folder, settings=()):
        self.folder = folder
        self.domains = folder / "srv/xen"
        for name in ("root", "xenstored", "srv/xen", "units/xen-virtiod.service.d"):
            (folder / name).mkdir(parents=True)
        self._install(build, settings)
        sim = build.path / "tests/sim"
        self.guests = Guests(folder / "srv/guests")
        self.xenstored = Xenstored(sim / "libxen-virtio-xenstored-stub.so",
                                   folder / "xenstored", self.domains)
        self.toolstack = Toolstack(self.xenstored.path)
        self.systemd = Systemd(folder)

    def _install(self, build, settings):
        """As "meson install" does it, with the simulation's programs in the place of two."""
        folder, tree = self.folder, self.folder / "tree"
        subprocess.run(["meson", "install", "-C", str(build.path), "--no-rebuild", "--quiet",
                        f"--destdir={tree}"], check=True, stdout=subprocess.DEVNULL)
        (unit_folder,) = tree.glob("**/systemd/system")
        shutil.copytree(unit_folder, folder / "units", dirs_exist_ok=True)
        for name, text in TARGETS.items():
            (folder / "units" / name).write_text(f"[Unit]\n{text}")
        (folder / "units/xen-virtiod.service.d/simulation.conf").write_text(DAEMON_CONF)
        (folder / "system.conf").write_text(SYSTEM_CONF)
        configuration = tree / "usr/local/etc/xen-virtio/xen-virtio.conf"
        configuration.parent.mkdir(parents=True)
        configuration.write_text("\n".join(["[Daemon]", *settings, ""]))
        programs = tree / "usr/local/libexec/xen-virtio"
        sim = build.path / "tests/sim"
        shutil.copy(sim / "xen-virtiod-sim", programs / "xen-virtiod")
        shutil.copy(sim / "xen-virtio-frontend-sim", programs / "xen-virtio-frontend-sim")
        (programs / "xen-virtio-frontend").write_text(FRONTEND)

    def guest(self, domid):
        """A domain."""
        return Guest(self, domid)

    def image(self, number=0):
        """A disk's image."""
        return self.folder / f"srv/disk-{number}"

    def add_disk(self, guest, number=0, instance=None):
        """Adds a disk of random bytes, whose frontend is this instance, or one of its own.

        Returns its driver.
        """
        devid = disk(number)
        self.image(number).write_bytes(os.urandom(MIB))
        base, irq = BASE + RANGE_SIZE * number, IRQ + number
        instance = instance or f"{guest.domid}-disk-{devid}"
        xen = self.guests.xens.get(instance) or Xen(MEMORY_SIZE)
        xen.interrupts_of[irq] = 0
        self.guests.xens[instance] = xen
        nodes = {"frontend": f"{guest.home}/device/virtio_disk/{devid}",
                 "frontend-id": guest.domid, "online": 1, "state": 1, "irq": irq, "base": base,
                 "type": "standalone", "specification": "virtio", "transport": "mmio",
                 "grant_usage": 0, "params": f"/srv/{self.image(number).name}", "mode": "w",
                 "device-type": "disk", "dev": f"xvd{'abc'[number]}"}
        self.toolstack.write({f"{guest.path(devid, KIND)}/{name}": value
                              for name, value in nodes.items()})
        return Disk(xen, 0, base, irq)

    def wait_state(self, guest, state, number=0):
        """Waits until the disk is in this state."""
        path = f"{guest.path(disk(number), KIND)}/state"
        try:
            wait(lambda: self.toolstack.text(path) == str(state))
        except AssertionError as error:
            raise AssertionError(self.systemd.log) from error

    def remove_disk(self, guest, number=0):
        """Removes it, as libxl does."""
        path = guest.path(disk(number), KIND)
        self.toolstack.write({f"{path}/online": 0, f"{path}/state": CLOSING})
        self.wait_state(guest, CLOSED, number)
        self.toolstack.remove(path)

    def stop(self):
        """Ends all."""
        for part in (self.toolstack.close, self.systemd.stop, self.xenstored.stop,
                     self.guests.stop):
            part()
