# SPDX-License-Identifier: LGPL-2.1-or-later
"""Guests that come with the host, and go with it."""

import os

import pytest

from lab import scripts
from labkit import qemu
from labkit.domu import Guest, make_disk
from labkit.ui import Console

# In a lab of its own: dom0 forgets its journal.
pytestmark = [
    pytest.mark.only_kernel("lab"),
    pytest.mark.skipif("XEN_VIRTIO_LONG" not in os.environ, reason="boots dom0 three times")]

SCRIPT = scripts.MOUNT + """\
mounted /dev/vda /mnt/vda
touch /mnt/vda/stops
echo "guest: up, was stopped $(wc -l < /mnt/vda/stops) times"
while sleep 10; do :; done
"""
# What Linux runs when xl asks the guest to go.
POWER_OFF = b"""\
#!/bin/busybox sh
exec > /dev/console
echo stopped >> /mnt/vda/stops && umount /mnt/vda && echo "guest: stopped in order"
exec /bin/busybox poweroff -f
"""


def test_guest_comes_and_goes_with_the_host(dom0, figures):
    """We are ready before xendomains begins, and are there until it has ended."""
    disk = make_disk(dom0, "auto")
    guest = Guest(dom0, "auto", [disk], SCRIPT, files={"sbin/poweroff": POWER_OFF})
    dom0.check("rm /etc/systemd/system/xendomains.service && systemctl daemon-reload && "
               "systemctl enable xendomains && mkdir -p /etc/xen/auto && "
               f"ln -s {guest.config} /etc/xen/auto/")
    try:
        for stops in range(2):
            qemu.reboot(dom0.lab, Console())
            guest.wait_for(f"up, was stopped {stops} times", timeout=120)
            assert dom0.check("systemctl show -P NRestarts xen-virtiod") == "0\n"
        ready, begun = (int(dom0.check(f"systemctl show -P {what}")) for what in (
            "ActiveEnterTimestampMonotonic xen-virtiod",
            "InactiveExitTimestampMonotonic xendomains"))
        figures("xen-virtiod ready before xendomains begins", f"{(begun - ready) / 1e6:.2f} s")
        assert ready < begun
        assert guest.console().count("guest: stopped in order") == 1
    finally:
        dom0.check("rm /etc/xen/auto/*.cfg; systemctl disable xendomains")
