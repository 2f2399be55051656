# SPDX-License-Identifier: LGPL-2.1-or-later
"""Figures that are promised, measured on every run."""

import re
import statistics

import pytest
from labkit.domu import Guest, make_disk

from lab import scripts

CLAIMED = r"claimed MMIO range \S+ as IOREQ server \d+, ([0-9.]+) ms after"
GUESTS = 20


def test_time_to_claim(dom0, figures):
    disk = make_disk(dom0, "claim", "r")
    before = len(re.findall(CLAIMED, dom0.journal("_SYSTEMD_UNIT=xen-virtiod.service")))
    guests = [Guest(dom0, f"claim{n}", [disk], None, memory=16) for n in range(2)]
    for _ in range(GUESTS // 2):
        for guest in guests:
            guest.create()
        for guest in guests:
            guest.destroy()
    times = [float(ms) for ms in re.findall(
        CLAIMED, dom0.journal("_SYSTEMD_UNIT=xen-virtiod.service"))][before:]
    assert len(times) == GUESTS
    figures("node to claimed range", f"median {statistics.median(times):.1f} ms, "
                                     f"p99 (of {GUESTS}) {max(times):.1f} ms")
    assert max(times) <= 50


def test_time_of_create_and_destroy(dom0, figures):
    guest = Guest(dom0, "timed", [make_disk(dom0, "timed")], scripts.WORK)
    figures("xl create", f"{guest.create():.2f} s")
    guest.wait_for("guest: round 1")
    seconds = guest.destroy()
    figures("xl destroy under I/O", f"{seconds:.2f} s")
    assert seconds < 2


def resident_kib(dom0, unit):
    """The resident set of a unit's main process."""
    return int(dom0.check(f"awk '/^VmRSS/ {{print $2}}' /proc/$(systemctl show -P MainPID "
                          f"{unit})/status"))


def test_memory_use(dom0, figures):
    guest = Guest(dom0, "memory", [make_disk(dom0, "memory")], scripts.WORK)
    guest.create()
    guest.wait_for("guest: round 1")
    [frontend] = guest.units("frontend")
    frontend_kib, daemon_kib = resident_kib(dom0, frontend), resident_kib(dom0, "xen-virtiod")
    figures("frontend RSS", f"{frontend_kib} KiB")
    figures("orchestrator RSS", f"{daemon_kib} KiB")
    assert frontend_kib <= 4 * 1024
    assert daemon_kib <= 10 * 1024


@pytest.mark.only_kernel("lab")
def test_mapping_a_guest_does_not_balloon_dom0(dom0, figures):
    def dom0_mib():
        return int(dom0.check("xl list | awk '$1 == \"Domain-0\" {print $3}'"))

    before = dom0_mib()
    guest = Guest(dom0, "mapped", [make_disk(dom0, "mapped")], scripts.WORK, memory=512)
    guest.create()
    guest.wait_for("guest: round 1")
    figures("dom0's memory before and with a mapped 512 MiB guest",
            f"{before} MiB, {dom0_mib()} MiB")
    assert dom0_mib() == before


@pytest.mark.only_kernel("lab")
def test_backend_maps_the_guest_and_the_frontend_does_not(dom0):
    guest = Guest(dom0, "maps", [make_disk(dom0, "maps")], scripts.WORK, memory=192)
    guest.create()
    guest.wait_for("guest: round 1")
    sizes = {}
    for unit, pid in guest.pids().items():
        maps = dom0.check(f"grep privcmd /proc/{pid}/maps || true")
        spans = re.findall(r"^([0-9a-f]+)-([0-9a-f]+)", maps, re.MULTILINE)
        role = "frontend" if "frontend" in unit else "backend"
        sizes[role] = [int(end, 16) - int(start, 16) for start, end in spans]
    assert sizes["frontend"] == [4096]
    assert sizes["backend"] == [192 << 20]
