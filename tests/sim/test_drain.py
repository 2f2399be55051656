# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the driver takes back is its own again when it is answered: no backend still writes there.

A backend has let go when its process is gone, or when it serves a new connection.
"""

import os
import signal
import struct
import threading
import time

import pytest

from sim.backend import (F_INFLIGHT, GET_VRING_BASE, SET_INFLIGHT_FD, SET_VRING_BASE,
                         SET_VRING_ENABLE, Hangup)
from sim.guest import (ACKNOWLEDGE, BLK_IN, DRIVER, DRIVER_KNOWS, DRIVER_OK, FEATURES_OK,
                       QUEUE_READY, QUEUE_RESET, QUEUE_SEL, RING_RESET, SECTOR, STATUS)
from sim.memory import MIB
from sim.xen import INPROCESS

RUNNING = ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK
HOLD = 10.0  # DEVICE_HOLD_USEC
WHILE = 0.5  # a time in which something must not happen
SOON = 5.0  # and one in which it must: less than HOLD


def assert_waits(driver, seconds=WHILE):
    """The driver's write is not answered in that time."""
    driver.xen.wait_for(lambda: driver.vcpu.state == INPROCESS, "taken request")
    time.sleep(seconds)
    assert driver.vcpu.state == INPROCESS


def begin_reset(driver):
    """The driver resets the device, and does not have its answer yet."""
    driver.vcpu.begin(STATUS, value=0)


# The reset of a device. The reference backend is a process of its own.

@pytest.fixture
def unlinked(machine):
    """A machine whose backend serves the driver, but can be reached by nobody else any more."""
    machine.path = machine.image(MIB)
    machine.start_backend = lambda: machine.reference_backend(f"--blk-file={machine.path}")
    machine.backend = machine.start_backend()
    machine.process = machine.frontend().wait_ready()
    machine.driver = machine.disk().start()
    os.unlink(machine.socket)
    return machine


def test_reset_waits_for_the_process(unlinked):
    """That the socket is gone says nothing of who had it."""
    begin_reset(unlinked.driver)
    assert_waits(unlinked.driver)
    unlinked.backend.kill()
    unlinked.driver.vcpu.finish(timeout=SOON)
    unlinked.start_backend()
    assert unlinked.driver.start().read_sectors(0, 1)


def test_nobody_else_is_served_meanwhile(unlinked):
    """Another backend in its place does not get the memory that the first one has."""
    other = unlinked.start_backend()
    begin_reset(unlinked.driver)
    assert_waits(unlinked.driver)
    unlinked.xen.wait_for(lambda: "the process of an earlier one" in unlinked.process.log, "news")
    assert_waits(unlinked.driver, 1)
    assert unlinked.process.log.count("the process of an earlier one") == 1
    unlinked.backend.kill()
    unlinked.driver.vcpu.finish(timeout=SOON)
    assert unlinked.driver.start().read_sectors(0, 1)
    assert other.process.poll() is None


def test_another_backend_does_not_go_on_beside_the_first(unlinked):
    """Neither do the rings, when only the connection was lost."""
    os.kill(unlinked.process.pid, signal.SIGKILL)
    unlinked.process.process.wait()
    os.kill(unlinked.backend.process.pid, signal.SIGSTOP)
    unlinked.start_backend()
    unlinked.frontend()
    request = unlinked.driver.submit(BLK_IN, 0, SECTOR)
    unlinked.driver.notify()
    time.sleep(WHILE)
    assert not unlinked.driver.rings[0].is_used
    unlinked.backend.kill()
    assert unlinked.driver.complete(request)[0] == 0


@pytest.mark.parametrize("first", ["frontend", "backend"])
def test_reset_is_taken_over(unlinked, first):
    """The next frontend knows for whom the driver waits, and whether that is gone."""
    begin_reset(unlinked.driver)
    assert_waits(unlinked.driver)
    if first == "backend":
        os.kill(unlinked.process.pid, signal.SIGSTOP)
        unlinked.backend.kill()
    unlinked.process.kill()
    unlinked.frontend()
    if first == "frontend":
        assert_waits(unlinked.driver)
        unlinked.backend.kill()
    unlinked.driver.vcpu.finish(timeout=SOON)
    unlinked.start_backend()
    assert unlinked.driver.start().read_sectors(0, 1)


@pytest.mark.plain_build(reason="waits for long")
def test_reset_does_not_wait_for_ever(unlinked):
    """The driver may go on, and is warned of; its rings run when the old process is gone."""
    start = time.monotonic()
    driver = unlinked.driver
    driver.vcpu.write(STATUS, 0, timeout=HOLD + 2)
    assert time.monotonic() - start > HOLD - 1
    assert unlinked.process.log.count("has not let go of the guest's memory") == 1
    unlinked.start_backend()
    driver.start()  # at once: it has waited for that process
    request = driver.submit(BLK_IN, 0, SECTOR)
    driver.notify()
    time.sleep(WHILE)
    assert not driver.rings[0].is_used
    driver.start()
    unlinked.process.kill()
    frontend = unlinked.frontend()
    request = driver.submit(BLK_IN, 0, SECTOR)
    time.sleep(WHILE)
    assert not driver.rings[0].is_used
    unlinked.backend.kill()
    assert driver.complete(request) == (0, unlinked.path.read_bytes()[:SECTOR])
    assert "goes on with the rings" not in frontend.log


@pytest.mark.plain_build(reason="waits for long")
def test_a_process_that_is_not_known(machine):
    """Who listened has ended, somebody else has the socket: there is nothing but time."""
    backend = machine.scripted_backend(listen=listen_in_a_child)
    frontend = machine.frontend().wait_ready()
    driver = machine.disk().start()
    backend.stop_listening()
    start = time.monotonic()
    driver.vcpu.write(STATUS, 0, timeout=HOLD + 2)
    assert time.monotonic() - start > HOLD - 1
    assert frontend.log.count("whose process is not known here") == 1
    machine.scripted_backend()
    driver.start()


def listen_in_a_child(listener):
    """Makes a process that is gone the one that listens."""
    child = os.fork()
    if child == 0:
        listener.listen()
        os._exit(0)
    os.waitpid(child, 0)


# The reset of a queue. The scripted backend is this process.

@pytest.fixture
def queues(machine):
    """A machine with a driver of two queues that can be reset."""
    machine.backend = machine.scripted_backend()
    machine.backend.features |= RING_RESET
    machine.backend.protocol_features |= F_INFLIGHT
    machine.process = machine.frontend().wait_ready()
    machine.driver = machine.disk().start(queues=2, wanted=DRIVER_KNOWS | RING_RESET)
    machine.driver.write(QUEUE_SEL, 1)
    return machine


@pytest.fixture
def at_work(queues):
    """The connection is lost, but its backend serves no other one until it is told."""
    queues.done = threading.Event()

    def work(connection, reply):
        connection.close()
        queues.done.wait(HOLD)
        raise Hangup
    queues.backend.misbehave = {GET_VRING_BASE: work}
    yield queues
    queues.done.set()


REGISTERS = {"reset": (QUEUE_RESET, 1), "ready": (QUEUE_READY, 0)}


@pytest.mark.parametrize("how", REGISTERS)
def test_queue_reset_when_the_connection_is_lost(at_work, how):
    register, value = REGISTERS[how]
    at_work.driver.vcpu.begin(register, value=value)
    assert_waits(at_work.driver)
    at_work.done.set()
    at_work.driver.vcpu.finish(timeout=SOON)
    assert at_work.driver.read(QUEUE_READY) == 0


@pytest.mark.parametrize("how", REGISTERS)
def test_queue_reset_while_the_backend_is_away(queues, how):
    """Who was lost may not be gone."""
    register, value = REGISTERS[how]
    queues.backend.stop_listening()
    queues.backend.connection.close()
    queues.backend.wait_for(lambda: queues.backend.connection.closed, "end")
    queues.driver.vcpu.begin(register, value=value)
    assert_waits(queues.driver)
    queues.scripted_backend(**queues.backend.offer)
    queues.driver.vcpu.finish(timeout=SOON)
    assert queues.driver.read(QUEUE_READY) == 0
    assert queues.driver.status == RUNNING


@pytest.mark.parametrize("how", REGISTERS)
def test_queue_reset_is_taken_over(at_work, how):
    register, value = REGISTERS[how]
    at_work.driver.vcpu.begin(register, value=value)
    assert_waits(at_work.driver)
    at_work.process.kill()
    at_work.frontend()
    assert_waits(at_work.driver)
    at_work.done.set()
    at_work.driver.vcpu.finish(timeout=SOON)
    assert at_work.driver.read(QUEUE_READY) == 0


@pytest.mark.plain_build(reason="waits for long")
def test_queue_reset_does_not_wait_for_ever(queues):
    """What does not take anything back does not wait at all."""
    queues.backend.stop_listening()
    queues.backend.connection.close()
    queues.backend.wait_for(lambda: queues.backend.connection.closed, "end")
    start = time.monotonic()
    queues.driver.notify()
    queues.driver.write(QUEUE_SEL, 1)
    assert time.monotonic() - start < SOON
    queues.driver.vcpu.write(QUEUE_RESET, 1, timeout=HOLD + 2)
    assert time.monotonic() - start > HOLD - 1
    assert queues.process.log.count("has not let go of the guest's memory") == 1
    queues.driver.add_ring(1)


# What was noted of a queue's requests.

PART = 16 * 256 + 64  # of an area, as the scripted backend makes it
HEAD = struct.Struct("<QHHHH")  # features, version, descriptors, last batch, used index


@pytest.mark.parametrize("away", [False, True], ids=["there", "away"])
def test_a_new_ring_has_no_requests(queues, away):
    """A backend finds nothing of those of the ring before, whoever starts it."""
    backend, driver = queues.backend, queues.driver
    area = backend.wait_request(SET_INFLIGHT_FD).fds[0]
    driver.write(QUEUE_RESET, 1)
    noted = HEAD.pack(5, 1, 256, 9, 77) + b"\1" * (PART - HEAD.size)
    os.pwrite(area, noted * 4, 0)
    if away:
        backend.stop_listening()
        backend.connection.close()
        backend.wait_for(lambda: backend.connection.closed, "end")
    driver.add_ring(1)
    if away:
        backend = queues.scripted_backend(**queues.backend.offer)
        backend.wait_for(lambda: backend.connections and
                         backend.connection.requests().count(SET_VRING_ENABLE) == 2, "rings")
    bases = [message.state for message in backend.connection.messages
             if message.request == SET_VRING_BASE]
    assert bases[-1] == (1, 0)
    parts = [os.pread(area, PART, number * PART) for number in range(4)]
    assert parts[1] == HEAD.pack(5, 0, 256, 0, 0) + bytes(PART - HEAD.size)
    assert parts[0] == parts[2] == parts[3] == noted
