# SPDX-License-Identifier: LGPL-2.1-or-later
"""The frontend with the reference backend, which proves each of its messages legal."""

import itertools
import os
import random
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from sim.backend import GET_FEATURES, HEADER, SET_OWNER, VERSION
from sim.client import connect_to
from sim.conftest import LAUNCH, Machine
from sim.guest import (BLK_IN, CONFIG, CONFIG_CHANGED, DRIVER_OK, NEEDS_RESET, QUEUE_DESC,
                       QUEUE_DEVICE, QUEUE_DRIVER, QUEUE_NOTIFY, QUEUE_READY, QUEUE_SEL, QUEUE_SIZE,
                       SECTOR, STATUS, VERSION_1, Disk)
from sim.memory import BANK0_BASE, MIB
from sim.reference import ILLEGAL_STATUS
from sim.rings import EVENT_IDX, IN_ORDER, INDIRECT_DESC, RING_PACKED, RingDriver
from sim.slack import has_passed, slack
from sim.xen import DEADLINE, RANGE_SIZE

LOOPBACK_DEVICE_ID = 63  # of no standard type


# What works.

def test_a_disk(machine):
    image = machine.image(MIB)
    machine.reference_backend(f"--blk-file={image}", "--queues=4")
    machine.frontend().wait_ready()
    disk = machine.disk().start(queues=4)
    assert disk.capacity == MIB // SECTOR
    for queue in range(4):
        data = os.urandom(64 * SECTOR)
        disk.write_sectors(100 * queue, data, queue)
        assert disk.read_sectors(100 * queue, 64, queue) == data
        assert image.read_bytes()[100 * queue * SECTOR:][:len(data)] == data
    disk.flush()
    assert disk.get_id() == b"xen-virtio-test"


def loopback(machine, wanted, *options, queues=8):
    """The loop-back device and its driver with these features, which runs."""
    machine.write_launch(LAUNCH.format(memory_kib=machine.xen.memory.size // 1024)
                         .replace("DEVICE_ID=2", f"DEVICE_ID={LOOPBACK_DEVICE_ID}"))
    backend = machine.reference_backend("--type=loopback", *options)
    machine.frontend().wait_ready()
    driver = RingDriver(machine.xen)
    assert not wanted & RING_PACKED or driver.device_features() & RING_PACKED
    driver.start(queues, wanted=wanted)
    assert driver.features == wanted, "the frontend does not offer what the backend has"
    return backend, driver


def requests(seed, count):
    """Data of requests of many sizes, and how many pieces each has."""
    dice = random.Random(seed)
    for _ in range(count):
        data = dice.randbytes(dice.choice((1, 7, 512, 4096, 5000)))
        yield data, dice.randint(1, min(3, len(data)))


SPLIT = [VERSION_1, VERSION_1 | INDIRECT_DESC, VERSION_1 | EVENT_IDX,
         VERSION_1 | INDIRECT_DESC | EVENT_IDX, VERSION_1 | EVENT_IDX | IN_ORDER]


@pytest.mark.parametrize("features", SPLIT + [f | RING_PACKED for f in SPLIT], ids=hex)
def test_eight_queues(machine, features):
    _, driver = loopback(machine, features)
    for queue in range(8):
        # Twice around the ring of 16, at most two requests in flight.
        for number, (data, pieces) in enumerate(requests(queue, 24)):
            driver.submit(data, queue, pieces, bool(features & INDIRECT_DESC) and number % 2)
            if number % 2:
                driver.drain(queue)
        driver.drain(queue)


# The checker itself, through the program. Its rules are tested one by one in tests/backend.

@pytest.mark.plain_build(reason="no frontend takes part")
@pytest.mark.parametrize("options, connections", [([], 1), (["--continue"], 2)])
def test_illegal_messages_are_found(machine, options, connections):
    backend = machine.reference_backend("--type=loopback", *options)
    for _ in range(connections):
        with connect_to(machine.socket) as client:
            for request in (GET_FEATURES, SET_OWNER, SET_OWNER):
                client.sendall(HEADER.pack(request, VERSION, 0))
            assert len(client.recv(20, socket.MSG_WAITALL)) == 20
            assert client.recv(1) == b""  # it says no more to such a frontend
    if options:
        backend.process.terminate()
    assert backend.process.wait(DEADLINE * slack()) == ILLEGAL_STATUS
    assert backend.take_illegal() == ["illegal: set-owner: SET_OWNER twice"] * connections


def kill_and_resume(machine, backend, driver, *options):
    """The backend dies and another one comes. Returns it; the driver must not notice."""
    backend.kill()
    backend = machine.reference_backend(*options)
    start = time.monotonic()
    while not backend.was_asked("set-vring-enable") and not has_passed(start, DEADLINE):
        assert not driver.status & NEEDS_RESET
        time.sleep(0.002)
    return backend


def test_killed_at_any_moment(machine):
    """Each request is served, and once, whatever the backend was doing when it died."""
    dice = random.Random(3)
    slow = ["--type=loopback", "--trace", "--delay=4", "--shuffle"]
    backend, driver = loopback(machine, VERSION_1 | EVENT_IDX, *slow[1:], queues=2)
    kills = sent = 0
    while kills < 8 or sent <= 16:
        assert kills < 100, "nothing is served"
        # A busy machine's backend may get nowhere in that time.
        end = time.monotonic() + dice.uniform(0.003, 0.02) * (1 + kills // 8)
        while time.monotonic() < end:
            for queue, ring in enumerate(driver.rings):
                while ring.is_used:
                    driver.take(queue)
                if len(ring.in_flight) < ring.size // 2:
                    driver.submit(dice.randbytes(64), queue)
                    sent += 1
        backend = kill_and_resume(machine, backend, driver, *slow)
        kills += 1
    kill_and_resume(machine, backend, driver, "--type=loopback", "--trace")
    driver.drain(0)
    driver.drain(1)


def test_a_disk_that_grows(machine):
    image = machine.image(MIB)
    backend = machine.reference_backend(f"--blk-file={image}", "--trace")
    machine.frontend().wait_ready()
    disk = machine.disk().start()
    assert backend.was_asked("set-backend-req-fd")
    os.truncate(image, 2 * MIB)
    backend.refresh()
    while not disk.next_interrupt() & CONFIG_CHANGED:
        pass
    assert disk.capacity == 2 * MIB // SECTOR
    disk.read_sectors(MIB // SECTOR, 8)


# What goes wrong.

# What a frontend may send and gets an answer to, at each stage of a device's life.
NEGOTIATION = ["get-features", "get-protocol-features", "get-queue-num", "set-owner", "get-config"]
OPTIONAL = ["set-backend-req-fd", "get-inflight-fd", "set-inflight-fd", "set-status", "get-status",
            "reset-device"]
START = ["set-features", "set-vring-num", "set-vring-base", "set-vring-addr", "set-vring-call",
         "set-vring-kick", "set-vring-enable"]
STOP = ["get-vring-base"]
REQUESTS = NEGOTIATION + START + ["set-mem-table"] + STOP  # what every frontend sends

# What is noticed at once, or is no fault at all.
KINDS = ["late:100", "slow:5", "long", "wrong-id", "wrong-flags", "wrong-size:4",
         "wrong-size:4294967295", "nack", "extra-fds:1", "extra-fds:253", "close-after-bytes:5",
         "close-after-bytes:17", "close", "flood"]
HARMLESS = ["late:100", "slow:5"]
# A 1 instead of the right number is a fine number there; and where a connection ends anyhow, what
# comes after its last answer is not read.
UNNOTICED = [("nack", "get-protocol-features"), ("nack", "get-queue-num"),
             ("long", "get-vring-base"), ("flood", "get-vring-base")]
# VHOST_ANSWER_TIMEOUT_USEC; what is missing is noticed only then.
ANSWER_TIMEOUT = 5.0
AT_ONCE = 1.5  # that is: far from any deadline
# A vCPU's write may wait for the end of one transaction and the connection after it.
SLOWEST_WRITE = 2 * ANSWER_TIMEOUT + AT_ONCE


class ToughDisk(Disk):
    """A driver that expects the worst, and remembers how long it had to wait."""

    def __init__(self, xen):
        super().__init__(xen)
        self.slowest = 0.0

    def _timed(self, access, *args):
        start = time.monotonic()
        result = access(*args, timeout=SLOWEST_WRITE)
        self.slowest = max(self.slowest, time.monotonic() - start)
        return result

    def read(self, offset, size=4, timeout=None):
        """Reads a register, whatever time it takes."""
        return self._timed(self.vcpu.read, offset, size)

    def write(self, offset, value, timeout=None):
        """Writes a register, whatever time it takes."""
        self._timed(self.vcpu.write, offset, value)

    def try_read(self):
        """Reads sector 0; None if the device breaks meanwhile."""
        if self.status & NEEDS_RESET:
            return None
        request = self.submit(BLK_IN, 0, SECTOR)
        self.notify()
        start = time.monotonic()
        while not self.rings[0].is_used:
            assert not has_passed(start, DEADLINE), "a request is lost, and nobody says so"
            if self.status & NEEDS_RESET:
                return None
            time.sleep(0.002)
        return self.complete(request)

    def live(self, content, lives=2):
        """So many lives of a driver, or more: comes up, reads, goes. The last two go well."""
        good, start = 0, time.monotonic()
        while lives > 0 or good < 2:
            lives -= 1
            assert not has_passed(start, 2 * SLOWEST_WRITE), "the device does not come back"
            self.negotiate()
            self.add_ring()
            self.write(STATUS, self.status | DRIVER_OK)
            result = self.try_read()
            good = good + 1 if result else 0
            assert result in (None, (0, content))
            self.reset()


def misbehaving(machine, *options):
    """A disk with such a backend. Returns all that take part."""
    image = machine.image(16 * SECTOR)
    backend = machine.reference_backend(f"--blk-file={image}", *options)
    return backend, machine.frontend(), ToughDisk(machine.xen), image.read_bytes()[:SECTOR]


def count_when_calm(count, expected):
    """What count() says in the end: a connection that is being made has descriptors of its own."""
    start = time.monotonic()
    while (result := count()) != expected and not has_passed(start, DEADLINE):
        time.sleep(0.01)
    return result


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    """How many descriptors frontend and backend have after a life in which nothing went wrong."""
    known = {}

    def get(build):
        if build not in known:
            machine = Machine(build, tmp_path_factory.mktemp("calm"), 64 * MIB, 1)
            backend, frontend, disk, content = misbehaving(machine)
            frontend.wait_ready()
            disk.live(content)
            time.sleep(0.1)
            known[build] = len(frontend.descriptors()), backend.descriptors()
            machine.close()
        return known[build]

    return get


def check_life(machine, calm, *options, lives=2):
    """The guest lives through it, nobody leaks. Returns the longest time an access took."""
    backend, frontend, disk, content = misbehaving(machine, *options)
    frontend.wait_ready(2 * SLOWEST_WRITE)
    disk.live(content, lives)
    descriptors, backends = calm
    assert count_when_calm(lambda: len(frontend.descriptors()), descriptors) == descriptors
    assert count_when_calm(backend.descriptors, backends) == backends
    return disk.slowest, frontend.log, backend


def once(request_name, kind):
    """Options of a backend whose first connection goes wrong."""
    return f"--misbehave={request_name}:{kind}", "--misbehave-connections=1"


@pytest.mark.parametrize("request_name", REQUESTS + OPTIONAL)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.plain_build(reason="there are many; the sanitized build has test_one_after_another")
def test_misbehaviour(machine, build, calm, request_name, kind):
    slowest, log, backend = check_life(machine, calm(build), "--trace", *once(request_name, kind))
    assert slowest < AT_ONCE * slack()
    if not backend.was_asked(request_name):
        assert request_name in OPTIONAL
        return
    if kind not in HARMLESS and (kind, request_name) not in UNNOTICED:
        assert "lost the backend" in log


@pytest.mark.parametrize("request_name", ["get-config", "set-mem-table", "set-vring-kick", *STOP])
def test_one_after_another(machine, build, calm, request_name):
    """Each connection has another fault, so that what one leaves behind adds up."""
    faults = [f"--misbehave={request_name}:{kind}" for kind in KINDS]
    check_life(machine, calm(build), "--misbehave-in-turn", *faults, lives=len(faults) + 2)


@pytest.mark.plain_build(reason="waits for long, for all at once")
def test_hangs(build, tmp_path, calm):
    """An answer that is missing ends after its deadline. (SET_MEM_TABLE has a minute.)"""
    names = [name for name in REQUESTS if name != "set-mem-table"]
    cases = list(itertools.product(names, ("never-answer", "never-read", "short")))
    expected = calm(build)

    def run(number, case):
        folder = tmp_path / str(number)
        folder.mkdir()
        machine = Machine(build, folder, 64 * MIB, 1)
        try:
            return check_life(machine, expected, *once(*case))[0]
        finally:
            machine.close()

    with ThreadPoolExecutor(len(cases)) as pool:
        slowest = list(pool.map(run, itertools.count(), cases))
    for (name, kind), seconds in zip(cases, slowest, strict=True):
        assert seconds < SLOWEST_WRITE * slack(), (name, kind)
        # Where more answers follow, a missing one is noticed by the next.
        if name in START + STOP and kind == "never-read":
            assert seconds > ANSWER_TIMEOUT - 1, f"{name}:{kind}: nothing hung"


# What a guest can do. The backend ends with an error at the first illegal message.

STATUS_VALUES = [0, 1, 2, 3, 4, 7, 8, 11, 15, 0x40, 0x4f, 0x80, 0x8f, 0xff]


def test_status_sequences(machine):
    """Any order of status writes, with and without features and a queue that are fit for use."""
    dice = random.Random(1)
    _, frontend, disk, content = misbehaving(machine)
    frontend.wait_ready()
    sequences = [dice.choices(STATUS_VALUES, k=dice.randint(1, 4)) for _ in range(300)]
    for number, sequence in enumerate(sequences):
        if number % 3:
            disk.negotiate()
        if number % 3 == 2:
            disk.add_ring()
        for value in sequence:
            disk.write(STATUS, value)
            if value & DRIVER_OK:
                disk.notify()
        disk.reset()
    disk.live(content)
    assert "lost the backend" not in frontend.log
    assert "too often" not in frontend.log  # the backend has heard of all of them


def storm_access(dice, memory):
    """A register, the access's size, and what to write: sense and nonsense, half and half."""
    if dice.random() < 0.1:
        return dice.randrange(RANGE_SIZE), dice.choice((1, 2, 4, 8)), dice.randrange(1 << 32)
    register = dice.choice((STATUS, QUEUE_SEL, QUEUE_SIZE, QUEUE_READY, QUEUE_READY, QUEUE_DESC,
                            QUEUE_DRIVER, QUEUE_DEVICE, QUEUE_DESC + 4, QUEUE_NOTIFY, CONFIG))
    ram = BANK0_BASE + dice.randrange(0, memory.size, 0x10)
    sense = {STATUS: (15, 15, 15, dice.choice(STATUS_VALUES)), QUEUE_SEL: (0, 0, 0, 1, 64),
             QUEUE_SIZE: (16, 16, 16, 256, 1, 0, 17, 0xffff), QUEUE_READY: (1, 1, 0),
             QUEUE_DESC + 4: (0, 0, 0, 1), QUEUE_NOTIFY: (0, 0, 1)}
    values = sense.get(register, (ram, ram, ram, ram + 1, BANK0_BASE - 16,
                                  BANK0_BASE + memory.size - 16, 0, 0xfffffff0))
    return register, 4, dice.choice(values)


@pytest.mark.parametrize("seed", range(4))
def test_register_storm(machine, seed):
    """Two thousand accesses without a plan, from wherever a driver's life had got to."""
    stages = [Disk.reset, Disk.negotiate, lambda disk: (disk.negotiate(), disk.add_ring()),
              Disk.start]
    dice = random.Random(seed)
    _, frontend, disk, content = misbehaving(machine)
    frontend.wait_ready()
    for number in range(2000):
        if number % 20 == 0:
            stages[dice.randrange(len(stages))](disk)
        offset, size, value = storm_access(dice, machine.xen.memory)
        machine.xen.vcpus[0].write(offset, value, size, timeout=SLOWEST_WRITE)
        machine.xen.vcpus[0].read(offset, size)
    disk.live(content)
    assert "lost the backend" not in frontend.log
