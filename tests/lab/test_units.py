# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the units let their processes do: users, files, rights, scores."""

import re

import pytest
from labkit.domu import Disk, Guest

pytestmark = pytest.mark.only_kernel("lab")

# Four places of images: with the others, in a folder of its own, behind a link, and one with a name
# that systemd cannot bind.
IMAGES = ("/srv/guests/usual.img", "/data/apart.img", "/data-link/linked.img", "/data/a:b.img")
CAN_WRITE = 1 << 1  # CAP_DAC_OVERRIDE
SCORES = {"xen-virtio-frontend@": 1.5, "xen-virtio-backend@": 2.0, "xen-virtiod": 2.0}


@pytest.fixture(scope="module")
def idle(dom0):
    """A guest that does nothing, whose backends have opened their images nevertheless."""
    dom0.check("rm -rf /data && mkdir -p /srv/guests /data && ln -sfn /data /data-link && "
               f"for image in {' '.join(IMAGES)} /srv/guests/other.img /data/other.img; do "
               "truncate -s 1M $image && chmod 600 $image; done")
    guest = Guest(dom0, "idle", [Disk(path) for path in IMAGES], None)
    guest.create()
    dom0.wait(f"[ $(xen-virtioctl list | grep -c ready) = {len(IMAGES)} ]")
    yield guest
    guest.destroy()
    owners = dom0.check(f"stat -c '%u %g %a' {' '.join(IMAGES)}").splitlines()
    assert set(owners) == {"0 0 600"}
    dom0.check("rm -r /data /data-link")
    dom0.expect_clean()


@pytest.fixture(autouse=True)
def tidy():
    """The guest stays for the next test."""


def backends(guest):
    """Its backends' processes, by the images' order, which is that of the devices."""
    units = sorted(guest.units("backend"), key=lambda unit: int(re.findall(r"\d+", unit)[-1]))
    pids = guest.pids()
    return [(unit, pids[unit]) for unit in units]


def inside(dom0, pid, command):
    """What a command says that is in a process's name space, with its user and its rights."""
    user = dom0.check(f"awk '/^Uid/ {{print $3}}' /proc/{pid}/status").strip()
    rights = "dac_override" if right_bits(dom0, pid) else ""
    return dom0.run(
        f"nsenter --target {pid} --mount setpriv --reuid {user} --regid {user} --clear-groups "
        f"--inh-caps=-all,+{rights} --ambient-caps=-all,+{rights} --bounding-set=-all,+{rights} "
        f"{command}")


def right_bits(dom0, pid):
    """Its effective capabilities."""
    return int(dom0.check(f"awk '/^CapEff/ {{print $2}}' /proc/{pid}/status"), 16)


def test_processes_are_users_of_their_own(dom0, idle):
    users = [dom0.check(f"awk '/^Uid/ {{print $2, $3, $4}}' /proc/{pid}/status")
             for pid in idle.pids().values()]
    assert len(set(users)) == len(users) == 2 * len(IMAGES)
    for user in users:
        assert len(set(user.split())) == 1
        assert int(user.split()[0]) >= 0xEF00  # one that systemd made: 61184 and up


def test_backends_have_one_right(dom0, idle):
    for _, pid in backends(idle):
        assert right_bits(dom0, pid) == CAN_WRITE


def test_backends_see_their_image_alone(dom0, idle):
    (_, usual), (_, apart), (_, linked), _ = backends(idle)
    for pid, image, name in ((usual, IMAGES[0], "usual"), (apart, IMAGES[1], "apart"),
                             (linked, IMAGES[2], "linked")):
        seen = inside(dom0, pid, "find /srv /data /var /home /root /mnt -type f")
        assert re.findall(r"(\w+)\.img", seen.output) == [name], seen.output
        copied = inside(dom0, pid, f"dd if={image} of={image} bs=512 count=1 conv=notrunc")
        assert copied.status == 0, copied.output


@pytest.mark.parametrize("image", (0, 3))
def test_backends_get_at_nothing_of_xens(dom0, idle, image):
    """What stands in /dev the control group keeps from them too, of which they are."""
    _, pid = backends(idle)[image]
    paths = ["/proc/xen/xenbus", "/proc/xen/privcmd", "/run/xenstored/socket",
             "/sys/kernel/debug/xen"]
    if image == 0:
        paths += ["/dev/xen/privcmd", "/dev/xen/gntdev", "/etc/shadow"]
    for path in paths:
        assert inside(dom0, pid, f"dd if={path} count=0").status != 0, path


def test_backends_leave_their_folder_as_it_is(dom0, idle):
    unit, pid = backends(idle)[0]
    folder = "/run/xen-virtio/" + unit.split("@")[1].removesuffix(".service")
    for command in ("rm -f launch", "mv frontend x", "cp /bin/true launch"):
        result = inside(dom0, pid, f"sh -c 'cd {folder} && {command}'")
        assert result.status != 0, command


def test_scores(dom0, idle, figures):
    for prefix, limit in SCORES.items():
        unit = next((unit for unit in idle.pids() if unit.startswith(prefix)), prefix)
        text = dom0.check(f"systemd-analyze security --no-pager {unit}")
        score = float(re.search(r"Overall exposure level.*: ([0-9.]+)", text)[1])
        figures(f"exposure of {prefix}", score)
        assert score <= limit, text
