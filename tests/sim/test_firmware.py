# SPDX-License-Identifier: LGPL-2.1-or-later
"""What reads a disk before the operating system does: with one queue, and by looking at it."""

import struct

from sim.guest import (ACKNOWLEDGE, BLK_IN, BLK_OK, BLK_OUT, CONFIG, DRIVER, DRIVER_FEATURES,
                       DRIVER_FEATURES_SEL, DRIVER_OK, FEATURES_OK, QUEUE_SEL, QUEUE_SIZE_MAX,
                       SECTOR, STATUS, VERSION_1, Disk)

BLK_F_WRITE_ZEROES = 1 << 14
NO_INTERRUPT = 1
LINUX_QUEUES = 4


class Firmware(Disk):
    """A driver that uses one queue and looks at it until there is something."""

    def add_polled_ring(self, size):
        """Its queue, which is to cause no interrupts."""
        ring = self.add_ring(0, size)
        self.xen.memory.write(ring.available, struct.pack("<H", NO_INTERRUPT))

    def poll(self, kind, sector, data):
        """A whole request; returns the bytes of its buffer."""
        [ring] = self.rings
        request = self.submit(kind, sector, data)
        self.notify()
        self.xen.wait_for(lambda: ring.is_used, "a used buffer")
        assert ring.take()[0] == request.head
        status, read = self.result(request)
        assert status == BLK_OK
        return read


class UBoot(Firmware):
    """U-Boot 2025.01, as the lab's test_firmware.py meets it."""

    def start(self):
        """From its first look at the device. Its reset takes ACKNOWLEDGE back, for good."""
        assert self.identify() == 2
        self.write(STATUS, self.status | ACKNOWLEDGE)
        self.write(STATUS, 0)
        self.add_status(DRIVER)
        self.features = self.device_features() & (VERSION_1 | BLK_F_WRITE_ZEROES)
        for half in (1, 0):
            self.write(DRIVER_FEATURES_SEL, half)
            self.write(DRIVER_FEATURES, self.features >> 32 * half & 0xffffffff)
        self.add_status(FEATURES_OK)
        assert self.status == DRIVER | FEATURES_OK
        self.write(QUEUE_SEL, 0)
        self.add_polled_ring(self.read(QUEUE_SIZE_MAX))
        self.sectors = self.read(CONFIG) | self.read(CONFIG + 4) << 32
        self.add_status(DRIVER_OK)
        assert self.status == DRIVER | FEATURES_OK | DRIVER_OK
        return self


def linux_reads(machine, data):
    """Linux takes the disk, whatever was there before, and uses all its queues."""
    linux = machine.disk().start(LINUX_QUEUES)
    for queue in range(LINUX_QUEUES):
        assert linux.read_sectors(queue, 1, queue) == data[SECTOR * queue:][:SECTOR]


def test_smallest_driver(machine):
    """A small queue, and it is left without a word."""
    image = machine.image()
    machine.reference_backend(f"--blk-file={image}", f"--queues={LINUX_QUEUES}")
    machine.frontend().wait_ready()
    data = image.read_bytes()
    firmware = Firmware(machine.xen)
    firmware.negotiate(VERSION_1)
    firmware.add_polled_ring(16)
    firmware.add_status(DRIVER_OK)
    for sector in range(8):
        assert firmware.poll(BLK_IN, sector, SECTOR) == data[SECTOR * sector:][:SECTOR]
    assert machine.xen.interrupts == 0
    linux_reads(machine, data)


def test_u_boot(machine):
    """The largest queue, a file in one request, and a reset before Linux starts."""
    image = machine.image()
    machine.reference_backend(f"--blk-file={image}", f"--queues={LINUX_QUEUES}")
    machine.frontend().wait_ready()
    data = image.read_bytes()
    u_boot = UBoot(machine.xen).start()
    assert u_boot.sectors == len(data) // SECTOR
    assert u_boot.poll(BLK_IN, 0, len(data) // 2) == data[:len(data) // 2]
    u_boot.poll(BLK_OUT, u_boot.sectors - 1, data[:SECTOR])
    assert machine.xen.interrupts == 0
    u_boot.write(STATUS, 0)
    linux_reads(machine, data)
    assert image.read_bytes() == data[:-SECTOR] + data[:SECTOR]
