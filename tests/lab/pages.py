# SPDX-License-Identifier: LGPL-2.1-or-later
"""The examples of docs/devices, as its readers have them."""

import re
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "docs/devices"
BLOCK = re.compile(r"^```\n# (/\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ENTRIES = re.compile(r"^(\w+) += \[ (.*) \]$", re.MULTILINE)


def files(page):
    """The files that a page shows, by path."""
    return dict(BLOCK.findall((FOLDER / f"{page}.md").read_text(encoding="utf-8")))


def of_folder(page, folder):
    """Those of one folder, by name."""
    return {path.removeprefix(f"{folder}/"): text for path, text in files(page).items()
            if path.startswith(f"{folder}/")}


def guests(page):
    """The xl.cfg of each guest of a page, by the guest's name."""
    return {name.removesuffix(".cfg"): text for name, text in of_folder(page, "/etc/xen").items()}


def entries(page, guest, setting):
    """What a list of that guest's xl.cfg has: "virtio" or "disk"."""
    lists = dict(ENTRIES.findall(guests(page)[guest]))
    return re.findall(r'"([^"]*)"', lists.get(setting, ""))
