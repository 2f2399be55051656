# SPDX-License-Identifier: LGPL-2.1-or-later
"""The frontend as a process: how it starts, ends, is replaced, and what it costs."""

import re
import time
from pathlib import Path

import pytest

from sim.conftest import INSTANCE, LAUNCH
from sim.guest import DEVICE_ID, NEEDS_RESET, QUEUE_NOTIFY, SECTOR, STATUS
from sim.memory import MIB
from sim.process import status_number
from sim.slack import has_passed
from sim.xen import INPROCESS, INVALIDATE, NONE, READY

EX_TEMPFAIL, EX_CONFIG = 75, 78
LOG_WINDOW = 10.0  # LOG_LIMIT_WINDOW_USEC


# Adoption: a frontend dies with requests that wait, and the next one answers them.

def test_adopts_requests_that_nobody_took(make_machine):
    machine = make_machine(n_vcpus=3)
    machine.storage_daemon(machine.image(MIB))
    first, second, third = machine.xen.vcpus
    first.begin(DEVICE_ID)
    second.begin(0, kind=INVALIDATE)
    assert (first.state, second.state, third.state) == (READY, READY, NONE)
    machine.frontend()
    assert first.finish() == 2
    second.finish()


def test_adopts_requests_of_its_predecessor(make_machine):
    """Killed with one request taken (INPROCESS) and one not (READY)."""
    machine = make_machine(n_vcpus=2)
    frontend = machine.frontend()  # no backend: accesses are held
    first, second = machine.xen.vcpus
    first.begin(DEVICE_ID)
    machine.xen.wait_for(lambda: first.state == INPROCESS, "taken request")
    frontend.pause()
    second.begin(DEVICE_ID)
    frontend.kill()
    assert (first.state, second.state) == (INPROCESS, READY)

    machine.storage_daemon(machine.image(MIB))
    machine.frontend()
    assert first.finish() == 2
    assert second.finish() == 2


def test_is_killed_at_any_moment(make_machine):
    """Kills under load; each request is answered once, by one frontend or the next."""
    machine = make_machine(n_vcpus=2)
    image = machine.image(MIB)
    machine.storage_daemon(image)
    vcpus = machine.xen.vcpus
    for accesses in range(20, 30):
        frontend = machine.frontend()
        for _ in range(accesses):
            for vcpu in vcpus:
                vcpu.begin(DEVICE_ID)
            answers = [vcpu.finish() for vcpu in vcpus]
            assert answers == [2, 2]
        for vcpu in vcpus:
            vcpu.begin(DEVICE_ID)
        frontend.kill()
        frontend = machine.frontend()
        assert [vcpu.finish() for vcpu in vcpus] == [2, 2]
        frontend.kill()


def test_the_device_works_after_a_restart(machine):
    image = machine.image(MIB)
    machine.storage_daemon(image)
    frontend = machine.frontend().wait_ready()
    disk = machine.disk().start()
    disk.read_sectors(0, 1)
    frontend.kill()
    machine.frontend().wait_ready()
    disk.start()
    assert disk.read_sectors(5, 1) == image.read_bytes()[5 * SECTOR:6 * SECTOR]


def test_stops_when_told(machine):
    machine.storage_daemon(machine.image(MIB))
    frontend = machine.frontend().wait_ready()
    machine.disk().start()
    frontend.process.terminate()
    frontend.wait_exit(0)


def test_stops_when_told_before_it_is_ready(machine):
    frontend = machine.frontend()
    machine.xen.vcpus[0].begin(DEVICE_ID)
    machine.xen.wait_for(lambda: machine.xen.vcpus[0].state == INPROCESS, "taken request")
    frontend.process.terminate()
    frontend.wait_exit(0)


# Starting with the wrong things.

@pytest.mark.parametrize("text", ["", "VERSION=1\n", LAUNCH.format(memory_kib=0),
                                  LAUNCH.format(memory_kib=65536) + "IRQ=34\n",
                                  LAUNCH.format(memory_kib=65536).replace("VERSION=1", "VERSION=2"),
                                  "\0" * 100, "A" * 100000],
                         ids=["empty", "half", "no-memory", "twice", "version", "nul", "long"])
def test_bad_launch_file(machine, text):
    machine.write_launch(text)
    frontend = machine.frontend()
    frontend.wait_exit(EX_CONFIG)
    assert "launch" in frontend.log


def test_no_launch_file(machine):
    (machine.folder / "launch").unlink()
    frontend = machine.frontend()
    frontend.wait_exit(EX_CONFIG)


def test_no_such_server(machine):
    ends = machine.xen.plug
    machine.xen.plug = lambda: {name: fd for name, fd in ends().items() if name != "page"}
    frontend = machine.frontend()
    frontend.wait_exit(EX_TEMPFAIL)
    assert "IOREQ server" in frontend.log


# Costs.

def kinds_of_descriptors(frontend):
    """What a frontend has open, without folders, and the numbers of its own files and sockets."""
    names = [Path(name).name if name.startswith("/") and not name.startswith(("/dev", "/memfd"))
             else name for name in frontend.descriptors().values()]
    names = ["log" if re.fullmatch(r"frontend-\d+\.log", name) else name for name in names]
    return sorted(re.sub(r":(\[?\d+\]?|ram\d.*|ioreq.*)$", "", name) for name in names)


def test_resets_leak_nothing(machine):
    machine.storage_daemon(machine.image(MIB))
    frontend = machine.frontend().wait_ready()
    disk = machine.disk()
    disk.start()
    before = kinds_of_descriptors(frontend)
    for _ in range(200):
        disk.start()
    assert kinds_of_descriptors(frontend) == before
    assert disk.read_sectors(0, 1)


def test_reconnections_leak_nothing(machine):
    backend = machine.scripted_backend()
    frontend = machine.frontend().wait_ready()
    disk = machine.disk().start()
    before = kinds_of_descriptors(frontend)
    for number in range(2, 22):
        backend.connection.close()
        backend.wait_for(lambda count=number: len(backend.connections) == count, "reconnection")
        disk.start()
    assert kinds_of_descriptors(frontend) == before


def test_holds_few_descriptors(machine):
    """Each is in the table of docs/ARCHITECTURE.md."""
    machine.storage_daemon(machine.image(MIB))
    frontend = machine.frontend().wait_ready()
    machine.disk().start()
    kinds = kinds_of_descriptors(frontend)
    for played in ["/memfd", "/memfd", "pipe", "pipe", "socket"]:  # Xen and the kernel
        kinds.remove(played)
    assert kinds == sorted([
        "log", "log",  # standard output and error
        "anon_inode:[signalfd]",
        "/memfd",  # a bank of memory
        INSTANCE, "inflight",  # the device's folder
        "socket", "socket", "anon_inode:[pidfd]",  # the backend, its channel, its process
        "anon_inode:[eventfd]", "anon_inode:[eventfd]"])  # a kick for each queue, and the call


@pytest.mark.parametrize("n_queues", [1, 4])
def test_descriptors_of_queues(machine, n_queues):
    """One for each queue, and one for the calls of all."""
    machine.scripted_backend().n_queues = n_queues
    frontend = machine.frontend().wait_ready()
    assert kinds_of_descriptors(frontend).count("anon_inode:[eventfd]") == n_queues + 1


def test_watchdog(machine):
    """Systemd hears that the loop turns, also while the guest keeps it busy."""
    machine.scripted_backend()
    frontend = machine.frontend(WATCHDOG_USEC="100000").wait_ready()
    n_notices, start = 0, time.monotonic()
    while n_notices < 10:
        machine.disk().read(DEVICE_ID)
        n_notices += frontend.take_notices().count("WATCHDOG=1")
        assert not has_passed(start, 1), f"{n_notices} notices"
    assert n_notices <= 2 + (time.monotonic() - start) / 0.05


@pytest.mark.plain_build(reason="sanitizers take memory of their own")
def test_maps_no_guest_memory(machine):
    machine.storage_daemon(machine.image(MIB))
    frontend = machine.frontend().wait_ready()
    machine.disk().start().read_sectors(0, 1)
    with open(f"/proc/{frontend.pid}/maps", encoding="ascii") as maps:
        shared = [line.split()[5] for line in maps if line.split()[1][3] == "s"]
    assert sorted(shared) == ["/memfd:ioreq", str(machine.folder / "frontend/counters"),
                              str(machine.folder / "frontend/state")]


@pytest.mark.plain_build(reason="sanitizers take memory of their own")
def test_is_small(machine):
    machine.storage_daemon(machine.image(MIB))
    frontend = machine.frontend().wait_ready()
    machine.disk().start().read_sectors(0, 1)
    resident = status_number(frontend.pid, "RssAnon")
    assert resident <= 1024, f"{resident} KiB of its own"


def test_guest_cannot_flood_the_log(machine):
    machine.scripted_backend()
    frontend = machine.frontend().wait_ready()
    disk, start = machine.disk(), time.monotonic()
    for _ in range(200):
        disk.start()
        disk.notify()
    for _ in range(200):
        disk.negotiate()
        disk.set_queue(0, 3, 0, 0, 0)
    for _ in range(500):
        disk.vcpu.begin(0x1ff, 7, 1)
        disk.vcpu.finish()
        disk.write(QUEUE_NOTIFY, 1 << 31)
    disk.write(STATUS, 0)
    further_windows = (time.monotonic() - start + 1) // LOG_WINDOW
    assert frontend.log.count("\n") <= 40 + 20 * further_windows, frontend.log[:4000]


def test_two_vcpus_reset_at_once(make_machine):
    machine = make_machine(n_vcpus=2)
    machine.storage_daemon(machine.image(MIB))
    machine.frontend().wait_ready()
    disk = machine.disk()
    first, second = machine.xen.vcpus
    for _ in range(50):
        disk.start()
        first.begin(STATUS, value=0)
        second.begin(STATUS, value=0)
        first.finish()
        second.finish()
        assert not disk.status & NEEDS_RESET
    disk.start().read_sectors(0, 1)
