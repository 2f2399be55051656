# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest and dom0 talk, by vhost-device-vsock: the example of docs/devices/vsock.md."""

import os
from pathlib import Path

import pytest
from labkit import program

from lab import examples

PROGRAM = "/usr/bin/vhost-device-vsock"
CID, GUEST_PORT, HOST_PORT = 77, 1024, 2000

SCRIPT = f"""\
fail() {{ echo "guest: FAILED $*"; poweroff -f; }}
[ "$(/vsock cid)" = {CID} ] || fail cid
head -c 300000 /dev/urandom > /tmp/mine
echo "guest: mine $(sha256sum < /tmp/mine)"
/vsock listen {GUEST_PORT} < /tmp/mine > /tmp/got || fail listen
echo "guest: got $(sha256sum < /tmp/got)"
/vsock connect 2 {HOST_PORT} < /tmp/mine > /tmp/got || fail connect
echo "guest: done"
"""


@pytest.fixture
def backend(dom0):
    """The backend, which Debian 13 has not; XEN_VIRTIO_VSOCK is a program for dom0."""
    given = os.environ.get("XEN_VIRTIO_VSOCK")
    if not given:
        pytest.skip("no vhost-device-vsock for dom0: XEN_VIRTIO_VSOCK names one")
    install(dom0, given)
    yield
    dom0.run(f"systemctl stop lab-vsock; rm -f {PROGRAM}")


def install(dom0, path):
    """Puts the program into dom0."""
    (dom0.lab.share / "vhost-device-vsock").write_bytes(Path(path).read_bytes())
    dom0.check(f"install /mnt/lab/vhost-device-vsock {PROGRAM}")


@pytest.mark.only_kernel("lab")
@pytest.mark.usefixtures("backend")
def test_streams_both_ways(dom0):
    tool = program.build(Path(__file__).with_name("vsock.c"), dom0.lab.share)
    guest = examples.make_guest(dom0, ["vsock"], SCRIPT, files={"vsock": tool.read_bytes()})
    guest.create()
    folder = f"/run/xen-virtio/{guest.domid()}-virtio-0"
    guest.wait_for("guest: listening", timeout=30)
    dom0.check("head -c 200000 /dev/urandom > /tmp/theirs; rm -f /tmp/put; "
               f"(echo CONNECT {GUEST_PORT}; sleep 0.5; cat /tmp/theirs) | "
               f"socat -t 5 - UNIX-CONNECT:{folder}/vsock > /tmp/back")
    guest.wait_for(f"guest: got {dom0.check('sha256sum < /tmp/theirs')[:64]}", timeout=30)
    # The first line is the backend's: OK and a port.
    back = dom0.check("tail -n +2 /tmp/back | sha256sum")[:64]
    guest.wait_for(f"guest: mine {back}", timeout=5)

    dom0.check("systemd-run -q -u lab-vsock socat -u "
               f"UNIX-LISTEN:{folder}/vsock_{HOST_PORT},mode=666 CREATE:/tmp/put")
    guest.wait_for("guest: done", timeout=60)
    assert dom0.check("sha256sum < /tmp/put")[:64] == back
