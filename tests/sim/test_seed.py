# SPDX-License-Identifier: LGPL-2.1-or-later
"""Seeded grants: dom0 grants itself the guest's RAM, and any backend maps it as a file."""

import fcntl
import hashlib

import pytest

from sim.backend import (F_CONFIG, F_MQ, F_REPLY_ACK, SET_MEM_TABLE, SET_PROTOCOL_FEATURES)
from sim.conftest import LAUNCH
from sim.grants import FRAME_ENTRIES, PERMIT_ACCESS, READING, WRITING, GrantTable
from sim.guest import DRIVER_OK, NEEDS_RESET, SECTOR
from sim.memory import BANK0_BASE, BANK0_SIZE, BANK1_BASE, MIB, PAGE
from sim.test_memory import F_GETSIG, F_XEN_MMAP, XEN_FOREIGN, regions

FRAMES_KEPT = 64  # GRANT_FRAMES_KEPT
SETS = 2  # SEEDED_SETS
DOM0 = 0
EX_TEMPFAIL = 75
MEMORY_SIZE = 64 * MIB
FIRST = FRAMES_KEPT * FRAME_ENTRIES  # reference, if the table is as small as it may be
PAGES = MEMORY_SIZE // PAGE
FIRST_ENTRY = (PERMIT_ACCESS, DOM0, BANK0_BASE // PAGE)


def choose(machine, choice="seed"):
    """Writes the launch file for a profile with this Memory=."""
    text = LAUNCH.format(memory_kib=machine.xen.memory.size // 1024)
    machine.write_launch(f"{text}MEMORY={choice}\n")


def seeding(machine, more_frames=0):
    """Lets the profile ask for it, of a guest whose table has just enough frames, and these."""
    choose(machine)
    frames = FRAMES_KEPT + machine.xen.memory.size // PAGE // FRAME_ENTRIES + more_frames
    machine.xen.grant_table = GrantTable(frames)
    return machine.xen.grant_table


def refused(machine, reason, **environment):
    """A frontend ends, and says why."""
    frontend = machine.frontend(**environment)
    frontend.wait_exit(EX_TEMPFAIL)
    assert reason in frontend.log
    assert "cannot get at the guest's memory" in frontend.log


def test_disk(machine):
    """qemu-storage-daemon knows nothing of it."""
    table = seeding(machine)
    image = machine.image(MIB)
    machine.storage_daemon(image)
    frontend = machine.frontend().wait_ready()
    assert "as a file of seeded grants" in frontend.log
    disk = machine.disk().start()
    read = b"".join(disk.read_sectors(sector, 64) for sector in range(0, MIB // SECTOR, 64))
    assert hashlib.sha256(read).digest() == hashlib.sha256(image.read_bytes()).digest()
    assert table.used() == list(range(FIRST, FIRST + PAGES))


def test_banks(make_machine):
    """Each bank is a region, from a file of its own, with no mark for our library."""
    machine = make_machine(memory_size=BANK0_SIZE + 2 * MIB)
    table = seeding(machine, more_frames=100)
    first = table.size - (BANK0_SIZE + 2 * MIB) // PAGE
    backend = machine.scripted_backend()
    backend.protocol_features = F_MQ | F_REPLY_ACK | F_CONFIG | F_XEN_MMAP
    machine.frontend().wait_ready()
    machine.disk().start()

    # Asked for that way, a backend that could do better need not.
    assert not backend.wait_request(SET_PROTOCOL_FEATURES).u64 & F_XEN_MMAP
    message = backend.wait_request(SET_MEM_TABLE)
    assert regions(message, xen=False) == [(BANK0_BASE, BANK0_SIZE, BANK0_BASE, 0),
                                           (BANK1_BASE, 2 * MIB, BANK1_BASE, 0)]
    assert [fcntl.fcntl(fd, F_GETSIG) for fd in message.fds] == [0, 0]
    assert table[first - 1] == (0, 0, 0)
    assert table[first] == FIRST_ENTRY
    assert table[table.size - 1] == (PERMIT_ACCESS, DOM0, (BANK1_BASE + 2 * MIB) // PAGE - 1)


def test_each_connection_has_its_own(machine):
    """What is mapped can be mapped once; when all are used up the next process goes on."""
    seeding(machine)
    machine.scripted_backend()
    frontend = machine.frontend().wait_ready()
    disk = machine.disk()
    for _ in range(SETS):
        disk.start()
        disk.reset()
    disk.negotiate()
    disk.add_ring()
    disk.add_status(DRIVER_OK)
    frontend.wait_exit(EX_TEMPFAIL)
    machine.frontend().wait_ready()
    assert disk.status & DRIVER_OK and not disk.status & NEEDS_RESET


def test_entries_of_another_device(machine):
    """Those that are right are taken as they are: others of the guest's devices use them."""
    table = seeding(machine)
    table[FIRST] = (PERMIT_ACCESS | READING | WRITING, DOM0, BANK0_BASE // PAGE)
    machine.scripted_backend()
    machine.frontend().wait_ready()
    machine.disk().start()
    assert table[FIRST] == (PERMIT_ACCESS | READING | WRITING, DOM0, BANK0_BASE // PAGE)
    assert table[FIRST + 1] == (PERMIT_ACCESS, DOM0, BANK0_BASE // PAGE + 1)


def test_entries_of_the_guest(machine):
    """Nothing of it is written over, and nothing beside it."""
    table = seeding(machine)
    guests = (PERMIT_ACCESS, 7, 0x40001)
    table[FIRST + 99] = guests
    refused(machine, f"the guest uses grant {FIRST + 99} itself")
    assert table.used() == [FIRST + 99]
    assert table[FIRST + 99] == guests


def test_no_room(machine):
    """What the guest's drivers may need is left to them, and what to do is said."""
    table = seeding(machine, more_frames=-1)
    refused(machine, f"max_grant_frames={FRAMES_KEPT + PAGES // FRAME_ENTRIES}")
    assert not table.used()


def test_version_2(machine):
    table = seeding(machine)
    refused(machine, "version 2 of grant tables", XEN_VIRTIO_SIM_TABLE_VERSION="2")
    assert not table.used()


def test_no_table(machine):
    choose(machine)
    refused(machine, "cannot open the guest's grant table")


@pytest.mark.parametrize("limit", [PAGES - 1, PAGES])
def test_limit_of_linux(machine, limit):
    seeding(machine)
    if limit < PAGES:
        refused(machine, f"less than {PAGES} granted pages",
                XEN_VIRTIO_SIM_GNTDEV_LIMIT=str(limit))
    else:
        machine.scripted_backend()
        machine.frontend(XEN_VIRTIO_SIM_GNTDEV_LIMIT=str(limit)).wait_ready()


def test_cannot_be_mapped(machine):
    """Found out before a backend is told, which could hardly say what is wrong."""
    seeding(machine)
    refused(machine, "gnttab_max_maptrack_frames", XEN_VIRTIO_SIM_MAPTRACK=str(PAGES - 1))


@pytest.mark.parametrize("choice, acknowledged", [
    ("auto", True), ("preload", False), ("xen-mmap", True)])
def test_choice(machine, choice, acknowledged):
    choose(machine, choice)
    backend = machine.scripted_backend()
    backend.protocol_features = F_MQ | F_REPLY_ACK | F_CONFIG | F_XEN_MMAP
    machine.frontend().wait_ready()
    machine.disk().start()
    assert bool(backend.wait_request(SET_PROTOCOL_FEATURES).u64 & F_XEN_MMAP) == acknowledged
    region, = regions(backend.wait_request(SET_MEM_TABLE), xen=acknowledged)
    assert region[4:5] == ((XEN_FOREIGN,) if acknowledged else ())


def test_backend_without_xen_mmap(machine):
    choose(machine, "xen-mmap")
    machine.scripted_backend()
    frontend = machine.frontend()
    machine.xen.wait_for(lambda: "Memory=xen-mmap" in frontend.log, "reason")
    assert not frontend.is_ready(timeout=0.5)
