# SPDX-License-Identifier: LGPL-2.1-or-later
"""dom0's root file system: Debian 13 arm64 with systemd and Xen's tools, as an ext4 image.

Packages are only unpacked: no target code runs, so this needs neither binfmt_misc nor a chroot.
What their maintainer scripts would have done, as far as the lab needs it, is done here.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

from . import apt as debian
from . import cache
from .guest import ROOT_LABEL, make_disk
from .ui import Console, LabError, check

RECIPE = 2
FREE_MIB = 2048
AGENT = Path(__file__).with_name("agent.c")
# passt of Debian 13 itself ends a stream early when the guest has half closed it.
PACKAGES = (
    "base-files", "base-passwd", "bash", "busybox-static", "coreutils", "dash", "dbus", "diffutils",
    "e2fsprogs", "findutils", "gdbserver", "grep", "gzip", "hostname", "iproute2", "kmod",
    "libc-bin", "libglib2.0-0t64", "libjson-glib-1.0-0", "libnss-systemd", "libseccomp2",
    "libsystemd0", "mawk", "mount", "passt/trixie-backports", "passwd", "procps", "qemu-utils",
    "sed", "socat", "strace", "systemd", "systemd-sysv", "sysvinit-utils", "tar", "udev",
    "util-linux", "virtiofsd", "xen-utils-4.20", "xenstore-utils")

# Slow, or without meaning in a machine that is new at every boot.
MASKED = (
    "dev-hugepages.mount", "e2scrub_reap.service", "getty.target", "ldconfig.service",
    "modprobe@.service", "proc-sys-fs-binfmt_misc.automount", "systemd-ask-password-console.path",
    "systemd-ask-password-wall.path", "systemd-creds.socket", "systemd-firstboot.service",
    "systemd-hostnamed.socket", "systemd-hwdb-update.service",
    "systemd-journal-catalog-update.service", "systemd-journal-flush.service",
    "systemd-logind.service", "systemd-machine-id-commit.service", "systemd-modules-load.service",
    "systemd-networkd-wait-online.service", "systemd-random-seed.service",
    "systemd-remount-fs.service", "systemd-sysext.socket", "systemd-udev-load-credentials.service",
    "systemd-update-done.service", "systemd-update-utmp.service", "systemd-user-sessions.service",
    "xendomains.service")
# Each is a program at every boot and every "systemctl daemon-reload".
UNUSED_GENERATORS = "usr/lib/systemd/system-generators"

AGENT_UNIT = """\
[Unit]
Description=Runs commands for scripts/lab
DefaultDependencies=no
Conflicts=shutdown.target

[Service]
ExecStart=/usr/libexec/lab-agent
Environment=HOME=/root LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin
WorkingDirectory=/root
KillMode=process
TasksMax=infinity
OOMScoreAdjust=-900

[Install]
WantedBy=sysinit.target
"""

# Going through every device of the machine would take most of the boot's time.
UDEV_TRIGGER = """\
[Service]
ExecStart=
ExecStart=-udevadm trigger --action=add --subsystem-match=block --subsystem-match=net \
    --subsystem-match=misc
"""

FILES = {
    "etc/hostname": "lab\n",
    "etc/hosts": "127.0.0.1 localhost lab\n::1 localhost\n",
    "etc/machine-id": "6c61626c61626c61626c61626c61626c\n",
    "etc/locale.conf": "LANG=C.UTF-8\n",
    "etc/fstab": "# The initramfs has mounted everything.\n",
    "etc/default/xen": "XENCONSOLED_TRACE=guest\nXENCONSOLED_ARGS=--log=guest\n",
    "etc/systemd/journald.conf.d/lab.conf": "[Journal]\nStorage=volatile\nRuntimeMaxUse=64M\n"
                                            "RateLimitBurst=0\n",
    "etc/systemd/system/systemd-udev-trigger.service.d/lab.conf": UDEV_TRIGGER,
    "etc/systemd/system.conf.d/lab.conf": "[Manager]\nDefaultTimeoutStopSec=20s\n",
    "etc/systemd/system/lab-agent.service": AGENT_UNIT,
    "etc/profile.d/lab.sh": "PS1='lab:\\w# '\n",
    "root/.bashrc": "PS1='lab:\\w# '\n",
}

NSSWITCH = """\
passwd:     files systemd
group:      files systemd
shadow:     files systemd
gshadow:    files systemd
hosts:      files dns
networks:   files
protocols:  files
services:   files
"""


def build(apt, console):
    """The folder that holds root.ext4."""
    packages = apt.packages(list(PACKAGES))
    inputs = {"recipe": RECIPE, "packages": sorted(file.sha256 for file in packages),
              "files": [FILES, NSSWITCH, MASKED, UNUSED_GENERATORS, FREE_MIB],
              "agent": cache.file_sha256(AGENT)}
    return cache.artifact("dom0", inputs, lambda folder: _make(apt, console, packages, folder))


def _make(apt, console, packages, folder):
    apt.fetch("dom0", packages)
    agent = folder / "lab-agent"
    console.run("dom0", ["aarch64-linux-gnu-gcc", "-O2", "-static", "-Wall", "-o", agent, AGENT],
                cache.logs() / "dom0.log")
    # The files' owners matter.  Without root, fakeroot remembers them for one process tree.
    command = ["/usr/bin/python3", "-m", "labkit.dom0", folder]
    if os.geteuid():
        command.insert(0, "fakeroot")
    environment = dict(os.environ, PYTHONPATH=str(Path(__file__).parent.parent))
    console.run("dom0", command, cache.logs() / "dom0.log", env=environment)
    console.say("dom0", f"root file system made from {len(packages)} packages")


def add_packages(lab, apt, names):
    """Unpacks further packages, and all that they need, in a booted lab's dom0."""
    there = set(apt.packages(list(PACKAGES)))
    archive = lab.share / "packages.tar"
    with tempfile.TemporaryDirectory() as tree:
        apt.extract("dom0", [file for file in apt.packages(names) if file not in there], Path(tree))
        check("tar", "--create", "--owner=0", "--group=0", "--file", archive, "--directory", tree,
              *(f"--exclude=usr/share/{unused}" for unused in ("doc", "man", "locale")), ".")
    result = lab.run("tar --extract --skip-old-files --directory / "
                     f"--file /mnt/lab/{archive.name} && ldconfig")
    archive.unlink()
    if result.status:
        raise LabError(f"in dom0: {result.output}")


def compose(folder):
    """Makes root.ext4 in a folder that holds the agent; runs in a process of its own."""
    apt = debian.Apt(Console())
    tree = folder / "tree"
    tree.mkdir()
    apt.extract("dom0", apt.packages(list(PACKAGES)), tree)
    _write_files(tree)
    _make_accounts(tree)
    _configure_systemd(tree)
    _make_alternatives(tree)
    target = tree / "usr/libexec/lab-agent"
    (folder / "lab-agent").rename(target)
    target.chmod(0o755)
    check("/sbin/ldconfig", "-r", tree)
    for unused in ("usr/share/doc", "usr/share/man", "usr/share/locale", "var/lib/apt"):
        shutil.rmtree(tree / unused, ignore_errors=True)
    # Newer than everything in /usr, so that no "first boot after an update" work is done.
    for stamp in ("etc/.updated", "var/.updated"):
        (tree / stamp).touch()
    make_disk(tree, folder / "root.ext4", ROOT_LABEL, FREE_MIB)
    shutil.rmtree(tree)


def _write_files(tree):
    for name, text in FILES.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (tree / "etc/nsswitch.conf").write_text(NSSWITCH)
    for name in ("srv/lab", "mnt/lab", "var/lib/xen", "var/log/xen/console", "var/lib/xenstored",
                 "run/lock", "run/xen", "proc", "sys", "dev"):
        (tree / name).mkdir(parents=True, exist_ok=True)
    _link(tree / "var/run", "/run")
    _link(tree / "var/lock", "/run/lock")
    _link(tree / "etc/mtab", "../proc/self/mounts")
    # The kernel's modules come with the kernel, on the disk for /srv/lab.
    _link(tree / "usr/lib/modules", "/srv/lab/modules")


def _link(path, target):
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def _make_accounts(tree):
    for name in ("passwd", "group"):
        shutil.copyfile(tree / f"usr/share/base-passwd/{name}.master", tree / f"etc/{name}")
    (tree / "etc/shadow").touch(0o640)
    (tree / "etc/gshadow").touch(0o640)
    # Older versions of systemd-sysusers do not know "u!" (a locked account).
    lines = "".join(path.read_text() for path in sorted((tree / "usr/lib/sysusers.d").iterdir()))
    check("systemd-sysusers", f"--root={tree}", "-", input=lines.replace("u!", "u ").encode())


def _configure_systemd(tree):
    units = tree / "etc/systemd/system"
    for name in MASKED:
        _link(units / name, "/dev/null")
    shutil.rmtree(tree / UNUSED_GENERATORS)
    _link(units / "default.target", "/usr/lib/systemd/system/multi-user.target")
    for wanted_by, unit, folder in (
            ("multi-user.target", "xen.service", "/usr/lib/systemd/system"),
            ("sysinit.target", "lab-agent.service", "/etc/systemd/system")):
        wants = units / f"{wanted_by}.wants"
        wants.mkdir(exist_ok=True)
        _link(wants / unit, f"{folder}/{unit}")


def _make_alternatives(tree):
    """What update-alternatives would link."""
    for name, target in (("awk", "mawk"), ("nawk", "mawk")):
        path = tree / "usr/bin" / name
        if not path.is_symlink():
            path.symlink_to(target)


if __name__ == "__main__":
    try:
        compose(Path(sys.argv[1]))
    except LabError as error:
        sys.exit(f"lab: {error}")
