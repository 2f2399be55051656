# SPDX-License-Identifier: LGPL-2.1-or-later
"""Each call of xen-virtioctl to another's code fails once: it says what it has to, or what failed,
and ends with one of its statuses.
"""

import itertools
import os
import select
import subprocess
import time

import pytest

from conftest import builds
from sim.faults import FaultyProgram, Trace, message_of, plan
from sim.frontend import SANITIZERS
from sim.test_ctl import DISK, WAIT, Daemon, settle

PROGRAM = "tests/faults/xen-virtioctl-faults"
NAME = "5-disk-51712"
STATUSES = range(5)
# Of all calls there are, so many have to be reached.
REACHED_MIN = 0.95
# What only xen-virtiod calls of the library that it shares with xen-virtioctl.
OF_OTHERS = {
    "report_append", "field_append", "peer_is_in", "file_has", "folder_touch", "dropin_write",
    "dropin_has", "dropin_remove", "small_file_read", "small_file_read_at", "small_file_replace",
    "small_file_remove", "systemd_bus_open"}
# Each stands for a scenario; ROOT is a folder with a configuration.
EVENTS, DOCTOR = ("events",), ("doctor",)
COMMANDS = [("list",), ("--json", "show", NAME), EVENTS, ("restart", NAME), ("metrics",), DOCTOR,
            ("check", "--root=ROOT"), ("check", "--root=ROOT", "ROOT/guest.cfg")]
# As if the machine were a Xen host's, without any other device.
ON_XEN = 'mount -t tmpfs none /dev && mkdir /dev/xen && : > /dev/xen/privcmd && exec "$@"'
PROFILE = """[Backend]
Type=blk
ExecStart=/bin/true %{socket}
ReadWritePaths=%{disk.path}
"""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root has mount namespaces")


class Place:
    """A daemon that has a disk, and a configuration."""

    def __init__(self, folder):
        self.folder = folder
        self.daemon = Daemon(builds()[0], folder)
        self.daemon.tell(DISK)
        settle(self.daemon, 1)
        self.root = folder / "root"
        for name in ("share/xen-virtio/backends", "etc/xen-virtio/guests"):
            (self.root / "usr/local" / name).mkdir(parents=True)
        (self.root / "usr/local/share/xen-virtio/backends/blk.conf").write_text(PROFILE)
        (self.root / "usr/local/etc/xen-virtio/guests/guest.conf").write_text(
            "[disk-51712]\nBackend=blk\n")
        (self.root / "disk.img").touch()
        (self.root / "guest.cfg").write_text(
            f"name = 'guest'\ndisk = ['{self.root}/disk.img,raw,xvda,rw,backendtype=standalone,"
            "specification=virtio']\n")


class Run:
    """One command, in which a call fails or none."""

    def __init__(self, place, number, command, site=None):
        self.trace = Trace(place.folder / f"trace-{number}", site)
        words = [word.replace("ROOT", str(place.root)) for word in command]
        process = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", ON_XEN, "-", builds()[1].path / PROGRAM,
             f"--run-directory={place.folder}", *words],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=os.environ | SANITIZERS | {"XEN_VIRTIO_SIM_XEN": str(place.folder)}
            | self.trace.environment())
        if command == EVENTS:
            self._listen(place.daemon, process)
        self.said, self.errors = process.communicate(timeout=WAIT)
        self.status = process.returncode

    def _listen(self, daemon, process):
        """It has shown something and waits for more, or has ended: the daemon ends, too."""
        while not select.select([process.stdout], [], [], 0.05)[0]:
            daemon.tell(DISK)
        while process.poll() is None and not self.trace.calls("sd_bus_wait"):
            time.sleep(0.01)
        daemon.stop()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Runs a command, with a site that fails or none."""
    place, numbers = Place(tmp_path_factory.mktemp("place")), itertools.count()

    def run_one(command, site=None):
        where = Place(tmp_path_factory.mktemp("events")) if command == EVENTS else place
        return Run(where, next(numbers), command, site)

    yield run_one
    place.daemon.stop()


@pytest.fixture(scope="module")
def program():
    """The sanitized one, in which each call shows who makes it."""
    return FaultyProgram(builds()[1].path / PROGRAM)


@pytest.fixture(scope="module")
def clean(run):
    """Each command without a failure."""
    return {command: run(command) for command in COMMANDS}


def complaints(clean, run, site, command):
    """What goes wrong when that call fails."""
    found, message = [], message_of(site.function)
    if not run.trace.failed_in():
        found.append("was not reached")
    if run.status not in STATUSES:
        found.append(f"ends with {run.status} and says {run.errors}")
    if run.errors.count(message) > clean.errors.count(message) + 1:
        found.append(f"says too much: {run.errors}")
    # What the doctor cannot find out is a finding; what happens has a time.
    is_same = run.status == clean.status and (run.said == clean.said or command == EVENTS)
    if not is_same and command != DOCTOR and message not in run.errors + run.said:
        found.append(f"does not say what failed: {run.errors}{run.said}")
    return found


def test_all_functions_are_known(program):
    """Whether each function that is called can fail has been said."""
    assert program.unknown() == []


def test_most_calls_are_reached(program, clean, record_property):
    reached = set().union(*(run.trace.counts() for run in clean.values()))
    missed = [str(site) for site in program.missed(reached) if site.caller not in OF_OTHERS]
    record_property("figure", f"{len(reached)} of {len(reached) + len(missed)} calls that can fail "
                              "are made")
    assert len(reached) >= REACHED_MIN * (len(reached) + len(missed)), missed


def test_an_event_that_cannot_be_read(program, run):
    """It is not left out without a word."""
    site = next(site for site in program.sites.values() if site.caller == "report_read")
    assert message_of(site.function) in run(EVENTS, site).errors


def test_fault(program, clean, run):
    """No call hurts when it fails."""
    problems = []
    counts = {command: (run.trace.counts(), None) for command, run in clean.items()}
    for command, offset, _ in plan(program, counts, 0, 1, long=False):
        site = program.sites[offset]
        problems += [f"{' '.join(command)}, {site}: {what}"
                     for what in complaints(clean[command], run(command, site), site, command)]
    assert not problems, "\n".join(problems)
