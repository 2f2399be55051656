# SPDX-License-Identifier: LGPL-2.1-or-later
"""Builds this project for dom0 and installs it there, as a user would."""

import shutil

from . import cache
from .ui import LabError, check

DAEMON = "xen-virtiod.service"
# Debian's own place for libraries, so that ld.so finds them without further configuration.
LIBDIR = "lib/aarch64-linux-gnu"
MESON = ("--prefix=/usr", "--sysconfdir=/etc", "--localstatedir=/var", f"--libdir={LIBDIR}",
         "-Dwerror=true")


def install(lab, sysroot, options, console):
    """Cross-builds, copies, and (unless told otherwise) starts."""
    archive = _build(sysroot, options.source.resolve(), options.meson, console)
    console.say("install", f"copying {len(archive) // 1024} KiB into dom0")
    _in_dom0(lab, "tar --extract --no-overwrite-dir --directory / && ldconfig", archive)
    _in_dom0(lab, "systemd-sysusers && systemd-tmpfiles --create --prefix=/run/xen-virtio && "
                  "systemctl daemon-reload")
    if options.no_start:
        return
    # An earlier version may be running.
    _in_dom0(lab, f"systemctl enable {DAEMON} && systemctl restart {DAEMON}")
    console.say("install", f"{DAEMON} runs")


def _in_dom0(lab, line, data=b""):
    result = lab.run(line, data=data)
    if result.status:
        hint = lab.run(f"systemctl --no-pager --full status {DAEMON} 2>&1 | tail -20").output
        raise LabError(f"in dom0: {line}: status {result.status}\n{result.output}\n{hint}")


def _build(sysroot, source, extra, console):
    """An archive of what the project installs."""
    if not (source / "meson.build").exists():
        raise LabError(f"{source} has no meson.build")
    # What is configured once stays so: a compilation does again of it what has to be.
    options = [*MESON, *extra]
    key = cache.digest([source, options])
    folder = cache.root() / "product" / f"{key}-{sysroot.name}"
    objects, stage = folder / "build", folder / "stage"
    # Several labs may be installed at a time.
    with cache.lock(f"product-{key}"):
        log = cache.logs() / f"product-{key}.log"
        log.unlink(missing_ok=True)
        steps = {"compiling": ["meson", "compile", "-C", objects],
                 "staging": ["meson", "install", "-C", objects, "--no-rebuild",
                             "--destdir", stage]}
        if not (objects / "build.ninja").exists():
            shutil.rmtree(objects, ignore_errors=True)
            steps = {"configuring": ["meson", "setup", objects, source, "--cross-file",
                                     sysroot / "cross.ini", *options]} | steps
        shutil.rmtree(stage, ignore_errors=True)
        for what, argv in steps.items():
            console.say("install", what)
            console.run("install", argv, log)
        return check("tar", "--create", "--owner=0", "--group=0", "--directory", stage, ".")
