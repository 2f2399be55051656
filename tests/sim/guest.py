# SPDX-License-Identifier: LGPL-2.1-or-later
"""The guest's side: a virtio-mmio version 2 driver and a disk, as Linux has them, in slow motion.

Register names are those of virtio 1.3, table 4.1.
"""

import struct
from collections import deque
from dataclasses import dataclass

from sim.xen import BASE, DEADLINE, IRQ

MAGIC_VALUE, VERSION, DEVICE_ID, VENDOR_ID = 0x000, 0x004, 0x008, 0x00c
DEVICE_FEATURES, DEVICE_FEATURES_SEL = 0x010, 0x014
DRIVER_FEATURES, DRIVER_FEATURES_SEL = 0x020, 0x024
QUEUE_SEL, QUEUE_SIZE_MAX, QUEUE_SIZE, QUEUE_READY = 0x030, 0x034, 0x038, 0x044
QUEUE_NOTIFY, INTERRUPT_STATUS, INTERRUPT_ACK, STATUS = 0x050, 0x060, 0x064, 0x070
QUEUE_DESC, QUEUE_DRIVER, QUEUE_DEVICE = 0x080, 0x090, 0x0a0  # low halves; high ones follow
QUEUE_RESET, CONFIG_GENERATION, CONFIG = 0x0c0, 0x0fc, 0x100

ACKNOWLEDGE, DRIVER, DRIVER_OK, FEATURES_OK = 1, 2, 4, 8
NEEDS_RESET, FAILED = 0x40, 0x80
QUEUE_USED, CONFIG_CHANGED = 1, 2  # causes of an interrupt

VERSION_1 = 1 << 32
RING_PACKED = 1 << 34
RING_RESET = 1 << 40
BLK_F_RO, BLK_F_FLUSH, BLK_F_CONFIG_WCE, BLK_F_MQ = 1 << 5, 1 << 9, 1 << 11, 1 << 12
# What this driver can do: as Linux, but neither indirect descriptors nor event indexes.
DRIVER_KNOWS = VERSION_1 | BLK_F_RO | BLK_F_FLUSH | BLK_F_MQ

DESC_NEXT, DESC_WRITE = 1, 2
BLK_IN, BLK_OUT, BLK_FLUSH, BLK_GET_ID = 0, 1, 4, 8
BLK_OK, BLK_IOERR, BLK_UNSUPPORTED = 0, 1, 2
SECTOR = 512


class Ring:
    """A split virtqueue in the guest's memory."""

    def __init__(self, memory, size, bank=0):
        self.memory = memory
        self.size = size
        self.descriptors = memory.allocate(16 * size, bank)
        self.available = memory.allocate(6 + 2 * size, bank)
        self.used = memory.allocate(6 + 8 * size, bank)
        self._free = deque(range(0, size, 4))  # heads; chains are short
        self._next_available = 0
        self._next_used = 0

    def add(self, *buffers):
        """Makes a chain of (address, size, device writes) available. Returns its head."""
        head = self._free.popleft()
        for number, (address, size, writable) in enumerate(buffers):
            index = (head + number) % self.size
            last = number == len(buffers) - 1
            flags = (DESC_WRITE if writable else 0) | (0 if last else DESC_NEXT)
            self.memory.write(self.descriptors + 16 * index,
                              struct.pack("<QIHH", address, size, flags, (index + 1) % self.size))
        slot = self.available + 4 + 2 * (self._next_available % self.size)
        self.memory.write(slot, struct.pack("<H", head))
        self._next_available += 1
        self.memory.write(self.available + 2, struct.pack("<H", self._next_available & 0xffff))
        return head

    @property
    def is_used(self):
        """Whether the device has given a chain back that was not taken yet."""
        (index,) = struct.unpack("<H", self.memory.read(self.used + 2, 2))
        return index != self._next_used & 0xffff

    def take(self):
        """The head of the next chain that the device gave back, and how much it wrote."""
        assert self.is_used
        entry = self.used + 4 + 8 * (self._next_used % self.size)
        self._next_used += 1
        head, written = struct.unpack("<II", self.memory.read(entry, 8))
        assert head not in self._free, f"chain {head} is given back twice"
        self._free.append(head)
        return head, written


class Driver:
    """A driver of the device, on one vCPU."""

    def __init__(self, xen, vcpu=0, base=BASE, irq=IRQ):
        self.xen = xen
        self.vcpu = xen.vcpus[vcpu] if base == BASE else xen.vcpus[vcpu].at(base)
        self.irq = irq
        self.features = 0
        self.rings = []
        self._handled = 0  # so many of all interrupts so far

    def read(self, offset, size=4, timeout=DEADLINE):
        """Reads a register."""
        return self.vcpu.read(offset, size, timeout)

    def write(self, offset, value, timeout=DEADLINE):
        """Writes a register."""
        self.vcpu.write(offset, value, timeout=timeout)

    @property
    def status(self):
        """The status register."""
        return self.read(STATUS)

    def add_status(self, bit, timeout=DEADLINE):
        """Sets a bit of the status register, as section 3.1.1 wants it."""
        self.write(STATUS, self.status | bit, timeout)

    def space(self, size):
        """The first bytes of the configuration space."""
        return bytes(self.read(CONFIG + offset, 1) for offset in range(size))

    def reset(self, timeout=DEADLINE):
        """Takes everything back; the device says when it is done."""
        self.write(STATUS, 0, timeout)
        assert self.status == 0
        self.rings = []

    def identify(self, timeout=DEADLINE):
        """What Linux looks at first. Returns the device id, 0 if there is no device."""
        assert self.read(MAGIC_VALUE, timeout=timeout) == 0x74726976
        assert self.read(VERSION) == 2
        return self.read(DEVICE_ID, timeout=timeout)

    def device_features(self):
        """All 64 bits that the device offers."""
        self.write(DEVICE_FEATURES_SEL, 1)
        high = self.read(DEVICE_FEATURES)
        self.write(DEVICE_FEATURES_SEL, 0)
        return high << 32 | self.read(DEVICE_FEATURES)

    def negotiate(self, wanted=DRIVER_KNOWS):
        """From reset to FEATURES_OK."""
        self.reset()
        self.add_status(ACKNOWLEDGE)
        self.add_status(DRIVER)
        self.features = self.device_features() & wanted
        for half in (0, 1):
            self.write(DRIVER_FEATURES_SEL, half)
            self.write(DRIVER_FEATURES, self.features >> 32 * half & 0xffffffff)
        self.add_status(FEATURES_OK)
        assert self.status & FEATURES_OK, "the device refused its own features"

    def set_queue(self, index, size, descriptors, available, used):
        """Tells the device where a ring is, and sets it ready."""
        self.write(QUEUE_SEL, index)
        assert self.read(QUEUE_READY) == 0
        self.write(QUEUE_SIZE, size)
        for register, address in ((QUEUE_DESC, descriptors), (QUEUE_DRIVER, available),
                                  (QUEUE_DEVICE, used)):
            self.write(register, address & 0xffffffff)
            self.write(register + 4, address >> 32)
        self.write(QUEUE_READY, 1)

    def add_ring(self, index=0, size=16, bank=0):
        """Makes a ring and sets it up as queue number index."""
        self.write(QUEUE_SEL, index)
        assert self.read(QUEUE_SIZE_MAX) >= size
        ring = Ring(self.xen.memory, size, bank)
        self.set_queue(index, size, ring.descriptors, ring.available, ring.used)
        assert self.read(QUEUE_READY) == 1
        self.rings.append(ring)
        return ring

    def start(self, queues=1, bank=0, wanted=DRIVER_KNOWS, size=16):
        """From reset to DRIVER_OK. Returns itself."""
        self.negotiate(wanted)
        for index in range(queues):
            self.add_ring(index, size, bank)
        self.add_status(DRIVER_OK)
        assert self.status == ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK
        return self

    def notify(self, queue=0):
        """Says that a queue has work."""
        self.write(QUEUE_NOTIFY, queue)

    def handle_interrupt(self):
        """What an interrupt handler does first. Returns the causes."""
        causes = self.read(INTERRUPT_STATUS)
        self.write(INTERRUPT_ACK, causes)
        return causes

    def next_interrupt(self, timeout=DEADLINE):
        """Waits for an interrupt that was not handled yet, and handles it. Returns the causes."""
        self.xen.wait_interrupt(self._handled + 1, timeout, self.irq)
        self._handled = self.xen.interrupts_of[self.irq]
        return self.handle_interrupt()

    def wait_used(self, queue=0, timeout=DEADLINE):
        """Sleeps until an interrupt brings a used buffer, as a driver does: it does not poll."""
        ring = self.rings[queue]
        while not ring.is_used:
            self.next_interrupt(timeout)
        return ring.take()


@dataclass
class Request:
    """A request of a disk's driver, and where it is."""

    head: int
    buffer: int
    size: int
    status: int


class Disk(Driver):
    """A virtio-blk driver."""

    def config(self, offset, size):
        """A field of the configuration space, read again if it changed meanwhile."""
        while True:
            before = self.read(CONFIG_GENERATION)
            value = self.read(CONFIG + offset, min(size, 4))
            if size == 8:
                value |= self.read(CONFIG + offset + 4) << 32
            if self.read(CONFIG_GENERATION) == before:
                return value

    @property
    def capacity(self):
        """Size in sectors."""
        return self.config(0, 8)

    def submit(self, kind, sector, data, queue=0, bank=0):
        """Starts a request. data: bytes to write, or how many to read. Returns it."""
        memory = self.xen.memory
        size = data if isinstance(data, int) else len(data)
        header = memory.allocate(16, bank, align=16)
        memory.write(header, struct.pack("<IIQ", kind, 0, sector))
        buffer = memory.allocate(size, bank, align=SECTOR) if size else None
        status = memory.allocate(1, bank, align=1)
        memory.write(status, b"\xff")
        if not isinstance(data, int) and size:
            memory.write(buffer, data)
        middle = [(buffer, size, isinstance(data, int))] if size else []
        head = self.rings[queue].add((header, 16, False), *middle, (status, 1, True))
        return Request(head, buffer, size, status)

    def result(self, request):
        """The status of a request that is done, and its buffer's bytes."""
        return (self.xen.memory.read(request.status, 1)[0],
                self.xen.memory.read(request.buffer, request.size) if request.size else b"")

    def complete(self, request, queue=0, timeout=DEADLINE):
        """Waits for a request. Returns its status and the buffer's bytes."""
        head, _ = self.wait_used(queue, timeout)
        assert head == request.head
        return self.result(request)

    def request(self, kind, sector, data, queue=0, bank=0):
        """A whole request. Returns its status and the buffer's bytes."""
        request = self.submit(kind, sector, data, queue, bank)
        self.notify(queue)
        return self.complete(request, queue)

    def read_sectors(self, sector, count, queue=0, bank=0):
        """Reads; fails if the disk does."""
        status, data = self.request(BLK_IN, sector, count * SECTOR, queue, bank)
        assert status == BLK_OK
        return data

    def write_sectors(self, sector, data, queue=0, bank=0):
        """Writes; fails if the disk does."""
        status, _ = self.request(BLK_OUT, sector, data, queue, bank)
        assert status == BLK_OK

    def flush(self, queue=0):
        """Waits until what was written lasts."""
        status, _ = self.request(BLK_FLUSH, 0, 0, queue)
        assert status == BLK_OK

    def get_id(self):
        """The disk's serial number."""
        status, data = self.request(BLK_GET_ID, 0, 20)
        assert status == BLK_OK
        return data.rstrip(b"\0")
