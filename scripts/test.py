# SPDX-License-Identifier: LGPL-2.1-or-later
"""Builds and tests. The last line is always "N passed, N failed, N skipped".

  unit  checks of the source (format, includes, sizes, ...) and the unit tests, which also run
        under the address and undefined-behaviour sanitizers
  sim   the real frontend, with the real qemu-storage-daemon, on a simulated hypervisor
  lab   real guests on a real Xen, in an emulated machine
  all   all of these

Without one of these words: unit and sim, which need minutes and no lab. What a machine lacks is
installed first, by scripts/setup. XEN_VIRTIO_BUILD names the build directory (default: build).
"""

import argparse
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent
BUILD = Path(os.environ.get("XEN_VIRTIO_BUILD", SOURCE / "build")).absolute()
# What pytest is run with, one run after the other. Labs that count instructions have one CPU each,
# so that one for each kernel runs at a time; those with two CPUs have the machine to themselves.
# The simulation mostly waits, so eight of its tests run at a time.
PARTS = {
    "unit": [["tests/test_meson.py", "-n", "2"]],
    "sim": [["tests/sim", "-n", "8"]],
    "lab": [["tests/lab", "-m", "not smp", "-n", "2", "--dist", "loadgroup"],
            ["tests/lab", "-m", "smp"]],
}


class Tally:
    """Counts each test once, by the worst that was reported of it."""

    WORST = ["passed", "skipped", "failed"]

    def __init__(self):
        self._outcomes = {}

    def record(self, name, outcome):
        """Notes an outcome of a test; a later, worse one replaces it."""
        known = self._outcomes.get(name, outcome)
        self._outcomes[name] = max(known, outcome, key=self.WORST.index)

    def pytest_runtest_logreport(self, report):
        """A failing fixture counts as a failed test; one that succeeds does not count."""
        if report.when == "call" or not report.passed:
            self.record(report.nodeid, report.outcome)

    def pytest_collectreport(self, report):
        """A file that cannot be read is a failure too."""
        if not report.passed:
            self.record(report.nodeid, report.outcome)

    def count(self, outcome):
        """How many tests ended so."""
        return sum(1 for known in self._outcomes.values() if known == outcome)

    def finish(self):
        """Prints the last line and returns the exit status."""
        print(", ".join(f"{self.count(word)} {word}" for word in ("passed", "failed", "skipped")))
        return 0 if self.count("passed") and not self.count("failed") else 1


def run(*argv):
    """Runs a command; what it is shows in its output."""
    print("+", *argv, flush=True)
    subprocess.run(argv, cwd=SOURCE, check=True)


def install(parts):
    """Lets scripts/setup install what is missing."""
    setup = SOURCE / "scripts/setup"
    if setup.exists():
        run(str(setup), "build", "test", *(["lab"] if "lab" in parts else []))


def build(directory, options):
    """Configures a build directory that is not yet there, and builds."""
    if not (directory / "build.ninja").exists():
        run("meson", "setup", *options, str(directory), str(SOURCE))
    run("meson", "compile", "-C", str(directory))


def build_all():
    """The build that users get, and the one that finds what nobody sees, side by side."""
    sanitized = BUILD.with_name(BUILD.name + "-sanitized")
    options = {BUILD: [], sanitized: ["-Db_sanitize=address,undefined", "-Db_lundef=false"]}
    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(build, *item) for item in options.items()]:
            done.result()


def pytest_run(parts, expression, tally):
    """Runs pytest over the chosen parts, in this process, so that the tally sees every report."""
    import pytest  # not before scripts/setup may have installed it

    os.chdir(SOURCE)
    os.environ["XEN_VIRTIO_BUILD"] = str(BUILD)
    for part in parts:
        for options in PARTS[part]:
            arguments = ["-v", "-rfEs", "--tb=short", *options]
            if expression:
                arguments += ["-k", expression]
            status = pytest.main(arguments, plugins=[tally])
            if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED,
                              pytest.ExitCode.NO_TESTS_COLLECTED):
                tally.record(f"pytest {' '.join(options)}", "failed")


def main():
    parser = argparse.ArgumentParser(prog="scripts/test", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="unit|sim|lab|all", help="what to test")
    parser.add_argument("-k", dest="expression", metavar="EXPR",
                        help="only the tests whose names match (as pytest's -k)")
    arguments = parser.parse_args()
    parts = arguments.parts or ["unit", "sim"]
    if "all" in parts:
        parts = list(PARTS)
    if not set(parts) <= set(PARTS):
        parser.error(f"no such part: {' '.join(sorted(set(parts) - set(PARTS)))}")

    tally = Tally()
    try:
        install(parts)
        if set(parts) & {"unit", "sim"}:
            build_all()
        pytest_run(parts, arguments.expression, tally)
    except (subprocess.CalledProcessError, OSError, ImportError) as error:
        print(f"{parser.prog}: {error}")
        tally.record("preparation", "failed")
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
