# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the journal gets of xen-virtiod, and what people read when something is wrong."""

import re
import socket
import subprocess

import pytest

from sim.host import NEEDS, wait
from sim.slack import slack

pytestmark = NEEDS

NO_ROOM = "there is no room for the device's files in /run/xen-virtio"
SMALL = 'mkdir -p /run/xen-virtio; mount -t tmpfs -o nr_inodes=8 none /run/xen-virtio; exec "$@"'


@pytest.fixture
def host(stopped_host):
    """A host whose daemon is not started."""
    return stopped_host


class Journal:
    """The journal's socket."""

    def __init__(self, folder):
        (folder / "run/systemd/journal").mkdir()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(folder / "run/systemd/journal/socket"))
        self._socket.settimeout(10 * slack())

    def wait_for(self, text):
        """The fields of the next message whose text has this in it."""
        while True:
            data = self._socket.recv(65536).decode()
            fields = dict(re.findall(r"^([A-Z_]+)=(.*)$", data, re.MULTILINE))
            if text in fields.get("MESSAGE", ""):
                return fields


def message_id(source, name):
    """Its number in log.h."""
    text = (source / "common/log.h").read_text()
    return re.search(rf'#define LOG_ID_{name}\s+"(\w+)"', text)[1]


def test_mistakes_have_ids(host, source):
    """So that a program can watch for them, as for the events of a device's life."""
    journal = Journal(host.folder)
    (host.folder / "share/xen-virtio/backends/bad.conf").write_text("[Backend]\nNonsense=1\n")
    host.start(["env", "JOURNAL_STREAM=1:1"]).wait_ready()
    fields = journal.wait_for("bad.conf")
    assert fields["MESSAGE_ID"] == message_id(source, "CONFIGURATION")
    assert fields["PRIORITY"] == "3" and "VIRTIO_DEVICE" not in fields
    guest = host.guest(5)
    guest.add(0, base="x")
    fields = journal.wait_for("base:")
    assert fields["MESSAGE_ID"] == message_id(source, "NODES_REFUSED")
    assert (fields["PRIORITY"], fields["VIRTIO_DEVICE"]) == ("3", "5-virtio-0")
    guest.add(0)
    wait(lambda: host.serves("5-virtio-0"))
    guest.add(0, irq="x")
    fields = journal.wait_for("ignoring")
    assert fields["MESSAGE_ID"] == message_id(source, "NODES_REFUSED")
    assert (fields["PRIORITY"], fields["XEN_DOMID"]) == ("4", "5")


def test_no_room_for_files(host):
    """Xen says "no space" of its servers, a file system of itself: people must know which."""
    daemon = host.start(["sh", "-c", SMALL, "-"]).wait_ready()
    guest = host.guest(5, 4)

    def is_full():
        """Those that are not served say why, and what was claimed for them is given back."""
        errors = [guest.error(devid) for devid in range(4)]
        served = [devid for devid in range(4) if not errors[devid]]
        return (set(errors) - {None} == {NO_ROOM} and len(guest.servers()) == len(served)
                and all(guest.state(devid) == "2" for devid in served))

    wait(is_full)  # each tries again and again, so that it is so now and then only
    subprocess.run(["nsenter", f"--target={daemon.process.pid}", "--mount", "mount", "-o",
                    "remount,nr_inodes=1000", "/run/xen-virtio"], check=True)
    wait(lambda: all(guest.state(devid) == "2" for devid in range(4)))
    wait(lambda: not any(guest.error(devid) for devid in range(4)))


def test_no_more_servers(host):
    """Which is what Xen says, and nothing else is called so."""
    guest = host.guest(5)
    for number in range(8):
        (guest.folder / str(number)).write_text("0x1000 0\n")  # another emulator's
    host.start().wait_ready()
    guest.add(0)
    wait(lambda: guest.error(0) == "the guest has as many IOREQ servers as Xen allows")
    (guest.folder / "3").unlink()
    wait(lambda: guest.state(0) == "2")
