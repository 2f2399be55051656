# SPDX-License-Identifier: LGPL-2.1-or-later
"""Boots a lab for each kernel, installs the product in it as a user would, and stops it."""

import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCE / "scripts"))

from labkit.client import Lab  # noqa: E402  (found through the line above)
from labkit.host import Host  # noqa: E402

KERNELS = ("lab", "stock")


def lab_command(*arguments):
    """Runs scripts/lab; its progress is shown."""
    subprocess.run([SOURCE / "scripts/lab", *arguments], check=True)


@pytest.fixture(scope="session", params=KERNELS)
def dom0(request):
    """dom0 with this kernel, with xen-virtiod installed and running."""
    kernel = request.param
    name = f"test-{kernel}"
    lab_command("stop", "--name", name)
    lab_command("boot", "--name", name, "--kernel", kernel, "--memory", "6144")
    try:
        lab_command("install", "--name", name)
        yield Host(Lab(name), kernel)
    finally:
        lab_command("stop", "--name", name)


@pytest.fixture(autouse=True)
def tidy(request):
    """Every test starts with nothing of ours in dom0, and leaves nothing."""
    if "dom0" not in request.fixturenames:
        yield
        return
    machine = request.getfixturevalue("dom0")
    yield
    machine.run("for name in $(xl list | tail -n +3 | cut -d ' ' -f 1); do xl destroy $name; done; "
                "rm -rf /srv/guests/*")
    machine.expect_clean()


@pytest.fixture
def figures(record_property, capsys, dom0):
    """Prints a measured figure, so that it stands in the log of every run."""
    def show(what, value):
        record_property(what, value)
        with capsys.disabled():
            print(f"\n    figure [{dom0}] {what}: {value}")
    return show
