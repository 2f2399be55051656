# SPDX-License-Identifier: LGPL-2.1-or-later
"""Puts a guest, a frontend and a backend together."""

import contextlib
import os

import pytest

from sim.backend import ScriptedBackend, StorageDaemon, Virtiofsd
from sim.descriptor_store import DescriptorStore
from sim.frontend import Frontend
from sim.guest import Disk
from sim.host import Host
from sim.memory import MIB
from sim.reference import ReferenceBackend
from sim.xen import BASE, IRQ, Xen

INSTANCE = "5-disk-51712"
BLOCK_DEVICE_ID = 2
LAUNCH = f"""VERSION=1
UUID=01234567-89ab-cdef-0123-456789abcdef
SERVER=0
BASE={BASE:#x}
IRQ={IRQ}
DEVICE_ID={BLOCK_DEVICE_ID}
MEMORY_KIB={{memory_kib}}
GRANT_USAGE=0
"""


class Machine:
    """All parts of one test. They are made when asked for, and ended and checked at its end."""

    def __init__(self, build, directory, memory_size, n_vcpus):
        self.program = build.path / "tests/sim/xen-virtio-frontend-sim"
        self.directory = directory
        self.folder = directory / INSTANCE
        self.socket = str(self.folder / "backend.sock0")
        self.xen = Xen(memory_size, n_vcpus)
        self.store = None  # systemd's of descriptors, if it keeps any
        self.folder.mkdir()
        (self.folder / "frontend").mkdir()
        self.write_launch(LAUNCH.format(memory_kib=memory_size // 1024))
        self._parts = []

    def write_launch(self, text):
        """Writes the launch file."""
        (self.folder / "launch").write_text(text)

    def be_of_type(self, device_id, **keys):
        """Makes the device one of another type, with more keys in its launch file."""
        text = LAUNCH.format(memory_kib=self.xen.memory.size // 1024)
        text = text.replace(f"DEVICE_ID={BLOCK_DEVICE_ID}", f"DEVICE_ID={device_id}")
        self.write_launch(text + "".join(f"{key}={value}\n" for key, value in keys.items()))

    def frontend(self, under=(), **environment):
        """Starts a frontend, with these variables. A former one must be dead.

        A program that looks into it can run it, with these arguments.
        """
        frontend = Frontend(self.program, str(self.directory), INSTANCE, self.xen.plug(),
                            len(self.xen.vcpus), environment, under, self.store)
        self._parts.append(frontend)
        return frontend

    def image(self, size=MIB):
        """Makes a disk image of random bytes."""
        path = self.directory / "disk.img"
        path.write_bytes(os.urandom(size))
        return path

    def storage_daemon(self, image, **kwargs):
        """Starts qemu-storage-daemon on the image."""
        return self._add_backend(StorageDaemon, image, **kwargs)

    def virtiofsd(self, folder):
        """Starts virtiofsd on the folder."""
        return self._add_backend(Virtiofsd, folder)

    def scripted_backend(self, *args, **kwargs):
        """Starts a backend that does as it is told."""
        return self._add_backend(ScriptedBackend, *args, **kwargs)

    def reference_backend(self, *options):
        """Starts the reference backend, with options of its command line."""
        program = self.program.parents[1] / "backend/xen-virtio-test-backend"
        return self._add_backend(ReferenceBackend, program, *options)

    def _add_backend(self, kind, *args, **kwargs):
        if os.path.exists(self.socket):
            os.unlink(self.socket)
        backend = kind(self.socket, *args, **kwargs)
        self._parts.append(backend)
        return backend

    def disk(self, vcpu=0):
        """The guest's driver."""
        return Disk(self.xen, vcpu)

    def keep_descriptors(self):
        """All frontends from now on have what they leave kept for the next one."""
        self.store = DescriptorStore(str(self.directory / "notify-store"))

    def close(self):
        """Ends all, the frontend first, and fails if anything was wrong with any of it."""
        errors = []
        self._parts.sort(key=lambda part: not isinstance(part, Frontend))
        ends = [part.stop for part in self._parts] + [self.xen.close]
        if self.store:
            ends.append(self.store.close)
        for end in ends:
            try:
                end()
            except AssertionError as error:
                errors.append(str(error))
        if errors:
            pytest.fail("\n".join(errors), pytrace=False)


@pytest.fixture
def make_machine(build, tmp_path):
    """Makes a machine with so much memory and so many vCPUs."""
    machines = []

    def make(memory_size=64 * MIB, n_vcpus=1):
        machines.append(Machine(build, tmp_path, memory_size, n_vcpus))
        return machines[-1]

    yield make
    for machine in machines:
        machine.close()


@pytest.fixture
def machine(make_machine):
    """A small machine with one vCPU."""
    return make_machine()


@pytest.fixture
def make_host(build, tmp_path):
    """Makes a host; the daemon is not started."""
    with contextlib.ExitStack() as stack:
        def make(**options):
            host = Host(build, tmp_path, **options)
            stack.callback(host.stop)
            return host
        yield make


@pytest.fixture
def stopped_host(make_host):
    """A host whose daemon is not started."""
    return make_host()


@pytest.fixture
def host(stopped_host):
    """A host whose daemon is ready."""
    stopped_host.start().wait_ready()
    return stopped_host
