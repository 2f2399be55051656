# SPDX-License-Identifier: LGPL-2.1-or-later
"""What cross-compiling the product for dom0 needs: Debian 13's headers and libraries, and the
cross file for meson that points at them."""

import os
import shutil

from . import cache

RECIPE = 2
PACKAGES = ("libc6-dev", "linux-libc-dev", "libgcc-14-dev", "libxen-dev", "libsystemd-dev",
            "libseccomp-dev", "libglib2.0-dev", "libjson-glib-dev")
# Only headers, libraries and pkg-config files are wanted of all that the packages bring.
UNUSED = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/bin", "usr/sbin", "var", "etc")
LIBRARIES = "usr/lib/aarch64-linux-gnu"


def build(apt, console):
    """The folder that holds root/ and cross.ini."""
    packages = apt.packages(list(PACKAGES))
    inputs = {"recipe": RECIPE, "packages": sorted(file.sha256 for file in packages)}
    return cache.artifact("sysroot", inputs,
                          lambda folder: _make(apt, console, packages, folder))


def _make(apt, console, packages, folder):
    root = folder / "root"
    root.mkdir()
    apt.extract("sysroot", packages, root)
    for name in UNUSED:
        shutil.rmtree(root / name, ignore_errors=True)
    _make_links_relative(root)
    # The artifact is renamed when it is complete; the cross file must name its final place.
    final = folder.with_suffix("")
    (folder / "cross.ini").write_text(cross_file(final / "root"))
    console.say("sysroot", f"made from {len(packages)} packages")


def _make_links_relative(root):
    """An absolute link would lead out of the sysroot."""
    for path in root.rglob("*"):
        if path.is_symlink() and os.path.isabs(os.readlink(path)):
            target = root / os.readlink(path).lstrip("/")
            path.unlink()
            path.symlink_to(os.path.relpath(target, path.parent))


def cross_file(root):
    """A meson cross file; libraries are installed where Debian's own are.

    The compiler looks for the C library in its own folder first, whatever the sysroot; that one may
    be older than what the sysroot's libraries were linked with.
    """
    compile_flags = [f"--sysroot={root}", f"-isystem{root}/usr/include/aarch64-linux-gnu",
                     f"-isystem{root}/usr/include"]
    link_flags = [f"--sysroot={root}", f"-B{root}/{LIBRARIES}/"]
    return f"""[binaries]
c = 'aarch64-linux-gnu-gcc'
ar = 'aarch64-linux-gnu-gcc-ar'
strip = 'aarch64-linux-gnu-strip'
pkgconfig = 'pkg-config'
exe_wrapper = ['qemu-aarch64-static', '-L', '{root}']

[built-in options]
c_args = {compile_flags}
c_link_args = {link_flags}

[properties]
needs_exe_wrapper = true
sys_root = '{root}'
pkg_config_libdir = ['{root}/{LIBRARIES}/pkgconfig', '{root}/usr/share/pkgconfig']

[host_machine]
system = 'linux'
cpu_family = 'aarch64'
cpu = 'cortex-a57'
endian = 'little'
"""
