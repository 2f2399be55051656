# SPDX-License-Identifier: LGPL-2.1-or-later
"""The preload library does nothing to descriptors that are not privcmd's, marked or not, and opens
the backend's socket alone to the frontend."""

import os
import subprocess

import pytest
from conftest import builds

LIBRARY = builds()[0].path / "preload/libxen-virtio-mmap.so"
FULL_PRIVCMD = builds()[0].path / "tests/sim/libxen-virtio-full-privcmd.so"
SIZE = 0x10000

# What a backend does with a descriptor of guest memory, done to another one.
PROGRAM = f"""
import fcntl, mmap, os, sys
fd = {{opened}}
if {{mark}}:
    fcntl.fcntl(fd, 10, {{mark}})  # F_SETSIG
with mmap.mmap(fd, {SIZE}) as area:
    area[0:5] = b"guest"
    assert area[0:5] == b"guest"
os.lseek(fd, 0, os.SEEK_END)
print("mapped")
"""
BIND_PROGRAM = """
import os, socket, sys
os.umask(0o077)
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
print(oct(os.stat(sys.argv[1]).st_mode & 0o777))
"""
FULL_PROGRAM = f"""
import errno, fcntl, mmap, os
fd = os.open('/dev/zero', os.O_RDWR)
fcntl.fcntl(fd, 10, 1)  # F_SETSIG
try:
    mmap.mmap(fd, {SIZE})
except OSError as error:
    print(errno.errorcode[error.errno])
"""
MEMORY_FILE = f"os.memfd_create('ram'); os.ftruncate(fd, {SIZE})"


def run(opened, mark, environment):
    """Runs the program with the library loaded into it."""
    preload = {"LD_PRELOAD": str(LIBRARY), **environment}
    return subprocess.run(["/usr/bin/python3", "-c", PROGRAM.format(opened=opened, mark=mark)],
                          env={**os.environ, **preload}, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)


@pytest.mark.parametrize("environment", [
    {}, {"XEN_VIRTIO_DOMID": "5", "XEN_VIRTIO_MEMORY": f"0x40000000+{SIZE:#x}"},
    {"XEN_VIRTIO_DOMID": "none", "XEN_VIRTIO_MEMORY": "none"}], ids=["unset", "set", "wrong"])
@pytest.mark.parametrize("mark", [0, 1, 2, 64])
@pytest.mark.parametrize("opened", [MEMORY_FILE, "os.open('/dev/zero', os.O_RDWR)"],
                         ids=["memfd", "character device"])
def test_inert(opened, mark, environment):
    result = run(opened, mark, environment)
    assert result.stdout == "mapped\n"


def test_no_room():
    """It is said, without an allocation of memory, for which passt's sandbox would kill it."""
    environment = dict(os.environ, LD_PRELOAD=f"{FULL_PRIVCMD} {LIBRARY}", XEN_VIRTIO_DOMID="5",
                       XEN_VIRTIO_MEMORY=f"0x40000000+{SIZE:#x}")
    result = subprocess.run(["/usr/bin/python3", "-c", FULL_PROGRAM], env=environment,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True)
    assert result.stdout == (
        "libxen-virtio-mmap: cannot map memory of domain 5 at 0x40000000: Cannot allocate memory "
        "(xen-virtioctl doctor says how much there is room for)\nENOMEM\n")


@pytest.mark.parametrize("told, mode", [("a.sock", "0o666"), ("a.soc", "0o700"),
                                        ("a.sock2", "0o700"), ("", "0o700"), (None, "0o700")])
def test_frontend_can_connect(tmp_path, told, mode):
    path = tmp_path / "a.sock"
    environment = dict(os.environ, LD_PRELOAD=str(LIBRARY))
    if told is not None:
        environment["XEN_VIRTIO_SOCKET"] = str(tmp_path / told) if told else ""
    result = subprocess.run(["/usr/bin/python3", "-c", BIND_PROGRAM, path], env=environment,
                            stdout=subprocess.PIPE, text=True, check=True)
    assert result.stdout == f"{mode}\n"
