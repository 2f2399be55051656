# SPDX-License-Identifier: LGPL-2.1-or-later
"""A host: all of xen-virtiod, with a real xenstored, a hypervisor and a systemd that are made up.

The daemon has a mount namespace of its own, in which /run and the configuration are folders of the
test's.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import pytest

from sim.frontend import SANITIZER_STATUS, SANITIZERS
from sim.slack import has_passed, slack
from sim.xenstore import DEADLINE, Relay, Toolstack, Xenstored, program

NEEDS = [
    pytest.mark.skipif(not program(), reason="needs xenstored"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root has mount namespaces"),
]
# Everything else of the machine's stays as it is.
ENTER = """set -e
mount --bind "$1/run" /run
mount --bind "$1/share" /usr/local/share
mount --bind "$1/etc" /usr/local/etc
shift
exec "$@"
"""
PROFILE = "[Backend]\nType={}\nExecStart=/bin/true %{{socket}}\n"
BASE, IRQ = 0x2000000, 33
UUID = "8a5d2f0e-7d11-4f6e-9a55-{:012x}"
INITIALISING, INIT_WAIT, CLOSING, CLOSED = 1, 2, 5, 6


def wait(condition, deadline=DEADLINE):
    """Waits until the condition holds, and returns what it says."""
    start = time.monotonic()
    while not (result := condition()):
        assert not has_passed(start, deadline), "not in time"
        time.sleep(0.002)
    return result


def frontend(instance):
    """The frontend's unit of a device."""
    return f"xen-virtio-frontend@{instance}.service"


def backend(instance):
    """The backend's unit of a device."""
    return f"xen-virtio-backend@{instance}.service"


def serve(host, *instances):
    """Waits until these devices are served, and no others."""
    wait(lambda: host.serves(*instances))


class Systemd:
    """What it has to say of units, and orders for it."""

    def __init__(self, program, folder):
        self._log = folder / "systemd.log"
        self._offset, self.states, self.starts = 0, {}, {}
        self.history = []  # (unit, state, seconds)
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                [str(program), str(folder / "run/systemd/private")], stdin=subprocess.PIPE,
                stdout=log, text=True, env=os.environ | SANITIZERS)
        wait(lambda: self._log.stat().st_size)

    def tell(self, *orders):
        self._process.stdin.write("".join(f"{order}\n" for order in orders))
        self._process.stdin.flush()

    def look(self):
        """Takes over what has been said since."""
        with open(self._log, encoding="ascii") as log:
            log.seek(self._offset)
            text = log.read()
        text = text[:text.rfind("\n") + 1]
        self._offset += len(text)
        for line in text.splitlines():
            unit, state, usec = line.split()
            self.states[unit] = state
            self.history.append((unit, state, int(usec) / 1e6))
            if state == "activating":
                self.starts[unit] = self.starts.get(unit, 0) + 1
        return self

    def active(self):
        """The units that are up, or on their way."""
        self.look()
        return {unit for unit, state in self.states.items() if state.startswith("activ")}

    def stop(self):
        self._process.stdin.close()
        assert self._process.wait(DEADLINE * slack()) == 0


class Daemon:
    """One process of xen-virtiod."""

    def __init__(self, host, under=()):
        self.host = host
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        path = host.folder / "notify"
        path.unlink(missing_ok=True)
        self._notify.bind(str(path))
        self.status, self.is_ready = "", False
        threading.Thread(target=self._listen, daemon=True).start()
        self.started = time.monotonic()
        with open(host.log_path, "ab") as log:
            self.process = subprocess.Popen(
                ["unshare", "--mount", "sh", "-c", ENTER, "-", str(host.folder), *under,
                 str(host.program)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                env={"PATH": os.environ["PATH"], "NOTIFY_SOCKET": str(path),
                     "XEN_VIRTIO_SIM_XEN": str(host.domains),
                     "XENSTORED_PATH": host.store_path, "G_SLICE": "always-malloc"} | SANITIZERS)

    def _listen(self):
        while data := self._notify.recv(4096):
            for line in data.decode().split("\n"):
                if line == "READY=1":
                    self.is_ready = True
                elif line.startswith("STATUS="):
                    self.status = line.removeprefix("STATUS=")

    def _end(self):
        """Nobody listens any more."""
        self._notify.shutdown(socket.SHUT_RDWR)

    def wait_ready(self, deadline=DEADLINE):
        wait(lambda: self.is_ready or self.process.poll() is not None, deadline)
        assert self.is_ready
        return self

    def kill(self):
        """It dies at once, whatever it does."""
        self.process.kill()
        self.process.wait()
        self._end()

    def stop(self):
        """Ends it in order."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(DEADLINE * slack())
        self._end()
        assert status == 0, f"status {status}" + (": sanitizer" * (status == SANITIZER_STATUS))


class Guest:
    """A domain, and what libxl does for it."""

    def __init__(self, host, domid, number=None):
        self.host, self.domid = host, domid
        self.uuid = UUID.format(domid if number is None else number)
        self.folder = host.domains / str(domid)
        self.folder.mkdir()
        self.home = f"/local/domain/{domid}"
        host.toolstack.write({f"{self.home}/vm": f"/vm/{self.uuid}",
                              f"{self.home}/name": f"guest{domid}",
                              f"{self.home}/memory/static-max": 262144})
        host.toolstack.introduce(domid)

    def path(self, devid, kind="virtio"):
        return f"/local/domain/0/backend/{kind}/{self.domid}/{devid}"

    def nodes(self, devid, **changes):
        """The nodes of a device, in libxl's order."""
        nodes = {"frontend": f"{self.home}/device/virtio/{devid}", "frontend-id": self.domid,
                 "online": 1, "state": INITIALISING, "irq": IRQ + devid,
                 "base": f"{BASE + 0x200 * devid:#x}", "type": "virtio,device4",
                 "transport": "mmio", "grant_usage": 0} | changes
        return {f"{self.path(devid)}/{name}": value
                for name, value in nodes.items() if value is not None}

    def add(self, devid, **changes):
        self.host.toolstack.write(self.nodes(devid, **changes))

    def state(self, devid):
        return self.host.toolstack.text(f"{self.path(devid)}/state")

    def error(self, devid):
        return self.host.toolstack.text(f"{self.path(devid)}/error")

    def close(self, devid):
        """The first half of a removal."""
        self.host.toolstack.write({f"{self.path(devid)}/online": 0,
                                   f"{self.path(devid)}/state": CLOSING})

    def remove(self, devid):
        """The second, in which folders that are empty go, too."""
        toolstack = self.host.toolstack
        toolstack.remove(self.path(devid))
        for folder in (f"/local/domain/0/backend/virtio/{self.domid}",
                       "/local/domain/0/backend/virtio"):
            if toolstack.entries(folder):
                break
            toolstack.remove(folder)

    def servers(self):
        """The time of each claim, by the number of its IOREQ server and its base."""
        times = {}
        for path in self.folder.iterdir():
            with contextlib.suppress(FileNotFoundError):  # given back meanwhile
                for line in path.read_text().splitlines():
                    base, usec = line.split()
                    times[int(path.name), int(base, 16)] = int(usec) / 1e6
        return times

    def die(self):
        """The domain is gone, all at once; its nodes are not."""
        gone = tempfile.mkdtemp(dir=self.folder.parent.parent)
        self.folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)  # a claim may just be made there
        self.host.xenstored.domain_ended()

    def forget(self):
        """The toolstack removes what is left of a domain that is gone."""
        for devid in self.host.toolstack.entries(f"/local/domain/0/backend/virtio/{self.domid}"):
            self.remove(devid)
        self.host.toolstack.remove(self.home)
        self.host.toolstack.release(self.domid)

    def destroy(self):
        """As libxl does it: devices first, each waited for."""
        devids = self.host.toolstack.entries(f"/local/domain/0/backend/virtio/{self.domid}")
        for devid in devids:
            self.close(devid)
        for devid in devids:
            wait(lambda devid=devid: self.state(devid) == str(CLOSED))
        self.die()
        self.forget()


class Host:
    """All parts together."""

    def __init__(self, build, folder, relay=False):
        self.folder = folder
        self.log_path = folder / "xen-virtiod.log"
        self.domains = folder / "xen"
        sim = build.path / "tests/sim"
        self.program = sim / "xen-virtiod-sim"
        for name in ("run/systemd", "run/xenstored", "share/xen-virtio/backends", "etc", "xen"):
            (folder / name).mkdir(parents=True)
        for name in ("net", "blk", "rng"):
            path = folder / f"share/xen-virtio/backends/{name}.conf"
            path.write_text(PROFILE.format(name))
        self.systemd = Systemd(sim / "xen-virtio-systemd-sim", folder)
        self.xenstored = Xenstored(sim / "libxen-virtio-xenstored-stub.so",
                                   folder / "run/xenstored", self.domains)
        self.store_path = self.xenstored.path
        self.relay = None
        if relay:
            self.store_path = str(folder / "relay")
            self.relay = Relay(self.store_path, self.xenstored.path)
        self.toolstack = Toolstack(self.xenstored.path)
        self.daemon = None
        self.guests = {}  # by number, those that were made last

    def start(self, under=()):
        self.daemon = Daemon(self, under)
        return self.daemon

    def guest(self, domid, n_devices=0, number=None):
        guest = self.guests[domid] = Guest(self, domid, number)
        for devid in range(n_devices):
            guest.add(devid)
        return guest

    @property
    def log(self):
        return self.log_path.read_text(errors="replace")

    def folders(self):
        """The devices that /run knows."""
        path = self.folder / "run/xen-virtio"
        return {entry.name for entry in path.glob("*") if entry.is_dir()}

    def dropins(self):
        path = self.folder / "run/systemd/system"
        return {entry.name for entry in path.glob("*")}

    def units_of(self, *instances):
        """What has to be up for these devices."""
        units = set()
        for instance in instances:
            units |= {frontend(instance), backend(instance), f"xen-virtio-{instance}.slice"}
        return units

    def serves(self, *instances):
        """Whether these devices are served, and no others."""
        return (self.systemd.active() == self.units_of(*instances)
                and self.folders() == set(instances))

    def ctl(self, build, *arguments, before=()):
        """Runs xen-virtioctl, by a program that does something before."""
        return subprocess.run(
            [*before, str(build.path / "orchestrator/xen-virtioctl"),
             f"--run-directory={self.folder}/run/xen-virtiod", *arguments],
            capture_output=True, text=True, timeout=DEADLINE * slack(), check=True).stdout

    def stop(self):
        parts = [self.daemon.stop] if self.daemon else []
        parts += [self.toolstack.close, self.xenstored.stop, self.systemd.stop]
        if self.relay:
            parts.append(self.relay.stop)
        for end in parts:
            end()

