# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest that reads and writes its disk at random, and knows what it has to find there."""

import random

from sim.guest import BLK_IN, BLK_OK, BLK_OUT, SECTOR
from sim.xen import DEADLINE

DEPTH = 12  # requests at a time; a ring of 64 has room for 16
SECTORS_MAX = 16  # of a request


class Load:
    """Keeps several requests in flight, none of which touch the same sectors.

    Each is given back exactly once, with status OK and the right bytes; or a test fails.
    """

    def __init__(self, disk, content, seed=1):
        self.disk = disk
        self.content = bytearray(content)
        self.chance = random.Random(seed)
        self.done = 0
        self._pending = {}  # by head: the request, its first sector, what it writes or how much
        self._sectors = set()

    def submit(self, count=DEPTH):
        """Starts requests until so many are in flight, and notifies the device of each."""
        while len(self._pending) < count:
            sector, size = self._choose()
            writes = self.chance.random() < 0.5
            data = self.chance.randbytes(size * SECTOR) if writes else size * SECTOR
            request = self.disk.submit(BLK_OUT if writes else BLK_IN, sector, data)
            self._pending[request.head] = request, sector, data
            self.disk.notify()

    def _choose(self):
        """A range of sectors that no request in flight touches."""
        while True:
            size = self.chance.randint(1, SECTORS_MAX)
            sector = self.chance.randrange(len(self.content) // SECTOR - size)
            sectors = set(range(sector, sector + size))
            if not sectors & self._sectors:
                self._sectors |= sectors
                return sector, size

    def collect(self):
        """Takes what the device has given back so far."""
        while self.disk.rings[0].is_used:
            head, _ = self.disk.rings[0].take()
            assert head in self._pending, f"chain {head} was not given"
            request, sector, data = self._pending.pop(head)
            status, found = self.disk.result(request)
            assert status == BLK_OK
            place = slice(sector * SECTOR, sector * SECTOR + request.size)
            if isinstance(data, int):
                assert found == self.content[place], f"sector {sector}"
            else:
                self.content[place] = data
            self._sectors -= set(range(sector, sector + request.size // SECTOR))
            self.done += 1

    def finish(self, timeout=DEADLINE):
        """Waits until all is given back; as a driver does, only an interrupt makes it look."""
        self.collect()
        while self._pending:
            self.disk.next_interrupt(timeout)
            self.collect()
