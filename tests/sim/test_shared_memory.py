# SPDX-License-Identifier: LGPL-2.1-or-later
"""Devices of one frontend process get at the guest's memory each in their own way."""

import fcntl

import pytest

from sim.backend import F_CONFIG, F_MQ, F_REPLY_ACK, SET_MEM_TABLE
from sim.shared import Guest
from sim.test_memory import F_GETSIG, F_XEN_MMAP


@pytest.fixture
def guest(build, tmp_path):
    """A guest with one vCPU."""
    guest = Guest(build, tmp_path)
    yield guest
    guest.close()


def test_choices(guest):
    """What a profile wants for a device is not asked of the others, nor what its backend can."""
    devices = [guest.add() for _ in range(3)]
    for device, choice in zip(devices, ("auto", "preload", "xen-mmap"), strict=True):
        device.make_folder(MEMORY=choice).start_backend("scripted")
        device.backend.protocol_features = F_MQ | F_REPLY_ACK | F_CONFIG | F_XEN_MMAP
    guest.start(*devices)
    ways = "XEN_MMAP, foreign", "as a file", "XEN_MMAP, foreign"
    for device, way in zip(devices, ways, strict=True):
        device.wait_status("ready\n")
        said = [line for line in guest.process.log.splitlines()
                if line.startswith(f"{device.instance}: the backend answered")]
        assert len(said) == 1 and way in said[0]
        device.disk().start()
    # Whoever was told last: the library in a backend looks when that maps.
    marks = [fcntl.fcntl(device.backend.wait_request(SET_MEM_TABLE).fds[0], F_GETSIG)
             for device in devices]
    assert marks == [0, 1, 0]


def test_the_first_wants_seeded_memory(guest):
    """It is left out wherever it stands, and its wish is nobody else's."""
    seeded, other = guest.add("reference"), guest.add("reference")
    seeded.make_folder(MEMORY="seed")
    guest.start(seeded, other)
    assert seeded.status == "failed\n"
    assert guest.process.log.count("served alone") == 1
    other.disk().start().read_sectors(0, 1)
