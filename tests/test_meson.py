# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs what the build lists as its tests: one item for each unit test program and each check."""

import json
import os
import subprocess

import pytest
from conftest import builds

PATIENCE = 4  # how much more time a busy machine may take
SKIPPED = 77  # the exit status that meson, automake and GLib agree on
SANITIZER_OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
}


def listing(build, suite):
    """What "meson test --suite" would run. A build that is not there is an error, not no tests."""
    everything = subprocess.run(["meson", "introspect", "--tests", build.path], check=True,
                                stdout=subprocess.PIPE).stdout
    return [test for test in json.loads(everything)
            if any(name.split(":")[-1] == suite for name in test["suite"])]


def pytest_generate_tests(metafunc):
    if "program" in metafunc.fixturenames:
        params = [pytest.param(test, id=f"{build}-{test['name']}")
                  for build in builds() for test in listing(build, "unit")]
        metafunc.parametrize("program", params)
    if "check" in metafunc.fixturenames:
        params = [pytest.param(test, id=test["name"]) for test in listing(builds()[0], "checks")]
        metafunc.parametrize("check", params)


def run(test):
    """Runs one of meson's tests as meson would; its output is shown if it fails."""
    result = subprocess.run(test["cmd"], cwd=test["workdir"], timeout=test["timeout"] * PATIENCE,
                            env=os.environ | SANITIZER_OPTIONS | test["env"],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            errors="replace")
    if result.returncode == SKIPPED:
        pytest.skip(result.stdout.strip().splitlines()[-1])
    if result.returncode:
        pytest.fail(f"exit status {result.returncode}\n{result.stdout}", pytrace=False)
    return result.stdout


def test_check(check):
    run(check)


def test_unit(program):
    output = run(program)
    # GLib's programs pass with status 0 when they run nothing, for example after a wrong option.
    if program["protocol"] == "tap":
        assert "\nok 1 " in f"\n{output}"
        assert "# skip" not in output.lower()
