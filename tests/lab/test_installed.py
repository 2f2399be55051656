# SPDX-License-Identifier: LGPL-2.1-or-later
"""The programs as they are installed in dom0."""

import re
import subprocess

import pytest

PROGRAMS = ("xen-virtiod", "xen-virtio-frontend")
# The Xen libraries whose interfaces are stable, and the newest versions of them in Xen 4.17.
STABLE = {"xencall": 1.3, "xendevicemodel": 1.4, "xenevtchn": 1.2, "xenforeignmemory": 1.4,
          "xengnttab": 1.2, "xenstore": 4.0, "xentoolcore": 1.0, "xentoollog": 1.0}


def program_path(dom0, program):
    """Where it was installed."""
    return dom0.check(f"find /usr -name {program} -type f").strip()


@pytest.mark.parametrize("program", PROGRAMS)
def test_only_stable_xen_libraries(dom0, program):
    libraries = re.findall(r"lib(xen[a-z]+)\.so", dom0.check(f"ldd {program_path(dom0, program)}"))
    assert libraries
    assert set(libraries) <= set(STABLE)


@pytest.mark.parametrize("program", PROGRAMS)
def test_needs_no_symbol_newer_than_xen_4_17(dom0, program):
    """The symbols' versions are those that Xen 4.17's libraries have."""
    binary = dom0.lab.share / program
    dom0.check(f"cp {program_path(dom0, program)} /mnt/lab/{program}")
    symbols = subprocess.run(["nm", "--dynamic", "--undefined-only", binary], check=True,
                             stdout=subprocess.PIPE, text=True).stdout
    wanted = re.findall(r"U xen\w+@VERS_([0-9.]+)", symbols)
    assert wanted
    assert max(map(float, wanted)) <= 1.4


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_and_version(dom0, program):
    path = program_path(dom0, program)
    assert "Usage:" in dom0.check(f"{path} --help")
    assert program in dom0.check(f"{path} --version")


def test_units_are_well_formed(dom0):
    dom0.check("systemd-analyze verify --man=no /usr/lib/systemd/system/xen-virtiod.service")
    assert "enabled" in dom0.check("systemctl is-enabled xen-virtiod")
    assert dom0.check("systemctl show -P StatusText xen-virtiod").strip()
