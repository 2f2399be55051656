# SPDX-License-Identifier: LGPL-2.1-or-later
"""The ways that kicks and calls can go, on kernels that have them and on those that do not."""

import re

import pytest
from labkit.domu import Guest, check_image, make_disk

from lab import scripts

DROPIN = "/etc/systemd/system/xen-virtio-frontend@.service.d"
TEXTS = {"relay": "relayed", "irqfd": "interrupts by the kernel (irqfd)",
         "kernel": "by the kernel (irqfd, ioeventfd)"}
REQUESTS = 400
READ = (f"dd if=/dev/vda of=/dev/null bs=4k count={REQUESTS} iflag=direct 2>/dev/null || "
        'echo "guest: FAILED read"\n')
# Says when it has begun, waits for the first round to be counted, and reads.
COUNTED = f'echo "guest: up"\nsleep 5\n{READ}echo "guest: read"\nsleep 100\n'


@pytest.fixture
def notify(dom0):
    """Makes all frontends that start from now on go this way."""
    def set_path(setting):
        dom0.check(f"mkdir -p {DROPIN} && printf '[Service]\\nEnvironment=XEN_VIRTIO_NOTIFY="
                   f"{setting}\\n' > {DROPIN}/test.conf && systemctl daemon-reload")

    yield set_path
    dom0.run(f"rm -rf {DROPIN}; systemctl daemon-reload")


def chosen(dom0, guest):
    """What the frontend says of its notifications: in the journal and in its status."""
    [unit] = guest.units("frontend")
    lines = re.findall("notifications: (.*)", dom0.journal(f"_SYSTEMD_UNIT={unit}"))
    status = dom0.check(f"systemctl show -P StatusText {unit}").strip()
    assert status == f"Notifications: {lines[-1]}"
    return lines


@pytest.fixture(autouse=True)
def no_handler_stays(dom0):
    """dom0's kernel handles no more event channels itself than before."""
    def handlers():
        return dom0.check("cat /proc/interrupts").count("ioeventfd")

    before = handlers()
    yield
    assert handlers() == before


def wakeups(dom0, guest):
    """How often the frontend has gone to sleep so far."""
    [unit] = guest.units("frontend")
    return int(dom0.check("awk '/^voluntary/ {print $2}' /proc/$(systemctl show -P MainPID "
                          f"{unit})/status"))


@pytest.mark.only_kernel("lab")
def test_destroy_and_reboot_under_load(dom0, notify):
    notify("kernel")
    guest = Guest(dom0, "load", [make_disk(dom0, "load")], scripts.WORK)
    guest.create()
    guest.wait_for("guest: round 1")
    dom0.check("xl reboot load")
    guest.wait_for("sums of /dev/vda are right", count=2)
    guest.wait_for("guest: round", count=4)
    assert guest.destroy() < 2
    dom0.expect_clean()


@pytest.mark.only_kernel("lab")
def test_kill_while_bound(dom0, notify):
    """The next frontend takes the device over; what the kernel had of the last one is gone."""
    notify("auto")
    guest = Guest(dom0, "killed", [make_disk(dom0, "killed")], scripts.WORK)
    guest.create()
    guest.wait_for("guest: round 1")
    [unit] = guest.units("frontend")
    before = guest.pids()[unit]
    dom0.check(f"systemctl kill --signal=KILL {unit}")
    dom0.wait(f"[ $(systemctl show -P MainPID {unit}) != {before} ] && "
              f"systemctl is-active --quiet {unit}", 20)
    assert chosen(dom0, guest) == [TEXTS["irqfd"]] * 2
    assert guest.destroy() < 2
    dom0.expect_clean()


@pytest.mark.only_kernel("lab")
@pytest.mark.parametrize("setting", ["irqfd", "kernel"])
def test_wakeups_for_a_request(dom0, notify, figures, setting):
    """A kick, InterruptStatus and InterruptACK, but no call; an event channel wakes us for a kick
    that the kernel has answered, too."""
    notify(setting)
    guest = Guest(dom0, "counted", [make_disk(dom0, "counted")], COUNTED)
    guest.create()
    guest.wait_for("guest: up")
    before = wakeups(dom0, guest)
    guest.wait_for("guest: read")
    assert "FAILED" not in guest.console()
    each = (wakeups(dom0, guest) - before) / REQUESTS
    figures(f"wake-ups of the frontend for a request, {setting}", f"{each:.2f}")
    assert 2.5 < each < 3.2
    guest.destroy()
    dom0.expect_clean()


@pytest.mark.only_kernel("stock")
def test_kernel_without_paths(dom0, notify):
    notify("kernel")
    disk = make_disk(dom0, "stock")
    guest = Guest(dom0, "stock", [disk], scripts.WRITE_FILES + "sleep 100\n")
    guest.create()
    assert chosen(dom0, guest) == [TEXTS["relay"]]
    guest.wait_for("guest: done")
    guest.destroy()
    check_image(dom0, disk, "sha256sum -c GUEST_SUMS")
