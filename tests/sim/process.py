# SPDX-License-Identifier: LGPL-2.1-or-later
"""The end of a program that a test runs."""

import subprocess

from sim.xen import DEADLINE


def kill(process):
    """Ends it as a crash would."""
    process.kill()
    process.wait(DEADLINE)


def end(process):
    """Ends it as systemd does, unless it has ended. Returns its status, or what was wrong."""
    if process.returncode is None:
        process.terminate()
    try:
        return process.wait(DEADLINE)
    except subprocess.TimeoutExpired:
        kill(process)
        return "SIGTERM ignored"
