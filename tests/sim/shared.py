# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest whose devices are all served by one frontend process; plays the orchestrator, too."""

import os
import shutil
import subprocess

from sim.backend import ScriptedBackend, StorageDaemon
from sim.conftest import LAUNCH
from sim.frontend import SANITIZERS, Frontend
from sim.guest import Disk
from sim.memory import MIB
from sim.reference import ReferenceBackend
from sim.slack import slack
from sim.xen import BASE, DEADLINE, IRQ, RANGE_SIZE, Xen

INSTANCE = "5-shared"


class Device:
    """One of the guest's disks: its folder, its backend, and its driver."""

    def __init__(self, guest, number):
        self.guest = guest
        self.number = number
        self.instance = f"5-disk-{number}"
        self.base, self.irq = BASE + RANGE_SIZE * number, IRQ + number
        self.folder = guest.directory / self.instance
        self.socket = str(self.folder / "backend.sock0")
        self.image = guest.directory / f"disk-{number}.img"
        self.backend = None
        guest.xen.interrupts_of[self.irq] = 0
        self.make_folder()

    def make_folder(self, **changes):
        """What the orchestrator does for a device that it has claimed, or almost that."""
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.folder / "frontend").mkdir(parents=True)
        text = LAUNCH.format(memory_kib=self.guest.xen.memory.size // 1024)
        values = dict(line.split("=") for line in text.split()) | {
            "BASE": f"{self.base:#x}", "IRQ": self.irq} | changes
        lines = [f"{key}={value}\n" for key, value in values.items()]
        (self.folder / "launch").write_text("".join(lines))
        return self

    def start_backend(self, kind="reference"):
        """Starts a backend: real ones serve an image of random bytes. Returns itself."""
        if not self.image.exists() and kind != "scripted":
            self.image.write_bytes(os.urandom(MIB))
        if os.path.exists(self.socket):
            os.unlink(self.socket)
        if kind == "qemu":
            self.backend = StorageDaemon(self.socket, self.image)
        elif kind == "scripted":
            self.backend = ScriptedBackend(self.socket)
        else:
            self.backend = ReferenceBackend(self.socket, self.guest.reference,
                                            f"--blk-file={self.image}", "--delay=1")
        self.guest.parts.append(self.backend)
        return self

    @property
    def status(self):
        """What the frontend says of it."""
        file = self.folder / "frontend/status"
        return file.read_text() if file.exists() else ""

    def wait_status(self, status):
        """Waits until it says so."""
        self.guest.xen.wait_for(lambda: self.status == status, f"status {status!r}")

    def disk(self, vcpu=0):
        """Its driver."""
        return Disk(self.guest.xen, vcpu, self.base, self.irq)

    def vcpu(self, number=0):
        """A vCPU that looks at it."""
        return self.guest.xen.vcpus[number].at(self.base)


class Guest:
    """All parts of one test. They are made when asked for, and ended and checked at its end."""

    def __init__(self, build, directory, n_vcpus=1):
        self.program = build.path / "tests/sim/xen-virtio-frontend-sim"
        self.reference = build.path / "tests/backend/xen-virtio-test-backend"
        self.directory = directory
        self.folder = directory / INSTANCE
        self.xen = Xen(256 * MIB, n_vcpus)
        self.devices = []
        self.parts = []
        self.process = None
        (self.folder / "frontend").mkdir(parents=True)

    def add(self, backend=None):
        """Makes another device, with a backend; the list is left alone."""
        device = Device(self, len(self.devices))
        self.devices.append(device)
        return device.start_backend(backend) if backend else device

    def list(self, *devices):
        """Writes these devices' names to the list."""
        self.write_list("".join(f"{device.instance}\n" for device in devices))

    def write_list(self, text):
        """Writes the list."""
        new = self.folder / ".devices.new"
        new.write_text(text)
        new.rename(self.folder / "devices")

    def frontend(self, **environment):
        """Starts the frontend, with these variables; a former one must be dead."""
        self.process = Frontend(self.program, str(self.directory), INSTANCE, self.xen.plug(),
                                len(self.xen.vcpus), environment)
        self.parts.insert(0, self.process)
        return self.process

    def start(self, *devices):
        """Starts the frontend with these devices."""
        self.list(*devices)
        return self.frontend().wait_ready()

    def reload(self, expected=0, instance=INSTANCE):
        """Does what ExecReload= does. Returns what it says."""
        result = subprocess.run(
            [self.program, "--reload", "--run-directory", self.directory, instance],
            env={"PATH": os.environ["PATH"]} | SANITIZERS, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=3 * DEADLINE * slack())
        assert result.returncode == expected, result.stdout
        if self.process:
            self.process.take_notices()
        return result.stdout

    def relist(self, *devices):
        """Makes the frontend serve these devices."""
        self.list(*devices)
        return self.reload()

    def close(self):
        """Ends all, frontends first, and fails if anything was wrong with any of it."""
        errors = []
        for end in [part.stop for part in self.parts] + [self.xen.close]:
            try:
                end()
            except AssertionError as error:
                errors.append(str(error))
        assert not errors, "\n".join(errors)
