# SPDX-License-Identifier: LGPL-2.1-or-later
"""Deadlines are those of a machine that has nothing else to do; here is how much more it takes."""

import os
import time


def slack():
    """How much longer things may take, because the machine has other things to do."""
    with open("/proc/loadavg", encoding="ascii") as file:
        average, _, _, now, _ = file.read().split()  # of the last minute, and of this moment
    return max(1, max(float(average), int(now.split("/")[0])) / len(os.sched_getaffinity(0)))


def has_passed(since, seconds):
    """Whether more time has passed since then than something may take."""
    passed = time.monotonic() - since
    return passed > seconds and passed > seconds * slack()
