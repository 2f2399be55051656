# SPDX-License-Identifier: LGPL-2.1-or-later
"""The frontend with the reference backend, which proves each of its messages legal."""

import os
import random

import pytest

from sim.conftest import LAUNCH
from sim.guest import SECTOR, VERSION_1
from sim.memory import MIB
from sim.rings import EVENT_IDX, IN_ORDER, INDIRECT_DESC, RING_PACKED, RingDriver

LOOPBACK_DEVICE_ID = 63  # of no standard type


# What works.

def test_a_disk(machine):
    image = machine.image(MIB)
    machine.reference_backend(f"--blk-file={image}", "--queues=4")
    machine.frontend().wait_ready()
    disk = machine.disk().start(queues=4)
    assert disk.capacity == MIB // SECTOR
    for queue in range(4):
        data = os.urandom(64 * SECTOR)
        disk.write_sectors(100 * queue, data, queue)
        assert disk.read_sectors(100 * queue, 64, queue) == data
        assert image.read_bytes()[100 * queue * SECTOR:][:len(data)] == data
    disk.flush()
    assert disk.get_id() == b"xen-virtio-test"


def loopback(machine, wanted, *options, queues=8):
    """A driver of the loop-back device with these features, which runs."""
    machine.write_launch(LAUNCH.format(memory_kib=machine.xen.memory.size // 1024)
                         .replace("DEVICE_ID=2", f"DEVICE_ID={LOOPBACK_DEVICE_ID}"))
    machine.reference_backend("--type=loopback", *options)
    machine.frontend().wait_ready()
    driver = RingDriver(machine.xen)
    if wanted & RING_PACKED and not driver.device_features() & RING_PACKED:
        pytest.xfail("the frontend does not pass VIRTIO_F_RING_PACKED on")
    driver.start(queues, wanted=wanted)
    assert driver.features == wanted, "the frontend does not offer what the backend has"
    return driver


def requests(seed, count):
    """Data of requests of many sizes, and how many pieces each has."""
    dice = random.Random(seed)
    for _ in range(count):
        data = dice.randbytes(dice.choice((1, 7, 512, 4096, 5000)))
        yield data, dice.randint(1, min(3, len(data)))


SPLIT = [VERSION_1, VERSION_1 | INDIRECT_DESC, VERSION_1 | EVENT_IDX,
         VERSION_1 | INDIRECT_DESC | EVENT_IDX, VERSION_1 | EVENT_IDX | IN_ORDER]


@pytest.mark.parametrize("features", SPLIT + [f | RING_PACKED for f in SPLIT], ids=hex)
def test_eight_queues(machine, features):
    driver = loopback(machine, features)
    for queue in range(8):
        # Twice around the ring of 16, at most two requests in flight.
        for number, (data, pieces) in enumerate(requests(queue, 24)):
            driver.submit(data, queue, pieces, bool(features & INDIRECT_DESC) and number % 2)
            if number % 2:
                driver.drain(queue)
        driver.drain(queue)
