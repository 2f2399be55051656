# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest with the devices of some pages of docs/devices, as their examples have them."""

import re

from labkit.domu import Guest

from lab import pages

NAME = "guest1"
GUEST_FILES = "/etc/xen-virtio/guests"


def make_guest(dom0, names, script, disks=(), memory=None, vcpus=1, files=None, kernel="lab",
               devices=False):
    """The guest of these pages' examples, yet to be created, and its guest file."""
    configs = "".join(pages.guests(name)[NAME] for name in names)
    entries = [entry for name in names for entry in pages.entries(name, NAME, "virtio")]
    uuid = re.search(r"^uuid = .*$", configs, re.MULTILINE)
    (dom0.lab.share / "guest-file").write_text(
        "".join(pages.of_folder(name, GUEST_FILES).get(f"{NAME}.conf", "") for name in names),
        encoding="utf-8")
    dom0.check(f"mkdir -p {GUEST_FILES} && cp /mnt/lab/guest-file {GUEST_FILES}/{NAME}.conf")
    return Guest(dom0, NAME, list(disks), script, memory=memory, vcpus=vcpus, files=files,
                 kernel=kernel, devices=devices,
                 settings=f"virtio = {entries}\n" + (f"{uuid[0]}\n" if uuid else ""))
