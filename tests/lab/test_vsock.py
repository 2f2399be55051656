# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest and programs of dom0 talk over sockets: the example of docs/devices/vsock.md."""

import os
from pathlib import Path

import pytest
from labkit import program
from labkit.apt import Apt, File, MissingFile, machine_mirror
from labkit.domu import MEMORY_MIB
from labkit.ui import Console, check

from lab import examples

HERE = Path(__file__).resolve().parent
LONG = bool(os.environ.get("XEN_VIRTIO_LONG"))
KERNELS = ("lab", "stock") if LONG else ("lab",)
SIZE = 4 << 20 if LONG else 256 << 10
VCPUS = 2 if LONG else 1  # docs/devices/vsock.md says why
CID, LISTENS, CONNECTS = 77, 1024, 2000
# Debian 13 has none, but that of a newer suite runs there.
VERSION = "0.3.0-2"
PACKAGE = File(f"vhost-device-vsock_{VERSION}_arm64.deb",
               f"{machine_mirror()}/pool/main/r/rust-vhost-device-vsock/"
               f"vhost-device-vsock_{VERSION}_arm64.deb",
               "af8c4a6b7001641605c0539303a1d4d4b4becf6ebcdccc0569c68e662c0de0fa")

SCRIPT = f"""\
fail() {{ echo "guest: FAILED $*"; poweroff -f; }}
mv /stream /bin/stream
[ "$(stream cid)" = {CID} ] || fail cid
head -c {SIZE} /dev/urandom > /tmp/sent
echo "guest: sends $(sha256sum < /tmp/sent)"
stream vsock listen {LISTENS} < /tmp/sent > /tmp/got || fail listen
echo "guest: accepted, got $(sha256sum < /tmp/got)"
stream vsock 2 {CONNECTS} < /tmp/sent > /tmp/got || fail connect
echo "guest: connected, got $(sha256sum < /tmp/got)"
"""

# dom0's end, whose input and output are the stream. It counts what it gets, as the backend does not
# tell it that the guest has half closed the stream.
TALK = f"""\
if [ "$1" = connect ]; then
    echo CONNECT {LISTENS}
    read -r line
    case $line in OK*) ;; *) exit 1 ;; esac
fi
cat /tmp/down &
head -c {SIZE} > "/tmp/up-$1"
wait
"""


@pytest.fixture
def backend(dom0, tmp_path):
    """dom0 has vhost-device-vsock."""
    try:
        [package] = Apt(Console()).fetch("vsock", [PACKAGE])
    except MissingFile:
        pytest.skip(f"Debian's archive has vhost-device-vsock {VERSION} no more")
    check("dpkg-deb", "--extract", package, tmp_path)
    (dom0.lab.share / "backend").write_bytes((tmp_path / "usr/bin/vhost-device-vsock").read_bytes())
    dom0.check("install -m 755 /mnt/lab/backend /usr/bin/vhost-device-vsock")
    yield
    dom0.run("systemctl stop lab-vsock; rm -f /usr/bin/vhost-device-vsock")


@pytest.mark.only_kernel(*KERNELS)
@pytest.mark.usefixtures("backend")
def test_streams(dom0):
    stream = program.build(HERE / "stream.c", dom0.lab.share)
    (dom0.lab.share / "talk").write_text(TALK, encoding="utf-8")
    dom0.check(f"head -c {SIZE} /dev/urandom > /tmp/down")
    guest = examples.make_guest(dom0, ["vsock"], SCRIPT, kernel=dom0.kernel_kind, devices=True,
                                vcpus=VCPUS, memory=MEMORY_MIB[dom0.kernel_kind] + 16,
                                files={"stream": stream.read_bytes()})
    guest.create()
    folder = f"/run/xen-virtio/{guest.domid()}-virtio-0"
    guest.wait_for("guest: listens")
    dom0.check("systemd-run -q -u lab-vsock socat "
               f"UNIX-LISTEN:{folder}/vsock_{CONNECTS},mode=666 EXEC:'sh /mnt/lab/talk accept'")
    dom0.wait(f"[ -S {folder}/vsock_{CONNECTS} ]")
    dom0.check(f"socat UNIX-CONNECT:{folder}/vsock EXEC:'sh /mnt/lab/talk connect'")
    down = dom0.check("sha256sum < /tmp/down").split()[0]
    guest.wait_for(f"guest: accepted, got {down}")
    guest.wait_for(f"guest: connected, got {down}")
    guest.wait_gone()
    for what in ("connect", "accept"):
        sent = dom0.check(f"sha256sum < /tmp/up-{what}").strip()
        assert f"guest: sends {sent}" in guest.console()
