# SPDX-License-Identifier: LGPL-2.1-or-later
"""An Arm guest's RAM: two banks, each a memfd, as sparse as the guest leaves them."""

import mmap
import os
import threading

PAGE = 4096
MIB = 1 << 20
GIB = 1 << 30
BANK0_BASE, BANK0_SIZE = 0x40000000, 3 * GIB
BANK1_BASE = 0x200000000


class Bank:
    """One bank of RAM."""

    def __init__(self, name, base, size):
        self.base = base
        self.size = size
        self.fd = os.memfd_create(name)
        os.ftruncate(self.fd, size)
        self.bytes = mmap.mmap(self.fd, size, mmap.MAP_SHARED | getattr(mmap, "MAP_NORESERVE", 0))
        self.next_free = base + PAGE  # page 0 stays empty: address 0 of a bank is no buffer

    def close(self):
        """Lets the pages go."""
        self.bytes.close()
        os.close(self.fd)


class GuestMemory:
    """All of a guest's RAM, by guest-physical address."""

    def __init__(self, size):
        self.size = size
        self._lock = threading.Lock()  # several drivers may allocate at once
        self.banks = [Bank("ram0", BANK0_BASE, min(size, BANK0_SIZE))]
        if size > BANK0_SIZE:
            self.banks.append(Bank("ram1", BANK1_BASE, size - BANK0_SIZE))

    def close(self):
        """Lets the pages go."""
        for bank in self.banks:
            bank.close()

    def allocate(self, size, bank=0, align=PAGE):
        """A piece of a bank that nothing else uses. It is never given back."""
        bank = self.banks[bank]
        with self._lock:
            address = -(-bank.next_free // align) * align
            bank.next_free = address + size
        assert bank.next_free <= bank.base + bank.size, "the test needs a larger guest"
        return address

    def _place(self, address, size):
        for bank in self.banks:
            offset = address - bank.base
            if offset >= 0 and offset + size <= bank.size:
                return bank.bytes, slice(offset, offset + size)
        raise IndexError(f"{address:#x}+{size:#x} is no RAM")

    def read(self, address, size):
        """What the guest's CPU reads."""
        memory, place = self._place(address, size)
        return memory[place]

    def write(self, address, data):
        """What the guest's CPU writes."""
        memory, place = self._place(address, len(data))
        memory[place] = data
