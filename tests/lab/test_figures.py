# SPDX-License-Identifier: LGPL-2.1-or-later
"""Figures that are promised, measured on every run."""

import re
import statistics

import pytest
from labkit.domu import Guest, make_disk

CLAIMED = re.compile(r"(\d+)-\S+ claimed MMIO range \S+ as IOREQ server \d+, ([0-9.]+) ms after")
GUESTS = 20


def claims(dom0):
    """The domid of each claim since the lab was booted, and the milliseconds that it took."""
    return [(int(domid), float(ms)) for domid, ms in CLAIMED.findall(
        dom0.journal("_SYSTEMD_UNIT=xen-virtiod.service"))]


@pytest.mark.last
def test_time_to_claim(dom0, figures):
    """Over all guests of all tests, and as many more as are wanting."""
    wanting = GUESTS - len({domid for domid, _ in claims(dom0)})
    if wanting > 0:
        guest = Guest(dom0, "claim", [make_disk(dom0, "claim", "r")], None, memory=16)
        for _ in range(wanting):
            guest.create()
            guest.destroy()
    domids, times = zip(*claims(dom0), strict=True)
    assert len(set(domids)) >= GUESTS
    figures("node to claimed range", f"median {statistics.median(times):.1f} ms, p99 (of "
                                     f"{len(set(domids))} guests) {max(times):.1f} ms")
    assert max(times) <= 50
