# SPDX-License-Identifier: LGPL-2.1-or-later
"""What cannot be served fails with a reason that a person can read, and leaves nothing."""

import re
import shlex

import pytest
from labkit.domu import Disk, Guest, make_disk

from lab import scripts

ERROR_NODE = r"/local/domain/0/backend/virtio_disk/[0-9]+/51712/error = \"(.*)\""
FALSE_PROFILE = "[Backend]\\nType=blk\\nExecStart=/bin/false %%{socket}\\n"


@pytest.fixture
def errors(dom0):
    """Collects what is written to error nodes, which live no longer than the domain."""
    dom0.check("rm -f /tmp/errors; "
               "(timeout 9999 xenstore-watch /local/domain/0/backend/virtio_disk | "
               "while read -r path; do case $path in */error) "
               "echo \"$path = \\\"$(xenstore-read $path)\\\"\" >> /tmp/errors;; esac; done) "
               "</dev/null >/dev/null 2>&1 &")
    yield lambda: set(re.findall(ERROR_NODE, dom0.run("cat /tmp/errors").output))
    dom0.run("pkill xenstore-watch")


def create_fails(dom0, disk):
    """xl create fails, after the 10 s that libxl waits at most; returns what it printed."""
    guest = Guest(dom0, "fails", [disk], scripts.WRITE_FILES)
    result, seconds = dom0.timed(f"xl create {guest.config}")
    assert result.status != 0, result.output
    # The lab's clock leaps when everything waits for its disk, so there is some room.
    assert seconds < 60
    dom0.expect_clean()
    return result.output


class Toolstack:
    """Writes the nodes of a disk as libxl does, for what libxl itself would not let through."""

    def __init__(self, dom0):
        self.dom0 = dom0
        self.guest = Guest(dom0, "holder", [], None, memory=16)
        dom0.check(f"xl create -p {self.guest.config}")
        self.path = f"/local/domain/0/backend/virtio_disk/{self.guest.domid()}/51712"

    def ask(self, params, mode="w"):
        """Asks for a disk."""
        nodes = {"frontend": f"/local/domain/{self.guest.domid()}/device/virtio_disk/51712",
                 "frontend-id": self.guest.domid(), "online": 1, "params": params, "mode": mode,
                 "device-type": "disk", "dev": "xvda", "type": "standalone", "removable": 0,
                 "specification": "virtio", "transport": "mmio", "base": 0x2000000, "irq": 33,
                 "grant_usage": 0, "state": 1}
        self.dom0.check("xenstore-write " + " ".join(
            f"{self.path}/{node} {shlex.quote(str(value))}" for node, value in nodes.items()))

    def error(self):
        """The reason that we give for not serving it."""
        self.dom0.wait(f"xenstore-exists {self.path}/error", 10)
        return self.dom0.check(f"xenstore-read {self.path}/error").rstrip("\n")

    def take_back(self):
        """Takes the disk back, and waits for our consent."""
        self.dom0.check(f"xenstore-write {self.path}/online 0 {self.path}/state 5")
        self.dom0.wait(f"[ $(xenstore-read {self.path}/state) = 6 ]", 10)
        self.dom0.check(f"xenstore-rm {self.path}")


UNUSABLE = {
    "/srv/guests/missing.img": ".*: No such file or directory",
    "/srv/guests/folder.img": ".*: .*directory",
    "/srv/guests/link.img": ".*: No such file or directory",
    "/dev/null": ".*: is neither a regular file nor a block device",
    "relative.img": "params: .*relative.img.*",
}


def test_disks_that_cannot_be_served(dom0):
    dom0.check("mkdir -p /srv/guests/folder.img && ln -sf nowhere /srv/guests/link.img")
    toolstack = Toolstack(dom0)
    for params, reason in UNUSABLE.items():
        toolstack.ask(params)
        said = toolstack.error()
        assert re.fullmatch(reason, said, re.IGNORECASE), said
        assert said in dom0.journal("_SYSTEMD_UNIT=xen-virtiod.service")
        assert not dom0.run("pgrep qemu-storage").output
        toolstack.take_back()
    toolstack.guest.destroy()
    dom0.expect_clean()


@pytest.mark.only_kernel("lab")  # nothing here has to do with it
def test_backend_that_fails_at_once(dom0):
    disk = make_disk(dom0, "refused")
    dom0.check("mkdir -p /etc/xen-virtio/backends && "
               f"printf '{FALSE_PROFILE}' > /etc/xen-virtio/backends/00-false.conf && "
               "systemctl restart xen-virtiod")
    try:
        toolstack = Toolstack(dom0)
        toolstack.ask(disk.path)
        assert "status 1" in toolstack.error()
        toolstack.take_back()
        toolstack.guest.destroy()
    finally:
        dom0.check("rm -r /etc/xen-virtio/backends && systemctl restart xen-virtiod")
    dom0.expect_clean()


@pytest.mark.parametrize("prepare, reason", [
    ("true", "/srv/guests/wrong.img"),
    ("mkdir -p /srv/guests/wrong.img", "no suitable backend for disk xvda"),
], ids=["missing", "directory"])
def test_image_that_libxl_refuses_itself(dom0, prepare, reason):
    """In dom0 libxl looks at the image before it asks anybody, and says so."""
    dom0.check(f"mkdir -p /srv/guests; {prepare}")
    assert reason in create_fails(dom0, Disk("/srv/guests/wrong.img"))


def test_missing_backend_program(dom0, errors):
    disk = make_disk(dom0, "orphan")
    program = "/usr/bin/qemu-storage-daemon"
    dom0.check(f"mv {program} {program}.away")
    try:
        create_fails(dom0, disk)
    finally:
        dom0.check(f"mv {program}.away {program}")
    [reason] = errors()
    assert program in reason
    assert "No such file or directory" in reason
    assert "qemu-utils" in reason
    assert reason in dom0.journal("_SYSTEMD_UNIT=xen-virtiod.service")
