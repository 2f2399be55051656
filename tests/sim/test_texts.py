# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is installed besides programs and units: the journal's catalog, and completion for bash."""

import re
import subprocess

import pytest

pytestmark = pytest.mark.plain_build("no program of ours runs")


def message_ids(source):
    """The MESSAGE_IDs of our messages, by the names that log.h has for them."""
    return dict(re.findall(r'#define (LOG_ID_\w+)\s+"(\w{32})"',
                           (source / "common/log.h").read_text()))


def catalog(source):
    """The entries of the catalog, by their MESSAGE_IDs."""
    text = (source / "units/xen-virtio.catalog").read_text()
    parts = re.split(r"^-- (\w{32})$", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_catalog_is_complete(source):
    assert set(catalog(source)) == set(message_ids(source).values())


def test_man_page_lists_the_ids(source):
    listed = re.findall(r"\*(\w{32})\*", (source / "docs/man/xen-virtiod.8.scd").read_text())
    assert listed == list(message_ids(source).values())


def test_journal_reads_the_catalog(source, tmp_path):
    """systemd itself compiles it, and gives each entry back."""
    folder = tmp_path / "usr/lib/systemd/catalog"
    folder.mkdir(parents=True)
    (tmp_path / "var/lib/systemd/catalog").mkdir(parents=True)
    (folder / "xen-virtio.catalog").write_bytes((source / "units/xen-virtio.catalog").read_bytes())

    def journalctl(*words):
        return subprocess.run(["journalctl", f"--root={tmp_path}", *words], check=True, text=True,
                              stdout=subprocess.PIPE).stdout

    journalctl("--update-catalog")
    for number, entry in catalog(source).items():
        subject = re.search(r"^Subject: (.+)$", entry, re.MULTILINE).group(1)
        assert subject in journalctl("--dump-catalog", number)


def complete(source, tmp_path, *words):
    """What bash offers after these words, of which the last has been begun."""
    program = tmp_path / "xen-virtioctl"
    program.write_text("#!/bin/sh\n"
                       "printf 'DEVICE STATE\\n5-disk-51712 ready\\n6-virtio-0 failed\\n'\n")
    program.chmod(0o755)
    script = f"""
        PATH={tmp_path}:$PATH
        source {source}/units/xen-virtioctl.bash
        COMP_WORDS=({" ".join(f"'{word}'" for word in words)})
        COMP_CWORD={len(words) - 1}
        _xen_virtioctl
        echo "${{COMPREPLY[@]}}"
    """
    return subprocess.run(["bash", "-euc", script], check=True, text=True,
                          stdout=subprocess.PIPE).stdout.split()


def test_completion(source, tmp_path):
    def offered(*words):
        return complete(source, tmp_path, "xen-virtioctl", *words)

    assert offered("") == ["list", "show", "events", "restart", "doctor", "metrics", "check"]
    assert offered("re") == ["restart"]
    assert offered("--json", "sh") == ["show"]
    assert offered("--j") == ["--json"]
    assert offered("show", "") == ["5-disk-51712", "6-virtio-0"]
    assert offered("restart", "--backend", "5") == ["5-disk-51712"]
    assert offered("list", "") == []
    (tmp_path / "guest.cfg").touch()
    assert offered("check", f"{tmp_path}/g") == [f"{tmp_path}/guest.cfg"]


def test_completion_knows_all_commands(source):
    """Those of the table in ctl.c."""
    table = re.findall(r'^ +\{ "(\w+)", (?:NULL|")',
                       (source / "orchestrator/ctl.c").read_text(), re.MULTILINE)
    script = (source / "units/xen-virtioctl.bash").read_text()
    assert re.search(r'commands="(.+)"', script).group(1).split() == table
