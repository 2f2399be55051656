# SPDX-License-Identifier: LGPL-2.1-or-later
"""Commands, and bytes in the place of them, that drivers of network cards should not give."""

import struct
import time

import pytest

from sim.guest import NEEDS_RESET
from sim.memory import BANK0_BASE, MIB, PAGE
from sim.net import CLASS_MQ, ERR, OK, PAIRS_SET
from sim.test_net_pairs import PAIRS, assert_in_use, be_card, requests

BURST, RATE = 5000, 50  # messages, and messages a second: frontend/start-limit.h


@pytest.mark.parametrize("command, data", [
    ((CLASS_MQ, PAIRS_SET), struct.pack("<H", 0)), ((CLASS_MQ, PAIRS_SET), struct.pack("<H", 5)),
    ((CLASS_MQ, PAIRS_SET), struct.pack("<H", 0xffff)), ((CLASS_MQ, PAIRS_SET), b"\2"),
    ((CLASS_MQ, PAIRS_SET), b"\2\0\0"), ((CLASS_MQ, PAIRS_SET), b""), ((CLASS_MQ, 1), b"\2\0"),
    ((0, 0), b"\1"), ((1, 1), bytes(6)), ((1, 0), bytes(3 * PAGE)), ((2, 0), b"\0\0"),
    ((3, 0), b""), ((5, 0), bytes(8)), ((255, 255), b"\1\0")])
def test_other_commands(machine, command, data):
    """They are refused, and nobody hears of them."""
    driver = be_card(machine)
    messages = requests(machine)
    assert driver.command(*command, data=data) == ERR
    assert driver.set_pairs(1) == OK
    assert requests(machine) == messages
    assert_in_use(driver, 1)


def descriptor(address, length, flags, following=0):
    """Its bytes."""
    return struct.pack("<QIHH", address % (1 << 64), length, flags, following)


NEXT, WRITE, INDIRECT = 1, 2, 4
CHAINS = {
    "loop": descriptor(BANK0_BASE, 2, NEXT),
    "no such descriptor": descriptor(BANK0_BASE, 2, NEXT, 16),
    "no answer": descriptor(BANK0_BASE, 4, 0),
    "read after written": descriptor(BANK0_BASE, 4, NEXT | WRITE, 1),
    "below": descriptor(BANK0_BASE - 1, 1, WRITE),
    "beyond": descriptor(BANK0_BASE + 64 * MIB, 1, WRITE),
    "over the end": descriptor(BANK0_BASE + 64 * MIB - 1, 2, WRITE),
    "wraps": descriptor(-1, 2, WRITE),
    "empty": descriptor(BANK0_BASE, 0, WRITE),
    "odd table": descriptor(BANK0_BASE, 17, INDIRECT),
    "empty table": descriptor(BANK0_BASE, 0, INDIRECT),
    "table that goes on": descriptor(BANK0_BASE, 16, INDIRECT | NEXT),
    "table elsewhere": descriptor(0, 16, INDIRECT),
}


@pytest.mark.parametrize("what", [*CHAINS, "index", "head"])
def test_bad_rings(machine, what):
    """The card stops, and says why; the frontend lives, and a reset makes all good."""
    driver = be_card(machine, 2)
    assert driver.set_pairs(2) == OK
    ring, memory = driver.rings[driver.control], machine.xen.memory
    messages = requests(machine)
    memory.write(ring.descriptors, CHAINS.get(what, CHAINS["loop"]) + CHAINS["no answer"])
    memory.write(ring.available + 4 + 2, struct.pack("<H", 0xfff0 if what == "head" else 0))
    memory.write(ring.available + 2, struct.pack("<H", 18 if what == "index" else 2))
    driver.notify(driver.control)
    assert driver.status & NEEDS_RESET
    assert memory.read(ring.used + 2, 2) == b"\1\0"
    assert "cannot serve the control queue: " in machine.process.log
    assert requests(machine) == messages
    driver.bring_up()
    assert driver.set_pairs(2) == OK
    assert_in_use(driver, 2)


@pytest.mark.plain_build(reason="counts thousands of messages")
def test_flood_of_commands(machine):
    """The backend hears of so many only; the driver waits for its answer. The last one counts."""
    driver = be_card(machine)
    begun, before, n = time.monotonic(), requests(machine), 0
    while "too often" not in machine.process.log and n < BURST:
        answer = driver.begin_pairs(PAIRS if n % 2 == 0 else 1)
        if not driver.rings[driver.control].is_used:
            n += 1
            break
        assert driver.end_command(answer) == OK
        n += 1
    else:
        pytest.fail("no limit")
    for _ in range(5):
        driver.notify(driver.control)  # over and over
    assert driver.end_command(answer) == OK
    each = 2 * (PAIRS - 1) + 1
    assert requests(machine) - before == n * each  # all of them were carried out
    assert n * each <= BURST + RATE * (time.monotonic() - begun) + each
    for number in range(3):
        assert driver.set_pairs(2 + number) == OK
    assert machine.process.log.count("too often") <= 10
    assert_in_use(driver, PAIRS)


def test_kicks_without_commands(machine):
    """They cost nobody else anything."""
    driver = be_card(machine)
    messages, interrupts = requests(machine), machine.xen.raised()
    for _ in range(300):
        driver.notify(driver.control)
    assert requests(machine) == messages
    assert machine.xen.raised() == interrupts
    assert driver.set_pairs(2) == OK


@pytest.mark.plain_build(reason="sanitizers take memory of their own")
def test_keeps_no_guest_memory_mapped(machine):
    driver = be_card(machine)
    assert driver.set_pairs(2) == OK
    with open(f"/proc/{machine.process.pid}/maps", encoding="ascii") as maps:
        assert not [line for line in maps if "/memfd:ram" in line]
