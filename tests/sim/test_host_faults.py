# SPDX-License-Identifier: LGPL-2.1-or-later
"""Each call of xen-virtiod to another's code fails once: it goes on, or ends with a message and is
started again; another device does not notice, and all comes to its right end.

Ordinarily the first call from each place fails, in the first scenario that has it; with
XEN_VIRTIO_LONG=1 the second and the last one of each scenario, too.
"""

import os

import pytest

from conftest import builds
from sim.faults import FaultyProgram, message_of, plan, told
from sim.host import NEEDS
from sim.host_fault_scenarios import PROGRAM, SCENARIOS, HostRun

PARTS = 8  # in which the calls are gone through, so that two processes can
LONG = os.environ.get("XEN_VIRTIO_LONG") == "1"
# Some calls are not made each time: what comes first is a matter of chance.
NOT_REACHED, TRIES = "was not reached", 5
# Of all calls there are, so many have to be reached.
REACHED_MIN = 0.95
# What only others call of what they share with it: xen-virtioctl (test_ctl_faults), the frontend.
OF_OTHERS = {"counters_map", "field_read", "report_read"}

pytestmark = NEEDS


@pytest.fixture(scope="module")
def program():
    """The sanitized one, in which each call shows who makes it."""
    return FaultyProgram(builds()[1].path / PROGRAM)


@pytest.fixture(scope="module")
def hosts(tmp_path_factory):
    """Hosts, one at a time: one that came to harm is not used again."""
    made = []

    def take():
        if not made:
            made.append(HostRun(builds()[1], tmp_path_factory.mktemp("host")))
        return made[0]

    def drop():
        made.pop().close()

    yield take, drop
    if made:
        drop()


@pytest.fixture(scope="module")
def clean(hosts):
    """Each scenario without a fault: how often each call was made, and what was open then."""
    take, _ = hosts
    runs = {}
    for scenario in SCENARIOS:
        opened = take().run(scenario)
        runs[scenario] = take().trace.counts(), opened
    return runs


def complaints(program, hosts, opened, scenario, offset, number):
    """What goes wrong when that call fails."""
    take, drop = hosts
    site, run = program.sites[offset], take()
    try:
        more = run.run(scenario, site, number, opened) - opened
    except (AssertionError, KeyError, OSError) as error:
        drop()
        return [told(error)]
    found = []
    if more and not run.failed:
        found.append(f"leaves open: {dict(more)}")
    if number == 1 and not run.trace.failed_in():
        found.append(NOT_REACHED)
    if (end := run.end()) and end[1].count(message_of(site.function)) != 1:
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


@pytest.mark.parametrize("part", range(PARTS))
def test_fault(program, clean, hosts, part):
    """No call hurts when it fails."""
    problems = []
    for scenario, offset, number in plan(program, clean, part, PARTS, LONG):
        _, opened = clean[scenario]
        for _ in range(TRIES):
            found = complaints(program, hosts, opened, scenario, offset, number)
            if found != [NOT_REACHED]:
                break
        problems += [f"{scenario.__name__}, call {number} of {program.sites[offset]}: {what}"
                     for what in found]
    assert not problems, "\n".join(problems)
