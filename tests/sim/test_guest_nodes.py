# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest that writes to its own nodes of xenstore without an end: nobody here listens."""

import os

import pytest

from sim.host import INIT_WAIT, NEEDS, wait
from sim.process import cpu_ticks, status_number

WRITES = 1_000_000 if os.environ.get("XEN_VIRTIO_LONG") else 5000
RSS_MAX_KIB = 256
WAKE_UPS_MAX = 100  # its own timers

pytestmark = [
    *NEEDS,
    pytest.mark.plain_build(reason="measures memory"),
]


def test_flood_of_writes(host, record_property):
    """The daemon is not even woken, and what the toolstack wants meanwhile is done."""
    guest = host.guest(5, 1)
    wait(lambda: guest.state(0) == str(INIT_WAIT) and host.serves("5-virtio-0"))
    daemon, toolstack = host.daemon.process.pid, host.toolstack
    nodes = [f"{guest.home}/data/flood", f"{guest.home}/device/virtio/0/state",
             f"{guest.home}/device/virtio/0/flood", f"{guest.home}/memory/flood"]
    toolstack.write(dict.fromkeys(nodes, 0))
    before = {name: status_number(daemon, name) for name in ("RssAnon", "voluntary")}
    ticks = cpu_ticks(daemon)

    for number in range(WRITES):
        toolstack.write_one(nodes[number % len(nodes)], number)
    wake_ups = status_number(daemon, "voluntary") - before["voluntary"]
    assert wake_ups <= WAKE_UPS_MAX
    assert status_number(daemon, "RssAnon") - before["RssAnon"] <= RSS_MAX_KIB
    record_property("figure", f"{WRITES} writes: {cpu_ticks(daemon) - ticks} ticks of CPU, "
                              f"{wake_ups} wake-ups")
    quiet = status_number(daemon, "voluntary")
    guest.add(1)
    wait(lambda: guest.state(1) == str(INIT_WAIT))
    assert status_number(daemon, "voluntary") > quiet
