# SPDX-License-Identifier: LGPL-2.1-or-later
"""The profiles that are shipped, on a host that has none of their backends."""

import re
from pathlib import Path

from sim.host import NEEDS, wait

BACKENDS = Path(__file__).resolve().parents[2] / "orchestrator/backends"
# Of those that are shipped, and the type of their devices.
PACKAGES = {"passt": "1", "virtiofsd": "1a", "vhost-device-vsock": "13"}

pytestmark = NEEDS


def test_backends_that_are_not_installed(stopped_host, build):
    """Node, journal and xen-virtioctl say which program, and whose; the neighbour is served."""
    host = stopped_host
    profiles = host.folder / "share/xen-virtio/backends"
    guests = host.folder / "etc/xen-virtio/guests"
    for package in PACKAGES:
        shipped = (BACKENDS / f"{package}.conf").read_text(encoding="utf-8")
        (profiles / f"00-{package}.conf").write_text(
            re.sub(r"^ExecStart=\S+", f"ExecStart={host.folder}/{package}", shipped, flags=re.M),
            encoding="utf-8")
    guests.mkdir(parents=True)
    (guests / "guest5.conf").write_text("[fs]\nshared_dir=/tmp\n", encoding="utf-8")
    host.start().wait_ready()
    guest = host.guest(5, 1)
    for devid, (package, number) in enumerate(PACKAGES.items(), 1):
        guest.add(devid, type=f"virtio,device{number}")
        reason = wait(lambda devid=devid: guest.error(devid))
        assert f" {host.folder}/{package}: No such file or directory" in reason
        assert reason.endswith(f"Debian's package {package} has it")
        assert reason in host.log
        assert reason in host.ctl(build, "show", f"5-virtio-{devid}")
        assert f"xen-virtio-backend@5-virtio-{devid}.service" not in host.systemd.active()
    wait(lambda: host.units_of("5-virtio-0") <= host.systemd.active())
