# SPDX-License-Identifier: LGPL-2.1-or-later
"""Guests: their disks, their xl.cfg, what they do, and what they say on their console."""

import shlex
from dataclasses import dataclass
from string import ascii_lowercase

from .bare import idle_kernel
from .guest import cpio
from .host import GUARD
from .ui import LabError

GUEST_FOLDER = "/srv/guests"
# What a guest does when xl asks it to go. Its init is a shell script, which would not listen.
POWER_SCRIPT = "#!/bin/busybox sh\nexec /bin/busybox {} -f\n"
# Programs whose addresses do not change are emulated more quickly, see DOM0_QUICKLY.
COMMAND_LINE = "console=hvc0 quiet norandmaps"
# What each kernel needs, and not more: xl fills all of it, and backends map it.
MEMORY_MIB = {"lab": 64, "stock": 192}


@dataclass(frozen=True)
class Disk:
    """An ext4 image in dom0 with files of known sums."""

    path: str
    mode: str = "rw"
    grants: bool = False  # the guest grants each page that the disk gets at

    def entry(self, number):
        """The entry for xl.cfg."""
        return (f"{self.path},raw,xvd{ascii_lowercase[number]},{self.mode},"
                "backendtype=standalone,specification=virtio"
                + (",grant_usage=1" if self.grants else ""))


def make_disk(host, name, mode="rw", megabytes=16, files=3):
    """An image with some random files and the list of their sums, SUMS."""
    path = f"{GUEST_FOLDER}/{name}.img"
    tree = f"{GUEST_FOLDER}/{name}.tree"
    host.check(f"mkdir -p {tree} && cd {tree} && "
               f"for i in $(seq {files}); do "
               "head -c $((i * 50000)) /dev/urandom > file$i; done && "
               "sha256sum file* > SUMS && "
               f"mke2fs -q -F -t ext4 -d {tree} {path} {megabytes}M && rm -r {tree}")
    return Disk(path, mode)


class Guest:
    """A guest that runs a shell script, or a kernel of its own (bytes), or with script=None one
    that does nothing at all.

    files are further ones in its root folder, by name: programs, or what the script wants. devices
    has a stock kernel load the drivers of more devices than disks and network cards.
    settings are further lines of its xl.cfg.
    """

    def __init__(self, host, name, disks, script, memory=None, vcpus=1, kernel="lab", files=None,
                 settings="", devices=False):
        self.host = host
        self.name = name
        self.files = f"/srv/lab/guests/{kernel}"
        self.config = f"{GUEST_FOLDER}/{name}.cfg"
        self.log = f"/var/log/xen/console/guest-{name}.log"
        self.created = None  # the domid that xl create gave it
        boot = f'kernel = "{self._write_kernel(script, files or {}, devices)}"\n'
        disk_lines = ",\n    ".join(f'"{disk.entry(n)}"' for n, disk in enumerate(disks))
        self.text = (f'name = "{name}"\nmemory = {memory or MEMORY_MIB[kernel]}\n'
                     f'vcpus = {vcpus}\n{boot}'
                     f'extra = "{COMMAND_LINE}"\non_crash = "preserve"\n'
                     f'disk = [\n    {disk_lines}\n]\n{settings}\n')
        (host.lab.share / f"{name}.cfg").write_text(self.text, encoding="utf-8")
        host.check(f"mkdir -p {GUEST_FOLDER} && cp /mnt/lab/{name}.cfg {self.config} && "
                   f"rm -f {self.log}")

    def _write_kernel(self, script, files, devices):
        """Puts kernel and initramfs in place; returns what xl.cfg says of them."""
        if script is None or isinstance(script, bytes):
            kernel = f"{self.name}.kernel"
            (self.host.lab.share / kernel).write_bytes(script or idle_kernel())
            return f"/mnt/lab/{kernel}"
        archive = cpio({"guest.sh": script.encode(), "sbin": None,
                        "sbin/poweroff": POWER_SCRIPT.format("poweroff").encode(),
                        "sbin/reboot": POWER_SCRIPT.format("reboot").encode(), **files})
        (self.host.lab.share / f"{self.name}.cpio").write_bytes(archive)
        initrd = f"{GUEST_FOLDER}/{self.name}.initrd"
        # Of each the size is a multiple of four bytes: there the kernel looks for the next one.
        archives = [f"{self.files}/initrd", *([f"{self.files}/devices"] if devices else []),
                    f"/mnt/lab/{self.name}.cpio"]
        self.host.check(f"mkdir -p {GUEST_FOLDER} && cat {' '.join(archives)} > {initrd}")
        return f'{self.files}/kernel"\nramdisk = "{initrd}'

    def create(self, timeout=GUARD):
        """xl create, which has to succeed; returns the seconds it took."""
        result, seconds = self.host.timed(f"xl create {self.config}", timeout)
        if result.status:
            raise LabError(f"xl create: {result.output}\n{self.host.story()}")
        self.created = self.domid()
        return seconds

    def domid(self):
        """The guest's domid now."""
        return int(self.host.check(f"xl domid {self.name}"))

    def console(self):
        """All that the guest has written so far."""
        return self.host.run(f"cat {self.log}").output

    def wait_for(self, text, timeout=90, count=1):
        """Waits until the guest has written a line with this text that often."""
        said = f'[ "$(grep -c -- {shlex.quote(text)} {self.log} 2>/dev/null)" -ge {count} ]'
        try:
            self.host.wait(f"{said} 2>/dev/null", timeout, f"{self.name} did not say \"{text}\"")
        except LabError as error:
            raise LabError(f"{error}\nIt said:\n{self.console()}") from None

    def wait_gone(self, timeout=60):
        """Waits until xl has taken away the domain that was created."""
        # Not by xl, which takes longer to start than xenstore does to answer.
        self.host.wait(f"! xenstore-exists /local/domain/{self.created}", timeout,
                       f"{self.name} is still there")

    def destroy(self):
        """xl destroy; returns the seconds it took."""
        result, seconds = self.host.timed(f"xl destroy {self.name}")
        if result.status:
            raise LabError(f"xl destroy: {result.output}")
        return seconds

    def units(self, role):
        """The names of this guest's units: role is "frontend" or "backend"."""
        return self.host.check(
            "systemctl list-units --plain --no-legend "
            f"'xen-virtio-{role}@{self.domid()}-*' | cut -d ' ' -f 1").split()

    def pids(self):
        """The main process of each of its units."""
        units = self.units("frontend") + self.units("backend")
        pids = self.host.check(f"systemctl show -P MainPID {' '.join(units)}").split()
        return dict(zip(units, pids if units else [], strict=True))


def check_image(host, disk, command=""):
    """dom0's verdict on an image after the guest: clean, and what a command says in it."""
    image = shlex.quote(disk.path)
    host.check(f"e2fsck -f -n {image}")
    if command:
        host.check(f"mkdir -p /mnt/image && mount -o loop,ro,noload {image} /mnt/image && "
                   f"(cd /mnt/image && {command}); status=$?; umount /mnt/image; exit $status")
