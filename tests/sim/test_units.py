# SPDX-License-Identifier: LGPL-2.1-or-later
"""What systemd's own tool says of the units, as far as that takes no systemd that runs."""

import re
import shutil
import subprocess

import pytest

from sim.descriptor_store import MAXIMUM

LIMITS = {"xen-virtiod.service": 2.0, "xen-virtio-frontend@.service": 1.5,
          "xen-virtio-backend@.service": 2.0}
# What a drop-in adds for a device that has a disk.
DROPIN = ("ExecStart=/bin/true\nCapabilityBoundingSet=CAP_DAC_OVERRIDE\n"
          "AmbientCapabilities=CAP_DAC_OVERRIDE\n")

pytestmark = [
    pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze"),
    pytest.mark.plain_build("units are the same in both"),
]


def analyze(*arguments):
    """What it says, in any language that it may speak: English."""
    return subprocess.run(["systemd-analyze", *arguments], stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.STDOUT, env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin"})


def unit_copy(build, unit, folder):
    """A copy of the unit whose programs are there."""
    text = (build.path / "units" / unit).read_text()
    text = re.sub(r"^(Exec\w+=!?)/\S*xen-virtio\S+", r"\1/bin/true", text, flags=re.MULTILINE)
    if "ExecStart=" not in re.sub("#.*", "", text):
        text += DROPIN
    copy = folder / unit
    copy.write_text(text)
    return copy


@pytest.mark.parametrize("unit", LIMITS)
def test_exposure(build, unit, tmp_path, record_property):
    """The score is that of the templates; the lab asks for those that run."""
    output = analyze("security", "--offline=yes", "--no-pager",
                     unit_copy(build, unit, tmp_path)).stdout
    score = float(re.search(r"Overall exposure level.*: ([0-9.]+)", output)[1])
    record_property("figure", f"exposure of {unit}: {score}")
    assert score <= LIMITS[unit], output


@pytest.mark.parametrize("unit", LIMITS)
def test_every_directive_is_known(build, unit, tmp_path):
    """To the oldest systemd that is supported, where these tests run on it."""
    output = analyze("verify", "--man=no", unit_copy(build, unit, tmp_path)).stdout
    ours = [line for line in output.splitlines() if unit.split("@")[0].split(".")[0] in line]
    assert not ours, output


def test_descriptors_are_kept(build):
    """As many as a frontend leaves: connection, channel, call, and the kicks of 64 queues."""
    text = (build.path / "units/xen-virtio-frontend@.service").read_text()
    assert f"FileDescriptorStoreMax={MAXIMUM}\n" in text
    assert MAXIMUM == 3 + 64
