# SPDX-License-Identifier: LGPL-2.1-or-later
"""Frontends that crash: the next one goes on where it was, and the guest does not notice."""

import contextlib
import random
import threading
import time

import pytest

from sim.guest import (ACKNOWLEDGE, CONFIG_CHANGED, DRIVER, DRIVER_OK, FEATURES_OK, INTERRUPT_ACK,
                       NEEDS_RESET, QUEUE_SEL, SECTOR)
from sim.load import Load
from sim.memory import MIB

RUNNING = ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK


@pytest.fixture
def guest(make_machine):
    """A machine with a disk whose backend tracks requests, and is slow."""
    machine = make_machine(memory_size=512 * MIB, n_vcpus=2)
    machine.path = machine.image(MIB)
    machine.start_backend = lambda: machine.reference_backend(f"--blk-file={machine.path}",
                                                              "--delay=2")
    machine.backend = machine.start_backend()
    machine.process = machine.frontend().wait_ready()
    return machine


@contextlib.contextmanager
def in_background(function):
    """Runs a function again and again, in a thread; its failure is the test's."""
    stop, errors = threading.Event(), []

    def run():
        try:
            while not stop.is_set():
                function()
        except BaseException as error:  # whatever it is, the test shows it
            errors.append(error)
    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    if errors:
        raise errors[0]


def test_killed_under_load(guest):
    """While another vCPU accesses registers; no request is lost or repeated, none fails."""
    load = Load(guest.disk().start(size=64), guest.path.read_bytes())
    other = guest.disk(1)
    chance = random.Random(3)

    def access():
        assert other.status == RUNNING
        other.write(QUEUE_SEL, 0)
        other.write(INTERRUPT_ACK, 0)
    with in_background(access):
        for _ in range(50):
            load.submit()
            time.sleep(chance.random() * 0.006)
            guest.process.kill()
            guest.process = guest.frontend()
            load.submit()
            load.finish()
    load.disk.flush()
    assert guest.path.read_bytes() == load.content


def test_killed_together_with_the_backend(guest):
    load = Load(guest.disk().start(size=64), guest.path.read_bytes())
    chance = random.Random(4)
    for number in range(10):
        load.submit()
        time.sleep(chance.random() * 0.006)
        victims = [guest.process, guest.backend]
        for victim in victims if number % 2 else reversed(victims):
            victim.kill()
        guest.process = guest.frontend()
        load.submit()
        guest.backend = guest.start_backend()
        load.finish()
    load.disk.flush()
    assert guest.path.read_bytes() == load.content


def test_killed_while_the_driver_starts(guest):
    """Each write that was not answered is repeated by the next frontend."""
    disk, chance, rounds = guest.disk(), random.Random(5), 0

    def start():
        nonlocal rounds
        disk.start()
        assert len(disk.read_sectors(rounds % 100, 1)) == SECTOR
        rounds += 1
    with in_background(start):
        for _ in range(50):
            time.sleep(chance.random() * 0.02)
            guest.process.kill()
            guest.process = guest.frontend()
            guest.process.wait_ready()
    assert rounds


def test_accesses_do_not_wait_for_a_backend(guest):
    """What the device was is known: nobody has to be asked."""
    disk = guest.disk().start()
    guest.backend.kill()
    guest.process.kill()
    guest.process = guest.frontend()
    assert disk.status == RUNNING
    assert disk.identify() == 2
    assert disk.capacity == MIB // SECTOR
    disk.notify()


def test_backend_without_tracking(machine):
    """Where it stopped cannot be known: the driver has to reset, and can."""
    image = machine.image(MIB)
    machine.storage_daemon(image)
    frontend = machine.frontend().wait_ready()
    disk = machine.disk().start()
    frontend.kill()
    machine.frontend().wait_ready()
    machine.xen.wait_interrupt(1)
    assert disk.status == RUNNING | NEEDS_RESET
    assert disk.start().read_sectors(5, 1) == image.read_bytes()[5 * SECTOR:6 * SECTOR]


def test_an_interrupt_that_may_not_have_come(machine):
    """The driver has not acknowledged its cause: it is interrupted once more."""
    backend = machine.scripted_backend()
    frontend = machine.frontend().wait_ready()
    disk = machine.disk().start()
    backend.kill()
    machine.xen.wait_interrupt(1)
    frontend.kill()
    machine.frontend()
    machine.xen.wait_interrupt(2)
    assert disk.handle_interrupt() == CONFIG_CHANGED
    assert disk.status == RUNNING | NEEDS_RESET


# The files.

def test_another_device_begins_anew(guest):
    """A record of what was claimed before, in the place of this device."""
    disk = guest.disk().start()
    guest.process.kill()
    launch = (guest.folder / "launch").read_text()
    guest.write_launch(launch.replace("UUID=0", "UUID=1"))
    frontend = guest.frontend().wait_ready()
    assert disk.status == 0
    assert frontend.log.count("begins anew") == 1
    disk.start().read_sectors(0, 1)


def test_without_a_folder_the_state_ends_with_the_process(guest):
    guest.process.kill()
    for file in (guest.folder / "frontend").iterdir():
        file.unlink()
    (guest.folder / "frontend").rmdir()
    frontend = guest.frontend().wait_ready()
    disk = guest.disk().start()
    frontend.kill()
    guest.frontend().wait_ready()
    assert disk.status == 0
    disk.start().read_sectors(0, 1)


def corruptions(good, chance):
    """What may have become of a state file, so that it must not be believed or is still good."""
    for size in (0, 1, 8, 100, len(good) - 1):
        yield good[:size]
    yield good + b"\0"
    yield good * 100
    yield b"\xff" * len(good)
    yield chance.randbytes(len(good))
    for _ in range(100):
        bad = bytearray(good)
        for _ in range(chance.choice([1, 1, 1, 4, 64])):
            bad[chance.randrange(len(bad))] = chance.choice([0, 1, 0xff, chance.randrange(256)])
        yield bytes(bad)


def test_corrupted_state(guest):
    """It is refused with one message, and the device begins anew; or it is gone on with."""
    disk = guest.disk().start()
    guest.process.kill()
    file = guest.folder / "frontend/state"
    good, anew, image = file.read_bytes(), 0, guest.path.read_bytes()
    for bad in corruptions(good, random.Random(6)):
        file.write_bytes(bad)
        frontend = guest.frontend().wait_ready()
        refused = frontend.log.count("begins anew")
        assert refused <= 1
        anew += refused
        if refused:
            assert disk.status == 0
        assert disk.identify() in (0, 2)
        disk.start()
        assert disk.read_sectors(anew, 1) == image[anew * SECTOR:(anew + 1) * SECTOR]
        frontend.kill()
    assert anew > 20


@pytest.mark.parametrize("size", [0, 1, 4096])
def test_cut_area(guest, size):
    """The record says that there is an area, but there is less."""
    disk = guest.disk().start()
    guest.process.kill()
    with open(guest.folder / "frontend/inflight", "r+b") as file:
        file.truncate(size)
    frontend = guest.frontend().wait_ready()
    assert "begins anew" in frontend.log
    assert disk.status == 0
    disk.start().read_sectors(0, 1)
