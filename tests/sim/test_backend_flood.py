# SPDX-License-Identifier: LGPL-2.1-or-later
"""A backend that calls its guest without an end: what the accesses to its device, and to another
one of the same frontend, have to wait for.

It is counted: between an access and its answer there is the rest of one pass of the frontend's
loop, and another one, and in each of them one interrupt of a device, however often its backend has
called.
"""

import contextlib
import os
import subprocess
import sys

import pytest

from sim.guest import INTERRUPT_ACK, INTERRUPT_STATUS, QUEUE_NOTIFY, SECTOR
from sim.shared import Guest

ROUNDS = 300 if os.environ.get("XEN_VIRTIO_LONG") else 10
PASSES = 2
CALL = "import os, sys\nwhile True: os.eventfd_write(int(sys.argv[1]), 1)"


@pytest.fixture
def guest(build, tmp_path):
    """A guest with a frontend for all of its devices."""
    guest = Guest(build, tmp_path)
    yield guest
    guest.close()


@contextlib.contextmanager
def calls_without_end(backend):
    """A process of its own writes the descriptor as quickly as it can."""
    backend.wait_for(lambda: 0 in backend.connection.calls, "descriptor for calls")
    call = backend.connection.calls[0]
    process = subprocess.Popen([sys.executable, "-c", CALL, str(call)], pass_fds=[call])
    try:
        yield
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


def interrupts_before_answer(guest, vcpu, offset, value=None):
    """How many interrupts the frontend raises from an access on until it answers."""
    guest.xen.wait_unmasked(vcpu.number)
    guest.process.freeze()
    before = guest.xen.raised()
    vcpu.begin(offset, value=value)
    guest.process.resume()
    vcpu.finish()
    return (guest.xen.raised(vcpu.number) - before) % (1 << 16)


def test_backend_that_calls_without_end(guest, record_property):
    """Neither device's guest waits for more than two passes, and the other's requests are done."""
    loud, other = guest.add("scripted"), guest.add("qemu")
    guest.start(loud, other)
    disks = [device.disk().start() for device in (loud, other)]
    before, waits = guest.xen.interrupts_of[loud.irq], []
    with calls_without_end(loud.backend):
        guest.xen.wait_interrupt(before + 1, irq=loud.irq)
        for number in range(ROUNDS):
            for disk in disks:
                for offset, value in ((INTERRUPT_STATUS, None), (INTERRUPT_ACK, 1),
                                      (QUEUE_NOTIFY, 0)):
                    waits.append(interrupts_before_answer(guest, disk.vcpu, offset, value))
            place = slice(number * SECTOR, (number + 1) * SECTOR)
            assert disks[1].read_sectors(number, 1) == other.image.read_bytes()[place]
    record_property("figure", f"interrupts of a backend's flood before an access is answered: "
                              f"{sum(waits) / len(waits):.2f}, at most {max(waits)}")
    # The other device may yet have its interrupt for what was read before.
    assert 0 < max(waits) <= PASSES + 1
