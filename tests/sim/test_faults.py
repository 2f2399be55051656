# SPDX-License-Identifier: LGPL-2.1-or-later
"""Each call of the frontend to another's code fails once: nothing crashes, hangs, leaks or is lost.

The process goes on, or it ends with its status and a message that names what failed, and the next
one goes on. The guest's data is right in either case. Ordinarily the first call from each place
fails, in the first scenario that has it; with XEN_VIRTIO_LONG=1 the second and the last one of each
scenario, too.
"""

import contextlib
import os
import time

import pytest

from conftest import builds
from sim.fault_scenarios import PROGRAM, SCENARIOS, Run, at_work
from sim.faults import FaultyProgram, message_of, plan, told
from sim.guest import QUEUE_READY, QUEUE_SEL, STATUS, Disk
from sim.patience import AGAIN, PATIENCE
from sim.slack import has_passed

PARTS = 8  # in which the calls are gone through, so that two processes can
LONG = os.environ.get("XEN_VIRTIO_LONG") == "1"
# Some calls are not made each time: what comes first is a matter of chance.
NOT_REACHED, TRIES = "was not reached", 5
# Of all calls there are, so many have to be reached.
REACHED_MIN = 0.95
# What only the orchestrator calls of the library that it shares with the frontend.
OF_OTHERS = {"counters_read", "small_file_replace"}


@pytest.fixture(scope="module")
def program():
    """The sanitized one, in which each call shows who makes it."""
    return FaultyProgram(builds()[1].path / PROGRAM)


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """Each scenario without a fault: how often each call was made, and what was open then."""
    runs = {}
    for scenario in SCENARIOS:
        run = start(tmp_path_factory, builds()[1], scenario)
        opened = run.descriptors()
        assert run.finish() == []
        runs[scenario] = run.trace.counts(), opened
    return runs


def start(factory, build, scenario, *fault):
    """Runs a scenario."""
    directory = factory.mktemp(scenario.__name__)
    directory.chmod(0o755)  # for a frontend that is nobody's
    run = Run(build, directory, *fault)
    try:
        scenario(run)
    except BaseException:
        run.finish()
        raise
    return run


def left_open(run, opened):
    """The descriptors that a process which has not failed has too many, and goes on to have."""
    start, more = time.monotonic(), None
    while not has_passed(start, PATIENCE) and not run.service.ended:
        with contextlib.suppress(FileNotFoundError):  # it is just ending
            more = run.descriptors() - opened
            if not more:
                return None
        time.sleep(AGAIN)
    return None if run.service.ended else more


def complaints(program, factory, opened, scenario, offset, number):
    """What goes wrong when that call fails."""
    site = program.sites[offset]
    try:
        run = start(factory, builds()[1], scenario, site, number)
    except (AssertionError, TimeoutError) as error:
        return [told(error)]
    found = []
    if more := left_open(run, opened):
        found.append(f"leaves open: {dict(more)}")
    found += run.finish()
    if number == 1 and not run.trace.failed_in():
        found.append(NOT_REACHED)
    if (end := run.end()) and not 1 <= end[1].count(message_of(site.function)) <= 2:
        found.append(f"ends with {end[0]} and says: {end[1]}")
    return found


def test_all_functions_are_known(program):
    """Whether each function that is called can fail has been said."""
    assert program.unknown() == []


def test_most_calls_are_reached(program, clean, record_property):
    reached = set().union(*(counts for counts, _ in clean.values()))
    missed = [str(site) for site in program.missed(reached) if site.caller not in OF_OTHERS]
    record_property("figure", f"{len(reached)} of {len(reached) + len(missed)} calls that can fail "
                              "are made")
    assert len(reached) >= REACHED_MIN * (len(reached) + len(missed)), missed


def test_filter_of_system_calls(tmp_path_factory):
    """Sanitized builds have none."""
    plain = FaultyProgram(builds()[0].path / PROGRAM)
    sites = [site for site in plain.sites.values() if site.function.startswith("seccomp_")]
    assert sites
    for site in sites:
        run = start(tmp_path_factory, builds()[0], at_work, site)
        status, said = run.end()
        assert (status, said.count("cannot give up privileges: Cannot allocate memory")) == (75, 1)
        assert run.finish() == []


def test_what_comes_after_a_failure(program, tmp_path_factory):
    """One vCPU breaks the device, of which the guest cannot be told; another resets it at once. The
    next process answers that."""
    site = next(site for site in program.sites.values() if site.function == "hypervisor_interrupt")
    run = Run(builds()[1], tmp_path_factory.mktemp("after"), site)
    run.make_machine(n_vcpus=2).scripted_backend()
    run.serve()
    disk = run.disk()
    Disk.start(disk)
    disk.write(QUEUE_SEL, 1)
    first, second = run.machine.xen.vcpus
    run.service.frontend.pause()
    first.begin(QUEUE_READY, value=1)  # no ring has an address of zero
    second.begin(STATUS, value=0)
    run.service.frontend.resume()
    first.finish(PATIENCE)
    second.finish(PATIENCE)
    assert disk.status == 0
    assert run.finish() == []
    assert len(run.service.ended) == 1


@pytest.mark.parametrize("part", range(PARTS))
def test_fault(program, clean, tmp_path_factory, part):
    """No call hurts when it fails."""
    problems = []
    for scenario, offset, number in plan(program, clean, part, PARTS, LONG):
        _, opened = clean[scenario]
        for _ in range(TRIES):
            found = complaints(program, tmp_path_factory, opened, scenario, offset, number)
            if found != [NOT_REACHED]:
                break
        problems += [f"{scenario.__name__}, call {number} of {program.sites[offset]}: {what}"
                     for what in found]
    assert not problems, "\n".join(problems)
