# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the daemon does in its life, beside a device that must not notice: sim/test_host_faults.py
lets calls fail.

A scenario is a function that takes a HostRun. The first that reaches a call is the one it fails in.
"""

import contextlib
import grp
import json
import os
import re
import signal
import subprocess
import threading
import time
from collections import Counter

from sim.faults import Trace
from sim.host import CLOSED, INIT_WAIT, Daemon, Host, frontend, wait
from sim.slack import has_passed
from sim.test_counters import COUNTERS

PROGRAM = "tests/faults/xen-virtiod-faults"
PATIENCE = 30.0
AGAIN = 0.05
FAILED = 1  # the exit status, after which systemd starts the next process
NEAR = "4-virtio-0"
NOBODY = 65534


class LoggedDaemon(Daemon):
    """One process, with a log of its own."""

    def __init__(self, host, number, environment):
        self.log_path = host.log_path = host.folder / f"daemon-{number}.log"
        super().__init__(host, ["env", *(f"{name}={value}" for name, value in environment.items())])

    @property
    def log(self):
        """All that it has said."""
        return self.log_path.read_text(errors="replace")


class HostRun:
    """Scenarios on one host, one after the other, each with one fault or none.

    The device NEAR is served from before all of them, and is not to notice any.
    """

    def __init__(self, build, directory):
        self.build = build
        self.host = Host(build, directory, relay=True)
        self.host.program = build.path / PROGRAM
        self.host.systemd.tell("latency 1")
        profile = self.host.folder / "share/xen-virtio/backends/blk.conf"
        profile.write_text(profile.read_text() + "ReadWritePaths=%{disk.path}\n")
        self.trace = self.daemon = self._thread = None
        self.failed = []  # daemons
        self.domid = 4
        self._number = 0
        self._is_ending = False
        self._near = self.host.guest(self.domid, 1)
        daemon = self._start({})
        wait(lambda: self.host.serves(NEAR))
        daemon.wait_ready().stop()
        self._servers = self._near.servers()

    def _start(self, environment):
        self._number += 1
        return LoggedDaemon(self.host, self._number, environment)

    def run(self, scenario, site=None, count=1, opened=None):
        """Runs a scenario in which that call fails. Returns what was open at its end.

        It waits for a while until that is no more than what may be open.
        """
        self.domid += 1
        self.trace = Trace(self.host.folder / f"trace-{self.domid}", site, count)
        self.failed = []
        self._is_ending = False
        self.daemon = self._start(self.trace.environment())
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        scenario(self)
        opened = self._descriptors(opened or Counter())
        self._is_ending = True
        self.daemon.stop()
        self._thread.join()
        starts = self.host.systemd.look().starts[frontend(NEAR)]
        assert starts == 1 and self._near.servers() == self._servers, "the other one was disturbed"
        return opened

    def _watch(self):
        """As systemd does."""
        while True:
            status = self.daemon.process.wait()
            if self._is_ending or status != FAILED:
                return
            self.failed.append(self.daemon)
            time.sleep(AGAIN)
            self.daemon = self._start(self.trace.environment())

    def wait(self, condition, what):
        """Waits until it holds. Who has to read the configuration again is told so."""
        def holds():
            if "/xen-virtio/" in self.daemon.log and self.daemon.is_ready:
                self.daemon.process.send_signal(signal.SIGHUP)
                time.sleep(AGAIN)
            return condition()
        try:
            return wait(holds, PATIENCE)
        except AssertionError:
            status = self.daemon.process.poll()
            raise AssertionError(f"not in time: {what}; {status}: {self.daemon.log}") from None

    def wait_again(self, function):
        """Waits for the next call of a function, whatever comes of it."""
        before = self.trace.calls(function)
        self.wait(lambda: self.trace.calls(function) > before, f"a call of {function}()")

    def configure(self, *settings):
        """Makes the daemon have these settings. Returns their file."""
        path = self.host.folder / "etc/xen-virtio/xen-virtio.conf"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(["[Daemon]", *settings, ""]))
        self.wait(lambda: self.daemon.is_ready, "the daemon")
        self.daemon.process.send_signal(signal.SIGHUP)
        self.wait(lambda: "reading the configuration" in self.daemon.log, "the settings")
        return path

    def ctl(self, *arguments, before=()):
        """Runs xen-virtioctl until that works."""
        def done():
            try:
                return [self.host.ctl(self.build, *arguments, before=before)]
            except subprocess.CalledProcessError:
                return None
        return self.wait(done, f"xen-virtioctl {arguments[0]}")[0]

    def ask(self, name):
        """Asks for a property with busctl, until that works."""
        address = f"unix:path={self.host.folder}/run/xen-virtiod/control"
        self.wait(lambda: subprocess.run(
            ["busctl", f"--address={address}", "get-property", "org.xenvirtio1", "/org/xenvirtio1",
             "org.xenvirtio1.Manager", name], capture_output=True).returncode == 0, name)

    def _descriptors(self, may_be):
        folder = f"/proc/{self.daemon.process.pid}/fd"
        start = time.monotonic()
        while True:
            time.sleep(AGAIN)
            with contextlib.suppress(FileNotFoundError):  # just closed
                found = Counter(
                    re.sub(r".*/|:.*|-\d+(.log)?$", "", os.readlink(f"{folder}/{name}"))
                    for name in os.listdir(folder))
                if not found - may_be or not may_be or has_passed(start, 20 * AGAIN):
                    return found

    def end(self):
        """How the process ended in which the fault was: status, and what it said; or None."""
        return next(((FAILED, daemon.log) for daemon in self.failed
                     if daemon.process.pid == self.trace.failed_in()), None)

    def close(self):
        """Ends all, whatever state it is in."""
        self._is_ending = True
        if self.daemon:
            self.daemon.process.kill()
            self.daemon.process.wait()
        self.host.stop()


def come_and_go(run):
    """Two devices come, one after the other; one is closed, then the guest is gone."""
    host = run.host
    guest = host.guest(run.domid, 1)
    first, second = (f"{run.domid}-virtio-{devid}" for devid in range(2))
    run.wait(lambda: host.serves(NEAR, first) and guest.state(0) == str(INIT_WAIT), first)
    run.wait(lambda: run.daemon.is_ready, "the daemon")  # it may have failed after all that
    run.daemon.process.send_signal(signal.SIGHUP)
    guest.add(1)
    run.wait(lambda: host.serves(NEAR, first, second) and guest.state(1) == str(INIT_WAIT), second)
    guest.close(0)
    run.wait(lambda: guest.state(0) == str(CLOSED), f"the end of {first}")
    guest.remove(0)
    guest.die()
    guest.forget()
    run.wait(lambda: host.serves(NEAR) and len(host.dropins()) == 1, "the end of all")


def looked_at(run):
    """People ask, and have something restarted; a process dies."""
    host = run.host
    guest = host.guest(run.domid, 1)
    instance = f"{run.domid}-virtio-0"
    backend = f"xen-virtio-backend@{instance}.service"
    run.wait(lambda: host.serves(NEAR, instance), instance)
    run.wait(lambda: instance in run.ctl("list"), f"{instance} in the list")
    counters = host.folder / f"run/xen-virtio/{instance}/frontend/counters"
    counters.write_bytes(bytes(COUNTERS.size))
    run.ctl("metrics")
    for name in ("Status", "Version"):
        run.ask(name)
    for number, restart in ((2, lambda: host.systemd.tell(f"kill {backend}")),
                            (3, lambda: run.ctl("restart", "--backend", instance))):
        restart()
        run.wait(lambda number=number: host.systemd.look().starts[backend] >= number and
                 host.serves(NEAR, instance), "the backend's restart")
    guest.close(0)
    run.wait(lambda: guest.state(0) == str(CLOSED), f"the end of {instance}")
    guest.die()
    guest.forget()
    run.wait(lambda: host.serves(NEAR) and len(host.dropins()) == 1, "the end of all")


def systemd_goes(run):
    """It is upgraded, with a device before and one after that."""
    host = run.host
    guest = host.guest(run.domid, 1)
    first, second = (f"{run.domid}-virtio-{devid}" for devid in range(2))
    run.wait(lambda: host.serves(NEAR, first), first)
    host.systemd.tell("away until-back")
    run.wait(lambda: "no connection to systemd" in run.daemon.log, "the end of the connection")
    run.wait_again("sd_bus_open_system")
    guest.add(1)
    host.systemd.tell("back now")
    run.wait(lambda: host.serves(NEAR, first, second), second)
    guest.die()
    guest.forget()
    run.wait(lambda: host.serves(NEAR) and len(host.dropins()) == 1, "the end of all")


def frontends_say(run, *instances):
    """Frontends that several devices share say that they serve them, as soon as they are asked."""
    for instance in instances:
        status = run.host.folder / f"run/xen-virtio/{instance}/frontend/status"
        with contextlib.suppress(FileNotFoundError):
            if not status.read_text():
                status.write_text("ready\n")


def are_ready(run, *instances):
    """Whether these devices are, so that nothing is left to be done."""
    frontends_say(run, *instances)
    devices = {device["device"]: device["state"]
               for device in json.loads(run.ctl("--json", "list"))}
    return all(devices.get(instance) == "ready" for instance in instances)


def devices_share(run):
    """Two devices have one frontend, which dies; one goes, then the other one."""
    host = run.host
    settings = run.configure("ReservedServers=7")
    guest = host.guest(run.domid, 1)
    first, second = (f"{run.domid}-virtio-{devid}" for devid in range(2))
    run.wait(lambda: are_ready(run, first), first)
    guest.add(1)
    run.wait(lambda: are_ready(run, first, second), second)
    unit = frontend(f"{run.domid}-shared")
    if unit in host.systemd.active():
        host.systemd.tell(f"kill {unit}")
        run.wait(lambda: host.systemd.look().starts[unit] == 2, "the frontend's restart")
    run.wait(lambda: are_ready(run, first, second), "both again")
    for devid in range(2):
        guest.close(devid)
        run.wait(lambda devid=devid: guest.state(devid) == str(CLOSED), f"the end of {devid}")
        guest.remove(devid)
    guest.die()
    guest.forget()
    settings.unlink()
    run.wait(lambda: host.serves(NEAR) and len(host.dropins()) == 1, "the end of all")


def disk_comes(run):
    """A disk, whose file is looked at before its backend is started."""
    host = run.host
    image = host.folder / "disk.img"
    image.touch(mode=0o666)
    guest = host.guest(run.domid)
    folder = f"/local/domain/0/backend/virtio_disk/{run.domid}"
    nodes = guest.nodes(51712, type=None, specification="virtio", params=image, mode="w",
                        dev="xvda", **{"device-type": "disk"}, base="0x2000000", irq=33)
    host.toolstack.write({path.replace("backend/virtio/", "backend/virtio_disk/"): value
                          for path, value in nodes.items()})
    instance = f"{run.domid}-disk-51712"
    run.wait(lambda: host.serves(NEAR, instance) and
             host.toolstack.text(f"{folder}/51712/state") == str(INIT_WAIT), instance)
    guest.die()
    host.toolstack.remove(folder)
    guest.forget()
    run.wait(lambda: host.serves(NEAR) and len(host.dropins()) == 1, "the end of all")


def store_goes(run):
    """xenstored is away, with a device before and one after that."""
    host = run.host
    guest = host.guest(run.domid, 1)
    first, second = (f"{run.domid}-virtio-{devid}" for devid in range(2))
    run.wait(lambda: host.serves(NEAR, first), first)
    host.relay.cut()
    run.wait(lambda: "no connection to xenstore" in run.daemon.log, "the end of the connection")
    run.wait_again("connect")
    guest.add(1)
    host.relay.listen()
    run.wait(lambda: host.serves(NEAR, first, second), second)
    guest.die()
    guest.forget()
    run.wait(lambda: host.serves(NEAR) and len(host.dropins()) == 1, "the end of all")


def claimed_by_another(run):
    """A record that nobody can read says that the range is taken, until it is gone."""
    host = run.host
    run.wait(lambda: run.daemon.is_ready, "the daemon")
    guest = host.guest(run.domid)
    instance = f"{run.domid}-virtio-0"
    record = host.folder / f"run/xen-virtio/{instance}/launch"
    record.parent.mkdir()
    record.write_text("VERSION=999\n")
    guest.add(0)
    run.wait(lambda: guest.error(0) or guest.servers(), "a complaint")
    assert not guest.servers(), "the range has two owners"
    record.unlink()
    run.wait(lambda: host.serves(NEAR, instance), instance)
    guest.die()
    guest.forget()
    run.wait(lambda: host.serves(NEAR) and len(host.dropins()) == 1, "the end of all")


def others_ask(run):
    """Somebody who is not root asks, and may for one of his groups."""
    settings = run.configure("Readers=adm")
    who = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}",
           f"--groups={grp.getgrnam('adm').gr_gid}",
           # The test's folder is root's alone.
           "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    run.wait(lambda: NEAR in run.ctl("list", before=who), "an answer")
    settings.unlink()


SCENARIOS = [come_and_go, looked_at, systemd_goes, devices_share, disk_comes, store_goes,
             claimed_by_another, others_ask]
