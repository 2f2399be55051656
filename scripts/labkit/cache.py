# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where the lab keeps what it builds: outside the checkout, one folder per set of inputs."""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from pathlib import Path


def root():
    """The folder of everything that the lab downloads, builds and runs."""
    explicit = os.environ.get("XEN_VIRTIO_LAB_CACHE")
    if explicit:
        return Path(explicit).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).absolute() / "xen-virtio-lab"


def logs():
    """The folder of full build logs."""
    return root() / "log"


def work():
    """The folder of unfinished work that a later run can continue."""
    return root() / "work"


def digest(inputs):
    """A short name for a set of inputs: equal inputs, equal name."""
    text = json.dumps(inputs, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_sha256(path):
    """The SHA-256 of a file."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextlib.contextmanager
def lock(name):
    """Only one process at a time builds one thing."""
    path = root() / "lock" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="ascii") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def write_atomically(path, text):
    """Writes a small file so that a reader sees the old or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def artifact(kind, inputs, build):
    """The folder made from these inputs; build(folder) fills it when it does not exist.

    The folder gets its name only when it is complete, so an interruption leaves nothing that
    looks finished.
    """
    final = root() / kind / digest(inputs)
    if final.is_dir():
        return final
    with lock(kind):
        if final.is_dir():
            return final
        partial = final.with_name(final.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        build(partial)
        (partial / "inputs.json").write_text(json.dumps(inputs, indent=1, default=str))
        partial.rename(final)
    return final


def forget_unused(used):
    """Removes finished artifacts that are not among the used ones, and unfinished work."""
    removed = []
    keep = {path.parent.name for path in used}
    for kind in keep:
        for folder in (root() / kind).iterdir():
            if folder not in used:
                shutil.rmtree(folder)
                removed.append(folder)
    if work().is_dir():
        shutil.rmtree(work())
        removed.append(work())
    return removed
