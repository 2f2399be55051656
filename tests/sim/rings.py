# SPDX-License-Identifier: LGPL-2.1-or-later
"""Virtqueues from the driver's side with all their features: virtio 1.3, sections 2.7 and 2.8.

Split or packed, with INDIRECT_DESC and EVENT_IDX, any number of requests in flight, given back in
any order. The driver believes nothing that the device writes: what is against the rules fails.
"""

import struct
from collections import deque

from sim.guest import DESC_NEXT, DESC_WRITE, VERSION_1, Driver
from sim.xen import DEADLINE

INDIRECT_DESC, EVENT_IDX, RING_PACKED, IN_ORDER = 1 << 28, 1 << 29, 1 << 34, 1 << 35

DESC_INDIRECT, DESC_AVAIL, DESC_USED = 4, 1 << 7, 1 << 15
NO_INTERRUPT = NO_NOTIFY = 1  # flags of the available and the used ring
EVENT_ENABLE, EVENT_DISABLE, EVENT_DESC = range(3)  # of a packed ring's event suppression
WRAP = 1 << 15
DESC_SIZE = 16


def event_is_due(event, new, old):
    """Whether an index that went from old to new has passed event (section 2.7.7.2)."""
    return (new - event - 1) & 0xffff < (new - old) & 0xffff


class GuestRing:
    """What both kinds have in common. Buffers are (address, size, device writes)."""

    def __init__(self, memory, size, features, bank=0):
        self.memory = memory
        self.size = size
        self.event_idx = bool(features & EVENT_IDX)
        self.can_indirect = bool(features & INDIRECT_DESC)
        self.in_order = bool(features & IN_ORDER)
        self.bank = bank
        self.in_flight = {}  # by id: what to give back, and how much the device may write
        self._order = deque()  # of ids, as they were added

    def _u16(self, address):
        return struct.unpack("<H", self.memory.read(address, 2))[0]

    def _set_u16(self, address, value):
        self.memory.write(address, struct.pack("<H", value & 0xffff))

    def _indirect_table(self, buffers, last_word):
        """Writes a table of descriptors. last_word(number) is what stands in their last 4 bytes."""
        table = self.memory.allocate(DESC_SIZE * len(buffers), self.bank, align=16)
        for number, (address, size, _) in enumerate(buffers):
            self.memory.write(table + DESC_SIZE * number,
                              struct.pack("<QIHH", address, size, *last_word(number)))
        return table

    def _added(self, key, slots, buffers):
        self.in_flight[key] = slots, sum(size for _, size, writable in buffers if writable)
        self._order.append(key)

    def _taken(self, key, written):
        """What the device gave back has to be something that it had."""
        assert key in self.in_flight, f"the device gives back {key}, which it does not have"
        slots, limit = self.in_flight.pop(key)
        assert written <= limit, f"the device says it wrote {written} bytes of {limit}"
        if self.in_order:
            assert key == self._order[0], "the device promised to keep the order"
        self._order.remove(key)
        return slots


class SplitRing(GuestRing):
    """A split virtqueue."""

    def __init__(self, memory, size, features, bank=0):
        super().__init__(memory, size, features, bank)
        self.descriptors = memory.allocate(DESC_SIZE * size, bank)
        self.available = memory.allocate(6 + 2 * size, bank)
        self.used = memory.allocate(6 + 8 * size, bank)
        self._free = deque(range(size))
        self._next_available = self._kicked = self._next_used = 0

    def add(self, *buffers, indirect=False):
        """Makes a chain of buffers available. Returns its id."""
        if indirect:
            flags = [DESC_NEXT] * (len(buffers) - 1) + [0]
            table = self._indirect_table(buffers, lambda number: (
                flags[number] | (DESC_WRITE if buffers[number][2] else 0), number + 1))
            pieces = [(table, DESC_SIZE * len(buffers), DESC_INDIRECT)]
        else:
            pieces = [(address, size, DESC_WRITE if writable else 0)
                      for address, size, writable in buffers]
        slots = [self._free.popleft() for _ in pieces]
        following = slots[1:] + [None]
        for slot, after, (address, size, flags) in zip(slots, following, pieces, strict=True):
            more = 0 if after is None else DESC_NEXT
            self.memory.write(self.descriptors + DESC_SIZE * slot,
                              struct.pack("<QIHH", address, size, flags | more, after or 0))
        self._set_u16(self.available + 4 + 2 * (self._next_available % self.size), slots[0])
        self._next_available += 1
        self._set_u16(self.available + 2, self._next_available)
        self._added(slots[0], slots, buffers)
        return slots[0]

    def wants_kick(self):
        """Whether the device is to be told of what was added since this was last asked."""
        old, self._kicked = self._kicked, self._next_available
        if self.event_idx:
            event = self._u16(self.used + 4 + 8 * self.size)
            return event_is_due(event, self._next_available, old)
        return not self._u16(self.used) & NO_NOTIFY

    def allow_interrupts(self, allow, skip=0):
        """Asks for an interrupt at the next request given back, or skip later ones; or for none."""
        if self.event_idx:
            event = self._next_used + skip if allow else self._next_used - 1
            self._set_u16(self.available + 4 + 2 * self.size, event)
        else:
            self._set_u16(self.available, 0 if allow else NO_INTERRUPT)

    @property
    def is_used(self):
        """Whether there is something to take."""
        return self._u16(self.used + 2) != self._next_used & 0xffff

    def take(self):
        """The id of the next chain that was given back, and how much was written."""
        assert self.is_used
        entry = self.used + 4 + 8 * (self._next_used % self.size)
        key, written = struct.unpack("<II", self.memory.read(entry, 8))
        self._next_used += 1
        self._free.extend(self._taken(key, written))
        return key, written


class PackedRing(GuestRing):
    """A packed virtqueue."""

    def __init__(self, memory, size, features, bank=0):
        super().__init__(memory, size, features, bank)
        self.descriptors = memory.allocate(DESC_SIZE * size, bank)
        self.available = memory.allocate(4, bank)  # the driver's event suppression
        self.used = memory.allocate(4, bank)  # the device's
        self._free = deque(range(size))  # ids
        self._n_free = size  # places
        self._next_available, self._next_used, self._kicked = 0, 0, 0  # counted without wrapping

    def _wrap(self, position):
        return position // self.size % 2 == 0

    def _flags(self, position):
        return DESC_AVAIL if self._wrap(position) else DESC_USED

    def _write(self, position, address, size, key, flags):
        place = self.descriptors + DESC_SIZE * (position % self.size)
        self.memory.write(place, struct.pack("<QIH", address, size, key))
        self._set_u16(place + 14, flags | self._flags(position))

    def add(self, *buffers, indirect=False):
        """Makes a chain of buffers available. Returns its id."""
        key = self._free.popleft()
        if indirect:
            table = self._indirect_table(buffers, lambda number: (
                0, DESC_WRITE if buffers[number][2] else 0))
            pieces = [(table, DESC_SIZE * len(buffers), DESC_INDIRECT)]
        else:
            pieces = [(address, size, DESC_WRITE if writable else 0)
                      for address, size, writable in buffers]
        assert len(pieces) <= self._n_free
        self._n_free -= len(pieces)
        # The first one's flags make all available, so it comes last.
        for number, (address, size, flags) in reversed(list(enumerate(pieces))):
            more = DESC_NEXT if number < len(pieces) - 1 else 0
            self._write(self._next_available + number, address, size, key, flags | more)
        self._next_available += len(pieces)
        self._added(key, len(pieces), buffers)
        return key

    def wants_kick(self):
        """Whether the device is to be told of what was added since this was last asked."""
        old, self._kicked = self._kicked, self._next_available
        event, flags = self._u16(self.used), self._u16(self.used + 2)
        if flags != EVENT_DESC:
            return flags == EVENT_ENABLE
        position = event & ~WRAP
        if bool(event & WRAP) != self._wrap(self._next_available):
            position -= self.size
        new = self._next_available % self.size
        return event_is_due(position, new, new - (self._next_available - old))

    def allow_interrupts(self, allow, skip=0):
        """Asks for an interrupt at the next place given back, or skip later ones; or for none."""
        if allow and self.event_idx:
            position = self._next_used + skip
            self._set_u16(self.available, position % self.size |
                          (WRAP if self._wrap(position) else 0))
        flags = (EVENT_DESC if self.event_idx else EVENT_ENABLE) if allow else EVENT_DISABLE
        self._set_u16(self.available + 2, flags)

    def _used_flags(self):
        return self._u16(self.descriptors + DESC_SIZE * (self._next_used % self.size) + 14)

    @property
    def is_used(self):
        """Whether there is something to take."""
        flags, wrap = self._used_flags(), self._wrap(self._next_used)
        return bool(flags & DESC_AVAIL) == bool(flags & DESC_USED) == wrap

    def take(self):
        """The id of the next chain that was given back, and how much was written."""
        assert self.is_used
        place = self.descriptors + DESC_SIZE * (self._next_used % self.size)
        written, key, flags = struct.unpack("<IHH", self.memory.read(place + 8, 8))
        slots = self._taken(key, written)
        assert bool(flags & DESC_WRITE) == bool(written)
        self._next_used += slots
        self._n_free += slots
        self._free.append(key)
        return key, written


class RingDriver(Driver):
    """A driver of the loop-back device, of which each request gives back what it was given."""

    knows = VERSION_1 | INDIRECT_DESC | EVENT_IDX

    def __init__(self, xen, vcpu=0):
        super().__init__(xen, vcpu)
        self.kicks = 0
        self._expected = {}  # by queue and id: what has to come back, and where

    def add_ring(self, index=0, size=16, bank=0):
        """Makes a ring of the features that were agreed on, and sets it up."""
        kind = PackedRing if self.features & RING_PACKED else SplitRing
        ring = kind(self.xen.memory, size, self.features, bank)
        self.set_queue(index, size, ring.descriptors, ring.available, ring.used)
        self.rings.append(ring)
        return ring

    def submit(self, data, queue=0, pieces=1, indirect=False, kick=True):
        """Adds a request of data in some pieces, to be written into as many others."""
        memory, ring = self.xen.memory, self.rings[queue]
        step = -(-len(data) // pieces)
        readable, writable = [], []
        for start in range(0, len(data), step):
            part = data[start:start + step]
            address = memory.allocate(len(part), ring.bank, align=1)
            memory.write(address, part)
            readable.append((address, len(part), False))
            writable.append((memory.allocate(len(part), ring.bank, align=1), len(part), True))
        key = ring.add(*readable, *writable, indirect=indirect)
        self._expected[queue, key] = data, writable
        if kick and ring.wants_kick():
            self.kicks += 1
            self.notify(queue)
        return key

    def take(self, queue=0):
        """Takes one request that was given back, and checks what it brought."""
        key, written = self.rings[queue].take()
        data, buffers = self._expected.pop((queue, key))
        assert written == len(data)
        assert b"".join(self.xen.memory.read(address, size)
                        for address, size, _ in buffers) == data
        return key

    def drain(self, queue=0, timeout=DEADLINE):
        """Sleeps and takes until nothing is in flight in the queue, as a driver does."""
        ring = self.rings[queue]
        while ring.in_flight:
            ring.allow_interrupts(False)
            while ring.is_used:
                self.take(queue)
            ring.allow_interrupts(True)
            if ring.in_flight and not ring.is_used:
                self.next_interrupt(timeout)
