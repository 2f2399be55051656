# SPDX-License-Identifier: LGPL-2.1-or-later
"""Configuration spaces that the frontend makes, and what a backend is told of them."""

import os
import struct

import pytest

from sim.backend import (BACKEND_CONFIG_CHANGE, F_BACKEND_REQ, F_CONFIG, F_MQ, F_NET_MTU,
                         F_REPLY_ACK, GET_CONFIG, GET_VRING_BASE, HEADER, NEED_REPLY, NET_SET_MTU,
                         PROTOCOL_FEATURES_BIT, SET_BACKEND_REQ_FD, SET_FEATURES, SET_VRING_ENABLE,
                         SET_VRING_KICK, SET_VRING_NUM, VERSION, Virtiofsd)
from sim.guest import (CONFIG_CHANGED, DRIVER_OK, NEEDS_RESET, QUEUE_READY, QUEUE_RESET, QUEUE_SEL,
                       QUEUE_SIZE_MAX, RING_RESET, VERSION_1, Driver)
from sim.rings import RingDriver
from sim.test_backend import refusal
from sim.test_config import channel_of

NET, BLK, VSOCK, FS = 1, 2, 19, 26  # device ids
NET_F_MTU, NET_F_MAC, NET_F_STATUS = 1 << 3, 1 << 5, 1 << 16
NET_F_CTRL_VQ, NET_F_CTRL_RX, NET_F_MQ = 1 << 17, 1 << 18, 1 << 22
NET_DRIVER_KNOWS = (VERSION_1 | NET_F_MTU | NET_F_MAC | NET_F_STATUS | NET_F_CTRL_VQ |
                    NET_F_CTRL_RX | NET_F_MQ)
MAC = "00:16:3e:0a:0b:0c"
LINK_UP = 1
CONFIG_FAULT = 78  # exit status


def card(mac=bytes(6), status=LINK_UP, pairs=0, mtu=0):
    """The bytes of struct virtio_net_config up to mtu."""
    return mac + struct.pack("<3H", status, pairs, mtu)


MAC_BYTES = bytes.fromhex(MAC.replace(":", ""))


def net_backend(machine, features=0):
    """A backend of a network card as most are: without a configuration space."""
    return machine.scripted_backend(features=VERSION_1 | PROTOCOL_FEATURES_BIT | features,
                                    protocol_features=F_MQ | F_REPLY_ACK | F_NET_MTU)


def numbers(backend, connection=0):
    """What the backend was told: the requests, and the numbers of those that have one."""
    return [(message.request, message.u64) for message in backend.connections[connection].messages
            if message.request in (SET_FEATURES, NET_SET_MTU)]


# Network cards.

def test_a_network_card(machine):
    """What a backend without a space has is offered with the fields that it brings."""
    machine.be_of_type(NET, NET_MAC=MAC, NET_MTU=1400, NET_QUEUE_PAIRS=2)
    backend = net_backend(machine, NET_F_MTU | NET_F_CTRL_VQ | NET_F_CTRL_RX | NET_F_MQ)
    backend.n_queues = 5
    machine.frontend().wait_ready()
    driver = Driver(machine.xen).start(queues=5, wanted=NET_DRIVER_KNOWS)
    assert driver.features == NET_DRIVER_KNOWS & ~NET_F_CTRL_RX
    assert driver.space(12) == card(MAC_BYTES, LINK_UP, 2, 1400)
    assert driver.space(16)[12:] == bytes(4)
    # MAC and STATUS are between us and the driver: this backend does not know them.
    assert numbers(backend) == [
        (SET_FEATURES, driver.features & ~(NET_F_MAC | NET_F_STATUS) | PROTOCOL_FEATURES_BIT),
        (NET_SET_MTU, 1400)]
    assert GET_CONFIG not in backend.connection.requests()


def test_a_network_card_of_which_nothing_is_said(machine):
    """A backend offers what QEMU would do for it: a control queue is not there."""
    machine.be_of_type(NET)
    backend = net_backend(machine, NET_DRIVER_KNOWS)
    backend.n_queues = 128
    machine.frontend().wait_ready()
    driver = Driver(machine.xen).start(queues=2, wanted=NET_DRIVER_KNOWS)
    driver.write(QUEUE_SEL, 2)
    assert driver.read(QUEUE_SIZE_MAX) == 0
    assert driver.features == VERSION_1 | NET_F_STATUS
    assert driver.space(12) == card()
    assert numbers(backend) == [
        (SET_FEATURES, VERSION_1 | NET_F_STATUS | PROTOCOL_FEATURES_BIT)]


def test_a_backend_that_counts_pairs(machine):
    machine.be_of_type(NET)
    backend = net_backend(machine)
    backend.n_queues = 1
    machine.frontend().wait_ready()
    driver = Driver(machine.xen).start(queues=2, wanted=NET_DRIVER_KNOWS)
    driver.write(QUEUE_SEL, 2)
    assert driver.read(QUEUE_SIZE_MAX) == 0


def test_a_network_card_with_a_space_of_its_own(machine):
    machine.be_of_type(NET, NET_MAC=MAC)
    backend = net_backend(machine, NET_DRIVER_KNOWS)
    backend.protocol_features |= F_CONFIG
    backend.config = card(b"\2\2\2\2\2\2", 2, 1, 1300)
    machine.frontend().wait_ready()
    driver = Driver(machine.xen).start(queues=3, wanted=NET_DRIVER_KNOWS)
    assert driver.features == NET_DRIVER_KNOWS
    assert driver.space(12) == card(MAC_BYTES, 2, 1, 1300)
    assert NET_SET_MTU not in backend.connection.requests()  # it is the backend's own


@pytest.mark.parametrize("missing", ["backend", "protocol", "driver"])
def test_an_mtu_that_is_not_agreed_on(machine, missing):
    machine.be_of_type(NET, NET_MTU=1400)
    backend = net_backend(machine, NET_F_MTU if missing != "backend" else 0)
    if missing == "protocol":
        backend.protocol_features &= ~F_NET_MTU
    machine.frontend().wait_ready()
    driver = Driver(machine.xen).start(
        queues=2, wanted=NET_DRIVER_KNOWS & ~(NET_F_MTU if missing == "driver" else 0))
    assert bool(driver.features & NET_F_MTU) == (missing == "protocol")
    assert NET_SET_MTU not in backend.connection.requests()


def test_an_mtu_that_the_backend_refuses(machine):
    """The driver is told; it does not wait for ever."""
    machine.be_of_type(NET, NET_MTU=9000)
    backend = net_backend(machine, NET_F_MTU)
    backend.misbehave = {NET_SET_MTU: refusal}
    process = machine.frontend().wait_ready()
    driver = Driver(machine.xen)
    driver.negotiate(NET_DRIVER_KNOWS)
    driver.add_ring()
    driver.add_status(DRIVER_OK)
    assert driver.status & NEEDS_RESET
    assert "does not accept the configured MTU" in process.log
    assert SET_VRING_KICK not in backend.connections[0].requests()
    backend.wait_for(lambda: len(backend.connections) == 2, "second connection")
    driver.start(queues=2, wanted=NET_DRIVER_KNOWS)  # it thinks better of it


def wait_space(driver, expected):
    """Waits until the driver is told of this configuration space."""
    while driver.space(len(expected)) != expected:
        assert driver.next_interrupt() & CONFIG_CHANGED


def test_the_link(machine):
    """It is up while there is a backend. A driver's reset ends a connection, but not the link."""
    machine.be_of_type(NET, NET_MAC=MAC)
    backend = net_backend(machine)
    machine.frontend().wait_ready()
    driver = Driver(machine.xen).start(queues=2, wanted=NET_DRIVER_KNOWS)
    driver.reset()
    driver.start(queues=2, wanted=NET_DRIVER_KNOWS)
    assert machine.xen.interrupts == 0
    assert driver.space(12) == card(MAC_BYTES, LINK_UP)
    backend.kill()
    wait_space(driver, card(MAC_BYTES, 0))
    net_backend(machine)
    wait_space(driver, card(MAC_BYTES, LINK_UP))


def test_a_network_card_whose_backend_comes_back(machine):
    """The rings go on, too."""
    def backend():
        return machine.reference_backend("--type=loopback", "--protocol=0xfdff")

    machine.be_of_type(NET)
    first = backend()
    machine.frontend().wait_ready()
    driver = RingDriver(machine.xen)
    driver.start(2, wanted=NET_F_STATUS | VERSION_1)
    first.kill()
    wait_space(driver, card(status=0))
    driver.submit(b"while it is away")
    backend()
    wait_space(driver, card())
    driver.drain()
    assert not driver.status & NEEDS_RESET


def test_a_network_card_of_the_reference_backend(machine):
    """It finds each message legal, and that rings run over it."""
    machine.be_of_type(NET, NET_MAC=MAC, NET_MTU=1400, NET_QUEUE_PAIRS=1)
    features = NET_F_MTU | NET_F_CTRL_VQ | NET_F_MQ
    backend = machine.reference_backend("--type=loopback", f"--loopback-features={features:#x}",
                                        f"--protocol={~F_CONFIG & 0x1ffff:#x}", "--trace")
    machine.frontend().wait_ready()
    driver = RingDriver(machine.xen)
    driver.start(2, wanted=features | NET_F_MAC | NET_F_STATUS | VERSION_1)
    assert driver.features == NET_F_MTU | NET_F_MAC | NET_F_STATUS | VERSION_1
    assert driver.space(12) == card(MAC_BYTES, LINK_UP, 1, 1400)
    assert backend.was_asked("net-set-mtu")
    assert not backend.was_asked("get-config")
    for queue in range(2):
        driver.submit(os.urandom(1000), queue)
        driver.drain(queue)


# Sockets and file systems.

def test_a_socket(machine):
    machine.be_of_type(VSOCK, VSOCK_CID=0x1234)
    backend = machine.scripted_backend()
    backend.protocol_features &= ~(F_CONFIG | F_MQ)
    machine.frontend().wait_ready()
    driver = Driver(machine.xen).start(queues=3, wanted=VERSION_1)
    assert driver.space(8) == struct.pack("<Q", 0x1234)


def queues_told(backend, connection=0):
    """The queues that the backend has heard of."""
    return {message.state[0] for message in backend.connections[connection].messages
            if message.request in (SET_VRING_NUM, SET_VRING_ENABLE, GET_VRING_BASE)}


@pytest.mark.parametrize("protocol_features", [F_REPLY_ACK, F_MQ | F_REPLY_ACK],
                         ids=["fixed", "counted"])
def test_a_socket_without_events(machine, protocol_features):
    """Backends made for QEMU have two queues, drivers look for three."""
    machine.be_of_type(VSOCK)
    backend = machine.scripted_backend()
    backend.n_queues = 2
    backend.features |= RING_RESET
    backend.protocol_features = protocol_features
    machine.frontend().wait_ready()
    driver = Driver(machine.xen).start(queues=3, wanted=VERSION_1 | RING_RESET)
    for queue in range(3):
        driver.notify(queue)
        driver.write(QUEUE_SEL, queue)
        driver.write(QUEUE_RESET, 1)
        assert driver.read(QUEUE_READY) == 0
        driver.add_ring(queue)
    assert not driver.status & NEEDS_RESET
    driver.reset()
    driver.start(queues=3, wanted=VERSION_1)
    assert queues_told(backend) == queues_told(backend, 1) == {0, 1}


def test_a_socket_with_events(machine):
    machine.be_of_type(VSOCK)
    backend = machine.scripted_backend()
    backend.n_queues = 3
    machine.frontend().wait_ready()
    Driver(machine.xen).start(queues=3, wanted=VERSION_1)
    assert queues_told(backend) == {0, 1, 2}


def test_a_socket_of_the_reference_backend(machine):
    """It tracks the requests of its own two queues; the driver's third one goes on as well."""
    def backend():
        return machine.reference_backend("--type=loopback", "--queues=2")

    machine.be_of_type(VSOCK, VSOCK_CID=5)
    first = backend()
    machine.frontend().wait_ready()
    driver = RingDriver(machine.xen)
    driver.start(3, wanted=VERSION_1)
    assert driver.space(8) == struct.pack("<Q", 5)
    first.kill()
    for queue in range(2):
        driver.submit(b"while it is away", queue)
    backend()
    for queue in range(2):
        driver.drain(queue)
    assert not driver.status & NEEDS_RESET
    driver.reset()
    driver.start(3, wanted=VERSION_1)
    driver.submit(b"again")
    driver.drain()


def test_a_socket_whose_next_backend_has_no_events(machine):
    """It could not track the requests of a queue that it does not have."""
    machine.be_of_type(VSOCK)
    first = machine.reference_backend("--type=loopback", "--queues=3")
    machine.frontend().wait_ready()
    driver = RingDriver(machine.xen)
    driver.start(3, wanted=VERSION_1)
    first.kill()
    machine.reference_backend("--type=loopback", "--queues=2")
    assert driver.next_interrupt() & CONFIG_CHANGED
    assert driver.status & NEEDS_RESET
    driver.start(3, wanted=VERSION_1)
    driver.submit(b"again")
    driver.drain()


@pytest.mark.parametrize("keys,cid", [({}, 7), ({"VSOCK_CID": 8}, 8)])
def test_a_socket_whose_backend_knows_its_address(machine, keys, cid):
    machine.be_of_type(VSOCK, **keys)
    backend = machine.scripted_backend()
    backend.config = struct.pack("<Q", 7)
    machine.frontend().wait_ready()
    assert Driver(machine.xen).space(8) == struct.pack("<Q", cid)


def fuse_request(driver, opcode, body, reply_size, queue=1):
    """A request of FUSE through a ring. Returns what came back behind its header."""
    memory, ring = driver.xen.memory, driver.rings[queue]
    size = 40 + len(body)
    request, reply = memory.allocate(size), memory.allocate(16 + reply_size)
    memory.write(request, struct.pack("<IIQQIIIHH", size, opcode, 77, 1, 0, 0, 0, 0, 0) + body)
    head = ring.add((request, size, False), (reply, 16 + reply_size, True))
    driver.notify(queue)
    assert driver.wait_used(queue) == (head, 16 + reply_size)
    length, error, unique = struct.unpack("<IiQ", memory.read(reply, 16))
    assert (length, error, unique) == (16 + reply_size, 0, 77)
    return memory.read(reply + 16, reply_size)


@pytest.mark.skipif(not os.access(Virtiofsd.PROGRAM, os.X_OK) or os.getuid() != 0,
                    reason="virtiofsd of QEMU is not here (since QEMU 8 it is none of its parts), "
                           "or may not change its root")
def test_a_file_system(machine):
    """The real virtiofsd, which has no configuration space."""
    machine.be_of_type(FS, FS_TAG="data", FS_REQUEST_QUEUES=4)
    folder = machine.directory / "shared"
    folder.mkdir()
    machine.virtiofsd(folder)
    machine.frontend().wait_ready()
    driver = Driver(machine.xen).start(queues=2, wanted=VERSION_1)
    tag, queues = struct.unpack("<36sI", driver.space(40))
    assert tag == b"data".ljust(36, b"\0")
    assert queues == 1  # it has no more
    init = fuse_request(driver, 26, struct.pack("<IIII", 7, 31, 65536, 0), 64)  # FUSE_INIT
    assert struct.unpack_from("<I", init) == (7,)
    attributes = fuse_request(driver, 3, bytes(16), 104)  # FUSE_GETATTR of the root
    assert struct.unpack_from("<Q", attributes, 16) == (folder.stat().st_ino,)


# Any bytes.

def test_bytes_of_a_disk(machine):
    """They stand over the backend's, also when it changes its space."""
    machine.be_of_type(BLK, CONFIG="2:aabb")
    backend = machine.scripted_backend()
    backend.protocol_features |= F_BACKEND_REQ
    backend.config = bytes(range(60))
    machine.frontend().wait_ready()
    driver = machine.disk().start()
    assert driver.space(60) == b"\0\1\xaa\xbb" + bytes(range(4, 60))
    backend.wait_request(SET_BACKEND_REQ_FD)
    with channel_of(backend) as channel:
        backend.config = b"\5" * 60
        channel.sendall(HEADER.pack(BACKEND_CONFIG_CHANGE, VERSION | NEED_REPLY, 0))
        assert driver.next_interrupt() == CONFIG_CHANGED
    assert driver.space(60) == b"\5\5\xaa\xbb" + b"\5" * 56


def test_features_without_their_fields(machine):
    """A disk of which nothing is known but that it is one."""
    backend = machine.scripted_backend()
    backend.features |= 1 << 12 | 1 << 6  # MQ, BLK_SIZE
    backend.protocol_features &= ~F_CONFIG
    machine.frontend().wait_ready()
    assert machine.disk().device_features() == VERSION_1 | 1 << 9


@pytest.mark.parametrize("keys", [{"NET_MAC": MAC}, {"CONFIG": "0:0"}, {"NET_MTU": "1"}])
def test_keys_that_are_wrong(machine, keys):
    machine.be_of_type(BLK, **keys)
    process = machine.frontend()
    process.wait_exit(CONFIG_FAULT)
    assert f'key "{next(iter(keys))}"' in process.log
