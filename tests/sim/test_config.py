# SPDX-License-Identifier: LGPL-2.1-or-later
"""Configuration spaces that change: by the backend on its own channel, or by the driver."""

import os
import socket
import struct
import time

import pytest

from sim.backend import (BACKEND_CONFIG_CHANGE, F_BACKEND_REQ, GET_CONFIG, GET_VRING_BASE, HEADER,
                         NEED_REPLY, REPLY, SET_BACKEND_REQ_FD, SET_CONFIG, VERSION)
from sim.guest import (BLK_F_CONFIG_WCE, CONFIG, CONFIG_CHANGED, CONFIG_GENERATION, DRIVER_KNOWS,
                       NEEDS_RESET, SECTOR)
from sim.memory import MIB
from sim.slack import has_passed, slack
from sim.xen import DEADLINE

WRITEBACK = 32  # offset of the field in struct virtio_blk_config
UNKNOWN = 77
FLOOD_SECONDS = 3


def channel_of(backend):
    """The backend's end of its channel."""
    message = backend.wait_request(SET_BACKEND_REQ_FD)
    assert len(message.fds) == 1
    channel = socket.socket(fileno=os.dup(message.fds[0]))
    channel.settimeout(DEADLINE * slack())
    return channel


def ask(channel, request, payload=b"", fds=()):
    """Sends a request that wants an answer, and returns the number in it."""
    data = HEADER.pack(request, VERSION | NEED_REPLY, len(payload)) + payload
    socket.send_fds(channel, [data], list(fds))
    answer = channel.recv(HEADER.size + 8, socket.MSG_WAITALL)
    assert HEADER.unpack(answer[:HEADER.size]) == (request, VERSION | REPLY, 8)
    return struct.unpack("<Q", answer[HEADER.size:])[0]


@pytest.fixture
def speaker(machine):
    """A machine whose backend only records, and has a channel; its driver is up."""
    machine.backend = machine.scripted_backend()
    machine.backend.protocol_features |= F_BACKEND_REQ
    machine.process = machine.frontend().wait_ready()
    machine.driver = machine.disk().start()
    machine.channel = channel_of(machine.backend)
    yield machine
    machine.channel.close()


def test_the_backend_changes_it(speaker):
    driver = speaker.driver
    before = driver.read(CONFIG_GENERATION)
    speaker.backend.config = struct.pack("<Q", 4096)
    assert ask(speaker.channel, BACKEND_CONFIG_CHANGE) == 0
    assert driver.next_interrupt() == CONFIG_CHANGED
    assert driver.capacity == 4096
    assert driver.read(CONFIG_GENERATION) != before
    speaker.channel.sendall(HEADER.pack(BACKEND_CONFIG_CHANGE, VERSION, 0))  # as it was: no news
    time.sleep(0.3)
    assert driver.read(CONFIG_GENERATION) == (before + 1) & 0xffffffff


def test_a_disk_that_grows(machine):
    """The real thing."""
    image = machine.image(MIB)
    backend = machine.reference_backend(f"--blk-file={image}")
    machine.frontend().wait_ready()
    disk = machine.disk().start()
    os.truncate(image, 3 * MIB)
    backend.refresh()
    assert disk.next_interrupt() & CONFIG_CHANGED
    assert disk.capacity == 3 * MIB // SECTOR
    assert disk.read_sectors(5 * MIB // 2 // SECTOR, 1) == bytes(SECTOR)


@pytest.mark.plain_build(reason="measures time")
def test_a_flood(speaker):
    """The guest is interrupted ten times a second at most, and a quarter of a CPU is enough."""
    speaker.channel.setblocking(False)
    driver, sent = speaker.driver, 0
    before, interrupts = speaker.process.cpu_seconds(), speaker.xen.interrupts
    start = time.monotonic()
    while time.monotonic() - start < FLOOD_SECONDS or sent <= 500:
        assert not has_passed(start, 2 * FLOOD_SECONDS), f"{sent} are taken"
        speaker.backend.config = struct.pack("<Q", 2048 + sent)
        try:
            speaker.channel.send(HEADER.pack(BACKEND_CONFIG_CHANGE, VERSION, 0))
            sent += 1
        except BlockingIOError:
            time.sleep(0.001)
            driver.identify()
    used, n_interrupts = speaker.process.cpu_seconds() - before, speaker.xen.interrupts - interrupts
    n_looks = speaker.backend.connection.requests().count(GET_CONFIG)
    seconds = time.monotonic() - start
    assert 10 / slack() <= n_interrupts <= 2 + 10 * seconds
    assert used < seconds / 4
    assert n_looks <= 4 + 10 * seconds


def test_requests_that_are_not_served(speaker):
    """They are refused, and their descriptors closed; the channel and the device go on."""
    before = len(speaker.process.descriptors())
    with open("/dev/null", "rb") as null:
        for request, payload, count in ((UNKNOWN, b"", 0), (0, b"x" * 100, 1), (3, b"y" * 4096, 8),
                                        (BACKEND_CONFIG_CHANGE, b"z", 0), (0xffffffff, b"", 200)):
            assert ask(speaker.channel, request, payload, [null.fileno()] * count) != 0
    assert len(speaker.process.descriptors()) == before
    assert f"refused request {UNKNOWN}" in speaker.process.log
    assert ask(speaker.channel, BACKEND_CONFIG_CHANGE) == 0
    start = time.monotonic()
    for _ in range(100):  # slowly, but for ever
        assert ask(speaker.channel, UNKNOWN) != 0
    assert speaker.process.log.count("\n") < 30 + time.monotonic() - start
    assert not speaker.driver.status & NEEDS_RESET


@pytest.mark.parametrize("bytes_", [HEADER.pack(2, VERSION | REPLY, 0), HEADER.pack(2, 2, 0),
                                    HEADER.pack(2, VERSION, 4097), b"\xff" * 100, b"\1"],
                         ids=["reply", "version", "long", "nonsense", "cut"])
def test_nonsense(speaker, bytes_):
    """The channel is of no use any more; the device is."""
    speaker.channel.sendall(bytes_)
    speaker.channel.shutdown(socket.SHUT_WR)
    time.sleep(0.1)
    assert not speaker.driver.status & NEEDS_RESET
    before = speaker.process.cpu_seconds()
    time.sleep(0.3)
    assert speaker.process.cpu_seconds() - before < 0.1
    speaker.driver.start()


def test_a_backend_that_does_not_read_its_answers(speaker):
    speaker.channel.setblocking(False)
    end = time.monotonic() + 1
    while time.monotonic() < end:
        try:
            speaker.channel.send(HEADER.pack(UNKNOWN, VERSION | NEED_REPLY, 0))
        except (BlockingIOError, BrokenPipeError):
            time.sleep(0.01)
    assert speaker.driver.identify() == 2
    speaker.driver.start()


def test_the_backend_asks_before_it_answers(speaker):
    """It wants to be answered first, in the middle of a transaction of ours: no deadlock."""
    asked = []

    def wait(connection, reply):
        asked.append(ask(speaker.channel, BACKEND_CONFIG_CHANGE))
        connection.send(reply)
    speaker.backend.misbehave = {GET_VRING_BASE: wait}
    speaker.driver.start()
    assert asked == [0]


# The driver writes.

def test_the_driver_writes(machine):
    backend = machine.scripted_backend()
    backend.features |= BLK_F_CONFIG_WCE
    backend.config = bytes(64)
    machine.frontend().wait_ready()
    disk = machine.disk().start(wanted=DRIVER_KNOWS | BLK_F_CONFIG_WCE)
    assert disk.features & BLK_F_CONFIG_WCE
    disk.vcpu.write(CONFIG + WRITEBACK, 1, size=1)
    message = backend.wait_request(SET_CONFIG)
    assert message.payload == struct.pack("<III", WRITEBACK, 1, 0) + b"\1"
    assert disk.read(CONFIG + WRITEBACK, 1) == 1

    backend.misbehave = {SET_CONFIG: refuse}
    disk.vcpu.write(CONFIG + WRITEBACK, 7, size=1)
    assert disk.next_interrupt() == CONFIG_CHANGED
    assert disk.read(CONFIG + WRITEBACK, 1) == 0  # what this backend has
    assert len(backend.connections) == 1


def refuse(connection, reply):
    """The driver must not write that."""
    reply.payload = struct.pack("<Q", 22)
    connection.send(reply)


@pytest.mark.parametrize("offset,size", [(0, 4), (WRITEBACK, 4), (WRITEBACK + 1, 1), (30, 2),
                                         (252, 4)])
def test_the_driver_writes_what_is_not_its_own(machine, offset, size):
    backend = machine.scripted_backend()
    machine.frontend().wait_ready()
    disk = machine.disk().start()
    before = disk.read(CONFIG + offset, size)
    disk.vcpu.write(CONFIG + offset, 0x5a5a5a5a & (1 << 8 * size) - 1, size=size)
    assert disk.read(CONFIG + offset, size) == before
    disk.identify()
    assert SET_CONFIG not in backend.connection.requests()


def test_writeback_of_a_real_disk(machine):
    machine.storage_daemon(machine.image(MIB))
    machine.frontend().wait_ready()
    disk = machine.disk().start(wanted=DRIVER_KNOWS | BLK_F_CONFIG_WCE)
    for value in (0, 1, 0):
        disk.vcpu.write(CONFIG + WRITEBACK, value, size=1)
        assert disk.read(CONFIG + WRITEBACK, 1) == value
        disk.write_sectors(0, os.urandom(SECTOR))
    disk.start()
    assert disk.read(CONFIG + WRITEBACK, 1) == 0
