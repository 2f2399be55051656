# SPDX-License-Identifier: LGPL-2.1-or-later
"""Frontends that are stopped in order: the next one goes on, whatever the backend can do."""

import random
import struct
import threading
import time

import pytest

from sim.backend import (F_CONFIG, F_INFLIGHT, F_MQ, F_REPLY_ACK, GET_VRING_BASE,
                         SET_INFLIGHT_FD, SET_VRING_BASE, SET_VRING_ENABLE, Hangup)
from sim.guest import (ACKNOWLEDGE, DRIVER, DRIVER_KNOWS, DRIVER_OK, FEATURES_OK, NEEDS_RESET,
                       QUEUE_RESET, QUEUE_SEL, RING_PACKED, RING_RESET, SECTOR, STATUS, VERSION_1)
from sim.load import Load
from sim.memory import MIB
from sim.rings import EVENT_IDX, INDIRECT_DESC, RingDriver
from sim.test_reference_backend import LOOPBACK_DEVICE_ID
from sim.xen import INPROCESS

RUNNING = ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK
LEAVE = 1.5  # LEAVE_USEC


def leave(machine, timeout=LEAVE):
    """The frontend is stopped, as systemd does. Returns how long that took."""
    start = time.monotonic()
    machine.process.process.terminate()
    machine.process.wait_exit(0, timeout)
    return time.monotonic() - start


@pytest.fixture(params=["storage-daemon", "slow-storage-daemon", "tracking"])
def guest(make_machine, request):
    """A machine with a frontend and a loaded disk."""
    machine = make_machine(memory_size=512 * MIB)
    machine.path = machine.image(MIB)
    if request.param == "storage-daemon":
        machine.start_backend = lambda: machine.storage_daemon(machine.path)
    elif request.param == "slow-storage-daemon":
        machine.start_backend = lambda: machine.storage_daemon(machine.path, rate=100)
    else:
        machine.start_backend = lambda: machine.reference_backend(f"--blk-file={machine.path}",
                                                                  "--delay=2")
    machine.backend = machine.start_backend()
    machine.process = machine.frontend().wait_ready()
    machine.load = Load(machine.disk().start(size=64), machine.path.read_bytes())
    return machine


def test_under_load(guest):
    """No request is lost or repeated, none fails, and the driver has nothing to do."""
    chance = random.Random(7)
    for _ in range(10):
        guest.load.submit()
        time.sleep(chance.random() * 0.004)
        leave(guest)
        guest.load.submit()  # while nobody is there
        guest.process = guest.frontend()
        if chance.random() < 0.5:
            guest.load.submit()
        guest.load.finish()
        assert guest.load.disk.status == RUNNING
    assert guest.load.done >= 10 * 12
    guest.load.disk.flush()
    assert guest.path.read_bytes() == guest.load.content


def test_the_backend_is_replaced_meanwhile(guest):
    """It had finished all that it had begun."""
    guest.load.submit()
    leave(guest)
    guest.backend.stop()
    guest.load.submit()
    guest.process = guest.frontend()
    guest.load.submit()
    guest.backend = guest.start_backend()
    guest.load.finish()
    assert guest.load.disk.status == RUNNING
    guest.load.disk.flush()
    assert guest.path.read_bytes() == guest.load.content


def test_several_times_without_a_backend(guest):
    """What was handed over stays that, until a backend has it."""
    guest.load.submit()
    leave(guest)
    guest.backend.stop()
    for _ in range(3):
        guest.process = guest.frontend()
        assert guest.load.disk.status == RUNNING
        leave(guest)
    guest.process = guest.frontend()
    guest.backend = guest.start_backend()
    guest.load.finish()
    assert guest.load.disk.status == RUNNING


def test_a_crash_after_it(make_machine):
    """What was handed over once is no place to go on from a second time."""
    machine = make_machine()
    image = machine.image(MIB)
    machine.storage_daemon(image)
    machine.process = machine.frontend().wait_ready()
    disk = machine.disk().start()
    leave(machine)
    machine.process = machine.frontend().wait_ready()
    disk.read_sectors(1, 1)
    machine.process.kill()
    machine.frontend().wait_ready()
    machine.xen.wait_for(lambda: disk.status & NEEDS_RESET, "broken device")
    assert disk.start().read_sectors(5, 1) == image.read_bytes()[5 * SECTOR:6 * SECTOR]


# What the backend hears and does.

@pytest.fixture
def scripted(machine):
    """A machine whose backend records, does not track requests, and has two queues in use."""
    machine.backend = machine.scripted_backend()
    machine.backend.features |= RING_RESET
    machine.process = machine.frontend().wait_ready()
    machine.driver = machine.disk().start(queues=2, wanted=DRIVER_KNOWS | RING_RESET)
    return machine


def at(places):
    """The backend has come so far with its queues."""
    def answer(connection, reply):
        queue, _ = struct.unpack("<II", reply.payload)
        reply.payload = struct.pack("<II", queue, places[queue])
        connection.send(reply)
    return answer


def when(told):
    """The backend does not answer before it is told."""
    def answer(connection, reply):
        told.wait(LEAVE)
        connection.send(reply)
    return answer


def after(seconds):
    """The backend takes its time."""
    def answer(connection, reply):
        time.sleep(seconds)
        connection.send(reply)
    return answer


def bases(machine, rings=2):
    """Where the rings begin on the latest connection."""
    machine.backend.wait_for(
        lambda: machine.backend.connection.requests().count(SET_VRING_ENABLE) == rings, "rings")
    return [message.state for message in machine.backend.connection.messages
            if message.request == SET_VRING_BASE]


def test_rings_go_on_at_their_bases(scripted):
    scripted.backend.misbehave = {GET_VRING_BASE: at([7, 0xfffe])}
    leave(scripted)
    scripted.driver.vcpu.begin(QUEUE_SEL, value=1)
    interrupts = scripted.xen.interrupts
    scripted.process = scripted.frontend()
    scripted.driver.vcpu.finish()
    assert bases(scripted) == [(0, 7), (1, 0xfffe)]
    scripted.xen.wait_interrupt(interrupts + 1)
    connection = scripted.backend.connection
    for queue in (0, 1):
        scripted.xen.wait_for(lambda queue=queue: connection.take_kicks(queue), "kick")
    assert scripted.driver.status == RUNNING


def test_a_backend_that_tracks_requests_gets_its_area(scripted):
    """One that did not has handed over to one that does, which is told all there is to know."""
    scripted.backend.misbehave = {GET_VRING_BASE: at([7, 9])}
    leave(scripted)
    scripted.backend.protocol_features |= F_INFLIGHT
    scripted.process = scripted.frontend()
    assert bases(scripted) == [(0, 7), (1, 9)]
    assert SET_INFLIGHT_FD in scripted.backend.connection.requests()
    leave(scripted)
    scripted.backend.protocol_features &= ~F_INFLIGHT
    scripted.process = scripted.frontend()
    assert len(bases(scripted)) == 2
    scripted.backend.protocol_features |= F_INFLIGHT
    scripted.backend.connection.close()
    scripted.xen.wait_for(lambda: scripted.driver.status & NEEDS_RESET, "broken device")


def test_resets_while_nobody_is_there(scripted):
    """Of a queue, then of the device: new rings begin at their first entry."""
    scripted.backend.misbehave = {GET_VRING_BASE: at([7, 9])}
    scripted.backend.times = 1 << 30
    scripted.driver.write(QUEUE_SEL, 1)
    leave(scripted)
    scripted.backend.stop_listening()
    scripted.driver.vcpu.begin(QUEUE_RESET, value=1)
    scripted.process = scripted.frontend()
    scripted.driver.vcpu.finish()
    scripted.driver.add_ring(1)
    scripted.backend = scripted.scripted_backend(misbehave={GET_VRING_BASE: at([7, 9])},
                                                 times=1 << 30, **scripted.backend.offer)
    scripted.backend.wait_request(SET_VRING_ENABLE)
    assert bases(scripted) == [(0, 7), (1, 0)]
    leave(scripted)
    scripted.driver.vcpu.begin(STATUS, value=0)
    scripted.process = scripted.frontend()
    scripted.driver.vcpu.finish()
    scripted.driver.start(queues=2)
    assert bases(scripted) == [(0, 0), (1, 0)]


def test_kicks_are_answered_meanwhile(scripted):
    """Nothing else is that could change something."""
    answered = threading.Event()
    scripted.backend.misbehave = {GET_VRING_BASE: when(answered)}
    scripted.process.process.terminate()
    for _ in range(2):
        scripted.driver.notify(1)
        assert scripted.driver.status == RUNNING
        scripted.backend.wait_request(GET_VRING_BASE)
    scripted.driver.vcpu.begin(STATUS, value=0)
    scripted.xen.wait_for(lambda: scripted.driver.vcpu.state == INPROCESS, "taken request")
    time.sleep(0.1)
    assert scripted.driver.vcpu.state == INPROCESS
    answered.set()
    scripted.process.wait_exit(0, LEAVE)
    scripted.process = scripted.frontend()
    scripted.driver.vcpu.finish()
    assert scripted.driver.status == 0


def test_rings_that_are_being_started(machine):
    """They are, and are then handed over."""
    machine.backend = machine.scripted_backend(misbehave={SET_VRING_ENABLE: after(0.3)})
    machine.process = machine.frontend().wait_ready()
    machine.driver = machine.disk()
    machine.driver.negotiate()
    machine.driver.add_ring()
    machine.driver.vcpu.begin(STATUS, value=RUNNING)
    machine.backend.wait_request(SET_VRING_ENABLE)
    leave(machine)
    machine.process = machine.frontend()
    machine.driver.vcpu.finish()
    assert bases(machine, 1) == [(0, 0)]
    assert machine.driver.status == RUNNING


# What cannot be handed over ends as a crash does.

def assert_broken(machine):
    """The driver has to reset the device, and can."""
    machine.process = machine.frontend()
    machine.xen.wait_for(lambda: machine.driver.status & NEEDS_RESET, "broken device")
    machine.driver.start(queues=2)


def hang(connection, reply):
    """Neither an answer, nor another connection, for some time."""
    time.sleep(LEAVE + 1)
    raise Hangup


@pytest.mark.plain_build(reason="waits for long")
def test_a_backend_that_hangs(scripted):
    scripted.backend.misbehave = {GET_VRING_BASE: hang}
    assert leave(scripted, LEAVE + 0.5) > LEAVE - 0.2
    assert_broken(scripted)


@pytest.mark.plain_build(reason="waits for long")
def test_a_backend_that_does_not_finish(scripted):
    """It says where its rings are, but may not have done all that is before."""
    def busy(connection, reply):
        connection.send(reply)
        if struct.unpack("<II", reply.payload)[0] == 1:
            hang(connection, reply)
    scripted.backend.misbehave = {GET_VRING_BASE: busy}
    assert leave(scripted, LEAVE + 0.5) > LEAVE - 0.2
    assert_broken(scripted)


@pytest.fixture
def packed(scripted):
    """The same, with packed rings."""
    scripted.backend.features |= RING_PACKED
    scripted.backend.times = 1 << 30
    scripted.backend.connection.close()
    scripted.xen.wait_for(lambda: scripted.driver.status & NEEDS_RESET, "broken device")
    scripted.driver.start(queues=2, wanted=DRIVER_KNOWS | RING_PACKED)
    assert scripted.driver.features & RING_PACKED
    return scripted


def test_packed_rings_go_on(packed):
    """With their wrap counters."""
    packed.backend.misbehave = {GET_VRING_BASE: at([0x80078007, 0x000f000f])}
    leave(packed)
    packed.process = packed.frontend()
    assert bases(packed) == [(0, 0x80078007), (1, 0x000f000f)]
    assert packed.driver.status == RUNNING


@pytest.mark.parametrize("place", [0x80078008, 0x00078007, 0x80108010, 0xffffffff], ids=hex)
def test_packed_rings_that_are_not_finished(packed, place):
    """Requests are under way, of which nobody will say when they are finished; or it is a lie."""
    packed.backend.misbehave = {GET_VRING_BASE: at([place, 0x000f000f])}
    leave(packed)
    assert_broken(packed)


@pytest.mark.parametrize("features", [VERSION_1, VERSION_1 | INDIRECT_DESC | EVENT_IDX], ids=hex)
def test_packed_rings_in_use(machine, features):
    """Each time at another place of the ring, and with a request that comes meanwhile."""
    machine.be_of_type(LOOPBACK_DEVICE_ID)
    machine.reference_backend("--type=loopback", "--delay=2")
    machine.process = machine.frontend().wait_ready()
    driver = RingDriver(machine.xen).start(2, wanted=features | RING_PACKED)
    for number in range(12):
        for queue in (0, 1):
            driver.submit(bytes([number]) * 700, queue, pieces=1 + number % 3)
        if number % 2:
            leave(machine)
            driver.submit(b"meanwhile", 0, kick=False)
            machine.process = machine.frontend()
        for queue in (0, 1):
            driver.drain(queue)
    assert driver.status == RUNNING


def test_a_backend_that_fails_after_its_answer(scripted):
    """It may have lost requests that were in flight."""
    def last_words(connection, reply):
        connection.send(reply)
        raise Hangup
    scripted.backend.misbehave = {GET_VRING_BASE: last_words}
    leave(scripted)
    assert_broken(scripted)


def test_a_backend_that_dies(machine):
    image = machine.image(MIB)
    options = [f"--blk-file={image}", f"--protocol={F_MQ | F_REPLY_ACK | F_CONFIG:#x}",
               "--queues=2"]
    backend = machine.reference_backend(*options, "--misbehave=get-vring-base:never-answer")
    machine.process = machine.frontend().wait_ready()
    machine.driver = machine.disk().start(queues=2)
    machine.process.process.terminate()
    time.sleep(0.2)
    backend.kill()
    machine.process.wait_exit(0, LEAVE - 0.5)
    machine.reference_backend(*options)
    assert_broken(machine)
