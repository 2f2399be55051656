# SPDX-License-Identifier: LGPL-2.1-or-later
"""xen-virtiod while xenstored or systemd is slow, says nothing, or is gone."""

import os
import random
import time

import pytest

from sim.host import BASE, CLOSED, INIT_WAIT, NEEDS, backend, frontend, serve, wait

pytestmark = NEEDS


@pytest.fixture
def far_host(make_host):
    """A host with something between the daemon and xenstored."""
    host = make_host(relay=True)
    host.start().wait_ready()
    return host


def add_disk(host, guest, devid):
    """A disk, for whose state 2 libxl waits ten seconds."""
    image = host.folder / "disk.img"
    image.write_bytes(bytes(512))
    nodes = {"frontend": f"{guest.home}/device/virtio_disk/{devid}", "frontend-id": guest.domid,
             "online": 1, "state": 1, "irq": 33, "base": BASE + devid % 256 * 0x200,
             "type": "standalone", "specification": "virtio", "transport": "mmio",
             "grant_usage": 0, "params": image, "mode": "w", "device-type": "disk", "dev": "xvda"}
    host.toolstack.write({f"{guest.path(devid, 'virtio_disk')}/{name}": value
                          for name, value in nodes.items()})


@pytest.mark.plain_build("waits for seconds")
def test_systemd_is_slow(host):
    """libxl waits for a disk that fails until it gives up, but not for one that starts."""
    guest = host.guest(5)
    host.systemd.tell("break *@5-disk-51728.service")
    add_disk(host, guest, 51728)
    failing = guest.path(51728, "virtio_disk")
    wait(lambda: host.toolstack.text(f"{failing}/error"))
    host.systemd.tell("latency 60000")
    began = time.monotonic()
    add_disk(host, guest, 51712)
    starting = guest.path(51712, "virtio_disk")
    wait(lambda: host.toolstack.text(f"{starting}/state") == str(INIT_WAIT), 60)
    assert time.monotonic() - began >= 8
    assert "5-disk-51712: still starting" in host.log
    assert host.systemd.look().states[frontend("5-disk-51712")] == "activating"
    assert host.toolstack.text(f"{failing}/state") == "1"
    assert host.toolstack.text(f"{failing}/error")


def test_systemd_goes_away(host):
    """It is upgraded: nothing is started twice, and what happened meanwhile is made good."""
    guest = host.guest(5, 1)
    serve(host, "5-virtio-0")
    host.systemd.tell("away 300")
    wait(lambda: "no connection to systemd" in host.log)
    host.systemd.tell(f"kill {backend('5-virtio-0')}")
    guest.add(1)
    # The claim needs no systemd.
    wait(lambda: len(guest.servers()) == 2)
    serve(host, "5-virtio-0", "5-virtio-1")
    assert host.systemd.starts[frontend("5-virtio-0")] == 1
    assert host.systemd.starts[backend("5-virtio-0")] == 2


def test_removal_while_systemd_is_away(host):
    """libxl waits ten seconds for a device's end."""
    guest = host.guest(5, 1)
    serve(host, "5-virtio-0")
    host.systemd.tell("away 1000")
    guest.close(0)
    wait(lambda: guest.state(0) == str(CLOSED), 9)
    assert guest.servers() == {}
    serve(host)


@pytest.mark.parametrize("again", [False, True])
def test_removal_while_systemd_is_long_away(host, again):
    """Processes that nobody could stop in time are stopped later, also if the device is back."""
    guest = host.guest(5, 1)
    serve(host, "5-virtio-0")
    host.systemd.tell("away 5000")
    guest.close(0)
    wait(lambda: guest.state(0) == str(CLOSED), 9)
    guest.remove(0)
    if again:
        guest.add(0)
        wait(lambda: guest.servers() and guest.state(0) == str(INIT_WAIT))
        wait(lambda: host.systemd.look().starts[frontend("5-virtio-0")] == 2, 15)
        serve(host, "5-virtio-0")
        assert host.systemd.starts[backend("5-virtio-0")] == 2
    else:
        wait(lambda: host.serves(), 15)


def test_xenstored_says_nothing(host, build):
    """For seconds, while it is updated. Devices are looked after, and xen-virtioctl is answered."""
    guest = host.guest(5, 2)
    serve(host, "5-virtio-0", "5-virtio-1")
    before = guest.servers()
    host.xenstored.stop_answering()
    try:
        host.systemd.tell(f"kill {backend('5-virtio-0')}", f"kill {frontend('5-virtio-1')}")
        wait(lambda: host.systemd.look().starts.get(backend("5-virtio-0")) == 2)
        wait(lambda: host.systemd.look().starts.get(frontend("5-virtio-1")) == 2)
        serve(host, "5-virtio-0", "5-virtio-1")
        assert "5-virtio-1" in host.ctl(build, "list")
        time.sleep(float(os.environ.get("XEN_VIRTIO_LONG") and 60 or 2))
    finally:
        host.xenstored.go_on()
    assert guest.servers() == before
    guest.add(2)
    serve(host, *(f"5-virtio-{devid}" for devid in range(3)))
    assert host.systemd.starts[frontend("5-virtio-0")] == 1
    assert "stopped" not in host.log and "gone" not in host.log


def test_start_while_xenstored_says_nothing(host):
    """What was adopted goes on, and is not touched until all is known."""
    guest = host.guest(5, 2)
    serve(host, "5-virtio-0", "5-virtio-1")
    before = guest.servers()
    host.daemon.kill()
    host.xenstored.stop_answering()
    host.start()
    wait(lambda: host.log.count("adopted") == 2)
    time.sleep(0.5)
    assert not host.daemon.is_ready
    host.xenstored.go_on()
    host.daemon.wait_ready()
    serve(host, "5-virtio-0", "5-virtio-1")
    assert guest.servers() == before
    assert set(host.systemd.starts.values()) == {1}


def test_connection_is_lost(far_host, build):
    """Devices go on; what has changed meanwhile is found when all is listed again."""
    host = far_host
    first, second = host.guest(5, 2), host.guest(6, 1)
    serve(host, "5-virtio-0", "5-virtio-1", "6-virtio-0")
    before = first.servers()
    host.relay.cut()
    wait(lambda: "no connection to xenstore" in host.log)
    # It cannot know.
    second.close(0)
    first.add(2)
    first.remove(1)
    host.systemd.tell(f"kill {backend('5-virtio-0')}")
    wait(lambda: host.systemd.look().starts[backend("5-virtio-0")] == 2)
    time.sleep(0.5)
    serve(host, "5-virtio-0", "5-virtio-1", "6-virtio-0")
    assert first.servers() == before
    assert "6-virtio-0" in host.ctl(build, "list")
    host.relay.listen()
    wait(lambda: second.state(0) == str(CLOSED))
    serve(host, "5-virtio-0", "5-virtio-2")
    assert host.systemd.starts[frontend("5-virtio-0")] == 1
    assert host.log.count("no connection to xenstore") == 1
    assert host.log.count("is there again") == 1


def test_connection_is_lost_again_and_again(far_host):
    """At any moment of a device's start and end."""
    host = far_host
    guest = host.guest(5)
    chance = random.Random(1)
    for devid in range(8):
        guest.add(devid % 3, irq=40)
        time.sleep(chance.random() * 0.02)
        host.relay.cut()
        host.relay.listen()
        wait(lambda devid=devid: guest.state(devid % 3) == str(INIT_WAIT))
        if devid % 2:
            guest.close(devid % 3)
            time.sleep(chance.random() * 0.02)
            host.relay.cut()
            host.relay.listen()
            wait(lambda devid=devid: guest.state(devid % 3) == str(CLOSED))
            guest.remove(devid % 3)
    assert host.daemon.process.poll() is None
