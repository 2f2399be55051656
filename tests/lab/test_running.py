# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is seen of, and done around, a guest that works with its disk and must go on doing so."""

import json
from pathlib import Path

import pytest
from labkit import program
from labkit.domu import Guest, make_disk

from lab import scripts

MEMORY_MIB = 192


def dom0_mib(dom0):
    """How much memory dom0 has."""
    return int(dom0.check("xl list | awk '$1 == \"Domain-0\" {print $3}'"))


@pytest.fixture(scope="module")
def running(dom0):
    """One guest for all tests of this file, since it takes longer to make than they do."""
    guest = Guest(dom0, "running", [make_disk(dom0, "running")], scripts.WORK, memory=MEMORY_MIB)
    guest.dom0_mib_before = dom0_mib(dom0)
    guest.create()
    guest.wait_for("guest: round 1")
    yield guest
    guest.destroy()
    dom0.expect_clean()


@pytest.fixture(autouse=True)
def works(running):
    """No test makes an error of a disk that the guest sees."""
    yield
    assert "FAILED" not in running.console()


def goes_on(guest, pids):
    """The guest works as before, with the same processes."""
    guest.wait_for("guest: round", count=scripts.rounds(guest) + 3)
    assert guest.pids() == pids
    assert len(pids) == 2


def test_mapping_does_not_balloon_dom0(dom0, running, figures):
    now = dom0_mib(dom0)
    figures(f"dom0's memory before and with a mapped {MEMORY_MIB} MiB guest",
            f"{running.dom0_mib_before} MiB, {now} MiB")
    assert now == running.dom0_mib_before


def test_backend_maps_the_guest_and_the_frontend_does_not(dom0, running):
    mapped = {unit.split("@")[0]: dom0.mapped_kib(pid) for unit, pid in running.pids().items()}
    assert mapped == {"xen-virtio-frontend": 4, "xen-virtio-backend": MEMORY_MIB << 10}


def test_backend_sees_of_run_only_its_own_folder(dom0, running):
    [backend] = running.units("backend")
    own = f"/run/xen-virtio/{running.domid()}-disk-51712"
    seen = dom0.check(f"nsenter --target {running.pids()[backend]} --mount "
                      f"find /run -mindepth 1 ! -path '{own}/*'")
    # "incoming" is systemd's own, for mounts of a later time, and empty, as is "user".
    assert set(seen.split()) == {"/run/xen-virtio", own, "/run/systemd", "/run/systemd/incoming",
                                 "/run/user"}


def resident_kib(dom0, unit):
    """The resident set of a unit's main process."""
    return int(dom0.check(f"awk '/^VmRSS/ {{print $2}}' /proc/$(systemctl show -P MainPID "
                          f"{unit})/status"))


def test_memory_use(dom0, running, figures):
    [frontend] = running.units("frontend")
    frontend_kib, daemon_kib = resident_kib(dom0, frontend), resident_kib(dom0, "xen-virtiod")
    figures("frontend RSS", f"{frontend_kib} KiB")
    figures("orchestrator RSS", f"{daemon_kib} KiB")
    assert frontend_kib <= 4 * 1024
    assert daemon_kib <= 10 * 1024


def test_no_descriptor_leads_to_other_domains(dom0, running, figures):
    tool = program.build(Path(__file__).with_name("descriptors.c"), dom0.lab.share).name
    counts, lists = {}, {}
    for unit, pid in running.pids().items():
        role = unit.partition("@")[0].removeprefix("xen-virtio-")
        lines = dom0.check(f"/mnt/lab/{tool} {pid} 0").splitlines()
        xen = [line for line in lines if " /dev/xen/" in line]
        assert [line for line in xen if not line.endswith(" restricted")] == []
        assert xen or role == "backend", lines  # which may close what it has mapped
        assert not [line for line in lines if "xenstore" in line], lines
        counts[role], lists[role] = len(lines), lines
    figures("descriptors", ", ".join(f"{role} {n}" for role, n in sorted(counts.items())))
    # Each is in the table of docs/ARCHITECTURE.md.
    assert counts["frontend"] <= 12 + 2 * 1, lists


def test_list_and_show(dom0, running):
    device = f"{running.domid()}-disk-51712"
    lines = dom0.check("xen-virtioctl list").splitlines()
    assert len(lines) == 2
    assert lines[1].split() == [device, "running", "blk", "own", "ready", "-"]

    [entry] = json.loads(dom0.check("xen-virtioctl --json list"))
    assert entry["device"] == device
    assert entry["state"] == "ready"
    assert entry["base"] == 0x2000000
    assert entry["problem"] is None

    text = dom0.check(f"xen-virtioctl show {device}")
    assert f"xen-virtio-frontend@{device}.service" in text


def test_pause_and_unpause(dom0, running):
    pids = running.pids()
    for _ in range(3):
        dom0.check("xl pause running; sleep 0.5; xl unpause running")
    goes_on(running, pids)


def test_restart_of_the_daemon(dom0, running):
    pids = running.pids()
    dom0.check("systemctl restart xen-virtiod")
    goes_on(running, pids)


@pytest.mark.also_smp
def test_kill_of_the_daemon(dom0, running):
    pids = running.pids()
    for _ in range(2):
        dom0.check("systemctl kill --signal=KILL xen-virtiod")
        dom0.wait("systemctl is-active --quiet xen-virtiod")
        goes_on(running, pids)


@pytest.mark.only_kernel("lab")
def test_restart_of_the_frontend(dom0, running):
    """As an upgrade does it, and by a crash: this backend, which tracks no requests, is not even
    told. systemd keeps its connection for the next frontend."""
    [frontend], [backend] = running.units("frontend"), running.units("backend")
    for end in ("restart", "kill --signal=KILL"):
        before = running.pids()
        dom0.check(f"systemctl {end} {frontend}")
        running.wait_for("guest: round", count=scripts.rounds(running) + 3)
        after = running.pids()
        assert after[backend] == before[backend]
        assert after[frontend] != before[frontend]
    said = dom0.journal(f"_SYSTEMD_UNIT={frontend}")
    assert said.count("goes on with the backend's connection") == 2
    assert "has to reset" not in said and "lost the backend" not in said
