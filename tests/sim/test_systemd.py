# SPDX-License-Identifier: LGPL-2.1-or-later
"""The units on this machine's own systemd, where they run as installed, with their sandbox."""

import contextlib
import os
import re
import signal
from pathlib import Path

import pytest

from sim.booted import INSTANCE, SYSTEMD, BootedHost, can_boot, disk
from sim.guest import NEEDS_RESET
from sim.host import INIT_WAIT, NEEDS, backend, frontend, wait

pytestmark = [
    *NEEDS,
    pytest.mark.skipif(not os.access(SYSTEMD, os.X_OK), reason="needs systemd"),
    pytest.mark.plain_build("it is about systemd"),
]

DAEMON, FRONTEND, BACKEND = "xen-virtiod.service", frontend(INSTANCE), backend(INSTANCE)
SHARED = frontend("5-shared")
DYNAMIC_USERS = range(61184, 65520)  # systemd's
DAC_OVERRIDE, DAC_READ_SEARCH, SETGID, SETUID = 1 << 1, 1 << 2, 1 << 6, 1 << 7
WARNING = 4


@pytest.fixture
def boot(build, tmp_path):
    """Boots a host; xen-virtiod is started by that."""
    if not can_boot():
        pytest.skip("needs namespaces and a control group of its own")
    with contextlib.ExitStack() as stack:
        def make(*settings):
            host = BootedHost(build, tmp_path, settings)
            stack.callback(host.stop)
            host.systemd.wait_for("Startup finished")
            return host
        yield make


def complaints(host):
    """What systemd warns of."""
    return [text for level, text in re.findall(r"^<(\d+)>(.*)", host.systemd.log, re.MULTILINE)
            if int(level) % 8 <= WARNING]


def is_clean(host):
    """Whether nothing is there of any device."""
    run = host.systemd.run
    files = [path for folder in ("xen-virtio/*", "xen-virtio-frontend/*", "systemd/system/*",
                                 "systemd/dynamic-uid/*", "systemd/units/*@*")
             for path in run.glob(folder)]
    groups = [*host.systemd.group.glob("xen.slice/xen-virtio.slice/*.slice")]
    return not (host.systemd.units() or files or groups)


def status(pid):
    """What proc(5) has of it."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file)


def check_sandbox(host, unit, rights, bounds):
    """Checks what the unit's process may do. Returns its user."""
    (pid,) = host.systemd.processes(unit)
    found = status(pid)
    assert (found["NoNewPrivs"], found["Seccomp"]) == ("1", "2"), unit
    assert (int(found["CapEff"], 16), int(found["CapBnd"], 16)) == (rights, bounds), unit
    for name in ("mnt", "net"):
        assert (os.readlink(f"/proc/{pid}/ns/{name}")
                != os.readlink(f"/proc/{host.systemd.pid}/ns/{name}")), unit
    (user,) = set(found["Uid"].split())
    return int(user)


def main_process(host, unit):
    """Its number, as systemd knows it; 0 if there is none."""
    return int(host.systemd.show(unit, "MainPID")["MainPID"])


def kill(host, unit):
    """Kills the unit's process, and waits until there is another one in its place."""
    before = main_process(host, unit)
    for pid in host.systemd.processes(unit):
        os.kill(pid, signal.SIGKILL)
    wait(lambda: main_process(host, unit) not in (0, before))


def test_units_as_installed(boot):
    """From the boot to the end of a disk: no directive is unknown, each does what it is for."""
    host = boot()
    shown = host.systemd.show(DAEMON, "Type", "ActiveState", "StatusText")
    assert shown == {"Type": "notify", "ActiveState": "active",
                     "StatusText": "0 guests, 0 devices"}
    guest = host.guest(5)
    driver = host.add_disk(guest)
    host.wait_state(guest, INIT_WAIT)
    assert complaints(host) == []
    assert host.systemd.units() == {FRONTEND, BACKEND, "xen-virtio-5.slice",
                                    "xen-virtio-5-disk.slice", f"xen-virtio-{INSTANCE}.slice"}

    assert check_sandbox(host, DAEMON, DAC_READ_SEARCH, DAC_READ_SEARCH) == 0
    users = {check_sandbox(host, FRONTEND, 0, SETGID | SETUID),
             check_sandbox(host, BACKEND, DAC_OVERRIDE, DAC_OVERRIDE)}
    assert len(users) == 2 and all(user in DYNAMIC_USERS for user in users)
    (pid,) = host.systemd.processes(BACKEND)
    run = Path(f"/proc/{pid}/root/run")
    assert os.listdir(run / "xen-virtio") == [INSTANCE]
    assert not [path for path in run.rglob("*") if path.is_socket()
                and path.parent.name != INSTANCE]

    driver.start()
    assert driver.read_sectors(0, 8) == host.image().read_bytes()[:4096]
    host.remove_disk(guest)
    wait(lambda: is_clean(host))


def test_processes_that_end(boot):
    """A failed unit is collected, and started again; so is one that fails at its start."""
    host = boot()
    host.guests.refuse(2)
    guest = host.guest(5)
    driver = host.add_disk(guest)
    host.wait_state(guest, INIT_WAIT)
    wait(lambda: host.systemd.log.count(f"{FRONTEND}: Failed with result") == 2)
    first = host.image().read_bytes()[:512]
    assert driver.start().read_sectors(0, 1) == first
    host.systemd.ctl("restart", FRONTEND)
    assert driver.read_sectors(0, 1) == first
    for unit in (FRONTEND, BACKEND):
        kill(host, unit)
        wait(lambda: driver.status & NEEDS_RESET)  # this backend tracks no requests
        driver.reset()
        assert driver.start().read_sectors(0, 1) == first
    assert host.systemd.ctl("list-units", "--failed", "--plain", "--no-legend") == ""


def test_devices_outlive_what_starts_them(boot):
    """xen-virtiod comes and goes, and so does systemd, whose private socket ends with it."""
    host = boot()
    guest = host.guest(5)
    driver = host.add_disk(guest)
    host.wait_state(guest, INIT_WAIT)
    driver.start()
    processes = [main_process(host, unit) for unit in (FRONTEND, BACKEND)]
    daemon = main_process(host, DAEMON)
    host.systemd.ctl("reload", DAEMON)
    host.systemd.wait_for("reading the configuration")
    host.systemd.ctl("daemon-reload")
    host.systemd.execute_again()
    host.systemd.wait_for("no connection to systemd")
    assert main_process(host, DAEMON) == daemon
    host.systemd.ctl("restart", DAEMON)
    kill(host, DAEMON)
    host.add_disk(guest, 1)
    host.wait_state(guest, INIT_WAIT, 1)
    assert [main_process(host, unit) for unit in (FRONTEND, BACKEND)] == processes
    assert driver.read_sectors(0, 1) == host.image().read_bytes()[:512]


def test_shared_frontend(boot):
    """One process for two disks: the second one comes, and goes, by a reload of the unit."""
    host = boot("ReservedServers=7")
    guest = host.guest(5)
    drivers = [host.add_disk(guest, instance="5-shared")]
    host.wait_state(guest, INIT_WAIT)
    process = main_process(host, SHARED)
    drivers.append(host.add_disk(guest, 1, instance="5-shared"))
    host.wait_state(guest, INIT_WAIT, 1)
    for number, driver in enumerate(drivers):
        driver.start()
        assert driver.read_sectors(0, 1) == host.image(number).read_bytes()[:512]
    host.remove_disk(guest, 1)
    assert main_process(host, SHARED) == process
    assert drivers[0].read_sectors(0, 1) == host.image().read_bytes()[:512]
    assert host.systemd.show(backend(f"5-disk-{disk(1)}"), "ActiveState")["ActiveState"] == \
        "inactive"
