# SPDX-License-Identifier: LGPL-2.1-or-later
"""What frontends do in their lives, by people who are patient: sim/test_faults.py lets calls fail.

A scenario is a function that takes a Run. The first that reaches a call is the one it fails in.
"""

import contextlib
import os
import re
import shutil
import subprocess
import threading
import time
from collections import Counter

import pytest

from sim.backend import F_INFLIGHT
from sim.conftest import LAUNCH, Machine
from sim.faults import Trace
from sim.frontend import SANITIZERS
from sim.grants import FRAME_ENTRIES, GrantTable
from sim.guest import (DRIVER_KNOWS, DRIVER_OK, NEEDS_RESET, QUEUE_RESET, QUEUE_SEL, RING_RESET,
                       SECTOR, Disk)
from sim.memory import MIB, PAGE
from sim.net import NET, OK, Card
from sim.patience import AGAIN, DOCUMENTED, PATIENCE, PatientDisk, Service, StartOver
from sim.shared import Guest
from sim.slack import has_passed, slack
from sim.test_memory import GrantingDisk, granted_backend
from sim.xen import INVALIDATE

PROGRAM = "tests/faults/xen-virtio-frontend-faults"
NOBODY = 65534


class Run:
    """A scenario with one fault, or none."""

    def __init__(self, build, directory, site=None, count=1):
        self.build = build
        self.directory = directory
        self.trace = Trace(directory / "trace", site, count)
        self.service = None
        self.machine = None
        self.failed = []  # short-lived processes: which, how they ended, and what they said

    def make_machine(self, n_vcpus=1):
        """Makes a machine of one device, with the program that can fail."""
        self.machine = Machine(self.build, self.directory, 64 * MIB, n_vcpus)
        self.machine.program = self.build.path / PROGRAM
        return self.machine

    def serve(self, **environment):
        """Starts the frontend."""
        self.service = Service(
            lambda: self.machine.frontend(**environment, **self.trace.environment()))

    def backend(self, *options):
        """Starts the reference backend, on the image."""
        image = self.directory / "disk.img"
        if not image.exists():
            image.write_bytes(bytes(MIB))
        return self.machine.reference_backend(f"--blk-file={image}", *options)

    def disk(self, vcpu=0):
        """A patient driver."""
        return PatientDisk(self.machine.xen, vcpu)

    def reload(self, guest):
        """Lets a shared frontend look at its list again. Returns whether that worked."""
        command = [guest.program, "--reload", "--run-directory", guest.directory, "5-shared"]
        with subprocess.Popen(
                command, env={"PATH": os.environ["PATH"]} | SANITIZERS | self.trace.environment(),
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                text=True) as process:
            said, _ = process.communicate(timeout=PATIENCE * slack())
        assert process.returncode in (0, *DOCUMENTED), said
        if process.returncode:
            self.failed.append((process.pid, process.returncode, said))
        return process.returncode == 0

    def descriptors(self):
        """What the frontend has open, without the numbers of sockets and pipes."""
        names = self.service.frontend.descriptors().values()
        return Counter(re.sub(r".*/|:.*|-\d+.log$", "", name) for name in names)

    def end(self):
        """How the process ended in which the fault was: status, and what it said; or None."""
        failed = self.failed + [(frontend.pid, frontend.process.returncode, frontend.log)
                                for frontend in self.service.ended]
        return next((rest for pid, *rest in failed if pid == self.trace.failed_in()), None)

    def finish(self):
        """Ends all. Returns what was wrong."""
        errors = []
        for end in ([self.service.end] if self.service else []) + [self.machine.close]:
            try:
                end()
            except (AssertionError, pytest.fail.Exception) as error:
                errors.append(str(error))
        return errors


def at_work(run):
    """A disk works, and is reset."""
    run.make_machine()
    run.backend()
    run.serve()
    disk = run.disk()
    disk.use()
    disk.reset()
    disk.use()


def backend_dies(run):
    """The rings go on with the next backend."""
    run.make_machine(n_vcpus=2)
    backend = run.backend()
    run.serve()
    disk = run.disk()
    disk.use()

    def replace_backend():
        backend.kill()
        run.backend()

    disk.use(between=replace_backend)
    other = run.machine.xen.vcpus[1]
    other.begin(0, kind=INVALIDATE)
    other.finish(PATIENCE)
    disk.use()


def handed_over(run):
    """The frontend is replaced in order, with a request under way."""
    run.make_machine()
    run.backend("--delay=20")
    run.serve()
    disk = run.disk()
    disk.use()
    disk.use(between=run.service.replace)


def resized(run):
    """The backend says so; a driver that misses it has what it had."""
    run.make_machine()
    backend = run.backend()
    run.serve()
    disk = run.disk()
    disk.use()
    os.truncate(run.directory / "disk.img", 2 * MIB)
    backend.refresh()
    end = time.monotonic() + 0.5
    while disk.capacity != 2 * MIB // SECTOR and time.monotonic() < end:
        time.sleep(0.01)
    # Requests are counted for so long, and then anew.
    time.sleep(0.15)
    disk.use()


def kernel_paths(run):
    """The kernel passes kicks and calls on."""
    run.make_machine()
    run.machine.xen.has_kernel_paths = True
    run.backend()
    run.serve(XEN_VIRTIO_NOTIFY="kernel")
    disk = run.disk()
    disk.use()
    disk.reset()
    disk.use()


def granted(run):
    """The guest grants what its device gets at; no backend can map that here."""
    run.make_machine()
    text = LAUNCH.format(memory_kib=run.machine.xen.memory.size // 1024)
    run.machine.write_launch(text.replace("GRANT_USAGE=0", "GRANT_USAGE=1"))
    granted_backend(run.machine)
    run.serve()
    disk = type("PatientGrantingDisk", (GrantingDisk, PatientDisk), {})(run.machine.xen)
    disk.start = lambda: disk.start_at(3)
    for _ in range(2):
        disk.rings = []
        disk.until_done(lambda: None)
        assert disk.status & DRIVER_OK


def seeded(run):
    """dom0 grants itself the guest's memory."""
    machine = run.make_machine()
    machine.write_launch(LAUNCH.format(memory_kib=machine.xen.memory.size // 1024)
                         + "MEMORY=seed\n")
    machine.xen.grant_table = GrantTable(64 + machine.xen.memory.size // PAGE // FRAME_ENTRIES)
    run.backend()
    run.serve()
    run.disk().use()


def without_folder(run):
    """Nothing outlasts the process, and it is a user's."""
    machine = run.make_machine()
    shutil.rmtree(machine.folder / "frontend")
    run.backend()
    environment = {}
    if os.geteuid() == 0:
        runtime = run.directory / "runtime"
        runtime.mkdir()
        os.chown(runtime, NOBODY, NOBODY)
        os.chmod(machine.socket, 0o777)
        # Nobody may trace a process that has changed its user, not even the process itself.
        environment = {"RUNTIME_DIRECTORY": str(runtime),
                       "ASAN_OPTIONS": "detect_leaks=0:exitcode=99"}
    run.serve(**environment)
    disk = run.disk()
    disk.may_forget = True
    disk.use()


def frontend_dies(run):
    """The next one takes the device over, and the backend's process is known to it."""
    run.make_machine()
    run.backend("--delay=20")
    run.serve()
    disk = run.disk()
    disk.use()
    disk.use(between=run.service.crash)


def kept(run):
    """systemd keeps the backend's connection for the next one, and what the kernel is bound to."""
    machine = run.make_machine()
    machine.keep_descriptors()
    machine.xen.has_kernel_paths = machine.xen.keeps_call = True
    run.backend("--delay=20")
    run.serve(XEN_VIRTIO_NOTIFY="irqfd")
    disk = run.disk()
    disk.use()
    disk.use(between=run.service.crash)


@contextlib.contextmanager
def looked_after(run, guest, *devices):
    """The orchestrator has a device that has failed alone served again."""
    is_over = threading.Event()

    def look():
        while not is_over.wait(AGAIN):
            if any(device.status == "failed\n" for device in devices):
                run.reload(guest)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def shared(run):
    """Devices of one process come and go."""
    guest = run.machine = Guest(run.build, run.directory, n_vcpus=2)
    guest.program = run.build.path / PROGRAM
    first, second = guest.add("reference"), guest.add("reference")
    disks = [PatientDisk(guest.xen, number, device.base, device.irq)
             for number, device in enumerate((first, second))]
    guest.list(first)
    run.service = Service(lambda: guest.frontend(**run.trace.environment()))

    def converge(*devices):
        """As the orchestrator, which reloads until all devices are served."""
        guest.list(*devices)
        start = time.monotonic()
        while not has_passed(start, 2 * PATIENCE):
            if run.reload(guest) and all(device.status == "ready\n" for device in devices):
                return
            time.sleep(AGAIN)
        raise AssertionError("the devices are never ready")

    converge(first)
    with looked_after(run, guest, first):
        disks[0].use()
    converge(first, second)
    with looked_after(run, guest, first, second):
        disks[1].use()
    converge(second)
    with looked_after(run, guest, second):
        disks[1].use()


def queue_reset(run):
    """A queue is taken back alone, and given again."""
    backend = run.make_machine().scripted_backend()
    backend.features |= RING_RESET
    backend.protocol_features |= F_INFLIGHT
    run.serve()
    disk = run.disk()
    disk.start = lambda: Disk.start(disk, wanted=DRIVER_KNOWS | RING_RESET)

    def work():
        disk.write(QUEUE_SEL, 0)
        disk.write(QUEUE_RESET, 1)
        if disk.status & NEEDS_RESET:
            raise StartOver
        disk.add_ring()

    disk.until_done(work)


def pairs_of_queues(run):
    """A network card's driver takes all of its pairs into use, by the frontend's own queue."""
    machine = run.make_machine()
    machine.be_of_type(NET, NET_QUEUE_PAIRS=2)
    machine.reference_backend("--type=net", "--queues=4")
    run.serve()
    card = type("PatientCard", (Card, PatientDisk), {})(machine.xen)
    card.start = card.bring_up

    def work():
        answer = card.begin_pairs(2)
        while not card.rings[card.control].is_used:
            if card.status & NEEDS_RESET:
                raise StartOver
            time.sleep(AGAIN)
        assert card.end_command(answer) == OK
        for pair in range(2):
            card.exchange(pair, bytes(60))

    card.until_done(work)


SCENARIOS = [at_work, backend_dies, handed_over, resized, kernel_paths, granted, seeded,
             without_folder, frontend_dies, kept, shared, queue_reset, pairs_of_queues]
