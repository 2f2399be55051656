# SPDX-License-Identifier: LGPL-2.1-or-later
"""Nodes that make no sense: each costs one message, starts nothing, and disturbs no neighbour."""


import pytest

from sim.host import BASE, NEEDS, wait

pytestmark = NEEDS

HUGE = "9" * 2000
NUMBERS = ["", " ", "x", "-1", "+1", "1 ", " 1", "1x", "0x", "0xg", "1.0", "1e3", HUGE, "\u0661",
           b"1\0", b"\xff", "1\n"]
# What is changed of good nodes; None removes the node.
BAD = [
    *({"base": base} for base in [None, "0", "1", f"{BASE + 1:#x}", f"{BASE + 0x100:#x}",
                                  "0xffffffffffffffff", "0x1000000000000", *NUMBERS]),
    *({"irq": irq} for irq in [None, "0", "31", "1020", "4294967296", *NUMBERS]),
    *({"state": state} for state in [None, "0", "8", "9", "255", "Initialising", *NUMBERS[:8]]),
    *({"type": type_} for type_ in [None, "", "virtio", "virtio,", "virtio,device", "pci,device4",
                                    "virtio,deviceg", "virtio,device0", "virtio,device40",
                                    "virtio,device-1", "virtio,device4,", "../../etc",
                                    "virtio,device" + "4" * 2000, b"virtio,device4\0",
                                    b"virtio,device\xff", "virtio,device 4", "VIRTIO,DEVICE4"]),
    *({"transport": transport} for transport in [None, "", "pci", "unknown", "MMIO", "mmio "]),
    *({"frontend-id": domid} for domid in [None, "", "6", "0", "32752", "-5", "5x", HUGE]),
    *({"grant_usage": usage} for usage in ["", "2", "-1", "yes", "0x", "1\n"]),
]


@pytest.fixture
def host(stopped_host):
    """A host that serves one device, which must not notice anything."""
    host = stopped_host
    host.start().wait_ready()
    host.good = host.guest(5, 1)
    wait(lambda: host.serves("5-virtio-0"))
    return host


def lines(host):
    """What it has said of the device that makes no sense, in some earlier life or this one."""
    return [line for line in host.log.splitlines()
            if "5-virtio-1: " in line and "seen in xenstore" not in line and " -> " not in line]


def test_bad_entries(host, record_property):
    guest = host.good
    before, starts = guest.servers(), dict(host.systemd.look().starts)
    assert len(BAD) >= 60
    for changes in BAD:
        said = len(lines(host))
        guest.add(1, **changes)
        # A state that is none cannot be told from one that nobody has written.
        if changes.get("state", 1) is not None:
            wait(lambda changes=changes: guest.error(1) is not None)
        else:
            wait(lambda said=said: len(lines(host)) > said)
        wait(lambda said=said: len(lines(host)) == said + 1)
        assert host.serves("5-virtio-0"), changes
        assert guest.servers() == before, changes
        assert guest.state(0) == "2"
        guest.remove(1)
        guest.add(2)
        wait(lambda: guest.state(2) == "2")
        guest.close(2)
        wait(lambda: guest.state(2) == "6")
        guest.remove(2)
        wait(lambda: host.serves("5-virtio-0"))
    assert all(host.systemd.look().starts[unit] == count for unit, count in starts.items())
    assert not any("5-virtio-1." in unit for unit in host.systemd.starts)
    record_property("figure", f"{len(BAD)} malformed node sets: one message each, nothing started")
