# SPDX-License-Identifier: LGPL-2.1-or-later
"""A frontend's clock, which can be moved while it runs: see moved-clock.c."""

import mmap
import struct


class MovedClock:
    """The clock of one machine's frontends."""

    def __init__(self, machine):
        self._library = machine.program.with_name("libxen-virtio-moved-clock.so")
        self._path = machine.directory / "clock"
        self._path.write_bytes(bytes(8))
        with open(self._path, "r+b") as file:
            self._ahead = mmap.mmap(file.fileno(), 8)
        self._seconds = 0

    def environment(self):
        """For a frontend that goes by it."""
        return {"LD_PRELOAD": str(self._library), "XEN_VIRTIO_SIM_CLOCK": str(self._path)}

    def advance(self, seconds):
        """As if that time had passed."""
        self._seconds += seconds
        self._ahead[:] = struct.pack("<q", self._seconds * 1_000_000)
