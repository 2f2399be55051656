# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a backend is told: each message, in its order, and no message more."""

import os
import struct

import pytest

from sim.backend import (F_BACKEND_REQ, F_CONFIG, F_INFLIGHT, F_MQ, F_REPLY_ACK, F_RESET_DEVICE,
                         F_STATUS, GET_CONFIG,
                         GET_FEATURES, GET_PROTOCOL_FEATURES, GET_QUEUE_NUM, GET_STATUS,
                         GET_VRING_BASE, PROTOCOL_FEATURES_BIT, RESET_DEVICE, SET_FEATURES,
                         SET_MEM_TABLE, SET_OWNER, SET_PROTOCOL_FEATURES, SET_STATUS,
                         SET_VRING_ADDR, SET_VRING_BASE, SET_VRING_CALL, SET_VRING_ENABLE,
                         SET_VRING_KICK, SET_VRING_NUM)
from sim.guest import (ACKNOWLEDGE, CONFIG_CHANGED, DRIVER, DRIVER_OK, FEATURES_OK, NEEDS_RESET,
                       VERSION_1)
from sim.test_backend import refusal


def test_what_a_backend_hears(machine):
    """The order of section "Starting" in the protocol's description, and no message more."""
    backend = machine.scripted_backend()
    machine.frontend().wait_ready()
    assert backend.connection.requests() == [GET_FEATURES, GET_PROTOCOL_FEATURES,
                                             SET_PROTOCOL_FEATURES, SET_OWNER, GET_QUEUE_NUM,
                                             GET_CONFIG]
    assert backend.acknowledged == F_MQ | F_REPLY_ACK | F_CONFIG
    disk = machine.disk().start(queues=2)
    heard = backend.connection.requests()[6:]
    ring = {SET_VRING_NUM, SET_VRING_BASE, SET_VRING_ADDR, SET_VRING_CALL, SET_VRING_KICK,
            SET_VRING_ENABLE}
    assert heard[:2] == [SET_FEATURES, SET_MEM_TABLE]
    for name in ring:
        assert heard.count(name) == 2
    assert heard.index(SET_VRING_ADDR) < heard.index(SET_VRING_KICK) < heard.index(SET_VRING_ENABLE)

    features = backend.wait_request(SET_FEATURES).u64
    assert features == disk.features | PROTOCOL_FEATURES_BIT
    disk.reset()
    stopped = [message.state for message in backend.connections[0].messages
               if message.request == GET_VRING_BASE]
    assert stopped == [(0, 0), (1, 0)]


def test_a_backend_that_hears_of_the_driver(machine):
    """Its status when features are chosen, when the rings run, and 0; and that it is reset."""
    backend = machine.scripted_backend()
    backend.protocol_features |= F_RESET_DEVICE | F_STATUS
    machine.frontend().wait_ready()
    disk = machine.disk().start(queues=2)
    disk.reset()
    heard = [(message.request, message.u64 if message.request == SET_STATUS else None)
             for message in backend.connections[0].messages
             if message.request in (SET_FEATURES, SET_MEM_TABLE, SET_VRING_ENABLE, GET_VRING_BASE,
                                    RESET_DEVICE, SET_STATUS, GET_STATUS)]
    chosen = ACKNOWLEDGE | DRIVER | FEATURES_OK
    assert heard == [(SET_FEATURES, None), (SET_STATUS, chosen), (GET_STATUS, None),
                     (SET_MEM_TABLE, None), (SET_VRING_ENABLE, None), (SET_VRING_ENABLE, None),
                     (SET_STATUS, chosen | DRIVER_OK),
                     (SET_VRING_ENABLE, None), (GET_VRING_BASE, None),
                     (SET_VRING_ENABLE, None), (GET_VRING_BASE, None),
                     (RESET_DEVICE, None), (SET_STATUS, 0)]


def test_features_that_the_backend_refuses(machine):
    """No ring runs; a driver that is told so may choose others."""
    def forget(connection, reply):
        reply.payload = struct.pack("<Q", backend.status & ~FEATURES_OK)
        connection.send(reply)

    backend = machine.scripted_backend({GET_STATUS: forget})
    backend.protocol_features |= F_STATUS
    process = machine.frontend().wait_ready()
    disk = machine.disk()
    disk.negotiate()
    disk.add_ring()
    disk.add_status(DRIVER_OK)
    assert disk.status & NEEDS_RESET
    assert disk.next_interrupt() == CONFIG_CHANGED
    assert "does not accept the features" in process.log
    assert SET_VRING_KICK not in backend.connections[0].requests()
    backend.wait_for(lambda: len(backend.connections) == 2, "second connection")
    disk.start()


@pytest.mark.parametrize("request_name", ["RESET_DEVICE", "SET_STATUS"])
def test_a_backend_that_refuses_its_reset(machine, request_name):
    """The end of the connection resets it as well."""
    number = {"RESET_DEVICE": RESET_DEVICE, "SET_STATUS": SET_STATUS}[request_name]
    backend = machine.scripted_backend()
    backend.protocol_features |= F_RESET_DEVICE | F_STATUS
    machine.frontend().wait_ready()
    disk = machine.disk().start()
    backend.misbehave = {number: refusal}
    disk.reset(timeout=2)
    disk.start()


def test_memory_is_described_exactly(machine):
    backend = machine.scripted_backend()
    machine.frontend().wait_ready()
    machine.disk().start()
    table = backend.wait_request(SET_MEM_TABLE)
    count, _, *region = struct.unpack("<II4Q", table.payload)
    bank = machine.xen.memory.banks[0]
    assert count == 1
    assert region == [bank.base, bank.size, bank.base, 0]
    assert len(table.fds) == 1
    assert os.fstat(table.fds[0]).st_ino == os.fstat(bank.fd).st_ino


def test_a_backend_without_protocol_features(machine):
    """The oldest kind: no acknowledgements, no number of queues, no configuration space."""
    backend = machine.scripted_backend()
    backend.features = VERSION_1
    machine.frontend().wait_ready()
    machine.disk().start()
    assert backend.connection.requests()[:2] == [GET_FEATURES, SET_OWNER]
    assert SET_VRING_ENABLE not in backend.connection.requests()


@pytest.mark.parametrize("bit", [F_MQ, F_REPLY_ACK, F_CONFIG, F_STATUS, F_RESET_DEVICE,
                                 F_INFLIGHT, F_BACKEND_REQ],
                         ids=["mq", "reply-ack", "config", "status", "reset-device", "inflight",
                              "backend-req"])
def test_a_backend_that_lacks_one_thing(machine, bit):
    """None of what is optional is needed; what is not offered is not acknowledged."""
    backend = machine.scripted_backend()
    backend.protocol_features = (F_MQ | F_REPLY_ACK | F_CONFIG | F_STATUS | F_RESET_DEVICE |
                                 F_INFLIGHT | F_BACKEND_REQ) & ~bit
    machine.frontend().wait_ready()
    disk = machine.disk().start()
    disk.notify()
    backend.wait_for(lambda: backend.connection.take_kicks(), "kick")
    assert backend.acknowledged == backend.protocol_features
    disk.reset()
