# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the reference backend can do, asked for directly: a test that uses it can rely on it."""

import os
import random
import socket
import struct
import subprocess
import time

import pytest

from sim.backend import F_CONFIG, F_MQ, F_REPLY_ACK, GET_CONFIG, SET_FEATURES
from sim.client import (ADD_MEM_REG, BACKEND_CONFIG_CHANGE, F_BACKEND_REQ, F_INFLIGHT, F_RESET,
                        F_SEND_FD, F_SLOTS, F_STATUS, F_XEN_MMAP, GET_INFLIGHT_FD,
                        GET_MAX_MEM_SLOTS, GET_STATUS, PROTOCOL_FEATURES, REM_MEM_REG, RESET_DEVICE,
                        SET_INFLIGHT_FD, SET_STATUS, Client, DirectDriver, connect_to,
                        inflight_is_empty)
from sim.guest import SECTOR, VERSION_1
from sim.memory import MIB, PAGE
from sim.rings import EVENT_IDX, INDIRECT_DESC, RING_PACKED
from sim.slack import slack
from sim.xen import DEADLINE

USUAL = F_MQ | F_REPLY_ACK | F_CONFIG
RING_SIZE = 16


@pytest.fixture
def clients(machine):
    """Makes connections, and ends them."""
    made = []

    def connect(features, protocol=USUAL):
        made.append(Client(connect_to(machine.socket), machine.xen.memory))
        made[-1].negotiate(features, protocol)
        return made[-1]

    yield connect
    for client in made:
        client.close()


def echo(driver, count=40):
    """Requests that go several times around the ring."""
    for number in range(count):
        driver.submit(os.urandom(100 + number), pieces=1 + number % 3)
        driver.drain()


@pytest.mark.parametrize("kind", ["table", "xen-table", "slots", "xen-slots"])
def test_memory(machine, clients, kind):
    machine.reference_backend("--type=loopback", "--protocol=0xffffffff")
    xen = "xen" in kind
    protocol = USUAL | (F_XEN_MMAP if xen else 0) | (F_SLOTS if "slots" in kind else 0)
    client = clients(VERSION_1, protocol)
    bank = machine.xen.memory.banks[0]
    slot = bytes(8) + client.region(bank, xen)
    if "slots" in kind:
        assert client.ask_u64(GET_MAX_MEM_SLOTS) >= 8
        client.tell(ADD_MEM_REG, slot, [bank.fd])
    else:
        client.set_memory(xen)
    driver = DirectDriver(machine.xen.memory, VERSION_1)
    driver.client = client
    client.start(0, driver.rings[0])
    echo(driver)
    client.stop(0)
    if "slots" in kind:
        client.tell(REM_MEM_REG, slot)


@pytest.mark.parametrize("features", [VERSION_1, VERSION_1 | EVENT_IDX | INDIRECT_DESC,
                                      VERSION_1 | RING_PACKED,
                                      VERSION_1 | RING_PACKED | EVENT_IDX | INDIRECT_DESC], ids=hex)
def test_a_ring_that_stops_goes_on(machine, clients, features):
    machine.reference_backend("--type=loopback")
    client = clients(features)
    client.set_memory()
    driver = DirectDriver(machine.xen.memory, features)
    driver.client = client
    base = None
    for _ in range(5):
        client.start(0, driver.rings[0], base)
        echo(driver, 13)
        driver.submit(b"served before the ring stops", kick=False)
        driver.notify()
        base = client.stop(0)
    while driver.rings[0].in_flight:  # what came too late
        client.start(0, driver.rings[0], base)
        driver.drain()
        client.stop(0)


@pytest.mark.parametrize("features", [VERSION_1, VERSION_1 | RING_PACKED], ids=hex)
def test_a_new_table_while_rings_run(machine, clients, features):
    machine.reference_backend("--type=loopback")
    client = clients(features)
    client.set_memory()
    driver = DirectDriver(machine.xen.memory, features)
    driver.client = client
    client.start(0, driver.rings[0])
    for _ in range(3):
        echo(driver, 13)
        client.set_memory()
    echo(driver)


@pytest.mark.parametrize("seed", range(3))
def test_kill_loses_nothing(machine, clients, seed):
    """Killed at any moment, with requests given back out of order: each is served, and once."""
    dice = random.Random(seed)
    options = ["--type=loopback", "--delay=4", "--shuffle"]
    features = VERSION_1 | EVENT_IDX
    driver = DirectDriver(machine.xen.memory, features, size=RING_SIZE)
    ring = driver.rings[0]
    inflight = struct.pack("<QQHHI", 0, 0, 1, RING_SIZE, 0)
    fd, sent = None, 0
    kills = 0
    while kills < 12 or sent <= 12:
        assert kills < 100, "nothing is served"
        backend = machine.reference_backend(*options)
        driver.client = client = clients(features, USUAL | F_INFLIGHT)
        client.set_memory()
        if fd is None:
            inflight, (fd,) = client.ask(GET_INFLIGHT_FD, inflight)
        client.tell(SET_INFLIGHT_FD, inflight, [fd])
        client.start(0, ring, base=0)  # what it says is of no importance
        # A busy machine's backend may get nowhere in that time.
        end = time.monotonic() + dice.uniform(0.003, 0.012) * (1 + kills // 12)
        while time.monotonic() < end:
            while ring.is_used:
                driver.take()
            if len(ring.in_flight) < RING_SIZE // 2:
                driver.submit(dice.randbytes(64))
                sent += 1
        backend.kill()
        kills += 1
    machine.reference_backend("--type=loopback")
    driver.client = client = clients(features, USUAL | F_INFLIGHT)
    client.set_memory()
    client.tell(SET_INFLIGHT_FD, inflight, [fd])
    client.start(0, ring, base=0)
    driver.drain()
    assert inflight_is_empty(fd, RING_SIZE)
    os.close(fd)


def test_reset_and_status(machine, clients):
    machine.reference_backend("--type=loopback")
    client = clients(VERSION_1, USUAL | F_RESET | F_STATUS)
    client.set_memory()
    driver = DirectDriver(machine.xen.memory, VERSION_1)
    driver.client = client
    for status in (1, 3, 11, 15):
        client.tell(SET_STATUS, status)
        assert client.ask_u64(GET_STATUS) == status
    client.start(0, driver.rings[0])
    echo(driver)
    client.tell(RESET_DEVICE)
    assert client.ask_u64(GET_STATUS) == 0
    driver = DirectDriver(machine.xen.memory, VERSION_1)
    driver.client = client
    client.tell(SET_FEATURES, VERSION_1 | PROTOCOL_FEATURES)
    client.start(0, driver.rings[0])
    echo(driver)


def capacity(client):
    """Sectors of the disk, as the configuration space has it."""
    header = struct.pack("<III", 0, 60, 0)
    answer, _ = client.ask(GET_CONFIG, header + bytes(60))
    assert answer[:12] == header
    return struct.unpack_from("<Q", answer, 12)[0]


def test_resize(machine, clients):
    image = machine.image(MIB)
    backend = machine.reference_backend(f"--blk-file={image}")
    client = clients(VERSION_1, USUAL | F_BACKEND_REQ)
    assert capacity(client) == MIB // SECTOR
    os.truncate(image, 2 * MIB)
    assert capacity(client) == MIB // SECTOR  # not before it is told
    backend.refresh()
    assert client.next_request() == (BACKEND_CONFIG_CHANGE, 0)
    client.answer(BACKEND_CONFIG_CHANGE)
    assert capacity(client) == 2 * MIB // SECTOR


@pytest.mark.parametrize("kind, request_number, n_fds",
                         [("flood-config", BACKEND_CONFIG_CHANGE, 0), ("flood-unknown", 77, 1)])
def test_floods_of_the_channel(machine, clients, kind, request_number, n_fds):
    machine.reference_backend("--type=loopback", f"--misbehave=get-config:{kind}:3000")
    client = clients(VERSION_1, USUAL | F_BACKEND_REQ | F_SEND_FD)
    client.ask(GET_CONFIG, struct.pack("<III", 0, 4, 0) + bytes(4))
    for _ in range(3000):
        assert client.next_request() == (request_number, n_fds)


@pytest.mark.parametrize("value, flags, reason", [(1, 5, "CONFIG_CHANGE is refused"),
                                                  (0, 1, "wrong flags of an answer")])
def test_answers_on_the_channel_are_judged(machine, clients, value, flags, reason):
    backend = machine.reference_backend("--type=loopback")
    client = clients(VERSION_1, USUAL | F_BACKEND_REQ)
    backend.refresh()
    request, _ = client.next_request()
    client.channel.sendall(struct.pack("<IIIQ", request, flags, 8, value))
    backend.process.wait(DEADLINE * slack())
    (line,) = backend.take_illegal()
    assert reason in line


def test_a_socket_that_is_handed_over(machine, build):
    """--fd: connected, it is one connection's; listening, it is a socket's as any other."""
    program = build.path / "tests/backend/xen-virtio-test-backend"
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = subprocess.Popen([program, "--type=loopback", f"--fd={theirs.fileno()}"],
                                   pass_fds=[theirs.fileno()])
        theirs.close()
        client = Client(ours, machine.xen.memory)
        client.negotiate(VERSION_1, USUAL)
        client.close()
        assert process.wait(DEADLINE * slack()) == 0


def test_the_driver_may_be_wrong(machine, clients):
    """What a guest puts into a ring ends that ring at most."""
    backend = machine.reference_backend("--type=loopback", "--queues=2")
    client = clients(VERSION_1)
    client.set_memory()
    driver = DirectDriver(machine.xen.memory, VERSION_1, queues=2)
    driver.client = client
    client.start(0, driver.rings[0])
    client.start(1, driver.rings[1])
    driver.rings[0].add((1, PAGE, False))  # no RAM, and nothing to be written: harmless
    driver.notify()
    driver.rings[0].add((1, PAGE, False), (1, PAGE, True))
    driver.notify()
    driver.submit(b"the other ring goes on", queue=1)
    driver.drain(1)
    client.stop(0)
    assert "the driver broke a ring" in backend.log


def test_wrong_options(build):
    program = build.path / "tests/backend/xen-virtio-test-backend"
    for options in ([], ["--socket-path=x"], ["--fd=0", "--socket-path=x", "--type=loopback"],
                    ["--type=nothing"], ["--misbehave=nonsense"], ["--queues=65"], ["word"]):
        result = subprocess.run([program, *options], stderr=subprocess.PIPE, text=True)
        assert result.returncode == 1
        assert "--help" in result.stderr
