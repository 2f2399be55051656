# SPDX-License-Identifier: LGPL-2.1-or-later
"""Boots a lab for each kernel, installs the product in it as a user would, and stops it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCE / "scripts"))

from labkit.client import Lab  # noqa: E402  (found through the line above)
from labkit.host import Host  # noqa: E402

KERNELS = ("lab", "stock")
QUICK = ("lab",)
FIGURE = "figure"


def pytest_configure(config):
    config.addinivalue_line("markers", "smp: in a lab with two CPUs, in real time")
    config.addinivalue_line("markers", "also_smp: run once more in such a lab")
    config.addinivalue_line("markers", "only_kernel(kind...): not on the others; none: smp only")
    config.addinivalue_line("markers", "xdist_group: tests that share a lab")
    config.addinivalue_line("markers", "last: after all others of the same lab")


def pytest_generate_tests(metafunc):
    """Tests run on every kernel, but for those that say why not.

    The labs count instructions instead of time: each uses one of the machine's CPUs, and figures do
    not depend on its load. So that both are busy to the end, a file that is for the quicker kernel
    as a whole runs on whichever CPU is free. A test that is marked so runs once more on two CPUs,
    on that kernel, which meets libxl's deadlines then.
    """
    if "dom0" not in metafunc.fixturenames:
        return
    only = metafunc.definition.get_closest_marker("only_kernel")
    kernels = only.args if only else KERNELS
    of_file = metafunc.definition.parent.get_closest_marker("only_kernel")
    group = metafunc.module.__name__ if of_file and of_file.args == QUICK else None
    params = [pytest.param(kernel, marks=pytest.mark.xdist_group(group or kernel))
              for kernel in kernels]
    if not kernels or metafunc.definition.get_closest_marker("also_smp"):
        params.append(pytest.param("lab-smp", marks=pytest.mark.smp))
    metafunc.parametrize("dom0", params, indirect=True, scope="session")


def item_place(item):
    """The long groups are begun first; what looks back at the other tests comes last in its own."""
    marker = item.get_closest_marker("xdist_group")
    group = marker.args[0] if marker else ""
    return (KERNELS.index(group) if group in KERNELS else len(KERNELS),
            item.get_closest_marker("last") is not None)


# After pytest has brought together what shares a lab.
@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """The order in which pytest-xdist gives groups to whoever is free."""
    items.sort(key=item_place)


def pytest_terminal_summary(terminalreporter):
    """All measured figures together, whichever process measured them."""
    reports = [report for word in ("passed", "failed")
               for report in terminalreporter.stats.get(word, []) if report.when == "call"]
    lines = sorted(value for report in reports for name, value in report.user_properties
                   if name == FIGURE)
    if lines:
        terminalreporter.section("figures")
        for line in lines:
            terminalreporter.write_line(line)


def lab_command(*arguments):
    """Runs scripts/lab; its progress is shown."""
    subprocess.run([SOURCE / "scripts/lab", *arguments], check=True)


@pytest.fixture(scope="session")
def dom0(request):
    """dom0 with xen-virtiod installed and running; request.param is the kernel's kind."""
    kernel, _, smp = request.param.partition("-")
    name = f"test-{request.param}-{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}"
    lab_command("stop", "--name", name)
    lab_command("boot", "--name", name, "--kernel", kernel, "--memory", "8192",
                *([] if smp else ["--exact"]))
    try:
        lab_command("install", "--name", name, "--", "-Dtest_backend=true")
        yield Host(Lab(name), request.param)
    finally:
        lab_command("stop", "--name", name)


@pytest.fixture(autouse=True)
def tidy(request):
    """Every test leaves nothing of ours in dom0, but for a guest that other tests share."""
    if "dom0" not in request.fixturenames or "running" in request.fixturenames:
        yield
        return
    host = request.getfixturevalue("dom0")
    yield
    host.run("for name in $(xl list | tail -n +3 | cut -d ' ' -f 1); do xl destroy $name; done; "
             "rm -rf /srv/guests/*")
    host.expect_clean()


@pytest.fixture
def figures(record_property, dom0):
    """Notes a measured figure, which is shown at the end of every run."""
    return lambda what, value: record_property(FIGURE, f"{what} [{dom0}]: {value}")
