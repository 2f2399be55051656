# SPDX-License-Identifier: LGPL-2.1-or-later
"""All of xen-virtiod, whatever comes in whatever order."""

import itertools
import os
import random
import re
import time

import pytest

from sim.host import BASE, CLOSED, CLOSING, INIT_WAIT, NEEDS, backend, frontend, serve, wait
from sim.slack import slack

pytestmark = NEEDS


def test_life(host):
    """One device comes and goes."""
    guest = host.guest(5, 1)
    wait(lambda: guest.state(0) == str(INIT_WAIT))
    serve(host, "5-virtio-0")
    assert set(guest.servers()) == {(0, BASE)}
    wait(lambda: "1 device" in host.daemon.status)
    guest.destroy()
    serve(host)
    assert host.dropins() == set()
    host.daemon.stop()
    host.daemon = None
    assert " <3>" not in host.log and "trying again" not in host.log


def test_no_xen_store_yet(make_host):
    """The daemon waits for xenstored, and does not say that it is ready."""
    host = make_host(relay=True)
    host.relay.cut()
    host.guest(5, 1)
    host.start()
    wait(lambda: "no connection to xenstore" in host.log)
    time.sleep(0.3)
    assert not host.daemon.is_ready
    assert host.log.count("no connection to xenstore") == 1
    host.relay.listen()
    host.daemon.wait_ready()
    serve(host, "5-virtio-0")


@pytest.mark.parametrize("seed", range(6))
def test_nodes_in_any_order(host, seed):
    """One by one, which no toolstack of today does; it is served when all are there."""
    guest = host.guest(5)
    nodes = list(guest.nodes(0).items())
    random.Random(seed).shuffle(nodes)
    for path, value in nodes:
        host.toolstack.write_one(path, value)
        time.sleep(0.01)
    serve(host, "5-virtio-0")
    wait(lambda: guest.state(0) == str(INIT_WAIT) and guest.error(0) is None)


def test_half_a_device(host):
    """It is not served, its neighbour is, and what is missing can follow."""
    guest = host.guest(5)
    guest.add(0, base=None)
    guest.add(1)
    serve(host, "5-virtio-1")
    wait(lambda: guest.error(0) == "base: the node is missing")
    assert len(guest.servers()) == 1
    guest.add(0)
    serve(host, "5-virtio-0", "5-virtio-1")
    wait(lambda: guest.error(0) is None)


def test_two_devices_at_one_address(host):
    """The second one would get the accesses of the first; it waits until the first has gone."""
    guest = host.guest(5, 1)
    serve(host, "5-virtio-0")
    before = guest.servers()
    guest.add(1, base=f"{BASE:#x}")
    wait(lambda: guest.error(1) == f"base: {BASE:#x} is that of device 5-virtio-0")
    serve(host, "5-virtio-0")
    assert guest.servers() == before
    guest.close(0)
    wait(lambda: guest.state(0) == str(CLOSED))
    serve(host, "5-virtio-1")


def test_guest_dies_while_it_starts(host):
    """At any moment of the start."""
    for number, latency in enumerate((0, 1, 5, 20, 100), 5):
        host.systemd.tell(f"latency {latency}")
        guest = host.guest(number, 2)
        time.sleep(latency / 2000)
        guest.die()
        serve(host)
        guest.forget()
    assert "cannot destroy" not in host.log


def test_domid_is_used_again_at_once(host):
    """The old one's servers are gone with it, and the new one's are its own."""
    first = host.guest(5, 2)
    serve(host, "5-virtio-0", "5-virtio-1")
    host.systemd.look()
    first.die()
    first.forget()
    second = host.guest(5, 2, number=77)
    wait(lambda: len(second.servers()) == 2 and second.state(1) == str(INIT_WAIT))
    serve(host, "5-virtio-0", "5-virtio-1")
    assert second.uuid in (host.folder / "run/xen-virtio/5-virtio-0/launch").read_text()
    assert host.systemd.starts[frontend("5-virtio-0")] == 2


def test_guest_is_renamed(host):
    """A name is for people; nothing is started anew."""
    guest = host.guest(5, 1)
    serve(host, "5-virtio-0")
    host.toolstack.write({f"{guest.home}/name": "other", f"{guest.path(0)}/online": 1})
    time.sleep(0.1)
    assert host.systemd.look().starts == dict.fromkeys(
        (frontend("5-virtio-0"), backend("5-virtio-0")), 1)
    assert len(guest.servers()) == 1


@pytest.mark.parametrize("unit", [frontend, backend])
@pytest.mark.parametrize("order", ["kill", "stop"])
def test_units_end(host, unit, order):
    """Whoever ends them, they come back, and the claim stays."""
    guest = host.guest(5, 1)
    serve(host, "5-virtio-0")
    before = guest.servers()
    name = unit("5-virtio-0")
    host.systemd.tell(f"{order} {name}")
    wait(lambda: host.systemd.look().starts[name] == 2)
    serve(host, "5-virtio-0")
    wait(lambda: guest.error(0) is None)
    wait(lambda: guest.state(0) == str(INIT_WAIT))
    assert guest.servers() == before


def test_slice_is_stopped_by_hand(host):
    """All of a guest's units at once; all of them come back."""
    guest = host.guest(5, 2)
    serve(host, "5-virtio-0", "5-virtio-1")
    before = guest.servers()
    host.systemd.tell("stop xen-virtio-5-virtio-0.slice", "stop xen-virtio-5-virtio-1.slice")
    wait(lambda: sum(host.systemd.look().starts.values()) == 8)
    serve(host, "5-virtio-0", "5-virtio-1")
    assert guest.servers() == before


def test_cold_start(make_host, record_property):
    """Guests run already, with no state of ours: after a boot with xl autostart, or a lost /run."""
    host = make_host()
    for domid in range(5, 15):
        host.guest(domid, 6)
    names = [f"{domid}-virtio-{devid}" for domid in range(5, 15) for devid in range(6)]
    daemon = host.start()
    serve(host, *names)
    duration = time.monotonic() - daemon.started
    record_property("figure", f"cold start with 60 devices: {duration:.2f} s")
    assert duration < 5 * slack()
    daemon.wait_ready()


def test_killed_and_adopted(make_host, record_property):
    """By a signal, with 60 devices: no unit is touched, and what has changed meanwhile is done."""
    host = make_host()
    guests = [host.guest(domid, 6) for domid in range(5, 15)]
    names = {f"{domid}-virtio-{devid}" for domid in range(5, 15) for devid in range(6)}
    host.start().wait_ready()
    serve(host, *names)
    host.systemd.look()
    starts, times = dict(host.systemd.starts), []
    servers = [guest.servers() for guest in guests]
    chance = random.Random(2)
    for _ in range(int(os.environ.get("XEN_VIRTIO_LONG") and 100 or 10)):
        time.sleep(chance.random() * 0.1)
        host.daemon.kill()
        daemon = host.start().wait_ready()
        times.append(time.monotonic() - daemon.started)
    assert host.systemd.look().starts == starts
    assert [guest.servers() for guest in guests] == servers
    times.sort()
    record_property("figure", f"60 devices adopted {len(times)} times, ready after "
                              f"{times[len(times) // 2] * 1000:.0f} ms (median), "
                              f"{times[-1] * 1000:.0f} ms at most, of which the process's start")
    assert times[len(times) // 2] < 0.5 * slack()

    host.daemon.kill()
    guests[0].close(0)
    guests[1].close(0)
    host.guest(20, 1)
    guests[2].die()
    host.start().wait_ready()
    names -= {"5-virtio-0", "6-virtio-0"} | {name for name in names if name.startswith("7-")}
    serve(host, *names, "20-virtio-0")


CALLS = ",".join(["mkdir", "mkdirat", "openat", "write", "rename", "renameat", "unlinkat",
                  "symlinkat", "sendmsg", "utimensat", "unlink"])


def die_at(host, guest, number, trace):
    """Runs the daemon until that call, or until all is done. Returns whether it has died."""
    host.start(["strace", "-D", "-f", "-qq", "-o", str(trace), "-e", f"trace={CALLS}",
                "-e", f"inject={CALLS}:signal=SIGKILL:when={number}"])
    wait(lambda: host.daemon.process.poll() is not None
         or host.serves("5-virtio-1") and guest.state(0) == str(CLOSED))
    died = host.daemon.process.poll() is not None
    host.daemon.kill()
    return died


@pytest.mark.plain_build(reason="what counts are the daemon's own calls")
def test_killed_at_any_call(make_host, tmp_path, record_property):
    """At the Nth system call that changes anything, while one device comes and another goes."""
    host = make_host()
    host.systemd.tell("latency 1")
    step = 1 if os.environ.get("XEN_VIRTIO_LONG") else 5
    for number in itertools.count(1, step):
        guest = host.guest(5, 1)
        host.start().wait_ready()
        serve(host, "5-virtio-0")
        host.daemon.kill()
        guest.close(0)
        guest.add(1)
        died = die_at(host, guest, number, tmp_path / "trace")
        host.start().wait_ready()
        wait(lambda guest=guest: guest.state(0) == str(CLOSED))
        serve(host, "5-virtio-1")
        assert len(guest.servers()) == 1
        guest.destroy()
        serve(host)
        assert host.dropins() == set()
        host.daemon.kill()
        if not died:
            break
    host.daemon = None
    record_property("figure", f"killed at each call of {number}, in steps of {step}")
    assert number > 20


def test_a_mad_toolstack(host):
    """Changes faster than they can be followed, to nodes of no interest and others."""
    guest = host.guest(5, 1)
    serve(host, "5-virtio-0")
    before = guest.servers()
    for number in range(3000):
        host.toolstack.write_one(f"{guest.path(0)}/online", number)
        host.toolstack.write_one(f"{guest.path(0)}/irq", "nonsense" if number % 2 else 33)
    guest.add(1)
    wait(lambda: guest.state(1) == str(INIT_WAIT))
    assert guest.servers().items() >= before.items()
    lines = [line for line in host.log.splitlines() if "nonsense" in line]
    assert len(lines) < 50
    assert re.search("irq", lines[0])


def test_closing_is_not_answered_by_others(host):
    """State 5 of one device says nothing about its neighbours."""
    guest = host.guest(5, 3)
    serve(host, *(f"5-virtio-{devid}" for devid in range(3)))
    host.systemd.look()
    host.toolstack.write({f"{guest.path(1)}/state": CLOSING})
    wait(lambda: guest.state(1) == str(CLOSED))
    serve(host, "5-virtio-0", "5-virtio-2")
    guest.remove(1)
    guest.add(1)
    serve(host, *(f"5-virtio-{devid}" for devid in range(3)))
    assert host.systemd.starts[frontend("5-virtio-0")] == 1
