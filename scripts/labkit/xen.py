# SPDX-License-Identifier: LGPL-2.1-or-later
"""Xen for arm64 with IOREQ servers, which Debian's own arm64 build leaves out."""

import os
import shutil

from . import cache
from .ui import check

RECIPE = 2
CROSS = "aarch64-linux-gnu-"
CONFIG = "CONFIG_EXPERT=y\nCONFIG_IOREQ_SERVER=y\n"


def build(apt, console):
    """The folder that holds the hypervisor's image, xen, and the addresses of its functions."""
    tarball = apt.upstream_source("xen")
    inputs = {"recipe": RECIPE, "config": CONFIG, "source": tarball.sha256}
    return cache.artifact("xen", inputs, lambda folder: _make(apt, console, tarball, folder))


def _make(apt, console, tarball, folder):
    source = folder / "source"
    source.mkdir()
    [path] = apt.fetch("xen", [tarball])
    console.say("xen", f"building {tarball.name.split('.orig')[0]}")
    check("tar", "--extract", "--file", path, "--strip-components=1", "--directory", source)
    (source / "xen/arch/arm/configs/lab_defconfig").write_text(CONFIG)
    make = ["make", "-C", source / "xen", f"-j{os.cpu_count()}", "XEN_TARGET_ARCH=arm64",
            f"CROSS_COMPILE={CROSS}"]
    log = cache.logs() / "xen.log"
    console.run("xen", [*make, "lab_defconfig"], log)
    console.run("xen", make, log)
    shutil.copyfile(source / "xen/xen", folder / "xen")
    shutil.copyfile(source / "xen/.config", folder / "config")
    (folder / "symbols").write_bytes(check(f"{CROSS}nm", "--defined-only", source / "xen/xen-syms"))
    shutil.rmtree(source)
    console.say("xen", "built")
