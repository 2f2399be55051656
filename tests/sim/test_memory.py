# SPDX-License-Identifier: LGPL-2.1-or-later
"""How backends get to know the guest's memory. Mapping it as Xen does is for the lab."""

import fcntl
import struct

import time

import pytest

from sim.backend import (F_CONFIG, F_MQ, F_REPLY_ACK, PROTOCOL_FEATURES_BIT, SET_FEATURES,
                         SET_MEM_TABLE, SET_PROTOCOL_FEATURES)
from sim.conftest import LAUNCH
from sim.guest import (DRIVER_KNOWS, DRIVER_OK, NEEDS_RESET, QUEUE_READY, QUEUE_SEL, VERSION_1,
                       Disk)
from sim.memory import BANK0_BASE, BANK0_SIZE, BANK1_BASE, MIB, PAGE

DOMID = 5  # INSTANCE
F_XEN_MMAP = 1 << 17
XEN_FOREIGN, XEN_GRANT, XEN_NO_ADVANCE_MAP = 1, 2, 8
GRANTS, GRANTS_SIZE = 1 << 63, 1 << 44
ACCESS_PLATFORM, RING_PACKED, RING_RESET = 1 << 33, 1 << 34, 1 << 40
GRANT_SETS = 4  # GRANT_SETS_MAX
EX_TEMPFAIL = 75
HOLD = 10.0  # DEVICE_HOLD_USEC
F_GETSIG = 11  # asm-generic/fcntl.h


def regions(message, xen):
    """What a SET_MEM_TABLE tells of, as tuples of all fields of each region."""
    layout = struct.Struct("<QQQQII" if xen else "<QQQQ")
    count, padding = struct.unpack_from("<II", message.payload)
    assert padding == 0
    assert len(message.payload) == 8 + count * layout.size
    assert len(message.fds) == count
    return list(layout.iter_unpack(message.payload[8:]))


@pytest.mark.parametrize("xen", [False, True])
def test_banks(make_machine, xen):
    """With XEN_MMAP each region tells of the domain, and no descriptor bears our library's mark."""
    machine = make_machine(memory_size=BANK0_SIZE + MIB)
    backend = machine.scripted_backend()
    backend.protocol_features = F_MQ | F_REPLY_ACK | F_CONFIG | (F_XEN_MMAP if xen else 0)
    frontend = machine.frontend().wait_ready()
    machine.disk().start()

    assert backend.wait_request(SET_PROTOCOL_FEATURES).u64 == backend.protocol_features
    table = backend.wait_request(SET_MEM_TABLE)
    more = (XEN_FOREIGN, DOMID) if xen else ()
    assert regions(table, xen) == [(BANK0_BASE, BANK0_SIZE, BANK0_BASE, 0, *more),
                                   (BANK1_BASE, MIB, BANK1_BASE, 0, *more)]
    assert [fcntl.fcntl(fd, F_GETSIG) for fd in table.fds] == ([0, 0] if xen else [1, 2])
    assert ("XEN_MMAP, foreign" if xen else "as a file") in frontend.log


class GrantingDisk(Disk):
    """A driver that hands out grants: its rings are not in the guest's memory as we see it."""

    def negotiate(self, wanted=DRIVER_KNOWS | ACCESS_PLATFORM):
        super().negotiate(wanted)

    def start_at(self, *rings):
        """From reset to DRIVER_OK, with rings at these pages: references of grants."""
        self.negotiate()
        for index, page in enumerate(rings):
            start = GRANTS + page * PAGE
            self.set_queue(index, 128, start, start + 2048, start + PAGE)
        self.add_status(DRIVER_OK)
        return self


def granting(machine):
    """A guest that hands out grants."""
    text = LAUNCH.format(memory_kib=machine.xen.memory.size // 1024)
    machine.write_launch(text.replace("GRANT_USAGE=0", "GRANT_USAGE=1"))
    return GrantingDisk(machine.xen)


def granted_backend(machine):
    """A backend that can map what is granted."""
    backend = machine.scripted_backend()
    backend.protocol_features = F_MQ | F_REPLY_ACK | F_CONFIG | F_XEN_MMAP
    backend.features |= RING_PACKED | RING_RESET
    return backend


def windows(message):
    """The granted regions of a memory table: first page, pages, flags of each."""
    found = []
    for guest, size, user, offset, flags, domid in regions(message, xen=True):
        assert (user, offset, domid) == (guest, 0, DOMID)
        found.append(((guest - GRANTS) // PAGE, size // PAGE, flags))
    assert sum(size for _, size, _ in found) == GRANTS_SIZE // PAGE
    return found


def test_mark_goes_with_the_way(machine):
    """One descriptor serves both, as each backend wants it; no two have it at the same time."""
    backend = machine.scripted_backend()
    machine.frontend().wait_ready()
    for number, features in enumerate((0, F_XEN_MMAP, 0), 1):
        machine.disk().start()
        table = backend.wait_request(SET_MEM_TABLE)
        assert fcntl.fcntl(table.fds[0], F_GETSIG) == (0 if features else 1)
        backend.protocol_features = F_MQ | F_REPLY_ACK | F_CONFIG | (F_XEN_MMAP - features)
        backend.connection.close()
        backend.wait_for(lambda count=number: len(backend.connections) > count, "reconnection")


def test_grants(machine):
    disk = granting(machine)
    backend = granted_backend(machine)
    frontend = machine.frontend().wait_ready()
    disk.start_at(3, 8)
    assert disk.features & ACCESS_PLATFORM
    assert not disk.device_features() & (RING_PACKED | RING_RESET)
    # It is for the driver, and means something else to a backend.
    assert backend.wait_request(SET_FEATURES).u64 == \
        disk.features & ~ACCESS_PLATFORM | PROTOCOL_FEATURES_BIT
    later, end = XEN_GRANT | XEN_NO_ADVANCE_MAP, GRANTS_SIZE // PAGE
    assert windows(backend.wait_request(SET_MEM_TABLE)) == [
        (0, 3, later), (3, 2, XEN_GRANT), (5, 3, later), (8, 2, XEN_GRANT), (10, end - 10, later)]

    # The backend has unmapped a ring when the driver is told that it is stopped.
    disk.write(QUEUE_SEL, 0)
    disk.write(QUEUE_READY, 0)
    tables = [m for m in backend.connection.messages if m.request == SET_MEM_TABLE]
    assert windows(tables[-1]) == [(0, 8, later), (8, 2, XEN_GRANT), (10, end - 10, later)]
    assert len(tables) == 2
    assert disk.status & DRIVER_OK and not disk.status & NEEDS_RESET
    assert "XEN_MMAP, grants" in frontend.log


def test_each_connection_has_its_descriptor(machine):
    """A backend that crashes leaves its mappings to the descriptor, so it has to be closed."""
    disk = granting(machine)
    backend = granted_backend(machine)
    frontend = machine.frontend().wait_ready()

    def left():
        return sum("gntdev" in name for name in frontend.descriptors().values())

    for number in range(GRANT_SETS):
        assert left() == GRANT_SETS - number
        disk.start_at(3)
        assert left() == GRANT_SETS - number
        disk.reset()
    assert left() == 0

    # The next start has none: another process goes on with it.
    disk.start_at(5)
    frontend.wait_exit(EX_TEMPFAIL)
    connections = len(backend.connections)
    frontend = machine.frontend().wait_ready()
    backend.wait_for(lambda: len(backend.connections) > connections, "another connection")
    assert windows(backend.wait_request(SET_MEM_TABLE))[1] == (5, 2, XEN_GRANT)
    assert disk.status & DRIVER_OK and not disk.status & NEEDS_RESET


def test_addresses_instead_of_grants(machine):
    disk = granting(machine)
    granted_backend(machine)
    machine.frontend().wait_ready()
    disk.negotiate()
    disk.set_queue(0, 128, BANK0_BASE, BANK0_BASE + 2048, BANK0_BASE + PAGE)
    assert disk.read(QUEUE_READY) == 0
    assert disk.status & NEEDS_RESET
    with pytest.raises(AssertionError, match="refused"):
        disk.negotiate(VERSION_1)


def test_rings_in_too_many_places(machine):
    disk = granting(machine)
    granted_backend(machine)
    frontend = machine.frontend().wait_ready()
    disk.start_at(3, 7, 11)
    disk.start_at(3, 7, 11, 15)
    assert disk.status & NEEDS_RESET
    assert "too many places" in frontend.log


@pytest.mark.plain_build(reason="waits for long")
def test_backend_that_cannot_map_grants(machine):
    disk = granting(machine)
    machine.scripted_backend()
    frontend = machine.frontend()
    start = time.monotonic()
    assert disk.identify(timeout=HOLD + 5) == 0
    assert time.monotonic() - start > HOLD - 1
    assert "grant_usage=1" in frontend.log and "XEN_MMAP" in frontend.log
    assert not frontend.is_ready(timeout=0)
