# SPDX-License-Identifier: LGPL-2.1-or-later
"""Figures that are promised, measured on every run."""

import re
import statistics

from labkit.domu import Guest, make_disk

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
