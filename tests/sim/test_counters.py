# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a frontend counts for the orchestrator (common/counters.h)."""

import struct
import time

import pytest

from sim.guest import STATUS
from sim.shared import Guest
from sim.slack import has_passed

COUNTERS = struct.Struct("<II7Q22Q")
VERSION = 3
SAMPLING = 64
WAIT = 5


def numbers_of(machine):
    """All numbers of the file."""
    version, size, *numbers = COUNTERS.unpack((machine.folder / "frontend/counters").read_bytes())
    assert (version, size) == (VERSION, COUNTERS.size)
    return numbers


def counters(machine):
    """The numbers: requests, bad accesses, kicks, interrupts, lines that were not logged."""
    return numbers_of(machine)[:5]


def losses(machine):
    """How often the backend was lost, and whether the driver waits for one."""
    return numbers_of(machine)[5:7]


def latencies(machine):
    """How many accesses took up to 1, 2, 4 ... 2^19 microseconds, or more; and their sum."""
    *counts, total = numbers_of(machine)[7:]
    return counts, total


def wait_counters(machine, is_met):
    """Waits until they are so: what was answered is counted right after."""
    start = time.monotonic()
    while not is_met(*(numbers := counters(machine))):
        assert not has_passed(start, WAIT), numbers
        time.sleep(0.01)
    return numbers


def test_a_disk_at_work(machine):
    machine.storage_daemon(machine.image())
    machine.frontend().wait_ready()
    disk = machine.disk().start()
    before = counters(machine)
    for sector in range(5):
        disk.read_sectors(sector, 1)
    requests, bad, _, _, dropped = wait_counters(
        machine, lambda _requests, _bad, kicks, interrupts, _dropped: min(kicks, interrupts) >= 5)
    assert requests >= before[0] + 5
    assert (bad, dropped) == (0, 0)


def test_bad_accesses(machine):
    machine.storage_daemon(machine.image())
    machine.frontend().wait_ready()
    disk = machine.disk()
    disk.read(STATUS, size=1)
    disk.read(0x0f8)
    wait_counters(machine, lambda requests, bad, *_: (requests, bad) == (2, 2))


def test_some_accesses_are_timed(machine):
    machine.storage_daemon(machine.image())
    machine.frontend().wait_ready()
    disk = machine.disk()
    for _ in range(10 * SAMPLING):
        disk.read(STATUS)
    wait_counters(machine, lambda requests, *_: requests >= 10 * SAMPLING)
    counts, total = latencies(machine)
    assert sum(counts) == 10
    least = sum(count * (1 << bucket - 1 if bucket else 0) for bucket, count in enumerate(counts))
    most = sum(count << bucket for bucket, count in enumerate(counts))
    assert least <= total
    assert counts[-1] or total <= most


def test_lines_that_are_not_logged(machine):
    """A driver that starts over again and again is told of ten times."""
    machine.storage_daemon(machine.image())
    machine.frontend().wait_ready()
    disk = machine.disk()
    for _ in range(15):
        disk.start()
        disk.reset()
    wait_counters(machine, lambda *numbers: numbers[4] > 0)


def test_a_driver_that_waits_for_a_backend(machine):
    """Its backend refuses the guest's memory, each time; the next one does not."""
    options = f"--blk-file={machine.image()}", "--misbehave=set-mem-table:nack"
    refusing = machine.reference_backend(*options)
    machine.frontend().wait_ready()
    assert losses(machine) == [0, 0]
    disk = machine.disk().start()
    wait_counters(machine, lambda *_: losses(machine)[0] >= 2 and losses(machine)[1] == 1)
    disk.reset()
    wait_counters(machine, lambda *_: losses(machine)[1] == 0)
    disk.start()
    wait_counters(machine, lambda *_: losses(machine)[1] == 1)
    refusing.process.kill()
    refusing.process.wait()
    machine.reference_backend(*options[:1])
    wait_counters(machine, lambda *_: losses(machine)[1] == 0)
    disk.read_sectors(0, 1)


def test_the_next_frontend_goes_on(machine):
    machine.reference_backend(f"--blk-file={machine.image()}")
    process = machine.frontend().wait_ready()
    disk = machine.disk().start()
    disk.read_sectors(0, 1)
    before = wait_counters(machine, lambda _requests, _bad, kicks, *_: kicks == 1)
    process.kill()
    machine.frontend().wait_ready()
    start = time.monotonic()
    while counters(machine)[2] < 2:  # a kick that comes before the rings run is not passed on
        assert not has_passed(start, WAIT)
        disk.read_sectors(0, 1)
    wait_counters(machine, lambda requests, *_: requests > before[0])


def test_a_file_that_is_none_of_ours(machine):
    """It is begun anew, and does not hold up the device."""
    (machine.folder / "frontend/counters").write_bytes(b"x" * 1000)
    machine.storage_daemon(machine.image())
    machine.frontend().wait_ready()
    machine.disk().start().read_sectors(0, 1)
    wait_counters(machine, lambda _requests, _bad, kicks, *_: kicks == 1)


@pytest.fixture
def guest(build, tmp_path):
    """A guest whose devices are served by one process."""
    guest = Guest(build, tmp_path)
    yield guest
    guest.close()


def test_devices_of_one_process_are_counted_apart(guest):
    """Also one that came later, whose file was handed over; and one that is left goes on."""
    first, second = guest.add("reference"), guest.add("reference")
    guest.start(first)
    guest.relist(first, second)
    for device in first, second:
        device.wait_status("ready\n")
    assert counters(first)[0] == 0 and counters(second)[0] == 0
    second.disk().start().read_sectors(0, 1)
    before = wait_counters(second, lambda _requests, _bad, kicks, *_: kicks == 1)
    assert counters(first)[0] == 0
    guest.relist(first)
    guest.relist(first, second)
    second.wait_status("ready\n")
    second.disk().read(STATUS)
    wait_counters(second, lambda requests, *_: requests > before[0])
