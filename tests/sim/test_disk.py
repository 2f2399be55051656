# SPDX-License-Identifier: LGPL-2.1-or-later
"""The main flow: a guest uses its disk, which is an image file behind qemu-storage-daemon."""

import hashlib
import os
import time

import pytest

from sim.guest import (BLK_F_FLUSH, BLK_F_MQ, BLK_F_RO, BLK_IN, BLK_IOERR, BLK_OK, BLK_OUT,
                       BLK_UNSUPPORTED, MAGIC_VALUE, QUEUE_NOTIFY, SECTOR, VENDOR_ID, VERSION,
                       VERSION_1)
from sim.memory import BANK1_BASE, GIB, MIB


def checksum(data):
    """What two images are compared by."""
    return hashlib.sha256(data).hexdigest()


def test_write_and_read_back(machine):
    image = machine.image(MIB)
    content = bytearray(image.read_bytes())
    backend = machine.storage_daemon(image)
    machine.frontend().wait_ready()

    disk = machine.disk()
    assert disk.identify() == 2
    disk.start()
    assert disk.features & (VERSION_1 | BLK_F_FLUSH) == VERSION_1 | BLK_F_FLUSH
    assert disk.capacity == MIB // SECTOR

    everything = b"".join(disk.read_sectors(sector, 64) for sector in range(0, 2048, 64))
    assert checksum(everything) == checksum(content)

    for sector in (0, 7, 1000, 2047):
        data = os.urandom(SECTOR)
        content[sector * SECTOR:(sector + 1) * SECTOR] = data
        disk.write_sectors(sector, data)
        assert disk.read_sectors(sector, 1) == data
    disk.flush()
    disk.reset()
    backend.stop()
    assert checksum(image.read_bytes()) == checksum(content)


def test_errors_come_from_the_backend(machine):
    machine.storage_daemon(machine.image(MIB))
    machine.frontend().wait_ready()
    disk = machine.disk().start()
    assert disk.request(BLK_IN, 1 << 40, SECTOR)[0] == BLK_IOERR
    assert disk.request(99, 0, SECTOR)[0] == BLK_UNSUPPORTED
    assert disk.get_id()  # and it goes on working


def test_read_only(machine):
    image = machine.image(MIB)
    before = image.read_bytes()
    backend = machine.storage_daemon(image, writable=False)
    machine.frontend().wait_ready()
    disk = machine.disk().start()
    assert disk.features & BLK_F_RO
    assert disk.request(BLK_OUT, 0, b"x" * SECTOR)[0] != BLK_OK
    assert disk.read_sectors(0, 8) == before[:8 * SECTOR]
    backend.stop()
    assert image.read_bytes() == before


def test_two_queues_and_vcpus(make_machine):
    machine = make_machine(n_vcpus=2)
    image = machine.image(MIB)
    content = image.read_bytes()
    machine.storage_daemon(image, queues=2)
    machine.frontend().wait_ready()
    first = machine.disk(vcpu=0).start(queues=2)
    second = machine.disk(vcpu=1)
    second.rings = first.rings
    assert first.features & BLK_F_MQ
    for _ in range(20):
        requests = [first.submit(BLK_IN, 8, SECTOR, queue=0),
                    second.submit(BLK_IN, 16, SECTOR, queue=1)]
        # Both vCPUs write the same register at the same time.
        first.vcpu.begin(QUEUE_NOTIFY, value=0)
        second.vcpu.begin(QUEUE_NOTIFY, value=1)
        first.vcpu.finish()
        second.vcpu.finish()
        assert first.complete(requests[0], queue=0) == (BLK_OK, content[8 * SECTOR:9 * SECTOR])
        assert second.complete(requests[1], queue=1) == (BLK_OK, content[16 * SECTOR:17 * SECTOR])


def test_many_vcpus(make_machine):
    """Slots at both ends of the shared page; every vCPU is answered with its own data."""
    machine = make_machine(n_vcpus=128)
    machine.storage_daemon(machine.image(MIB))
    machine.frontend().wait_ready()
    expected = [machine.disk().read(register) for register in (MAGIC_VALUE, VERSION, VENDOR_ID)]
    assert len(set(expected)) == 3
    for _ in range(5):
        for number, vcpu in enumerate(machine.xen.vcpus):
            vcpu.begin((MAGIC_VALUE, VERSION, VENDOR_ID)[number % 3])
        answers = [vcpu.finish() for vcpu in machine.xen.vcpus]
        assert answers == [expected[number % 3] for number in range(128)]


@pytest.mark.parametrize("ring_bank, buffer_bank", [(0, 1), (1, 0), (1, 1)])
def test_both_banks_of_a_large_guest(make_machine, ring_bank, buffer_bank):
    machine = make_machine(memory_size=5 * GIB)
    image = machine.image(MIB)
    content = image.read_bytes()
    machine.storage_daemon(image)
    machine.frontend().wait_ready()
    disk = machine.disk().start(bank=ring_bank)
    assert (disk.rings[0].descriptors >= BANK1_BASE) == (ring_bank == 1)
    assert disk.read_sectors(100, 8, bank=buffer_bank) == content[100 * SECTOR:108 * SECTOR]
    data = os.urandom(8 * SECTOR)
    disk.write_sectors(200, data, bank=buffer_bank)
    disk.flush()
    assert image.read_bytes()[200 * SECTOR:208 * SECTOR] == data


def test_last_pages_of_memory(make_machine):
    """Rings and buffers that end where the RAM ends."""
    machine = make_machine(memory_size=64 * MIB)
    image = machine.image(MIB)
    machine.storage_daemon(image)
    machine.frontend().wait_ready()
    bank = machine.xen.memory.banks[0]
    bank.next_free = bank.base + bank.size - 4 * 4096
    disk = machine.disk().start()  # three pages of ring
    status, data = disk.request(BLK_IN, 0, SECTOR)
    assert (status, data) == (BLK_OK, image.read_bytes()[:SECTOR])


def test_rebind(machine):
    """The guest's driver is unbound and bound again: STATUS = 0, and a new ring elsewhere."""
    image = machine.image(MIB)
    content = image.read_bytes()
    machine.storage_daemon(image)
    machine.frontend().wait_ready()
    disk = machine.disk()
    for sector in range(5):
        disk.start()
        assert disk.read_sectors(sector, 1) == content[sector * SECTOR:(sector + 1) * SECTOR]
        disk.reset()


def test_reset_in_the_middle(machine):
    """A reset with requests under way: the write completes when the backend has let go of them."""
    image = machine.image(MIB)
    machine.storage_daemon(image)
    machine.frontend().wait_ready()
    disk = machine.disk()
    for _ in range(10):
        disk.start()
        for sector in range(4):
            disk.submit(BLK_IN, sector * 64, 64 * SECTOR)
        disk.notify()
        ring = disk.rings[0]
        disk.reset()
        used = machine.xen.memory.read(ring.used, 4 + 8 * ring.size)
        machine.xen.memory.write(ring.used, used)  # the guest uses the page for something else
        assert disk.start().read_sectors(0, 1) == image.read_bytes()[:SECTOR]
        assert machine.xen.memory.read(ring.used, 4 + 8 * ring.size) == used


def test_disk_is_idle_when_the_guest_is(machine):
    """Nothing polls: without accesses the frontend uses no processor time."""
    machine.storage_daemon(machine.image(MIB))
    frontend = machine.frontend().wait_ready()
    disk = machine.disk().start()
    disk.read_sectors(0, 1)
    interrupts = None
    while interrupts != (interrupts := machine.xen.interrupts):
        time.sleep(0.2)  # the last one may come a little later than what it tells
    before = frontend.cpu_seconds()
    time.sleep(1)
    assert machine.xen.interrupts == interrupts
    assert frontend.cpu_seconds() - before <= 0.02
