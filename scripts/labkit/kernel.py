# SPDX-License-Identifier: LGPL-2.1-or-later
"""The two kernels: the lab's own, built from Debian's source, and Debian's stock one.

Each becomes a folder with Image, release (its version) and modules/ (as in /usr/lib/modules).
"""

import os
import re
import shutil
from pathlib import Path

from . import cache
from .ui import LabError, check

RECIPE = 1
KINDS = ("lab", "stock")
SOURCE_PACKAGE = "linux-source-7.3"
SOURCE_FALLBACK = r"linux-source-7\.\d+"
STOCK_PACKAGE = r"linux-image-6\.12\.[^_]*-arm64_"
CROSS = "aarch64-linux-gnu-"
FRAGMENT = Path(__file__).with_name("kernel.config")
# Most of the source's bytes that no build of ours reads.
UNUSED_SOURCE = ("*/Documentation/*/*", "*/tools/testing/*", "*/drivers/gpu/drm/amd/include/*/*")


def build(kind, apt, console):
    """The folder of one kind of kernel."""
    return {"lab": _build_lab, "stock": _build_stock}[kind](apt, console)


def _build_lab(apt, console):
    package = apt.single(SOURCE_PACKAGE, otherwise=SOURCE_FALLBACK)
    inputs = {"recipe": RECIPE, "source": package.sha256, "fragment": cache.file_sha256(FRAGMENT)}
    return cache.artifact("kernel-lab", inputs,
                          lambda folder: _compile(apt, console, package, inputs, folder))


def _compile(apt, console, package, inputs, folder):
    """Compiles in a work folder that survives an interruption: make continues there."""
    source = _unpack(apt, console, package)
    objects = cache.work() / f"kernel-{cache.digest(inputs)}"
    objects.mkdir(parents=True, exist_ok=True)
    log = cache.logs() / "kernel-lab.log"
    make = ["make", "-C", source, f"O={objects}", "ARCH=arm64", f"CROSS_COMPILE={CROSS}",
            "KBUILD_BUILD_USER=lab", "KBUILD_BUILD_HOST=lab"]
    if not (objects / "configured").exists():
        console.say("kernel lab", "configuring")
        console.run("kernel lab", [*make, "tinyconfig"], log)
        with open(objects / ".config", "a", encoding="ascii") as config:
            config.write(FRAGMENT.read_text(encoding="ascii"))
        console.run("kernel lab", [*make, "olddefconfig"], log)
        _check_config(objects / ".config")
        (objects / "configured").touch()
    console.say("kernel lab", f"compiling {package.name.split('_')[1]}, the longest step")
    console.run("kernel lab", [*make, f"-j{os.cpu_count() + 1}", "Image", "modules"], log)
    console.run("kernel lab", [*make, f"INSTALL_MOD_PATH={folder / 'install'}",
                               "modules_install"], log)
    shutil.copyfile(objects / "arch/arm64/boot/Image", folder / "Image")
    shutil.copyfile(objects / ".config", folder / "config")
    [modules] = (folder / "install/lib/modules").iterdir()
    _finish(folder, modules)
    shutil.rmtree(folder / "install")
    shutil.rmtree(cache.work())
    console.say("kernel lab", "built")


def _unpack(apt, console, package):
    """The source tree, from the package that holds its tarball."""
    source = cache.work() / f"source-{package.sha256[:16]}"
    if source.is_dir():
        return source
    [path] = apt.fetch("kernel lab", [package])
    console.say("kernel lab", "unpacking the source")
    partial = source.with_name(source.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    tarball = f"./usr/src/{package.name.split('_')[0]}.tar.xz"
    excludes = " ".join(f"--exclude='{pattern}'" for pattern in UNUSED_SOURCE)
    script = (f'dpkg-deb --fsys-tarfile "$1" | tar -xO {tarball} | xz -dc -T0 | '
              f'tar -x --strip-components=1 -C "$2" {excludes}')
    check("bash", "-o", "pipefail", "-c", script, "unpack", path, partial)
    partial.rename(source)
    return source


def _check_config(path):
    """Fails when an option of the fragment is not in the final configuration."""
    options = [dict(re.findall(r"^(CONFIG_\w+)=(.*)$", file.read_text(encoding="ascii"), re.M))
               for file in (FRAGMENT, path)]
    wanted, actual = options
    lost = [f"{name}={value}" for name, value in wanted.items() if actual.get(name, "n") != value]
    if lost:
        raise LabError(f"{FRAGMENT.name}: not in effect in the kernel: {', '.join(lost)}")


def _build_stock(apt, console):
    packages = [file for file in apt.packages(["linux-image-arm64"])
                if re.match(STOCK_PACKAGE, file.name)]
    inputs = {"recipe": RECIPE, "packages": [file.sha256 for file in packages]}
    return cache.artifact("kernel-stock", inputs,
                          lambda folder: _take_stock(apt, console, packages, folder))


def _take_stock(apt, console, packages, folder):
    tree = folder / "tree"
    apt.extract("kernel stock", packages, tree)
    [image] = (tree / "boot").glob("vmlinuz-*")
    [modules] = (tree / "usr/lib/modules").iterdir()
    shutil.copyfile(image, folder / "Image")
    _finish(folder, modules)
    shutil.rmtree(tree)
    console.say("kernel stock", f"taken from {packages[0].name}")


def _finish(folder, modules):
    """Moves the modules to their place, indexed for modprobe, and notes the version."""
    (folder / "release").write_text(modules.name)
    (folder / "modules").mkdir()
    target = folder / "modules" / modules.name
    modules.rename(target)
    for link in ("build", "source"):
        (target / link).unlink(missing_ok=True)
    # depmod -b looks in lib/modules below its base.
    base = folder / "depmod"
    (base / "lib").mkdir(parents=True)
    (base / "lib/modules").symlink_to(folder / "modules")
    check("/sbin/depmod", "-b", base, modules.name)
    shutil.rmtree(base)
