# SPDX-License-Identifier: LGPL-2.1-or-later
"""Small programs for dom0 and guests, from one file of C each."""

from .ui import check

COMPILER = "aarch64-linux-gnu-gcc"


def build(source, folder):
    """Builds a program that needs no libraries where it runs; returns its path."""
    program = folder / source.stem
    check(COMPILER, "-O2", "-static", "-Wall", "-Wextra", "-Werror", "-o", program, source)
    return program
