# SPDX-License-Identifier: LGPL-2.1-or-later
"""Backends and frontends that crash and come back: the guest does not notice."""

import os
import random
import time
from operator import attrgetter

import pytest

from sim.backend import (F_INFLIGHT, GET_INFLIGHT_FD, INFLIGHT, SET_FEATURES, SET_INFLIGHT_FD,
                         SET_MEM_TABLE, SET_VRING_ADDR, SET_VRING_BASE, SET_VRING_ENABLE,
                         SET_VRING_KICK)
from sim.clock import MovedClock
from sim.guest import (ACKNOWLEDGE, DRIVER, DRIVER_KNOWS, DRIVER_OK, FEATURES_OK, NEEDS_RESET,
                       QUEUE_RESET, QUEUE_SEL, QUEUE_USED, RING_RESET, STATUS)
from sim.load import Load
from sim.memory import MIB
from sim.slack import slack
from sim.test_backend import (attempts_max, descriptors, hang, hangup, refusal, too_long,
                              wrong_request)
from sim.xen import INVALIDATE

RUNNING = ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK
RING_SIZE = 64
DELAY = "--delay=3"  # milliseconds for each request: some are always in flight
HOLD = 10.0  # DEVICE_HOLD_USEC
OUTAGES = [0.1, 1, 3] + ([59, 61, 600] if os.environ.get("XEN_VIRTIO_LONG") else [])  # really


@pytest.fixture
def guest(make_machine):
    """A machine with a disk image, a frontend, and a driver that loads it."""
    machine = make_machine(memory_size=512 * MIB)
    machine.path = machine.image(MIB)
    machine.start_backend = lambda: machine.reference_backend(f"--blk-file={machine.path}", DELAY)
    machine.backend = machine.start_backend()
    machine.process = machine.frontend().wait_ready()
    machine.load = Load(machine.disk().start(size=RING_SIZE), machine.path.read_bytes())
    return machine


@pytest.fixture
def tracker(machine):
    """A machine whose backend only records, and tracks requests; its driver is up."""
    machine.backend = machine.scripted_backend()
    machine.backend.protocol_features |= F_INFLIGHT
    machine.process = machine.frontend().wait_ready()
    machine.driver = machine.disk().start()
    return machine


def wait_connection(backend, number):
    """Waits until the rings run on that connection, counted from 1."""
    backend.wait_for(lambda: len(backend.connections) >= number, f"connection {number}")
    backend.wait_for(lambda: SET_VRING_ENABLE in backend.connections[number - 1].requests(),
                     "running rings")
    return backend.connections[number - 1]


def requests_of(connection, number):
    """All messages of that kind."""
    return [message for message in connection.messages if message.request == number]


# A backend that tracks requests, and serves them.

def test_backend_is_killed_under_load(guest):
    """No request is lost or repeated, none fails, nothing hangs."""
    chance = random.Random(2)
    for _ in range(20):
        guest.load.submit()
        time.sleep(chance.random() * 0.008)
        guest.backend.kill()
        guest.load.collect()
        guest.load.submit()  # while nobody is there
        guest.backend = guest.start_backend()
        guest.load.finish()
    assert guest.load.done >= 20 * 12
    assert guest.load.disk.status == RUNNING
    guest.load.disk.flush()
    assert guest.path.read_bytes() == guest.load.content


@pytest.mark.plain_build(reason="waits for long")
@pytest.mark.parametrize("seconds", OUTAGES)
def test_outage(guest, seconds):
    """Meanwhile every access is answered at once; the load goes on soon after."""
    guest.load.submit()
    guest.backend.kill()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        before = time.monotonic()
        assert guest.load.disk.status == RUNNING
        guest.load.disk.notify()
        guest.load.disk.handle_interrupt()
        assert time.monotonic() - before < 0.5 * slack()
        time.sleep(0.02)
    guest.start_backend()
    start = time.monotonic()
    guest.load.finish()
    assert time.monotonic() - start < 0.5 * slack()


@pytest.mark.plain_build(reason="a sanitizer wants to be loaded before anything else")
@pytest.mark.parametrize("seconds", [59, 61, 600])
def test_long_outage(machine, seconds):
    """The frontend's clock is moved: it tries to connect as often as in that time."""
    clock = MovedClock(machine)
    machine.path = machine.image(MIB)

    def start_backend():
        return machine.reference_backend(f"--blk-file={machine.path}", DELAY)
    backend = start_backend()
    machine.frontend(**clock.environment()).wait_ready()
    load = Load(machine.disk().start(size=RING_SIZE), machine.path.read_bytes())
    load.submit()
    backend.kill()
    for _ in range(seconds):
        clock.advance(1)
        load.disk.vcpu.begin(0, kind=INVALIDATE)  # and the loop looks at its timers
        load.disk.vcpu.finish()
        assert load.disk.status == RUNNING
        load.disk.notify()
        load.disk.handle_interrupt()
    start_backend()
    load.finish()
    load.submit()
    load.finish()
    load.disk.flush()
    assert machine.path.read_bytes() == load.content


def test_reset_while_the_backend_is_away(guest):
    guest.load.submit()
    guest.backend.kill()
    guest.load.disk.reset(timeout=2)
    guest.start_backend()
    assert guest.load.disk.start().read_sectors(0, 1)


# What a backend hears.

def test_the_area_is_kept(tracker):
    """A backend that comes back gets the area of the one before; after a reset there is another."""
    backend, first = tracker.backend, tracker.backend.connection
    asked = INFLIGHT.unpack(requests_of(first, GET_INFLIGHT_FD)[0].payload)
    assert asked == (0, 0, backend.n_queues, 256, 0)
    given = requests_of(first, SET_INFLIGHT_FD)[0]
    assert INFLIGHT.unpack(given.payload) == (4 * (16 * 256 + 64), 0, 4, 256, 0)
    assert first.requests().index(SET_INFLIGHT_FD) < first.requests().index(SET_VRING_ADDR)
    os.pwrite(given.fds[0], b"mark", 100)

    first.close()
    second = wait_connection(backend, 2)
    assert GET_INFLIGHT_FD not in second.requests()
    again = requests_of(second, SET_INFLIGHT_FD)[0]
    assert again.payload == given.payload
    assert os.pread(again.fds[0], 4, 100) == b"mark"
    assert tracker.driver.status == RUNNING

    tracker.driver.start()
    third = wait_connection(backend, 3)
    assert requests_of(third, GET_INFLIGHT_FD)
    assert os.pread(requests_of(third, SET_INFLIGHT_FD)[0].fds[0], 4, 100) == b"\0\0\0\0"


def test_rings_go_on_where_they_were(tracker):
    """The base is the used index that the last backend has noted for the queue."""
    first = tracker.backend.connection
    assert [message.state for message in requests_of(first, SET_VRING_BASE)] == [(0, 0)]
    area = requests_of(first, SET_INFLIGHT_FD)[0].fds[0]
    os.pwrite(area, (1).to_bytes(2, "little"), 8)  # version
    os.pwrite(area, (0x1234).to_bytes(2, "little"), 14)  # used_idx
    first.close()
    second = wait_connection(tracker.backend, 2)
    assert [message.state for message in requests_of(second, SET_VRING_BASE)] == [(0, 0x1234)]


def test_kick_and_interrupt_after_a_pause(tracker):
    """Kicks that came meanwhile are one kick; calls that nobody heard are one interrupt."""
    tracker.backend.connection.take_kicks()
    interrupts = tracker.xen.interrupts
    tracker.backend.connection.close()
    for _ in range(3):
        tracker.driver.notify()
    second = wait_connection(tracker.backend, 2)
    tracker.xen.wait_interrupt(interrupts + 1)
    assert tracker.driver.handle_interrupt() == QUEUE_USED
    tracker.xen.wait_for(second.take_kicks, "kick")


def test_a_backend_that_cuts_the_area(tracker):
    """It harms itself alone."""
    os.ftruncate(requests_of(tracker.backend.connection, SET_INFLIGHT_FD)[0].fds[0], 0)
    tracker.backend.connection.close()
    wait_connection(tracker.backend, 2)
    tracker.driver.start()


# Backends that come back as something else.

def test_a_backend_that_does_not_track_requests(machine):
    """Where it stopped cannot be known: the driver has to reset, and can."""
    backend = machine.scripted_backend()
    machine.frontend().wait_ready()
    driver = machine.disk().start()
    backend.connection.close()
    machine.xen.wait_interrupt(1)
    assert driver.status & NEEDS_RESET
    driver.start()


def test_a_queue_that_was_made_later_is_begun(machine):
    """No queue was ready at DRIVER_OK: one that is made anew later is as hard to go on with."""
    backend = machine.scripted_backend()
    backend.features |= RING_RESET
    machine.frontend().wait_ready()
    driver = machine.disk().start(queues=0, wanted=DRIVER_KNOWS | RING_RESET)
    driver.write(QUEUE_SEL, 0)
    driver.write(QUEUE_RESET, 1)
    driver.add_ring(0)
    backend.connection.close()
    machine.xen.wait_interrupt(1)
    assert driver.status & NEEDS_RESET
    driver.start()


@pytest.mark.parametrize("attributes", [{"n_queues": 3}, {"features": 1 << 32 | 1 << 30},
                                        {"protocol_features": 1 << 0 | 1 << 3 | 1 << 9}],
                         ids=["fewer-queues", "fewer-features", "no-tracking"])
def test_a_backend_that_can_do_less(tracker, attributes):
    tracker.backend.kill()
    tracker.scripted_backend(**tracker.backend.offer | attributes)
    tracker.xen.wait_for(lambda: tracker.xen.interrupts > 0, "interrupt")
    assert tracker.driver.status & NEEDS_RESET
    assert tracker.driver.start().status == RUNNING


# Connections that end anywhere, and lies.

def test_cut_at_any_byte(tracker):
    """Of what the backend sends or receives; the next connection is complete."""
    backend = tracker.backend
    whole = backend.connection
    whole.close()
    whole = wait_connection(backend, 2)  # one that goes on with the rings
    for side, total in enumerate((whole.sent, whole.received)):
        for position in range(total):
            backend.cuts = [(position, None) if side == 0 else (None, position)]
            count = len(backend.connections)
            backend.connection.close()
            wait_connection(backend, count + 2)
            assert tracker.driver.status == RUNNING, f"cut at byte {position}"
    assert tracker.driver.identify() == 2


def test_connections_that_end_at_once(tracker):
    """connect() works, and then nothing does."""
    backend = tracker.backend
    backend.cuts = [(None, 0)] * 5
    backend.connection.close()
    wait_connection(backend, 7)
    assert tracker.driver.status == RUNNING


LIES = [hangup, refusal, wrong_request, too_long, descriptors]
RESUMING = {"SET_FEATURES": SET_FEATURES, "SET_MEM_TABLE": SET_MEM_TABLE,
            "SET_INFLIGHT_FD": SET_INFLIGHT_FD, "SET_VRING_KICK": SET_VRING_KICK,
            "SET_VRING_ENABLE": SET_VRING_ENABLE}


@pytest.mark.parametrize("lie", LIES, ids=attrgetter("__name__"))
@pytest.mark.parametrize("request_name", RESUMING)
def test_lies_while_resuming(tracker, request_name, lie):
    """The first connection worked, the second does not, the third does."""
    tracker.backend.misbehave = {RESUMING[request_name]: lie}
    tracker.backend.times = 2
    tracker.backend.connection.close()
    wait_connection(tracker.backend, 3)
    tracker.backend.wait_for(lambda: not tracker.backend.connection.closed, "third connection")
    assert tracker.driver.status == RUNNING


def area_of(size=None, offset=0, descriptor=None, count=1):
    """A wrong answer to GET_INFLIGHT_FD."""
    def lie(connection, reply):
        good_size, _, *rest = INFLIGHT.unpack(reply.payload)
        reply.payload = INFLIGHT.pack(good_size if size is None else size, offset, *rest)
        if descriptor is not None:
            connection.fds.append(os.open(descriptor, os.O_RDWR))
            reply.fds = connection.fds[-1:]
        reply.fds *= count
        connection.send(reply)
    return lie


AREAS = {"no-descriptor": area_of(count=0), "two-descriptors": area_of(count=2),
         "empty": area_of(size=0), "small": area_of(size=4 * 16 * 256 - 1),
         "huge": area_of(size=1 << 40), "endless": area_of(size=(1 << 64) - 1),
         "behind-the-end": area_of(offset=1), "far-away": area_of(offset=(1 << 63) - 1),
         "wraps": area_of(offset=(1 << 64) - 4096), "no-file": area_of(descriptor="/dev/zero"),
         "hangup": hangup, "refusal": refusal}


@pytest.mark.parametrize("area", AREAS)
def test_areas_that_are_none(machine, area):
    """They are refused, nothing is left open, and the device starts when there is a good one."""
    backend = machine.scripted_backend(misbehave={GET_INFLIGHT_FD: AREAS[area]})
    backend.protocol_features |= F_INFLIGHT
    frontend = machine.frontend().wait_ready()
    driver = machine.disk().start()
    wait_connection(backend, 2)
    assert driver.status == RUNNING
    names = frontend.descriptors().values()
    assert not [name for name in names if "memfd:area" in name or name == "/dev/zero"]


# While the driver starts.

def test_a_backend_that_always_refuses(machine):
    """The driver gets its answer; the log says why, not too often; it works when it can."""
    backend = machine.scripted_backend(misbehave={SET_MEM_TABLE: refusal}, times=1 << 30)
    frontend = machine.frontend().wait_ready()
    driver, start = machine.disk(), time.monotonic()
    driver.start()
    time.sleep(2)
    assert len(backend.connections) < attempts_max(start)
    assert "refused a request" in frontend.log
    assert frontend.log.count("\n") < 40
    assert driver.status == RUNNING
    backend.times = 0
    backend.wait_request(SET_VRING_ENABLE)


@pytest.mark.plain_build(reason="waits for long")
def test_a_backend_that_hangs_while_it_starts(machine):
    """The vCPU that started the device waits for the hold time, and no longer; a reset works."""
    machine.scripted_backend(misbehave={SET_MEM_TABLE: hang})
    machine.frontend().wait_ready()
    driver = machine.disk()
    driver.negotiate()
    driver.add_ring()
    start = time.monotonic()
    driver.vcpu.write(STATUS, RUNNING, timeout=HOLD + 2)
    assert time.monotonic() - start > HOLD - 1
    driver.notify()
    driver.reset(timeout=2)
    driver.start()
