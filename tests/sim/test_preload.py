# SPDX-License-Identifier: LGPL-2.1-or-later
"""The preload library does nothing to descriptors that are not privcmd's, marked or not."""

import os
import subprocess

import pytest
from conftest import builds

LIBRARY = builds()[0].path / "preload/libxen-virtio-mmap.so"
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
