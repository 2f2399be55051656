# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest with the devices of some pages of docs/devices, as their examples have them."""

import re
from pathlib import Path

from labkit.domu import Guest

PAGES = Path(__file__).resolve().parents[2] / "docs/devices"
NAME = "guest1"
CONFIG = f"/etc/xen/{NAME}.cfg"
GUEST_FILE = f"/etc/xen-virtio/guests/{NAME}.conf"


def block(page, path):
    """The file of that path that a page shows."""
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    found = re.search(rf"^```\n# {re.escape(path)}\n(.*?)^```$", text, re.M | re.S)
    assert found, f"{page}.md does not show {path}"
    return found[1]


def make_guest(dom0, pages, script, disks=(), memory=None, files=None):
    """The guest of these pages' examples, yet to be created, and its guest file."""
    configs = "".join(block(page, CONFIG) for page in pages)
    entries = re.findall(r'"[^"]*"', "".join(re.findall(r"^virtio = \[(.*)\]$", configs, re.M)))
    settings = f"virtio = [ {', '.join(entries)} ]\n"
    uuid = re.search(r"^uuid = .*$", configs, re.M)
    (dom0.lab.share / "guest-file").write_text("".join(block(page, GUEST_FILE) for page in pages),
                                               encoding="utf-8")
    dom0.check(f"mkdir -p $(dirname {GUEST_FILE}) && cp /mnt/lab/guest-file {GUEST_FILE}")
    return Guest(dom0, NAME, list(disks), script, memory=memory, files=files,
                 settings=settings + (f"{uuid[0]}\n" if uuid else ""))
