# SPDX-License-Identifier: LGPL-2.1-or-later
"""Frontends that are killed or restarted beneath a backend that must not notice: systemd keeps its
connection, and the next frontend goes on with it."""

import os
import random
import signal
import socket
import struct
import time

import pytest

from sim.backend import (BACKEND_CONFIG_CHANGE, F_BACKEND_REQ, F_CONFIG, F_MQ, F_REPLY_ACK,
                         GET_CONFIG, GET_VRING_BASE, HEADER, SET_BACKEND_REQ_FD, SET_VRING_ENABLE,
                         VERSION)
from sim.guest import (ACKNOWLEDGE, DRIVER, DRIVER_KNOWS, DRIVER_OK, FEATURES_OK, NEEDS_RESET,
                       QUEUE_RESET, QUEUE_SEL, RING_RESET)
from sim.load import Load
from sim.memory import MIB

RUNNING = ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK
GOES_ON = "goes on with the backend's connection"
REFUSES = "does not go on with the backend's connection: "
KEPT = 48  # sizeof(VhostKept), the last of the state file
ASKING = 43


@pytest.fixture
def kept(make_machine):
    """A machine whose frontends are started by a systemd that keeps descriptors."""
    machine = make_machine(memory_size=512 * MIB)
    machine.keep_descriptors()
    machine.state = machine.folder / "frontend/state"
    return machine


@pytest.fixture
def once(kept):
    """A loaded disk, whose backend ends with its connection and knows nothing of the one before."""
    kept.path = kept.image(MIB)
    kept.backend = kept.reference_backend(f"--blk-file={kept.path}", "--delay=2", "--once",
                                          f"--protocol={F_MQ | F_REPLY_ACK}")
    kept.process = kept.frontend().wait_ready()
    kept.load = Load(kept.disk().start(size=64), kept.path.read_bytes())
    return kept


@pytest.fixture
def scripted(kept):
    """A backend that records; its driver is up."""
    kept.backend = kept.scripted_backend()
    kept.backend.features |= RING_RESET
    kept.backend.protocol_features = F_MQ | F_REPLY_ACK | F_BACKEND_REQ
    kept.process = kept.frontend().wait_ready()
    kept.driver = kept.disk().start(queues=2, wanted=DRIVER_KNOWS | RING_RESET)
    return kept


def again(machine):
    """The next frontend."""
    machine.process = machine.frontend().wait_ready()
    return machine.process


def kill(machine):
    """A crash; returns the next frontend."""
    machine.process.kill()
    return again(machine)


def is_asking(machine):
    """Whether the frontend waits for an answer, as it notes it."""
    return machine.state.read_bytes()[-KEPT + ASKING]


def check(machine):
    """The load goes on, and the image holds what it has written."""
    machine.load.submit()
    machine.load.finish()
    machine.load.disk.flush()
    assert machine.load.disk.status == RUNNING
    assert machine.path.read_bytes() == machine.load.content


def test_killed_under_load(once):
    """No request is lost or repeated, none fails, nobody notices; nothing piles up."""
    chance = random.Random(11)
    once.load.submit()
    once.load.finish()
    before, names = once.process.descriptors(), once.store.names
    for _ in range(20):
        once.load.submit()
        time.sleep(chance.random() * 0.006)
        kill(once)
        assert GOES_ON in once.process.log
        once.load.submit()
        once.load.finish()
    check(once)
    assert len(once.process.descriptors()) <= len(before)
    once.store.settle()
    assert once.store.names == names == ["call", "connection", "kick0"]


def test_restarted_in_order_under_load(once):
    """Likewise. It does not take the backend's time."""
    for _ in range(10):
        once.load.submit()
        once.process.process.send_signal(signal.SIGINT)
        once.load.submit()
        once.process.wait_exit(0)
        again(once)
        assert GOES_ON in once.process.log
        once.load.finish()
    check(once)


def test_storage_daemon(kept):
    """A backend that does not track requests, and could be told to stop. It is not."""
    kept.path = kept.image(MIB)
    kept.storage_daemon(kept.path, rate=2000)
    kept.process = kept.frontend().wait_ready()
    kept.load = Load(kept.disk().start(size=64), kept.path.read_bytes())
    for _ in range(5):
        kept.load.submit(4)
        kept.load.finish()  # by then it has looked at the configuration space
        kept.xen.wait_for(lambda: not is_asking(kept), "answer")
        kept.load.submit()
        assert GOES_ON in kill(kept).log
        kept.load.finish()
    check(kept)


def test_what_the_backend_hears(scripted):
    """Nothing but a kick for each queue; its calls and requests are heard."""
    connection = scripted.backend.connection
    before = connection.requests()
    for queue in range(2):
        connection.take_kicks(queue)
    interrupts = scripted.xen.interrupts
    kill(scripted)
    scripted.xen.wait_interrupt(interrupts + 1)
    assert [connection.take_kicks(queue) for queue in range(2)] == [1, 1]
    connection.call()
    scripted.xen.wait_interrupt(interrupts + 2)
    scripted.driver.notify(1)
    scripted.backend.wait_for(lambda: connection.take_kicks(1), "kick")
    assert connection.requests() == before
    assert scripted.backend.connections == [connection] and not connection.closed


def test_what_comes_after_it(scripted):
    """The rings that another process has started can be stopped, one and all."""
    connection = scripted.backend.connection
    kill(scripted)
    scripted.driver.write(QUEUE_SEL, 1)
    scripted.driver.write(QUEUE_RESET, 1)
    stopped = [message.state[0] for message in connection.messages
               if message.request == GET_VRING_BASE]
    assert stopped == [1]
    assert GOES_ON in kill(scripted).log
    scripted.driver.reset()
    stopped = [message.state[0] for message in connection.messages
               if message.request == GET_VRING_BASE]
    assert stopped == [1, 0]
    scripted.backend.wait_for(lambda: connection.closed, "end of the connection")
    scripted.store.settle()
    assert not {"connection", "channel"} & set(scripted.store.names)
    scripted.driver.start()
    assert len(scripted.backend.connections) == 2


def test_terminated(scripted):
    """Who is stopped, and not restarted, hands over: the backend is let go at once."""
    connection = scripted.backend.connection
    scripted.process.process.terminate()
    scripted.process.wait_exit(0)
    scripted.backend.wait_for(lambda: connection.closed, "end of the connection")
    assert GET_VRING_BASE in connection.requests()
    scripted.store.settle()
    assert not {"connection", "channel"} & set(scripted.store.names)


def test_systemd_does_not_do_as_it_is_told(scripted):
    """A connection ends nevertheless; and what is kept of it is of no use for the next one."""
    first = scripted.backend.connection
    scripted.store.settle()
    scripted.store.is_full = True
    scripted.driver.reset()
    scripted.backend.wait_for(lambda: first.closed, "end of the connection")
    assert "channel" in scripted.store.names
    scripted.driver.start()
    scripted.process.kill()
    assert REFUSES in again(scripted).log
    scripted.backend.wait_for(lambda: scripted.driver.status & NEEDS_RESET, "broken device")


def test_backend_ends_meanwhile(kept):
    """systemd throws away what is hung up; the requests are done by the next backend."""
    kept.path = kept.image(MIB)
    def start():
        return kept.reference_backend(f"--blk-file={kept.path}", "--delay=2")
    backend = start()
    kept.process = kept.frontend().wait_ready()
    kept.load = Load(kept.disk().start(size=64), kept.path.read_bytes())
    kept.load.submit()
    kept.process.kill()
    backend.kill()
    start()
    assert f"{REFUSES}it has ended" in again(kept).log
    check(kept)


def refused(machine, reason):
    """The next frontend ends the connection, and makes another."""
    connection = machine.backend.connection
    assert REFUSES + reason in again(machine).log
    machine.backend.wait_for(lambda: connection.closed, "end of the connection")
    machine.backend.wait_for(lambda: len(machine.backend.connections) == 2, "connection")
    machine.xen.wait_for(lambda: machine.driver.status & NEEDS_RESET, "broken device")
    machine.driver.start()


def test_killed_while_an_answer_is_due(kept):
    """Whose answer comes next would not be known."""
    kept.backend = kept.scripted_backend()
    kept.backend.protocol_features = F_MQ | F_REPLY_ACK | F_BACKEND_REQ | F_CONFIG
    kept.process = kept.frontend().wait_ready()
    kept.driver = kept.disk().start()
    assert not is_asking(kept)
    connection, asked = kept.backend.connection, []
    kept.backend.misbehave = {GET_CONFIG: lambda _, reply: asked.append(reply)}
    [channel] = kept.backend.wait_request(SET_BACKEND_REQ_FD).fds
    os.write(channel, HEADER.pack(BACKEND_CONFIG_CHANGE, VERSION, 0))
    kept.backend.wait_for(lambda: asked, "question")
    assert is_asking(kept)
    kept.process.kill()
    kept.backend.misbehave = {}
    refused(kept, "something was under way")
    assert connection.closed


def test_killed_in_the_middle_of_a_request(scripted):
    """Likewise of the backend's."""
    [channel] = scripted.backend.wait_request(SET_BACKEND_REQ_FD).fds
    os.write(channel, HEADER.pack(BACKEND_CONFIG_CHANGE, VERSION, 0)[:5])
    scripted.xen.wait_for(lambda: scripted.state.read_bytes()[-KEPT + ASKING + 1], "part")
    scripted.process.kill()
    refused(scripted, "something was under way")


def test_state_of_another_connection(scripted):
    """A file and descriptors that do not belong together."""
    state = scripted.state.read_bytes()
    scripted.driver.reset()
    scripted.driver.start(queues=2, wanted=DRIVER_KNOWS | RING_RESET)
    scripted.process.kill()
    scripted.state.write_bytes(scripted.state.read_bytes()[:-KEPT] + state[-KEPT:])
    scripted.backend.connections.pop(0).release()
    refused(scripted, "another one was kept")


def test_no_state(scripted):
    """The claim was given up meanwhile: the descriptors are of no use."""
    connection = scripted.backend.connection
    scripted.process.kill()
    scripted.state.write_bytes(b"")
    again(scripted)
    scripted.backend.wait_for(lambda: connection.closed, "end of the connection")
    assert scripted.driver.status == 0
    scripted.driver.start()


def test_other_queues(scripted):
    """The driver has taken a queue back, and nobody could tell the backend."""
    scripted.process.freeze()
    scripted.driver.vcpu.begin(QUEUE_RESET, value=1)
    scripted.process.kill()
    state = bytearray(scripted.state.read_bytes())
    queues = struct.unpack_from("<Q", state, len(state) - KEPT + 16)
    assert queues == (3,)
    struct.pack_into("<Q", state, len(state) - KEPT + 16, 7)
    scripted.state.write_bytes(state)
    connection = scripted.backend.connection
    assert f"{REFUSES}other queues run" in scripted.frontend().wait_ready().log
    scripted.driver.vcpu.finish(timeout=15)
    scripted.backend.wait_for(lambda: connection.closed, "end of the connection")


def test_queue_that_has_not_started(scripted):
    """The driver has made one ready, and the backend has not been told yet: it is now."""
    scripted.process.kill()
    state = bytearray(scripted.state.read_bytes())
    struct.pack_into("<Q", state, len(state) - KEPT + 16, 1)
    scripted.state.write_bytes(state)
    backend, connection = scripted.backend, scripted.backend.connection
    before = len(connection.messages)
    assert GOES_ON in again(scripted).log
    backend.wait_for(lambda: SET_VRING_ENABLE in connection.requests()[before:], "start of a queue")
    [enabled] = [message.state for message in connection.messages[before:]
                 if message.request == SET_VRING_ENABLE]
    assert enabled == (1, 1)
    assert backend.connection is connection


def put_pair(store, name):
    """A socket that is nobody's."""
    one, other = socket.socketpair()
    store.put(name, one.detach())
    return other


HOSTILE = {
    "missing": (lambda store: store.drop(lambda name, _: name == "connection"),
                "it has ended, or was not kept"),
    "no kick": (lambda store: store.drop(lambda name, _: name == "kick1"),
                "a kick or the call was not kept"),
    "no call": (lambda store: store.drop(lambda name, _: name == "call"),
                "a kick or the call was not kept"),
    "no channel": (lambda store: store.drop(lambda name, _: name == "channel"),
                   "the backend's own channel was not kept"),
    "another connection": (lambda store: put_pair(store, "connection"), "another one was kept"),
    "another channel": (lambda store: put_pair(store, "channel"),
                        "the backend's own channel was not kept"),
    "a file": (lambda store: store.put("connection", os.open("/dev/zero", os.O_RDWR)),
               "it has ended, or was not kept"),
    "a file for a kick": (lambda store: store.put("kick0", os.open("/dev/zero", os.O_RDWR)),
                          "a kick or the call was not kept"),
    "a socket for a call": (lambda store: put_pair(store, "call"),
                            "a kick or the call was not kept"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile(scripted, what):
    """Descriptors that are not what they should be: the connection is not gone on with."""
    change, reason = HOSTILE[what]
    connection = scripted.backend.connection
    scripted.process.kill()
    scripted.store.settle()
    other = change(scripted.store)  # open until the end
    assert REFUSES + reason in again(scripted).log
    scripted.backend.wait_for(lambda: scripted.driver.status & NEEDS_RESET, "broken device")
    if what not in ("missing", "another connection", "a file"):  # else it was never handed over
        scripted.backend.wait_for(lambda: connection.closed, "end of the connection")
    assert not other or other.fileno() >= 0


@pytest.mark.parametrize("name", ["kick64", "kick1x", "kick01", "kick", "stored", "connection"])
def test_unknown_descriptors(scripted, name):
    """What no frontend leaves is closed, and does not matter."""
    scripted.process.kill()
    scripted.store.settle()
    scripted.store.kept.append((name, os.eventfd(0)))
    process = again(scripted)
    assert GOES_ON in process.log
    assert f'"{name}" is no descriptor that a frontend leaves' in process.log


def test_another_process_has_the_rings(scripted):
    """The connection's other end is not who was given the guest's memory."""
    scripted.process.kill()
    state = bytearray(scripted.state.read_bytes())
    holder = struct.pack("<i", os.getpid())
    start = len(state) - KEPT - 24 - 4 * 64 - 8  # bases, the head of the progress
    place = state.index(holder, start)
    state[place:place + 4] = struct.pack("<i", 1)
    scripted.state.write_bytes(state)
    connection = scripted.backend.connection
    process = scripted.frontend()
    scripted.xen.wait_for(lambda: f"{REFUSES}it is to another process" in process.log, "refusal")
    scripted.backend.wait_for(lambda: connection.closed, "end of the connection")


def test_interrupts_by_the_kernel(kept):
    """A binding outlasts the process with its eventfd, and is made anew."""
    kept.xen.has_kernel_paths = kept.xen.keeps_call = True
    kept.path = kept.image(MIB)
    kept.backend = kept.reference_backend(f"--blk-file={kept.path}", "--once",
                                          f"--protocol={F_MQ | F_REPLY_ACK}")
    kept.process = kept.frontend().wait_ready()
    kept.load = Load(kept.disk().start(size=64), kept.path.read_bytes())
    for _ in range(3):
        kept.load.submit()
        kill(kept)
        kept.load.finish()
        kept.xen.wait_for(lambda: set(kept.xen.bound) == {None}, "binding")
    check(kept)
    assert "refuses" not in kept.process.log


def test_without_a_store(scripted):
    """An older systemd says nothing of it: then nothing is sent there."""
    store = scripted.store
    scripted.process.kill()
    store.settle()
    store.drop(lambda *_: True)
    connection = scripted.backend.connection
    scripted.backend.wait_for(lambda: connection.closed, "end of the connection")
    scripted.store = None
    process = scripted.frontend()
    scripted.store = store
    scripted.xen.wait_for(lambda: scripted.driver.status & NEEDS_RESET, "broken device")
    scripted.driver.start()
    assert not [line for line in process.take_notices() if "FDSTORE" in line]
