# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest's grant table: frames of 8-byte entries (version 1), by reference."""

import mmap
import os
import struct

from sim.memory import PAGE

ENTRY = struct.Struct("<HHI")  # struct grant_entry_v1: flags, domain, frame
PERMIT_ACCESS, READING, WRITING = 1, 8, 16
FRAME_ENTRIES = PAGE // ENTRY.size


class GrantTable:
    """All frames that the guest may have; none of its entries is used."""

    def __init__(self, frames):
        self.size = frames * FRAME_ENTRIES
        self.fd = os.memfd_create("grants")
        os.ftruncate(self.fd, frames * PAGE)
        self._bytes = mmap.mmap(self.fd, frames * PAGE)

    def close(self):
        """Lets the frames go."""
        self._bytes.close()
        os.close(self.fd)

    def __getitem__(self, reference):
        return ENTRY.unpack_from(self._bytes, reference * ENTRY.size)

    def __setitem__(self, reference, entry):
        ENTRY.pack_into(self._bytes, reference * ENTRY.size, *entry)

    def used(self):
        """The references of all entries that hold anything."""
        return [reference for reference in range(self.size) if any(self[reference])]
