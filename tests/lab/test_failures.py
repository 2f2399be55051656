# SPDX-License-Identifier: LGPL-2.1-or-later
"""What cannot be served fails with a reason that a person can read, and leaves nothing."""

import re

import pytest

from lab import scripts
from labkit.domu import Disk, Guest, make_disk

ERROR_NODE = r"/local/domain/0/backend/virtio_disk/[0-9]+/51712/error = \"(.*)\""


@pytest.fixture
def watched(dom0):
    """Collects what is written to error nodes, which live no longer than the domain."""
    dom0.check("rm -f /tmp/errors; (timeout 60 xenstore-watch /local/domain/0/backend/virtio_disk "
               "| while read -r path; do case $path in */error) "
               "echo \"$path = \\\"$(xenstore-read $path)\\\"\" >> /tmp/errors;; esac; done) "
               "</dev/null >/dev/null 2>&1 &")
    yield lambda: re.findall(ERROR_NODE, dom0.run("cat /tmp/errors").output)
    dom0.run("pkill xenstore-watch")


def create_fails(dom0, disk):
    """xl create fails, within the 10 s that libxl waits; returns what it printed."""
    guest = Guest(dom0, "fails", [disk], scripts.WRITE_FILES)
    result, seconds = dom0.timed(f"xl create {guest.config}", 60)
    assert result.status != 0, result.output
    assert seconds < 15
    dom0.expect_clean()
    return result.output


def test_missing_image(dom0, watched):
    create_fails(dom0, Disk("/srv/guests/missing.img"))
    reason = "/srv/guests/missing.img: No such file or directory"
    assert reason in watched()
    assert reason in dom0.journal("_SYSTEMD_UNIT=xen-virtiod.service")


def test_directory_as_image(dom0, watched):
    dom0.check("mkdir -p /srv/guests/folder.img")
    create_fails(dom0, Disk("/srv/guests/folder.img"))
    [reason] = set(watched())
    assert re.match("/srv/guests/folder.img: .*directory", reason, re.IGNORECASE)
    assert reason in dom0.journal("_SYSTEMD_UNIT=xen-virtiod.service")


def test_missing_backend_program(dom0, watched):
    disk = make_disk(dom0, "orphan")
    program = "/usr/bin/qemu-storage-daemon"
    dom0.check(f"mv {program} {program}.away")
    try:
        create_fails(dom0, disk)
    finally:
        dom0.check(f"mv {program}.away {program}")
    [reason] = set(watched())
    assert program in reason and "No such file or directory" in reason
    assert reason in dom0.journal("_SYSTEMD_UNIT=xen-virtiod.service")


def test_backend_that_fails_at_once(dom0, watched):
    """An image of no size at all: the backend starts, and then the guest has no use for it."""
    disk = make_disk(dom0, "refused")
    dom0.check("mkdir -p /etc/xen-virtio/backends && "
               "printf '[Backend]\\nType=blk\\nExecStart=/bin/false %%{socket}\\n' "
               "> /etc/xen-virtio/backends/00-false.conf && systemctl restart xen-virtiod")
    try:
        create_fails(dom0, disk)
    finally:
        dom0.check("rm -r /etc/xen-virtio/backends && systemctl restart xen-virtiod")
    assert any("status 1" in reason for reason in watched())
