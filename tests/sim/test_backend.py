# SPDX-License-Identifier: LGPL-2.1-or-later
"""Backends that are late, die, come back, or lie: the guest always gets its answer."""

import os
import struct
import time
from operator import attrgetter

import pytest

from sim.backend import (F_REPLY_ACK, GET_CONFIG, GET_FEATURES, GET_PROTOCOL_FEATURES,
                         GET_QUEUE_NUM, GET_VRING_BASE, PROTOCOL_FEATURES_BIT, SET_FEATURES,
                         SET_MEM_TABLE, SET_OWNER, SET_VRING_ADDR, SET_VRING_BASE, SET_VRING_CALL,
                         SET_VRING_ENABLE, SET_VRING_KICK, SET_VRING_NUM, Hangup)
from sim.guest import (CONFIG_CHANGED, DEVICE_ID, DRIVER_OK, MAGIC_VALUE, NEEDS_RESET, QUEUE_SEL,
                       QUEUE_USED, SECTOR, STATUS, VERSION_1)
from sim.memory import MIB
from sim.xen import INPROCESS, INVALIDATE

ANSWER_TIMEOUT = 5.0  # VHOST_ANSWER_TIMEOUT_USEC
HOLD = 10.0  # DEVICE_HOLD_USEC


# Late.

def test_accesses_wait_for_a_late_backend(make_machine):
    machine = make_machine(n_vcpus=2)
    frontend = machine.frontend()
    first, second = machine.xen.vcpus
    first.begin(DEVICE_ID)
    machine.xen.wait_for(lambda: first.state == INPROCESS, "taken request")
    assert not frontend.is_ready(timeout=0.5)
    assert first.state == INPROCESS
    second.begin(0, kind=INVALIDATE)  # is answered meanwhile
    second.finish()
    second.begin(0, kind=77)
    second.finish()
    machine.storage_daemon(machine.image(MIB))
    assert first.finish(timeout=1) == 2
    frontend.wait_ready()
    machine.disk().start().read_sectors(0, 1)


@pytest.mark.plain_build(reason="waits for long")
def test_no_device_when_the_backend_does_not_come(machine):
    start = time.monotonic()
    frontend = machine.frontend()
    disk = machine.disk()
    assert disk.identify(timeout=HOLD + 5) == 0
    assert time.monotonic() - start > HOLD - 1
    assert disk.identify() == 0  # at once from now on
    assert not frontend.is_ready(timeout=0)
    machine.storage_daemon(machine.image(MIB))
    frontend.wait_ready()  # it never stopped trying
    machine.disk().start().read_sectors(0, 1)


def test_a_backend_that_dies_before_it_answers(machine):
    def die(connection, reply):
        raise Hangup
    backend = machine.scripted_backend(misbehave={GET_FEATURES: die}, times=3)
    machine.frontend().wait_ready()
    assert len(backend.connections) == 4
    machine.disk().start()


# Dies while it is used.

def test_a_backend_that_is_killed(machine):
    image = machine.image(MIB)
    backend = machine.storage_daemon(image)
    machine.frontend().wait_ready()
    disk = machine.disk().start()
    disk.read_sectors(0, 1)

    backend.kill()
    while not disk.next_interrupt() & CONFIG_CHANGED:
        pass
    assert disk.status & NEEDS_RESET
    disk.notify()
    assert disk.read(MAGIC_VALUE) and disk.capacity == MIB // SECTOR

    machine.storage_daemon(image)
    disk.start()
    assert disk.read_sectors(0, 1) == image.read_bytes()[:SECTOR]


def test_driver_starts_while_the_backend_is_away(machine):
    image = machine.image(MIB)
    backend = machine.storage_daemon(image)
    machine.frontend().wait_ready()
    backend.kill()
    disk = machine.disk()
    disk.start()
    request = disk.submit(0, 0, SECTOR)
    disk.notify()
    machine.storage_daemon(image)
    assert disk.complete(request) == (0, image.read_bytes()[:SECTOR])


def test_a_backend_that_is_killed_again_and_again(machine):
    image = machine.image(MIB)
    machine.frontend()
    disk = machine.disk()
    for sector in range(5):
        backend = machine.storage_daemon(image)
        disk.identify()
        while True:  # until the frontend has noticed that the old backend is gone
            disk.start()
            request = disk.submit(0, sector, SECTOR)
            disk.notify()
            while not disk.rings[0].is_used and not disk.status & NEEDS_RESET:
                disk.next_interrupt()
            if disk.rings[0].is_used:
                break
        place = slice(sector * SECTOR, (sector + 1) * SECTOR)
        assert disk.complete(request) == (0, image.read_bytes()[place])
        backend.kill()


def test_a_backend_with_less_to_offer_comes_back(machine):
    """Features that the driver uses are gone: it cannot go on, but can start again without."""
    backend = machine.scripted_backend()
    frontend = machine.frontend()
    frontend.wait_ready()
    disk = machine.disk().start()
    backend.kill()
    machine.scripted_backend(features=VERSION_1 | PROTOCOL_FEATURES_BIT)
    machine.xen.wait_interrupt(1)
    assert disk.status & NEEDS_RESET
    machine.xen.wait_for(lambda: frontend.log.count("the backend answered") == 2, "answer")
    disk.start()
    assert disk.features == VERSION_1


# Slow.

@pytest.mark.plain_build(reason="waits for long")
@pytest.mark.parametrize("features", [0, F_REPLY_ACK], ids=["silent", "acknowledging"])
def test_a_backend_that_maps_for_long(machine, features):
    """Mapping may take longer than an answer, whether the backend says when it is done or not."""
    backend = machine.scripted_backend()
    backend.protocol_features = backend.protocol_features & ~F_REPLY_ACK | features
    answer = backend.answer

    def answer_slowly(message):
        if message.request == SET_MEM_TABLE:
            time.sleep(ANSWER_TIMEOUT + 1)
        return answer(message)
    backend.answer = answer_slowly
    machine.frontend().wait_ready()
    disk = machine.disk()
    disk.negotiate()
    disk.add_ring()
    disk.vcpu.write(STATUS, disk.status | DRIVER_OK, timeout=HOLD)
    backend.wait_request(SET_VRING_ENABLE)
    assert len(backend.connections) == 1


# Lies. Each entry replaces the sending of one answer.

def hang(connection, reply):
    """Neither an answer, nor a look at anything that comes later."""
    while connection.socket.recv(4096):
        pass
    raise Hangup


def hangup(connection, reply):
    """The connection ends."""
    raise Hangup


def one_byte(connection, reply):
    """The connection ends after a byte."""
    connection.send_bytes(b"\x01")
    raise Hangup


def half_an_answer(connection, reply):
    """The payload is cut short, the connection lives."""
    connection.send_bytes(struct.pack("<III", reply.request, reply.flags, len(reply.payload)) +
                          reply.payload[:-1])


def wrong_request(connection, reply):
    """The answer to another request."""
    reply.request += 1
    connection.send(reply)


def not_a_reply(connection, reply):
    """Without the reply flag."""
    reply.flags = 1
    connection.send(reply)


def other_version(connection, reply):
    """Version 2 of the protocol."""
    reply.flags = 2 | 4
    connection.send(reply)


def unknown_flags(connection, reply):
    """Flags that do not belong to answers."""
    reply.flags |= 0xfffffff8
    connection.send(reply)


def too_short(connection, reply):
    """A smaller payload than the answer has."""
    reply.payload = reply.payload[:-1]
    connection.send(reply)


def too_long(connection, reply):
    """A larger one."""
    reply.payload += b"\0"
    connection.send(reply)


def empty(connection, reply):
    """None at all: for GET_CONFIG, the protocol's way to say no."""
    reply.payload = b""
    connection.send(reply)


def huge(connection, reply):
    """A header that promises 4 GiB."""
    connection.send_bytes(struct.pack("<III", reply.request, reply.flags, 0xffffffff) + b"\0" * 99)


def descriptors(connection, reply):
    """Descriptors, which no answer carries."""
    with open("/dev/null", "rb") as null:
        connection.send(reply, [null.fileno()] * 10)


def twice(connection, reply):
    """One answer too many."""
    connection.send(reply)
    connection.send(reply)


LIES = [hangup, one_byte, wrong_request, not_a_reply, other_version, unknown_flags, too_short,
        too_long, empty, huge, descriptors, twice]
OMISSIONS = [hang, half_an_answer]  # are noticed by a deadline
ANSWERED = {"GET_FEATURES": GET_FEATURES, "GET_PROTOCOL_FEATURES": GET_PROTOCOL_FEATURES,
            "GET_QUEUE_NUM": GET_QUEUE_NUM, "GET_CONFIG": GET_CONFIG, "SET_OWNER": SET_OWNER}


@pytest.mark.parametrize("lie", LIES, ids=attrgetter("__name__"))
@pytest.mark.parametrize("request_name", ANSWERED)
def test_lies_while_negotiating(machine, request_name, lie):
    """The connection is given up, and the next one is as good as if nothing had been."""
    backend = machine.scripted_backend(misbehave={ANSWERED[request_name]: lie})
    frontend = machine.frontend()
    machine.xen.vcpus[0].begin(DEVICE_ID)
    assert machine.xen.vcpus[0].finish() == 2
    frontend.wait_ready()
    backend.wait_for(lambda: len(backend.connections) == 2, "second connection")
    assert backend.connections[0].closed
    machine.disk().start()


@pytest.mark.plain_build(reason="waits for long")
@pytest.mark.parametrize("lie", OMISSIONS, ids=attrgetter("__name__"))
def test_lies_by_omission(machine, lie):
    machine.scripted_backend(misbehave={GET_FEATURES: lie})
    frontend = machine.frontend()
    assert not frontend.is_ready(timeout=ANSWER_TIMEOUT - 1)
    frontend.wait_ready(timeout=2)
    machine.disk().start()


STARTING = {"SET_FEATURES": SET_FEATURES, "SET_MEM_TABLE": SET_MEM_TABLE,
            "SET_VRING_NUM": SET_VRING_NUM, "SET_VRING_BASE": SET_VRING_BASE,
            "SET_VRING_ADDR": SET_VRING_ADDR, "SET_VRING_CALL": SET_VRING_CALL,
            "SET_VRING_KICK": SET_VRING_KICK, "SET_VRING_ENABLE": SET_VRING_ENABLE}


def refusal(connection, reply):
    """The request failed."""
    reply.payload = struct.pack("<Q", 22)
    connection.send(reply)


@pytest.mark.parametrize("lie", [hangup, refusal, wrong_request, too_long, descriptors],
                         ids=attrgetter("__name__"))
@pytest.mark.parametrize("request_name", STARTING)
def test_lies_while_starting(machine, request_name, lie):
    """The driver's DRIVER_OK is answered, and the next connection starts what this one did not.

    But when a ring may have run, and nobody knows how far, the driver has to reset.
    """
    backend = machine.scripted_backend(misbehave={STARTING[request_name]: lie})
    machine.frontend().wait_ready()
    disk = machine.disk()
    disk.negotiate()
    disk.add_ring()
    disk.add_status(DRIVER_OK)
    if STARTING[request_name] in (SET_FEATURES, SET_MEM_TABLE, SET_VRING_NUM):
        backend.wait_for(lambda: len(backend.connections) == 2, "second connection")
        backend.wait_request(SET_VRING_ENABLE)
        assert not disk.status & NEEDS_RESET
    else:
        machine.xen.wait_interrupt(1)
        assert disk.status & NEEDS_RESET
    disk.start()


@pytest.mark.parametrize("lie", [hangup, wrong_request, too_short, descriptors],
                         ids=attrgetter("__name__"))
def test_lies_while_stopping(machine, lie):
    """A reset ends, whatever the backend does."""
    machine.scripted_backend(misbehave={GET_VRING_BASE: lie})
    machine.frontend().wait_ready()
    disk = machine.disk().start()
    disk.reset()
    disk.start()


def test_reset_ends_when_the_backend_dies(machine):
    """While it is asked to stop the rings."""
    backend = machine.reference_backend(f"--blk-file={machine.image(MIB)}",
                                        "--misbehave=get-vring-base:never-answer")
    machine.frontend().wait_ready()
    disk = machine.disk().start()
    disk.vcpu.begin(STATUS, value=0)
    machine.xen.wait_for(lambda: disk.vcpu.state == INPROCESS, "taken request")
    time.sleep(0.1)
    assert disk.vcpu.state == INPROCESS
    backend.kill()
    disk.vcpu.finish(timeout=2)
    assert disk.identify() == 2


@pytest.mark.plain_build(reason="waits for long")
@pytest.mark.parametrize("request_name", ["SET_VRING_ENABLE", "GET_VRING_BASE"])
def test_a_backend_that_hangs(make_machine, request_name):
    """Two vCPUs wait, but not for ever; what the third one reads does not."""
    hangs_at = {"SET_VRING_ENABLE": SET_VRING_ENABLE, "GET_VRING_BASE": GET_VRING_BASE}
    machine = make_machine(n_vcpus=3)
    machine.scripted_backend(misbehave={hangs_at[request_name]: hang})
    machine.frontend().wait_ready()
    disk, other, third = (machine.disk(number) for number in range(3))
    disk.negotiate()
    disk.add_ring()
    start = time.monotonic()
    if request_name == "GET_VRING_BASE":
        disk.add_status(DRIVER_OK)
        disk.vcpu.begin(STATUS, value=0)
    else:
        disk.vcpu.begin(STATUS, value=disk.status | DRIVER_OK)
    machine.xen.wait_for(lambda: disk.vcpu.state == INPROCESS, "taken request")
    other.vcpu.begin(QUEUE_SEL, value=1)  # what would change anything waits too
    machine.xen.wait_for(lambda: other.vcpu.state == INPROCESS, "taken request")
    while time.monotonic() - start < ANSWER_TIMEOUT - 2:
        assert third.read(MAGIC_VALUE, timeout=0.5)
        assert other.vcpu.state == disk.vcpu.state == INPROCESS
        time.sleep(0.1)
    disk.vcpu.finish(timeout=4)
    other.vcpu.finish()
    disk.start()


def attempts_max(start):
    """How many attempts a frontend may have made since: ever slower, down to four a second."""
    return 14 + 4 * (time.monotonic() - start)


@pytest.mark.parametrize("what", ["no-queues", "no-version-1"])
def test_a_backend_that_cannot_work(machine, what):
    """Is asked again and again, slowly, until there is one that can."""
    backend = machine.scripted_backend()
    if what == "no-queues":
        backend.n_queues = 0
    else:
        backend.features = PROTOCOL_FEATURES_BIT
    frontend = machine.frontend()
    start = time.monotonic()
    assert not frontend.is_ready(timeout=1)
    assert len(backend.connections) < attempts_max(start)
    backend.wait_for(lambda: len(backend.connections) > 3, "further attempts")
    assert "lost the backend" in frontend.log
    backend.n_queues, backend.features = 4, VERSION_1 | PROTOCOL_FEATURES_BIT
    frontend.wait_ready()


# Kicks and calls.

def test_kicks(machine):
    backend = machine.scripted_backend()
    machine.frontend().wait_ready()
    disk = machine.disk().start(queues=2)
    connection = backend.connection
    for queue in (0, 1):
        machine.xen.wait_for(lambda queue=queue: connection.take_kicks(queue), "first kick")
    for _ in range(7):
        disk.notify(1)
    total = 0

    def seven():
        nonlocal total
        total += connection.take_kicks(1)
        return total >= 7
    machine.xen.wait_for(seven, "seventh kick")
    assert total == 7
    assert connection.take_kicks(0) == 0  # and the other ring none


def test_calls(machine):
    backend = machine.scripted_backend()
    machine.frontend().wait_ready()
    disk = machine.disk().start()
    for number in range(1, 8):
        backend.connection.call()
        machine.xen.wait_interrupt(number)
        assert disk.handle_interrupt() == QUEUE_USED
        assert disk.handle_interrupt() == 0
    time.sleep(0.1)
    assert machine.xen.interrupts == 7
    old_connection = backend.connection
    disk.reset()
    old_connection.call()  # of a device that was reset, nobody hears
    time.sleep(0.1)
    assert machine.xen.interrupts == 7


def test_messages_that_nobody_asked_for(machine):
    backend = machine.scripted_backend()
    machine.frontend().wait_ready()
    machine.disk().start()
    backend.connection.send_bytes(os.urandom(5000))
    machine.xen.wait_interrupt(1)
    assert machine.disk().status & NEEDS_RESET
    machine.disk().start()


@pytest.mark.plain_build(reason="waits for long")
def test_a_backend_that_drops_every_connection(machine):
    """Accepts and closes at once, for ever: costs next to nothing and is not given up."""
    backend = machine.scripted_backend(misbehave={GET_FEATURES: hangup}, times=1 << 30)
    frontend, start = machine.frontend(), time.monotonic()
    backend.wait_for(lambda: len(backend.connections) >= 8, "attempts")  # it is slow by then
    before, connections = frontend.cpu_seconds(), len(backend.connections)
    assert not frontend.is_ready(timeout=2)
    assert frontend.cpu_seconds() - before < 0.1
    backend.wait_for(lambda: len(backend.connections) >= connections + 2, "further attempts")
    assert len(backend.connections) < attempts_max(start)
    assert frontend.log.count("\n") < 20 + time.monotonic() - start
    backend.times = 0
    frontend.wait_ready()
