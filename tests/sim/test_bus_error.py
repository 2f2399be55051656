# SPDX-License-Identifier: LGPL-2.1-or-later
"""Memory that goes away under who has mapped it: SIGBUS, of which a process dies, and no other."""

import os
import signal

import pytest

from sim.guest import BLK_IN, SECTOR, STATUS
from sim.memory import MIB

pytestmark = pytest.mark.plain_build(reason="sanitizers have a way of their own with signals")

FAR = 48 * MIB  # of the guest's 64 MiB


def test_the_guests_memory_goes_away(machine):
    """As when it is ballooned out: the backend dies of it, the frontend and the guest go on."""
    image = machine.image(MIB)
    backend = machine.reference_backend(f"--blk-file={image}")
    frontend = machine.frontend().wait_ready()
    bank = machine.xen.memory.banks[0]
    bank.next_free = bank.base + FAR  # the rings lie there
    disk = machine.disk().start()
    disk.submit(BLK_IN, 5, SECTOR)
    os.ftruncate(bank.fd, FAR)
    disk.notify()
    backend.wait_exit(-signal.SIGBUS)
    assert disk.identify() == 2
    disk.reset()

    os.ftruncate(bank.fd, bank.size)
    machine.reference_backend(f"--blk-file={image}")
    assert disk.start().read_sectors(5, 1) == image.read_bytes()[5 * SECTOR:6 * SECTOR]
    assert frontend.process.poll() is None


@pytest.mark.parametrize("name", ["state", "counters"])
def test_the_frontends_own_file_is_cut(machine, name):
    """Which is root's and its own alone: the process dies, and the next one answers the guest."""
    image = machine.image(MIB)
    machine.reference_backend(f"--blk-file={image}")
    frontend = machine.frontend().wait_ready()
    disk = machine.disk().start()
    os.truncate(machine.folder / "frontend" / name, 0)
    disk.vcpu.begin(STATUS)
    frontend.wait_exit(-signal.SIGBUS)
    machine.frontend().wait_ready()
    disk.vcpu.finish()
    assert disk.start().read_sectors(5, 1) == image.read_bytes()[5 * SECTOR:6 * SECTOR]


def test_the_area_for_requests_is_cut(machine):
    """The frontend maps it nowhere, so that no backend can do that to it."""
    image = machine.image(MIB)
    backend = machine.reference_backend(f"--blk-file={image}", "--delay=20")
    frontend = machine.frontend().wait_ready()
    disk = machine.disk().start()
    disk.submit(BLK_IN, 5, SECTOR)
    os.truncate(machine.folder / "frontend/inflight", 0)
    disk.notify()
    backend.wait_exit(-signal.SIGBUS)
    machine.reference_backend(f"--blk-file={image}")
    assert frontend.process.poll() is None
    disk.reset()
    assert disk.start().read_sectors(5, 1) == image.read_bytes()[5 * SECTOR:6 * SECTOR]
