# SPDX-License-Identifier: LGPL-2.1-or-later
"""The control socket of xen-virtiod: who may what, and clients that mean no good."""

import contextlib
import grp
import os
import shutil
import socket
import struct
import subprocess
import tempfile
import time

import pytest

from sim.process import status_number
from sim.slack import has_passed, slack
from sim.test_ctl import DISK, NOBODY, WAIT, Daemon, settle

MIB = 1 << 20
HELLO = b"\0AUTH EXTERNAL 30\r\nBEGIN\r\n"
OTHER = ["setpriv", "--reuid=65533", "--regid=65534", "--clear-groups"]

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")


@pytest.fixture
def make_daemon(build):
    """Makes a daemon for these readers, in a folder that everybody gets to."""
    with contextlib.ExitStack() as stack:
        def make(readers="everybody"):
            folder = tempfile.mkdtemp(prefix="xen-virtio-test-")
            stack.callback(shutil.rmtree, folder)
            daemon = Daemon(build, folder, readers)
            stack.callback(daemon.stop)
            daemon.tell(DISK)
            settle(daemon, 1)
            return daemon
        yield make


@pytest.fixture
def daemon(make_daemon):
    """One that everybody may ask."""
    return make_daemon()


def connect(daemon, hello=HELLO):
    """A client that has said who it is, whoever that is."""
    client = socket.socket(socket.AF_UNIX)
    client.connect(daemon.socket)
    client.settimeout(WAIT * slack())
    client.sendall(hello)
    return client


def call(member, serial, *arguments, size=None):
    """A method call with texts. It may lie about the size of its arguments."""
    body = b""
    for text in arguments:
        body += bytes(-len(body) % 4) + struct.pack("<I", len(text)) + text + b"\0"
    fields = b""
    if arguments:
        kinds = b"s" * len(arguments)
        fields = b"\x08\1g\0" + bytes([len(kinds)]) + kinds + b"\0"
    for code, kind, value in ((1, b"o", b"/org/xenvirtio1"), (2, b"s", b"org.xenvirtio1.Manager"),
                              (3, b"s", member)):
        fields += bytes(-len(fields) % 8) + bytes([code, 1]) + kind + b"\0"
        fields += struct.pack("<I", len(value)) + value + b"\0"
    header = struct.pack("<cBBBIII", b"l", 1, 0, 1, len(body) if size is None else size,
                         serial, len(fields))
    return header + fields + bytes(-len(fields) % 8) + body


def descriptors(daemon):
    """How many it has open."""
    return len(os.listdir(f"/proc/{daemon._process.pid}/fd"))


def wait_descriptors(daemon, limit):
    """Waits until it has no more open: it has noticed who has gone."""
    start = time.monotonic()
    while descriptors(daemon) > limit:
        assert not has_passed(start, WAIT)
        time.sleep(0.01)


def hung_up(client):
    """Whether the other side has ended the connection, after all that it has sent before."""
    try:
        while client.recv(1 << 20):
            pass
    except ConnectionError:
        pass
    return True


def resident_kib(daemon):
    return status_number(daemon._process.pid, "VmRSS")


def test_everybody_may_look(daemon):
    """Unless configured otherwise; and only root may change anything."""
    assert "guest1" in daemon.ctl("list", before=NOBODY)
    assert "guest1" in daemon.ctl("show", "5-disk-51712", before=NOBODY)
    assert "xenvirtio_info" in daemon.ctl("metrics", before=NOBODY)
    daemon.ctl("restart", "5-disk-51712", before=NOBODY, status=4)
    daemon.ctl("restart", "5-disk-51712")
    assert daemon.line() == "restart 5-disk-51712 backend frontend"


def may_look(daemon, *, uid=65534, gid=65534, groups=None):
    """Whether a process with these may; or else is told that it may not, whatever it asks."""
    who = ["setpriv", f"--reuid={uid}", f"--regid={gid}",
           f"--groups={groups}" if groups else "--clear-groups"]
    status = subprocess.run([*who, *daemon._ctl, "list"], capture_output=True).returncode
    if status == 0:
        return True
    for arguments in (["list"], ["show", "5-disk-51712"], ["metrics"], ["events"]):
        daemon.ctl(*arguments, before=who, status=4)
    status = subprocess.run([*who, "busctl", f"--address=unix:path={daemon.socket}",
                             "get-property", "org.xenvirtio1", "/org/xenvirtio1",
                             "org.xenvirtio1.Manager", "Status"], capture_output=True)
    assert status.returncode != 0 and b"denied" in status.stderr
    return False


def test_root_alone(make_daemon):
    daemon = make_daemon("root")
    assert not may_look(daemon)
    assert "guest1" in daemon.ctl("list")


def test_a_group(make_daemon):
    """Whichever of a process's groups it is; root needs none."""
    adm = grp.getgrnam("adm").gr_gid
    daemon = make_daemon("adm")
    assert may_look(daemon, gid=adm)
    assert may_look(daemon, groups=f"100,{adm}")
    assert not may_look(daemon)
    assert not may_look(daemon, groups=f"100,{adm + 1}")
    daemon.ctl("restart", "5-disk-51712", status=4,
               before=["setpriv", "--reuid=65534", f"--regid={adm}", "--clear-groups"])
    assert "guest1" in daemon.ctl("list")


def test_who_one_says_to_be(daemon):
    """Only the kernel is believed: somebody else who says to be root is still somebody else."""
    order = call(b"RestartDevice", 1, b"5-disk-51712", b"")
    script = (f"import socket; s = socket.socket(socket.AF_UNIX); s.connect({daemon.socket!r});"
              f"s.sendall({HELLO!r}); s.recv(4096); s.sendall({order!r}); d = b''\n"
              "while b'DBus.Error' not in d:\n d += s.recv(65536)\nprint(d)")
    answer = subprocess.run([*NOBODY, "/usr/bin/python3", "-c", script], capture_output=True,
                            text=True, timeout=WAIT * slack(), check=True).stdout
    assert "AccessDenied" in answer
    assert "guest1" in daemon.ctl("list")


def test_too_many_connections(daemon):
    """One more than are served is hung up on; when one goes there is room again."""
    before, connections = descriptors(daemon), []
    for _ in range(16):
        connections.append(socket.socket(socket.AF_UNIX))
        connections[-1].connect(daemon.socket)
    daemon.ctl("list", status=3)
    assert "guest1" in daemon.ctl("list", before=NOBODY)
    for connection in connections:
        connection.close()
    wait_descriptors(daemon, before)
    settle(daemon, 1)


def test_too_many_connections_of_others(daemon):
    """A user cannot keep out another one, and all of them together not root."""
    script = (f"import socket, sys\nl = [socket.socket(socket.AF_UNIX) for _ in range(40)]\n"
              f"for s in l:\n s.connect({daemon.socket!r})\nprint(flush=True)\nsys.stdin.read()")
    with contextlib.ExitStack() as stack:
        for uid in (65534, 65532, 65531, 65530):
            process = subprocess.Popen(
                ["setpriv", f"--reuid={uid}", "--regid=65534", "--clear-groups",
                 "/usr/bin/python3", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            stack.enter_context(process)
            process.stdout.read(1)
            if uid == 65534:
                daemon.ctl("list", before=NOBODY, status=3)
                before = descriptors(daemon)
                assert "guest1" in daemon.ctl("list", before=OTHER)
                wait_descriptors(daemon, before)
        daemon.ctl("list", before=OTHER, status=3)
        assert "guest1" in daemon.ctl("list")


def test_client_that_does_not_read(daemon):
    """It is dropped, and disturbs nobody."""
    with connect(daemon) as client:
        settle(daemon, 1)
        for _ in range(60):  # some 18 MB, of which the kernel keeps 8 for it
            daemon.tell(*[f"{DISK} {'x' * 3000}"] * 100)
            settle(daemon, 1)
        assert hung_up(client)
    assert "5-disk-51712" in daemon.ctl("list")


@pytest.mark.plain_build(reason="the sanitizer copies memory that is to become larger")
def test_client_that_begins_a_large_message(daemon):
    """It gets no memory for what it has announced, and not to its end."""
    before = resident_kib(daemon)
    with connect(daemon) as client:
        with contextlib.suppress(ConnectionError):
            client.sendall(call(b"ListDevices", 1, size=100 * MIB))
            for _ in range(100):
                client.sendall(bytes(MIB))
        assert hung_up(client)
    assert "guest1" in daemon.ctl("list")
    assert resident_kib(daemon) - before <= 2 * 1024 + 512


def test_client_that_floods(daemon):
    """It asks without an end, and reads no answer; others are answered meanwhile."""
    with connect(daemon) as client:
        with contextlib.suppress(ConnectionError):
            for serial in range(1, 1 << 16):
                client.sendall(call(b"GetMetrics", serial))
                if serial % 1000 == 0:
                    assert "guest1" in daemon.ctl("list")
        assert hung_up(client)
    assert "guest1" in daemon.ctl("list")


def test_half_messages(daemon):
    """Whatever is cut off anywhere, and nonsense: nobody else notices."""
    message = HELLO + call(b"ListDevices", 1)
    for length in range(0, len(message), 7):
        with connect(daemon, message[:length]) as client:
            client.shutdown(socket.SHUT_WR)
            assert hung_up(client)
    for nonsense in (b"\xff" * 100, b"\0AUTH\r\n" * 100, HELLO + b"\xff" * 1000,
                     HELLO + b"l\1\0\1" + b"\xff" * 100):
        with connect(daemon, nonsense) as client:
            client.shutdown(socket.SHUT_WR)
            assert hung_up(client)
    assert "guest1" in daemon.ctl("list")


def test_descriptors(daemon):
    """Those that come with a message are nobody's here."""
    before = descriptors(daemon)
    with connect(daemon) as client, open("/dev/null", "rb") as null:
        for serial in range(1, 50):
            socket.send_fds(client, [call(b"ListDevices", serial)], [null.fileno()] * 100)
        wait_descriptors(daemon, before + 5)  # what a connection takes
    assert "guest1" in daemon.ctl("list")
