# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest that looks for all of its devices before anybody is there."""

import os

import pytest

from sim.guest import DEVICE_ID
from sim.shared import Guest
from sim.xen import INPROCESS, READY

DEVICES = 64  # DEVICE_LIST_MAX; each is looked for by a vCPU of its own
BLOCK = 2
LONG = bool(os.environ.get("XEN_VIRTIO_LONG"))


@pytest.fixture
def guest(build, tmp_path):
    """One that has looked, and waits for all answers."""
    guest = Guest(build, tmp_path, n_vcpus=DEVICES)
    guest.vcpus = [guest.add().vcpu(number) for number in range(DEVICES)]
    for vcpu in guest.vcpus:
        vcpu.begin(DEVICE_ID)
    yield guest
    guest.close()


def start_frontend(guest):
    """Starts it with all devices, and waits until it has seen what is asked."""
    guest.list(*guest.devices)
    frontend = guest.frontend()

    def all_seen():
        frontend.take_notices()  # there has to be room for those of all devices
        return all(vcpu.state == INPROCESS for vcpu in guest.vcpus)

    guest.xen.wait_for(all_seen, "all requests")


def test_the_frontend_comes_last(guest):
    """All backends are there: each access is answered, none with "no device"."""
    for device in guest.devices:
        device.start_backend("scripted")
    assert all(vcpu.state == READY for vcpu in guest.vcpus)
    guest.list(*guest.devices)
    guest.frontend().wait_ready()
    assert [vcpu.finish() for vcpu in guest.vcpus] == [BLOCK] * DEVICES


def test_backends_come_later(guest):
    """Each access is answered when its own backend is there, and no sooner."""
    start_frontend(guest)
    for first in range(0, DEVICES, DEVICES // 4):
        group = slice(first, first + DEVICES // 4)
        for device in guest.devices[group]:
            device.start_backend("scripted")
        assert {vcpu.finish() for vcpu in guest.vcpus[group]} == {BLOCK}
        assert all(vcpu.state == INPROCESS for vcpu in guest.vcpus[group.stop:])


@pytest.mark.skipif(not LONG, reason="waits for ten seconds; XEN_VIRTIO_LONG=1 does")
@pytest.mark.plain_build(reason="waits for long")
def test_half_of_the_backends_never_come(guest):
    """Their accesses are answered in the end, too, and the guest sees no device."""
    start_frontend(guest)
    for device in guest.devices[::2]:
        device.start_backend("scripted")
    assert [vcpu.finish() for vcpu in guest.vcpus[::2]] == [BLOCK] * (DEVICES // 2)
    assert [vcpu.finish(timeout=15) for vcpu in guest.vcpus[1::2]] == [0] * (DEVICES // 2)
