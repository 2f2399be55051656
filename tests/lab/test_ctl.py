# SPDX-License-Identifier: LGPL-2.1-or-later
"""xen-virtioctl shows what there is."""

import json

from labkit.domu import Guest, make_disk

from lab import scripts


def test_list_and_show(dom0):
    assert dom0.check("xen-virtioctl list") == "No devices.\n"
    guest = Guest(dom0, "shown", [make_disk(dom0, "shown")], scripts.WORK)
    guest.create()
    device = f"{guest.domid()}-disk-51712"

    lines = dom0.check("xen-virtioctl list").splitlines()
    assert len(lines) == 2
    assert lines[1].split() == [device, "shown", "blk", "ready", "-"]

    [entry] = json.loads(dom0.check("xen-virtioctl --json list"))
    assert entry["device"] == device
    assert entry["state"] == "ready"
    assert entry["base"] == 0x2000000
    assert entry["problem"] is None

    text = dom0.check(f"xen-virtioctl show {device}")
    assert f"xen-virtio-frontend@{device}.service" in text


def test_exit_status(dom0):
    assert dom0.run("xen-virtioctl show 1-disk-1").status == 1
    assert dom0.run("xen-virtioctl").status == 2
    assert dom0.run("xen-virtioctl --nonsense list").status == 2
    dom0.check("systemctl stop xen-virtiod")
    assert dom0.run("xen-virtioctl list").status == 3
    dom0.check("systemctl start xen-virtiod")
    assert dom0.check("xen-virtioctl --version").startswith("xen-virtioctl ")
