# SPDX-License-Identifier: LGPL-2.1-or-later
"""Guests that die at any step of their devices' start, each with the number of the one before."""

import os
import random

from sim.host import INIT_WAIT, NEEDS, wait

TRIALS = 1000 if os.environ.get("XEN_VIRTIO_LONG") else 30
DEVICES = ("5-virtio-0", "5-virtio-1")

pytestmark = NEEDS


def is_seen(_host, guest):
    return guest.servers()


def is_claimed(_host, guest):
    return len(guest.servers()) == len(DEVICES)


def is_answered(_host, guest):
    return all(guest.state(devid) == str(INIT_WAIT) for devid in range(len(DEVICES)))


def has_units(host, _guest):
    return host.systemd.active()


def is_served(host, guest):
    """Not the one before, whose units may still be up."""
    return is_answered(host, guest) and host.serves(*DEVICES)


def at_once(_host, _guest):
    return True


# Until when a guest lives.
STEPS = [at_once, is_seen, is_claimed, has_units, is_answered, is_served]


def uuids(host):
    """Whose devices those are that /run knows."""
    found = []
    for name in DEVICES:
        launch = (host.folder / "run/xen-virtio" / name / "launch").read_text()
        found += [line.removeprefix("UUID=") for line in launch.splitlines() if "UUID=" in line]
    return set(found)


def test_used_again_at_once(host):
    """No guest has anything of another's, the last one is served, and then nothing is left."""
    chance = random.Random(7)
    for number in range(TRIALS):
        step = chance.choice(STEPS)
        guest = host.guest(5, len(DEVICES), number=number)
        wait(lambda step=step, guest=guest: step(host, guest))
        if step in (is_answered, is_served):
            assert uuids(host) == {guest.uuid}, number
        guest.die()
        guest.forget()
    last = host.guest(5, len(DEVICES), number=TRIALS)
    wait(lambda: is_served(host, last))
    assert uuids(host) == {last.uuid}
    last.destroy()
    wait(host.serves)
    assert not host.dropins()
    assert "cannot destroy" not in host.log
