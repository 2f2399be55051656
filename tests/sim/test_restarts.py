# SPDX-License-Identifier: LGPL-2.1-or-later
"""Backends that end as soon as they start, again and again: what that costs, and whom."""

import os
import time

import pytest

from sim.host import NEEDS, backend, frontend, serve, wait
from sim.process import cpu_ticks
from sim.slack import slack
from sim.test_counters import COUNTERS, VERSION
from sim.test_scale import PER_GUEST, populate

pytestmark = NEEDS

LONG = bool(os.environ.get("XEN_VIRTIO_LONG"))
BURST, RATE = 40, 20  # orchestrator/start-budget.h
TICKS = os.sysconf("SC_CLK_TCK")


@pytest.fixture
def host(stopped_host):
    """A host whose daemon is ready, with one device that nothing is wrong with."""
    host = stopped_host
    host.start().wait_ready()
    host.guest(5, 1)
    wait(lambda: host.serves("5-virtio-0"))
    return host


def cpu_seconds(host):
    """What the daemon has used."""
    return cpu_ticks(host.daemon.process.pid) / TICKS


def starts(host):
    """The time of each start of a backend that will fail, the first one of each device left out."""
    units, times = set(), []
    for unit, state, seconds in host.systemd.look().history:
        if state != "activating" or "-backend@1" not in unit:
            continue
        if unit in units:
            times.append(seconds)
        units.add(unit)
    return times


def test_one_that_flaps(host, record_property):
    """It is given ever more time, twice as much after each end."""
    host.systemd.tell("break xen-virtio-backend@1*")
    host.guest(100, 1)
    wait(lambda: len(starts(host)) >= 5, 60)
    times = starts(host)
    gaps = [late - early for early, late in zip(times, times[1:], strict=False)]
    record_property("figure", "started again after "
                    + ", ".join(f"{gap:.1f} s" for gap in gaps))
    assert all(gap >= 0.2 * 2 ** number for number, gap in enumerate(gaps))


def test_one_that_refuses(host, build):
    """Its processes run, and yet its guest waits: its frontend says so."""
    counters = host.folder / "run/xen-virtio/5-virtio-0/frontend/counters"

    def line(losses, waits):
        counters.write_bytes(COUNTERS.pack(VERSION, COUNTERS.size, *[0] * 5, losses, waits,
                                           *[0] * 22))
        return host.ctl(build, "list").splitlines()[1].split(maxsplit=5)

    assert line(7, 1)[4:] == ["ready", "the guest's driver waits: the backend was lost"]
    assert "Backend lost: 7 times" in host.ctl(build, "show", "5-virtio-0")
    assert line(7, 0)[4:] == ["ready", "-"]


def test_all_flap(host, build, record_property):
    """256 devices: so many starts a second and no more, and the others do not feel it."""
    seconds, n_devices = 60 if LONG else 5, 256
    populate(host, n_devices, more=("5-virtio-0",))
    before = dict(host.systemd.look().starts)
    broken = time.monotonic()
    host.systemd.tell("break xen-virtio-backend@1*",
                      *(f"kill xen-virtio-backend@{100 + number // PER_GUEST}-virtio-"
                        f"{number % PER_GUEST}.service" for number in range(n_devices)))
    wait(lambda: len(starts(host)) >= BURST, 60)
    used, begin, n_before = cpu_seconds(host), time.monotonic(), len(starts(host))
    time.sleep(seconds)
    guest = host.guests[5]
    guest.add(1)
    added = time.monotonic()
    wait(lambda: guest.state(1) == "2", 60)
    answered = time.monotonic() - added
    times = starts(host)[n_before:]
    lasted = time.monotonic() - begin
    share = (cpu_seconds(host) - used) / lasted
    record_property("figure", f"{n_devices} backends that end at once: {len(times) / lasted:.1f} "
                    f"starts a second, {100 * share:.1f} % of a CPU; another device was answered "
                    f"in {1000 * answered:.0f} ms")
    assert n_before + len(times) <= BURST + RATE * (time.monotonic() - broken + 1)
    assert len(times) >= RATE * lasted / 4 / slack()  # and they do go on
    after = host.systemd.look().starts
    for unit in host.units_of("5-virtio-0"):
        assert after.get(unit) == before.get(unit)
    assert host.systemd.states["xen-virtio-frontend@100-virtio-0.service"] == "active"
    if build.name == "plain":
        assert share <= 0.1


def test_frontend_that_died_lingers(host):
    """systemd keeps its descriptors and would start it, later: it is down, and started at once."""
    name = frontend("5-virtio-0")
    host.systemd.tell(f"kill {name}")
    wait(lambda: host.systemd.look().starts[name] == 2)
    serve(host, "5-virtio-0")
    assert "was killed by signal 9 (KILL)" in host.log
    assert (name, "auto-restart") in [entry[:2] for entry in host.systemd.history]
    host.daemon.kill()
    host.systemd.tell(f"kill {name}")  # while nobody looks
    wait(lambda: host.systemd.look().states[name] == "auto-restart")
    host.start()
    wait(lambda: host.systemd.look().starts[name] == 3)
    serve(host, "5-virtio-0")


def states_of(host, unit):
    """Which ones it has had."""
    return [state for name, state, _ in host.systemd.look().history if name == unit]


def test_frontend_alone_is_started_anew(host, build):
    """In one job, for which systemd keeps what it has of the unit; nobody takes it for an end."""
    unit, other = frontend("5-virtio-0"), backend("5-virtio-0")
    starts = host.systemd.look().starts[other]
    host.ctl(build, "restart", "--frontend", "5-virtio-0")
    wait(lambda: states_of(host, unit)[-3:] == ["deactivating", "activating", "active"])
    serve(host, "5-virtio-0")
    assert host.systemd.starts[other] == starts
    assert "see journalctl" not in host.log
    host.ctl(build, "restart", "5-virtio-0")
    wait(lambda: host.systemd.look().starts[other] == starts + 1)
    wait(lambda: states_of(host, unit)[-3:] == ["inactive", "activating", "active"])


def test_lingering_frontend_of_nobody(host):
    """Its device went while nobody looked: nothing starts it any more."""
    name = frontend("5-virtio-0")
    host.daemon.kill()
    host.systemd.tell(f"kill {name}")
    wait(lambda: host.systemd.look().states[name] == "auto-restart")
    host.guests[5].remove(0)
    host.start()
    wait(lambda: host.systemd.look().states[name] == "inactive")
    assert host.systemd.starts[name] == 1
