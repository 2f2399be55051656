# SPDX-License-Identifier: LGPL-2.1-or-later
"""A program that a test runs: what it uses, and its end."""

import subprocess

from sim.slack import slack
from sim.xen import DEADLINE


def status_number(pid, field):
    """A number in /proc/PID/status: the one of the first line that begins so."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(field))


def cpu_ticks(pid):
    """The processor time that it has used."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        return sum(map(int, stat.read().rpartition(")")[2].split()[11:13]))


def kill(process):
    """Ends it as a crash would."""
    process.kill()
    process.wait(DEADLINE * slack())


def end(process):
    """Ends it as systemd does, unless it has ended. Returns its status, or what was wrong."""
    if process.returncode is None:
        process.terminate()
    try:
        return process.wait(DEADLINE * slack())
    except subprocess.TimeoutExpired:
        kill(process)
        return "SIGTERM ignored"
