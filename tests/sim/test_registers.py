# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a guest may do with the registers: anything. Every access is answered, the device lives."""

import random

import pytest

from sim.backend import (F_INFLIGHT, GET_VRING_BASE, SET_VRING_ADDR, SET_VRING_BASE,
                         SET_VRING_ENABLE, SET_VRING_KICK, SET_VRING_NUM, Hangup)
from sim.guest import (ACKNOWLEDGE, CONFIG, DEVICE_ID, DRIVER, DRIVER_FEATURES,
                       DRIVER_FEATURES_SEL, DRIVER_KNOWS, DRIVER_OK, FEATURES_OK, MAGIC_VALUE,
                       NEEDS_RESET, QUEUE_DESC, QUEUE_NOTIFY, QUEUE_READY, QUEUE_RESET, QUEUE_SEL,
                       QUEUE_SIZE, QUEUE_SIZE_MAX, RING_RESET, STATUS)
from sim.memory import BANK0_BASE, BANK0_SIZE, BANK1_BASE, GIB, MIB
from sim.xen import DATA_IS_POINTER, INVALIDATE, RANGE_SIZE

MAGIC = 0x74726976


@pytest.fixture
def disk(machine):
    """A driver of a device whose backend only records."""
    machine.backend = machine.scripted_backend()
    machine.frontend().wait_ready()
    return machine.disk()


def test_all_offsets_and_sizes_are_answered(disk):
    for size in (0, 1, 2, 3, 4, 5, 7, 8, 16, 255, 1 << 31, (1 << 32) - 1):
        for offset in range(0, RANGE_SIZE, 1 if size in (1, 2, 4, 8) else 37):
            disk.vcpu.begin(offset, size)
            value = disk.vcpu.finish()
            assert value < 1 << 8 * min(size, 8), f"{offset:#x} by {size}: {value:#x}"
            if offset >= RANGE_SIZE - 8:
                disk.vcpu.write(offset, 0, size)
    assert disk.identify() == 2


def test_registers_are_read_by_four_bytes(disk):
    assert disk.read(MAGIC_VALUE) == MAGIC
    for size in (1, 2, 8):
        assert disk.read(MAGIC_VALUE, size) == 0
    assert disk.read(MAGIC_VALUE + 2) == 0


def test_config_is_read_by_any_size(disk):
    assert disk.read(CONFIG) == 2048  # the capacity's low half
    assert [disk.read(CONFIG + byte, 1) for byte in range(3)] == [0x00, 0x08, 0x00]
    assert disk.read(CONFIG, 2) == 2048
    assert disk.capacity == 2048
    assert disk.read(CONFIG + 252) == 0  # beyond what the device has


def test_accesses_that_are_none(disk):
    """Invalid requests are answered at once, reads of them with 0."""
    for kind in (0, 2, 3, 7, INVALIDATE, 9, 255):
        disk.vcpu.begin(MAGIC_VALUE, kind=kind)
        disk.vcpu.finish()
    for offset in (-1, -4, RANGE_SIZE, RANGE_SIZE - 3, 1 << 40, (1 << 64) - 1):
        disk.vcpu.begin(offset)
        assert disk.vcpu.finish() == 0
    disk.vcpu.begin(MAGIC_VALUE, count=5)
    assert disk.vcpu.finish() == 0
    disk.vcpu.begin(MAGIC_VALUE, flags=DATA_IS_POINTER)
    assert disk.vcpu.finish() == 0
    assert disk.identify() == 2


def test_random_accesses(disk):
    """A guest that writes nonsense all over the place, with a fixed seed."""
    chance = random.Random(1)
    for _ in range(3000):
        offset = chance.choice([chance.randrange(0, RANGE_SIZE, 4), chance.randrange(RANGE_SIZE)])
        value = chance.choice([0, 1, 2, 0xf, 0xff, 0xffffffff, chance.getrandbits(32)])
        disk.vcpu.begin(offset, chance.choice([1, 2, 4, 4, 4, 4, 8]),
                        chance.choice([None, value]))
        disk.vcpu.finish()
    disk.reset()
    disk.start()


def test_queues_that_do_not_exist(disk):
    disk.negotiate()
    assert disk.read(QUEUE_SIZE_MAX) >= 64
    for index in (4, 63, 64, 65, 1 << 16, (1 << 32) - 1):
        disk.write(QUEUE_SEL, index)
        assert disk.read(QUEUE_SIZE_MAX) == 0
        disk.write(QUEUE_SIZE, 16)
        disk.write(QUEUE_READY, 1)
        assert disk.read(QUEUE_READY) == 0
        disk.write(QUEUE_NOTIFY, index)
    assert not disk.status & NEEDS_RESET
    disk.add_ring(3)
    disk.add_status(DRIVER_OK)
    for index in (0, 4, 64, (1 << 32) - 1):
        disk.notify(index)
    assert not disk.status & NEEDS_RESET


def bad_rings():
    """Rings that a backend must never hear of: (name, size, descriptors, available, used)."""
    good = BANK0_BASE + MIB
    end0, end1 = BANK0_BASE + BANK0_SIZE, BANK1_BASE + GIB
    top = (1 << 64) - 4096
    places = {
        "null": 0, "below-ram": BANK0_BASE - 4096, "mmio": 0x2000000, "between-banks": end0,
        "across-the-end-of-bank-0": end0 - 64, "across-the-start-of-bank-1": BANK1_BASE - 64,
        "behind-ram": end1, "across-the-end-of-ram": end1 - 64, "top": top, "last": (1 << 64) - 16,
        "bit-63": 1 << 63 | good,
    }
    for name, place in places.items():
        yield f"descriptors-{name}", 64, place, good, good
        yield f"available-{name}", 64, good, place, good
        yield f"used-{name}", 64, good, good, place
    for offset in (1, 2, 4, 8):
        yield f"descriptors-unaligned-{offset}", 64, good + offset, good, good
    yield "available-unaligned", 64, good, good + 1, good
    for offset in (1, 2):
        yield f"used-unaligned-{offset}", 64, good, good, good + offset
    for size in (0, 3, 63, 1 << 15, 1 << 16, (1 << 16) + 64, (1 << 32) - 1):
        yield f"size-{size}", size, good, good, good


def test_bad_rings_never_reach_the_backend(make_machine):
    machine = make_machine(memory_size=4 * GIB)
    backend = machine.scripted_backend()
    machine.frontend().wait_ready()
    disk = machine.disk()
    for name, size, descriptors, available, used in bad_rings():
        disk.negotiate()
        disk.set_queue(0, size, descriptors, available, used)
        assert disk.read(QUEUE_READY) == 0, name
        assert disk.status & NEEDS_RESET, name
        disk.add_status(DRIVER_OK)
        disk.notify()
    assert SET_VRING_ADDR not in backend.connection.requests()
    assert len(backend.connections) == 1
    disk.start()  # a good one does reach it
    assert SET_VRING_ADDR in backend.connection.requests()


def test_a_ready_queue_is_fixed(disk, machine):
    disk.negotiate()
    ring = disk.add_ring()
    disk.write(QUEUE_SIZE, 3)
    disk.write(QUEUE_DESC, 0)
    disk.write(QUEUE_DESC + 4, 0xffffffff)
    disk.add_status(DRIVER_OK)
    message = machine.backend.wait_request(SET_VRING_ADDR)
    assert ring.descriptors.to_bytes(8, "little") in message.payload


def test_driver_ok_without_features_ok(disk, machine):
    disk.reset()
    disk.write(STATUS, ACKNOWLEDGE | DRIVER | DRIVER_OK)
    assert disk.status & NEEDS_RESET
    assert not disk.status & DRIVER_OK
    assert SET_VRING_KICK not in machine.backend.connection.requests()
    disk.start()


def test_features_that_were_not_offered(disk):
    disk.reset()
    disk.write(STATUS, ACKNOWLEDGE | DRIVER)
    for half in (0, 1):
        disk.write(DRIVER_FEATURES_SEL, half)
        disk.write(DRIVER_FEATURES, 0xffffffff)
    disk.add_status(FEATURES_OK)
    assert not disk.status & FEATURES_OK
    disk.start()


def test_driver_ok_without_queues(disk):
    disk.start(queues=0)
    disk.notify(0)
    disk.start()


def test_identity_does_not_change(disk):
    before = [disk.read(offset) for offset in range(MAGIC_VALUE, DEVICE_ID + 8, 4)]
    for offset in range(MAGIC_VALUE, DEVICE_ID + 8, 4):
        disk.write(offset, 0xffffffff)
    assert [disk.read(offset) for offset in range(MAGIC_VALUE, DEVICE_ID + 8, 4)] == before


# A queue is reset, and the others go on (VIRTIO_F_RING_RESET).

@pytest.fixture
def resetter(machine):
    """A driver that has agreed on RING_RESET with a backend that only records."""
    machine.backend = machine.scripted_backend()
    machine.backend.features |= RING_RESET
    machine.frontend().wait_ready()
    machine.driver = machine.disk().start(queues=2, wanted=DRIVER_KNOWS | RING_RESET)
    return machine


def rings_heard(connection):
    """Requests about single rings so far: (request, queue, what is set)."""
    return [(message.request, *message.state) for message in connection.messages
            if message.request in (SET_VRING_BASE, GET_VRING_BASE, SET_VRING_ENABLE, SET_VRING_NUM)]


def test_a_queue_is_reset_and_made_anew(resetter):
    driver, connection = resetter.driver, resetter.backend.connection
    before = len(rings_heard(connection))
    resetter.xen.wait_for(lambda: connection.take_kicks(1), "first kick")
    driver.write(QUEUE_SEL, 1)
    driver.write(QUEUE_RESET, 1)
    assert driver.read(QUEUE_RESET) == 0  # it is over
    assert driver.read(QUEUE_READY) == 0
    assert rings_heard(connection)[before:] == [(SET_VRING_ENABLE, 1, 0), (GET_VRING_BASE, 1, 0)]

    driver.notify(1)  # nobody hears that
    ring = driver.add_ring(1, size=32)
    assert rings_heard(connection)[before + 2:] == [(SET_VRING_NUM, 1, 32), (SET_VRING_BASE, 1, 0),
                                                    (SET_VRING_ENABLE, 1, 1)]
    addresses = [message.payload for message in connection.messages
                 if message.request == SET_VRING_ADDR]
    assert ring.descriptors.to_bytes(8, "little") in addresses[-1]
    resetter.xen.wait_for(lambda: connection.take_kicks(1), "kick of the new ring")
    assert not driver.status & NEEDS_RESET


def test_the_backend_dies_while_a_queue_is_reset(resetter):
    """The write is answered; without tracking the driver has to reset, and can."""
    def die(connection, reply):
        raise Hangup
    resetter.backend.misbehave = {GET_VRING_BASE: die}
    driver = resetter.driver
    driver.write(QUEUE_SEL, 1)
    driver.write(QUEUE_RESET, 1)
    assert driver.read(QUEUE_READY) == 0
    resetter.xen.wait_for(lambda: driver.status & NEEDS_RESET, "reset")
    driver.start()


def test_a_reset_queue_is_not_resumed(resetter):
    """Only what is ready runs with the next backend."""
    backend = resetter.backend
    backend.protocol_features |= F_INFLIGHT
    driver = resetter.driver.start(queues=2, wanted=DRIVER_KNOWS | RING_RESET)
    driver.write(QUEUE_SEL, 0)
    driver.write(QUEUE_RESET, 1)
    count = len(backend.connections)
    backend.connection.close()
    backend.wait_for(lambda: len(backend.connections) > count, "connection")
    backend.wait_request(SET_VRING_ENABLE)
    assert {queue for _, queue, _ in rings_heard(backend.connection)} == {1}
    assert not driver.status & NEEDS_RESET
