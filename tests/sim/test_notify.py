# SPDX-License-Identifier: LGPL-2.1-or-later
"""Kicks and calls that the kernel passes on, and those that it does not."""

import errno
import os
import re
import time
from pathlib import Path

import pytest

from sim.guest import (BLK_IN, CONFIG_CHANGED, INTERRUPT_STATUS, QUEUE_READY, QUEUE_SEL,
                       QUEUE_USED, SECTOR)
from sim.memory import MIB

RELAY, IRQFD, KERNEL = set(), {None}, {None, 0}
TEXTS = {"relay": "relayed", "irqfd": "interrupts by the kernel (irqfd)",
         "kernel": "by the kernel (irqfd, ioeventfd)"}


def start(machine, **environment):
    """A disk that has been read from, and what it holds."""
    machine.xen.has_kernel_paths = True
    image = machine.image(MIB)
    machine.storage_daemon(image)
    frontend = machine.frontend(**environment).wait_ready()
    disk = machine.disk().start()
    assert disk.read_sectors(3, 8) == image.read_bytes()[3 * SECTOR:11 * SECTOR]
    return frontend, disk


@pytest.mark.parametrize(("setting", "path", "bound"), [
    (None, "irqfd", IRQFD), ("auto", "irqfd", IRQFD), ("relay", "relay", RELAY),
    ("irqfd", "irqfd", IRQFD), ("kernel", "kernel", KERNEL), ("nonsense", "relay", RELAY)])
def test_setting(machine, setting, path, bound):
    frontend, disk = start(machine, **({"XEN_VIRTIO_NOTIFY": setting} if setting else {}))
    assert set(machine.xen.bound) == bound
    assert f"notifications: {TEXTS[path]}" in frontend.log
    disk.reset()
    assert not machine.xen.bound
    disk.start()
    assert set(machine.xen.bound) == bound
    assert disk.request(BLK_IN, 8, SECTOR)[0] == 0
    frontend.stop()
    assert not machine.xen.bound


def wake_ups(frontend):
    """How often the frontend has waited so far."""
    status = Path(f"/proc/{frontend.pid}/status").read_text(encoding="ascii")
    return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)$", status, re.MULTILINE)[1])


def wake_ups_at_rest(frontend):
    """The same, when it has nothing to do any more."""
    before, now = None, wake_ups(frontend)
    while now != before:
        time.sleep(0.1)
        frontend.wait_asleep()
        before, now = now, wake_ups(frontend)
    return now


def test_kernel_calls_wake_nobody(machine):
    frontend, disk = start(machine)
    call = os.dup(machine.xen.bound[None])
    before = wake_ups_at_rest(frontend)
    for count in range(machine.xen.interrupts + 1, machine.xen.interrupts + 11):
        os.eventfd_write(call, 1)
        machine.xen.wait_interrupt(count)
    assert wake_ups(frontend) == before

    disk.reset()
    before = wake_ups_at_rest(frontend)
    os.eventfd_write(call, 1)  # a backend that calls too late
    machine.xen.wait_for(lambda: wake_ups(frontend) > before, "wake-up")
    os.close(call)


def test_kernel_without_paths(machine):
    machine.storage_daemon(machine.image(MIB))
    frontend = machine.frontend(XEN_VIRTIO_NOTIFY="kernel").wait_ready()
    assert machine.disk().start().request(BLK_IN, 8, SECTOR)[0] == 0
    assert "notifications: relayed" in frontend.log


@pytest.mark.parametrize(("refused", "path", "bound"), [
    (None, "relay", RELAY), (0, "irqfd", IRQFD)])
def test_refusal_leaves_what_works(machine, refused, path, bound):
    machine.xen.refuses[refused] = errno.EBUSY
    frontend, disk = start(machine, XEN_VIRTIO_NOTIFY="kernel")
    for _ in range(2):
        assert set(machine.xen.bound) == bound
        assert disk.request(BLK_IN, 8, SECTOR)[0] == 0
        disk.reset()
        disk.start()
    assert frontend.log.count("the kernel refuses") == 1
    assert f"notifications: {TEXTS[path]}" in frontend.log


def test_queue_is_always_a_cause_while_the_kernel_interrupts(machine):
    _, disk = start(machine)
    for _ in range(2):
        assert disk.read(INTERRUPT_STATUS) == QUEUE_USED
    disk.reset()
    assert disk.read(INTERRUPT_STATUS) == 0


def test_lost_backend(machine):
    machine.xen.has_kernel_paths = True
    backend = machine.storage_daemon(machine.image(MIB))
    machine.frontend(XEN_VIRTIO_NOTIFY="kernel").wait_ready()
    disk = machine.disk().start()
    backend.stop()
    machine.xen.wait_for(lambda: not machine.xen.bound, "unbinding")
    machine.xen.wait_interrupt(1)
    assert disk.read(INTERRUPT_STATUS) == QUEUE_USED | CONFIG_CHANGED


def test_stopped_queue_is_unbound(make_machine):
    machine = make_machine(n_vcpus=2)
    machine.xen.has_kernel_paths = True
    machine.storage_daemon(machine.image(MIB), queues=2)
    machine.frontend(XEN_VIRTIO_NOTIFY="kernel").wait_ready()
    disk = machine.disk().start(queues=2)
    assert set(machine.xen.bound) == {None, 0, 1}
    disk.write(QUEUE_SEL, 1)
    disk.write(QUEUE_READY, 0)
    assert set(machine.xen.bound) == {None, 0}
    assert disk.request(BLK_IN, 8, SECTOR, queue=0)[0] == 0


def test_second_kick_is_refused(machine):
    """All queues go the same way."""
    machine.xen.has_kernel_paths = True
    machine.xen.refuses[1] = errno.EINVAL
    machine.storage_daemon(machine.image(MIB), queues=2)
    machine.frontend(XEN_VIRTIO_NOTIFY="kernel").wait_ready()
    disk = machine.disk().start(queues=2)
    assert set(machine.xen.bound) == IRQFD
    for queue in (0, 1):
        assert disk.request(BLK_IN, 8, SECTOR, queue=queue)[0] == 0
