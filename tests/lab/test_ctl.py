# SPDX-License-Identifier: LGPL-2.1-or-later
"""xen-virtioctl without any device; test_running.py has one for it."""


def test_no_devices(dom0):
    assert dom0.check("xen-virtioctl list") == "No devices.\n"


def test_exit_status(dom0):
    assert dom0.run("xen-virtioctl show 1-disk-1").status == 1
    assert dom0.run("xen-virtioctl").status == 2
    assert dom0.run("xen-virtioctl --nonsense list").status == 2
    dom0.check("systemctl stop xen-virtiod")
    assert dom0.run("xen-virtioctl list").status == 3
    dom0.check("systemctl start xen-virtiod")
    assert dom0.check("xen-virtioctl --version").startswith("xen-virtioctl ")
