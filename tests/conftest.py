# SPDX-License-Identifier: LGPL-2.1-or-later
"""What all tests share: where the builds are, and a line with its duration for each test."""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Build:
    """A meson build directory."""

    name: str
    path: Path

    def __str__(self):
        return self.name


def builds():
    """The builds that scripts/test makes: the one that users get, and one with sanitizers."""
    plain = Path(os.environ.get("XEN_VIRTIO_BUILD", SOURCE / "build"))
    return [Build("plain", plain), Build("sanitized", plain.with_name(plain.name + "-sanitized"))]


def pytest_generate_tests(metafunc):
    """A test that takes a build runs once with each; one that is marked so, with the plain one."""
    if "build" in metafunc.fixturenames:
        only_plain = metafunc.definition.get_closest_marker("plain_build")
        metafunc.parametrize("build", builds()[:1] if only_plain else builds(), ids=str)


def pytest_configure(config):
    config.addinivalue_line("markers", "plain_build(reason): not with sanitizers, and why")


def pytest_report_teststatus(report):
    """Adds the duration to the word that ends a passed test's line."""
    if report.when == "call" and report.passed:
        return "passed", ".", (f"PASSED {report.duration:6.2f} s", {"green": True})
    return None


@pytest.fixture
def source():
    """The root of the source tree."""
    return SOURCE
