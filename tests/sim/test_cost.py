# SPDX-License-Identifier: LGPL-2.1-or-later
"""What it costs the frontend to answer: instructions and system calls, and what it holds.

Each is counted for two numbers of accesses, and the difference is divided: what the start costs,
and how often the loop ran by chance, does not matter then.
"""

import re
from collections import Counter

import pytest

from sim.guest import CONFIG, INTERRUPT_ACK, INTERRUPT_STATUS, QUEUE_NOTIFY

FEW, MANY = 200, 1200
# Valgrind is slow, and the machine may be busy.
DEADLINE = 60
# A timer that is on all the time, as with the unit.
WATCHDOG_USEC = "10000000"

pytestmark = pytest.mark.plain_build(reason="sanitizers have a cost of their own")


def register_read(driver):
    """What the driver does first in each interrupt."""
    driver.read(INTERRUPT_STATUS)


def register_write(driver):
    """And what it does then."""
    driver.write(INTERRUPT_ACK, 1)


def config_read(driver):
    """A field of the configuration space."""
    driver.read(CONFIG)


def kick(driver):
    """A request is there."""
    driver.write(QUEUE_NOTIFY, 0)


def call(driver):
    """A request is done. The frontend takes each before there is another."""
    before = driver.xen.interrupts
    driver.backend.connection.call(0)
    driver.xen.wait_interrupt(before + 1)


ACCESSES = [register_read, register_write, config_read, kick, call]


def run(machine, under, access, repetitions):
    """One frontend's life, under a program: a driver starts and accesses the device so often."""
    for name in ("state", "inflight"):
        (machine.folder / "frontend" / name).unlink(missing_ok=True)
    frontend = machine.frontend(under, WATCHDOG_USEC=WATCHDOG_USEC).wait_ready(DEADLINE)
    driver = machine.disk().start()
    driver.backend = machine.backend
    for _ in range(repetitions):
        access(driver)
    frontend.stop()


def measure(machine, access, under, total):
    """What one access adds to the totals of a file, where under(file) is what counts."""
    machine.program = machine.program.with_name("xen-virtio-frontend-unfiltered")
    machine.backend = machine.scripted_backend()
    totals = []
    for repetitions in (FEW, MANY):
        file = machine.directory / f"count-{repetitions}"
        run(machine, under(file), access, repetitions)
        totals.append(total(file.read_text(encoding="utf-8")))
    return [(many - few) / (MANY - FEW) for few, many in zip(*totals, strict=True)]


def instructions(text):
    """Instructions in a profile of callgrind: of the program itself, and of its libraries."""
    names, counts, is_own, is_call = {}, Counter(), False, False
    for line in text.splitlines():
        if found := re.match(r"ob=(\(\d+\))(?: (.*))?", line):
            names.setdefault(found[1], found[2])
            is_own = "/xen-virtio-frontend" in names[found[1]]
        elif found := re.match(r"cob=(\(\d+\)) (.*)", line):
            names.setdefault(found[1], found[2])
        elif line.startswith("calls="):
            is_call = True  # the next line has the callee's instructions, which stand there, too
        elif found := re.match(r"(?:[+-]?\d+|\*) (\d+)$", line):
            if not is_call:
                counts[is_own] += int(found[1])
            is_call = False
    return counts[True], counts[False]


@pytest.mark.parametrize("access", ACCESSES, ids=lambda access: access.__name__)
def test_instructions(machine, access, record_property):
    """Ours, and with those of the event loop's and the C library."""
    under = ["valgrind", "--quiet", "--tool=callgrind"]
    own, libraries = measure(machine, access,
                             lambda file: [*under, f"--callgrind-out-file={file}"], instructions)
    record_property("figure", f"instructions for a {access.__name__.replace('_', ' ')}: "
                              f"{own:.0f} of ours, {libraries:.0f} of libraries")
    assert own + libraries <= 750  # promised are 1,500


@pytest.mark.parametrize(("access", "calls"), zip(ACCESSES, [4, 4, 4, 5, 3], strict=True),
                         ids=[access.__name__ for access in ACCESSES])
def test_system_calls(machine, access, calls):
    """The wait, the event, the answer and the unmasking; a kick adds its own. All are needed."""
    under = ["strace", "--daemonize", "--quiet=all"]
    [count] = measure(machine, access, lambda file: [*under, "--output", str(file)],
                      lambda text: [text.count("\n")])
    assert count == pytest.approx(calls, abs=0.05)


def test_config_reads_ask_no_backend(machine):
    """They are answered from a copy."""
    backend = machine.scripted_backend()
    machine.frontend().wait_ready()
    driver = machine.disk().start()
    before = len(backend.connection.messages)
    for _ in range(100):
        config_read(driver)
    assert len(backend.connection.messages) == before
