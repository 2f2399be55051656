# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest that does without an end what it may do now and then."""

import os
import threading
import time

import pytest

from sim.backend import SET_VRING_ENABLE
from sim.guest import (ACKNOWLEDGE, DEVICE_ID, DRIVER, DRIVER_FEATURES, DRIVER_FEATURES_SEL,
                       DRIVER_KNOWS, DRIVER_OK, FEATURES_OK, QUEUE_NOTIFY, QUEUE_RESET,
                       QUEUE_SEL, RING_RESET, SECTOR, STATUS)
from sim.memory import MIB
from sim.process import status_number
from sim.test_counters import wait_counters
from sim.test_life import kinds_of_descriptors

LONG = bool(os.environ.get("XEN_VIRTIO_LONG"))
RESETS = 100_000 if LONG else 1000
QUEUE_STARTS = 50_000 if LONG else 500
BAD_ACCESSES = 1_000_000 if LONG else 3000
BURST, RATE = 5000, 50  # messages, and messages a second
UP = ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK


def start_shortly(disk):
    """All that it takes: no queue."""
    disk.write(DRIVER_FEATURES_SEL, 1)
    disk.write(DRIVER_FEATURES, 1)  # VERSION_1
    disk.write(STATUS, UP & ~DRIVER_OK)
    disk.write(STATUS, UP)


def resident_kib(frontend):
    """The memory that is the frontend's own."""
    return status_number(frontend.pid, "RssAnon")


def messages(backend):
    """How many messages all connections have brought so far."""
    return sum(len(connection.messages) for connection in backend.connections)


@pytest.mark.plain_build(reason="measures time and memory")
def test_reset_storm(machine):
    """The backend has a quiet life, the driver never waits for that, and nothing piles up."""
    backend = machine.scripted_backend()
    frontend = machine.frontend().wait_ready()
    disk = machine.disk()
    first = time.monotonic()
    disk.start().reset()
    while "too often" not in frontend.log:
        start_shortly(disk)
        disk.reset()
    assert messages(backend) <= BURST + RATE * (time.monotonic() - first)
    descriptors, resident = kinds_of_descriptors(frontend), resident_kib(frontend)

    begun, before = time.monotonic(), messages(backend)
    for _ in range(RESETS):
        start_shortly(disk)
        disk.reset()
    lasted = time.monotonic() - begun
    # One start may just have been due when it began.
    assert messages(backend) - before <= RATE * (lasted + 1)

    disk.start()
    backend.wait_for(lambda: backend.connection.kicks, "start of the rings")
    disk.reset()
    assert kinds_of_descriptors(frontend) == descriptors
    assert resident_kib(frontend) - resident <= 64
    assert frontend.log.count("too often") <= 10 * (1 + lasted / 10)


def test_the_last_start_counts(machine):
    """The device works, a moment later, and what was asked of it meanwhile is done."""
    image = machine.image(MIB)
    machine.storage_daemon(image)
    frontend = machine.frontend().wait_ready()
    disk = machine.disk()
    while "too often" not in frontend.log:
        disk.start().reset()
    assert disk.start().read_sectors(5, 1) == image.read_bytes()[5 * SECTOR:6 * SECTOR]


def remake_queue(driver):
    """Resets queue 1, and makes it anew."""
    ring = driver.rings[1]
    driver.write(QUEUE_SEL, 1)
    driver.write(QUEUE_RESET, 1)
    driver.set_queue(1, 16, ring.descriptors, ring.available, ring.used)


def rings_enabled(connection):
    """In which order: (queue, whether)."""
    return [message.state for message in connection.messages
            if message.request == SET_VRING_ENABLE]


@pytest.mark.plain_build(reason="counts thousands of messages")
def test_storm_of_queues(machine):
    """The backend hears of so many only, the driver waits for none, and other queues go on."""
    machine.backend = machine.scripted_backend()
    machine.backend.features |= RING_RESET
    first = time.monotonic()
    frontend = machine.frontend().wait_ready()
    driver = machine.disk().start(queues=2, wanted=DRIVER_KNOWS | RING_RESET)
    connection = machine.backend.connection
    for _ in range(QUEUE_STARTS):
        remake_queue(driver)
    for _ in range(BURST):
        if "too often" in frontend.log:
            break
        remake_queue(driver)
    begun, before = time.monotonic(), messages(machine.backend)
    assert before <= BURST + RATE * (begun - first + 1)
    for _ in range(QUEUE_STARTS):
        remake_queue(driver)
    assert messages(machine.backend) - before <= RATE * (time.monotonic() - begun + 1)
    # The last one counts, a moment later.
    machine.xen.wait_for(lambda: rings_enabled(connection)[-1] == (1, 1), "start of the last ring")
    machine.xen.wait_for(lambda: connection.take_kicks(1), "kick of the last ring")
    # Of one that was put off the backend has nothing that would have to be asked back.
    enabled = rings_enabled(connection)
    assert enabled.count((1, 0)) == enabled.count((1, 1)) - 1
    assert [state for state in enabled if state[0] == 0] == [(0, 1)]


def test_flood_of_accesses(make_machine):
    """Three vCPUs do nothing but access; the fourth has its requests done, and all ends as told."""
    machine = make_machine(n_vcpus=4)
    image = machine.image(MIB)
    machine.storage_daemon(image)
    frontend = machine.frontend().wait_ready()
    disk = machine.disk().start()
    is_over = threading.Event()

    def flood(vcpu):
        while not is_over.is_set():
            vcpu.read(DEVICE_ID)
            vcpu.write(QUEUE_NOTIFY, 0)

    threads = [threading.Thread(target=flood, args=[vcpu]) for vcpu in machine.xen.vcpus[1:]]
    for thread in threads:
        thread.start()
    try:
        for sector in range(20):
            place = slice(sector * SECTOR, (sector + 1) * SECTOR)
            assert disk.read_sectors(sector, 1) == image.read_bytes()[place]
        disk.reset()
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
    frontend.process.terminate()
    frontend.wait_exit(0)


def test_flood_of_bad_accesses(machine):
    """Each is counted, and they are nobody's news."""
    machine.scripted_backend()
    frontend = machine.frontend().wait_ready()
    disk = machine.disk()
    lines = frontend.log.count("\n")
    for _ in range(BAD_ACCESSES):
        disk.vcpu.read(STATUS, size=1)
    wait_counters(machine, lambda _requests, bad, *_: bad == BAD_ACCESSES)
    assert frontend.log.count("\n") == lines
