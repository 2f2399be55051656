# SPDX-License-Identifier: LGPL-2.1-or-later
"""Several devices in one frontend process: they come and go, and none disturbs the others."""

import contextlib
import os
import random
import socket
import threading
import time

import pytest

from sim.backend import F_CONFIG, F_MQ, F_REPLY_ACK
from sim.guest import DEVICE_ID, DRIVER_OK, MAGIC_VALUE, NEEDS_RESET, SECTOR, STATUS
from sim.load import Load
from sim.shared import Guest
from sim.slack import has_passed
from sim.test_memory import F_XEN_MMAP, GRANT_SETS, RING_RESET, GrantingDisk
from sim.xen import INPROCESS, INVALIDATE

EX_TEMPFAIL, EX_CONFIG = 75, 78
NOBODY = 65534
HOLD = 10.0  # DEVICE_HOLD_USEC
MAGIC = 0x74726976
DEVICES_MAX = 64


@pytest.fixture
def make_guest(build, tmp_path):
    """Makes a guest with so many vCPUs."""
    guests = []

    def make(n_vcpus=1):
        guests.append(Guest(build, tmp_path, n_vcpus))
        return guests[-1]

    yield make
    for guest in guests:
        guest.close()


@pytest.fixture
def guest(make_guest):
    """A guest with one vCPU."""
    return make_guest()


class Worker(threading.Thread):
    """A load on a device, from a vCPU of its own. Its failure is the test's."""

    def __init__(self, device, vcpu):
        super().__init__()
        self.device = device
        self.load = Load(device.disk(vcpu).start(size=64), device.image.read_bytes(), vcpu)
        self.error = None
        self._end = threading.Event()

    def run(self):
        try:
            while not self._end.is_set():
                self.load.submit()
                self.load.finish()
        except BaseException as error:  # whatever it is, the test shows it
            self.error = error

    def finish(self):
        """Ends it. The disk has to be what the guest made of it."""
        self._end.set()
        self.join()
        if self.error:
            raise self.error
        self.load.disk.flush()
        assert self.device.image.read_bytes() == self.load.content

    def wait_progress(self, requests=30):
        """Waits until so many more requests are done."""
        start, wanted = time.monotonic(), self.load.done + requests
        while self.load.done < wanted:
            assert not self.error, repr(self.error)
            assert not has_passed(start, 10), f"{self.device.instance} does not go on"
            time.sleep(0.002)


@contextlib.contextmanager
def at_work(devices):
    """Each device does requests meanwhile, each of which has to go well."""
    workers = [Worker(device, vcpu) for vcpu, device in enumerate(devices)]
    for worker in workers:
        worker.start()
    try:
        yield workers
        for worker in workers:
            worker.wait_progress()
    finally:
        errors = []
        for worker in workers:
            try:
                worker.finish()
            except BaseException as error:
                errors.append(error)
    if errors:
        raise errors[0]


# They work.

def test_all_at_once(make_guest):
    guest = make_guest(n_vcpus=5)
    devices = [guest.add("qemu" if number % 2 else "reference") for number in range(5)]
    guest.start(*devices)
    with at_work(devices):
        pass
    for device in devices:
        assert device.status == "ready\n"
        assert guest.xen.interrupts_of[device.irq]
        assert guest.process.log.count(f"{device.instance}: the driver is up") in (0, 1)


def test_as_many_as_there_may_be(guest):
    devices = [guest.add("scripted") for _ in range(DEVICES_MAX)]
    guest.start(*devices[:-1])
    guest.relist(*devices)
    for device in devices:
        device.wait_status("ready\n")
        assert device.disk().identify() == 2
    devices[40].disk().start()
    assert [device.disk().status & DRIVER_OK for device in devices].count(DRIVER_OK) == 1
    queues = devices[0].backend.n_queues
    assert len(guest.process.descriptors()) <= 12 + DEVICES_MAX * (12 + 2 * queues)
    guest.relist()
    assert all(device.vcpu().read(MAGIC_VALUE) == 0 for device in devices)
    assert len(guest.process.descriptors()) <= 20


def test_it_is_ready_before_its_backends(guest):
    first, second = guest.add(), guest.add("reference")
    first.make_folder()
    guest.start(first, second)
    second.wait_status("ready\n")
    assert first.status == ""
    assert second.disk().start().read_sectors(0, 1) == second.image.read_bytes()[:SECTOR]
    first.start_backend("qemu").wait_status("ready\n")
    first.disk().start().read_sectors(0, 1)


def test_invalidate_is_answered(guest):
    devices = [guest.add("reference") for _ in range(2)]
    guest.start(*devices)
    disks = [device.disk().start() for device in devices]
    guest.xen.vcpus[0].begin(0, kind=INVALIDATE)
    guest.xen.vcpus[0].finish()
    for disk in disks:
        disk.read_sectors(0, 1)
        disk.start().read_sectors(0, 1)


# They come and go.

def test_come_and_go_while_others_work(make_guest):
    guest = make_guest(n_vcpus=5)
    devices = [guest.add("qemu" if number % 2 else "reference") for number in range(5)]
    *others, victim, newcomer = devices
    guest.start(*others, victim)
    gone = victim.disk(4).start()
    with at_work(others) as workers:
        for _ in range(10):
            guest.relist(*others, newcomer)
            assert gone.vcpu.read(MAGIC_VALUE) == gone.vcpu.read(STATUS) == 0
            assert newcomer.disk(4).start().read_sectors(5, 1) == \
                newcomer.image.read_bytes()[5 * SECTOR:6 * SECTOR]
            guest.relist(*others, victim)
            assert newcomer.vcpu(4).read(MAGIC_VALUE) == 0
            # It goes on where it was; qemu's has to be reset.
            gone.start().read_sectors(7, 1)
            for worker in workers:
                worker.wait_progress(5)


def test_removal_lets_go_of_everything(guest):
    first, second = guest.add("reference"), guest.add("scripted")
    guest.start(first)
    disk = first.disk().start()

    def kinds():
        return sorted(name.split(":")[0] for name in guest.process.descriptors().values())
    before = kinds()
    for _ in range(20):
        guest.relist(first, second)
        second.wait_status("ready\n")
        second.disk().start()
        guest.relist(first)
        second.backend.wait_for(lambda: second.backend.connection.closed, "closed connection")
        assert kinds() == before
    disk.read_sectors(0, 1)


def test_a_reload_without_news_changes_nothing(guest):
    devices = [guest.add("reference") for _ in range(3)]
    guest.start(*devices)
    disks = [device.disk().start() for device in devices]
    before = sorted(guest.process.descriptors().items())
    for _ in range(5):
        assert guest.reload() == ""
    assert sorted(guest.process.descriptors().items()) == before
    assert guest.process.log.count("answered") == 3
    for disk in disks:
        disk.read_sectors(0, 1)


def test_an_access_waits_for_its_device(make_guest):
    """The range is claimed before the frontend knows of the device."""
    guest = make_guest(n_vcpus=2)
    first, second = guest.add("reference"), guest.add("reference")
    guest.start(first)
    early = second.vcpu(1)
    early.begin(DEVICE_ID)
    guest.xen.wait_for(lambda: early.state == INPROCESS, "taken request")
    first.disk().start().read_sectors(0, 1)
    assert early.state == INPROCESS
    guest.relist(first, second)
    assert early.finish() == 2


@pytest.mark.plain_build(reason="waits for long")
def test_an_access_does_not_wait_for_ever(make_guest):
    guest = make_guest(n_vcpus=2)
    first, second = guest.add("reference"), guest.add("reference")
    guest.start(first)
    start = time.monotonic()
    assert second.vcpu(1).read(DEVICE_ID, timeout=HOLD + 3) == 0
    assert time.monotonic() - start > HOLD - 1
    assert second.vcpu(1).read(MAGIC_VALUE) == 0  # the next one does not wait again
    assert guest.process.log.count("it sees none") == 1
    first.disk().start().read_sectors(0, 1)
    guest.relist(first, second)
    assert second.disk().start().read_sectors(0, 1)


def test_made_anew(guest):
    """The same name, but another folder: another device, which is not to be mistaken."""
    first, second = guest.add("reference"), guest.add("reference")
    guest.start(first, second)
    other, disk = first.disk().start(), second.disk().start()
    second.backend.stop()
    second.make_folder().start_backend("reference")
    guest.reload()
    assert disk.status == 0
    disk.start().read_sectors(0, 1)
    other.read_sectors(0, 1)
    second.backend.stop()
    old = second.vcpu()
    second.base += 0x20000
    second.make_folder().start_backend("qemu")
    guest.reload()
    assert old.read(MAGIC_VALUE) == 0
    second.disk().start().read_sectors(0, 1)
    other.read_sectors(0, 1)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_devices_come_after_root_has_gone(guest):
    """The process is a user's who can get at none of the folders; /run/xen-virtio is root's."""
    runtime = guest.directory / "runtime"
    runtime.mkdir()
    os.chown(runtime, NOBODY, NOBODY)
    guest.directory.chmod(0o700)
    devices = [guest.add("qemu") for _ in range(2)]
    for device in devices:
        device.folder.chmod(0o711)
        (device.folder / "frontend").chmod(0o700)
        os.chmod(device.socket, 0o777)
    first, second = devices
    guest.list(first)
    guest.frontend(RUNTIME_DIRECTORY=str(runtime))
    first.wait_status("ready\n")
    with open(f"/proc/{guest.process.pid}/status", encoding="ascii") as status:
        assert f"Uid:\t{NOBODY}\t{NOBODY}\t{NOBODY}" in status.read()
    disk = first.disk().start()
    guest.relist(first, second)
    second.wait_status("ready\n")
    second.disk().start().read_sectors(0, 1)
    disk.read_sectors(0, 1)


# Failures.

def test_a_backend_dies(make_guest):
    guest = make_guest(n_vcpus=3)
    devices = [guest.add("reference") for _ in range(3)]
    guest.start(*devices)
    with at_work(devices) as workers:
        for _ in range(5):
            devices[1].backend.kill()
            workers[0].wait_progress(10)
            workers[2].wait_progress(10)
            devices[1].start_backend("reference")
            workers[1].wait_progress(10)
    assert guest.process.log.count("5-disk-0: lost") == 0


def test_the_frontend_dies(make_guest):
    """The next one goes on with all devices."""
    guest = make_guest(n_vcpus=4)
    devices = [guest.add("reference") for _ in range(4)]
    guest.start(*devices)
    chance = random.Random(7)
    with at_work(devices) as workers:
        for _ in range(20):
            time.sleep(chance.random() * 0.02)
            guest.process.kill()
            guest.frontend()
            if chance.random() < 0.5:
                for worker in workers:
                    worker.wait_progress(5)
    for device in devices:
        assert device.disk().status & DRIVER_OK


def test_the_frontend_dies_while_devices_come_and_go(make_guest):
    """It looks at the list when it starts, so a reload that nobody heard is not lost."""
    guest = make_guest(n_vcpus=2)
    stays, moves = guest.add("reference"), guest.add("reference")
    guest.start(stays)
    with at_work([stays]):
        for _ in range(10):
            guest.process.kill()
            guest.list(stays, moves)
            assert "cannot reload" in guest.reload(expected=EX_TEMPFAIL)
            guest.frontend()
            moves.disk(1).start().read_sectors(0, 1)
            guest.relist(stays)
            assert moves.vcpu(1).read(MAGIC_VALUE) == 0


def test_a_device_that_fails_is_opened_anew(make_guest):
    """It has used up its descriptors for grants; the reload brings others."""
    guest = make_guest(n_vcpus=2)
    other, device = guest.add("reference"), guest.add()
    device.make_folder(GRANT_USAGE=1).start_backend("scripted")
    device.backend.protocol_features = F_MQ | F_REPLY_ACK | F_CONFIG | F_XEN_MMAP
    device.backend.features |= RING_RESET
    guest.start(other, device)
    disk = GrantingDisk(guest.xen, 1, device.base, device.irq)
    with at_work([other]):
        for starts in (GRANT_SETS, GRANT_SETS - 1):  # the one that failed is made up for
            for _ in range(starts):
                disk.start_at(3)
            disk.negotiate()
            assert device.status == "ready\n"
            disk.vcpu.begin(STATUS, value=disk.status | DRIVER_OK)
            device.wait_status("failed\n")
            device.backend.wait_for(lambda: device.backend.connection.closed, "closed connection")
            disk.vcpu.finish()
            disk.vcpu.begin(STATUS)  # waits, as for a process that is started anew
            guest.xen.wait_for(lambda: disk.vcpu.state == INPROCESS, "taken request")
            connections = len(device.backend.connections)
            guest.reload()
            assert disk.vcpu.finish() & DRIVER_OK
            device.wait_status("ready\n")
            assert len(device.backend.connections) > connections
            assert disk.status & DRIVER_OK and not disk.status & NEEDS_RESET


# What may be wrong with a device, or with the list.

def gone(device):
    device.folder.rename(device.folder.with_name("elsewhere"))


def another_guest(device):
    device.make_folder(UUID="11234567-89ab-cdef-0123-456789abcdef")


def another_memory(device):
    device.make_folder(MEMORY_KIB=4096)


def another_server(device):
    device.make_folder(SERVER=3)


def same_range(device):
    device.make_folder(BASE=f"{device.guest.devices[0].base:#x}")


def same_interrupt(device):
    device.make_folder(IRQ=device.guest.devices[0].irq)


def seeded(device):
    device.make_folder(MEMORY="seed")


def bad_launch(device):
    device.make_folder(IRQ=7)


def linked(device):
    gone(device)
    device.folder.symlink_to("elsewhere")


WRONGS = {gone: "No such file", another_guest: "another guest's", another_memory: "another guest's",
          another_server: "another IOREQ server", same_range: "another device's",
          same_interrupt: "another device's", seeded: "served alone",
          bad_launch: 'key "IRQ"', linked: "Not a directory"}


@pytest.mark.parametrize("wrong", WRONGS, ids=lambda wrong: wrong.__name__)
def test_one_that_cannot_be_served(guest, wrong):
    """It costs one message at each look, and the others nothing."""
    first, second, third = [guest.add("reference") for _ in range(3)]
    guest.start(first)
    disk = first.disk().start()
    wrong(second)
    guest.list(first, second, third)
    said = guest.reload() + guest.process.log
    assert said.count(second.instance) == 1
    assert WRONGS[wrong] in said
    third.disk().start().read_sectors(0, 1)
    disk.read_sectors(0, 1)
    if wrong not in (gone, bad_launch, linked):
        assert second.status == "failed\n"

    guest.process.kill()
    guest.start(first, third, second)
    assert guest.process.log.count(second.instance) == 1
    third.disk().start().read_sectors(0, 1)
    disk.read_sectors(0, 1)


@pytest.mark.parametrize("text, problem", {
    "nonsense": ("5-disk-0\nnonsense\n", "no device's name"),
    "path": ("5-disk-0\n../5-disk-0\n", "no device's name"),
    "blank": ("5-disk-0\n\n", "no device's name"),
    "zero": ("5-disk-0\n\0\n", "no device's name"),
    "shared": ("5-disk-0\n5-shared\n", "no device's name"),
    "guest": ("5-disk-0\n6-disk-1\n", "another guest's"),
    "twice": ("5-disk-0\n5-disk-0\n", "twice"),
    "cut": ("5-disk-0\n5-disk-1", "no end"),
    "many": ("".join(f"5-disk-{number}\n" for number in range(DEVICES_MAX + 1)), "too many"),
    "large": ("5-disk-0\n" * 1000, "File too large"),
    "none": (None, "No such file"),
}.values(), ids=lambda value: None)
def test_hostile_list(guest, text, problem):
    """It is refused as a whole, with one message, and what is served goes on."""
    first, second = guest.add("reference"), guest.add("reference")
    guest.start(first)
    disk = first.disk().start()
    if text is None:
        (guest.folder / "devices").unlink()
    else:
        guest.write_list(text)
    said = guest.reload(expected=EX_CONFIG)
    assert problem in said and said.count("\n") == 1
    disk.read_sectors(0, 1)
    guest.process.kill()
    frontend = guest.frontend()
    frontend.wait_exit(EX_CONFIG)
    assert problem in frontend.log and frontend.log.count("\n") == 1
    guest.start(first, second)
    disk.read_sectors(0, 1)
    second.disk().start().read_sectors(0, 1)


@pytest.mark.parametrize("text", ["", "5-disk-9\n"])
def test_nothing_to_serve(guest, text):
    guest.write_list(text)
    frontend = guest.frontend()
    frontend.wait_exit(EX_CONFIG)
    assert "no device in the list can be served" in frontend.log


def test_nonsense_instead_of_a_reload(guest):
    """Only root can send it."""
    device = guest.add("reference")
    guest.start(device)
    disk = device.disk().start()
    path = guest.folder / "frontend/reload.sock"
    before = len(guest.process.descriptors())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender, \
            open("/dev/null", "rb") as null:
        sender.connect(str(path))
        for data, fds in ((b"", 0), (b"?", 0), (b"L5-disk", 0), (b"L" + b"x" * 9000, 0),
                          (b"D", 0), (b"D5-disk-7", 0), (b"D5-disk-7", 4), (b"D6-disk-1", 5),
                          (b"D5-disk-7", 5), (b"D5-disk-7", 50), (b"E", 9)):
            socket.send_fds(sender, [data], [null.fileno()] * fds)
    guest.reload()
    assert len(guest.process.descriptors()) == before
    disk.read_sectors(0, 1)


@pytest.mark.parametrize("instance", ["5-disk-0", "5-share", "05-shared"])
def test_only_shared_ones_are_reloaded(guest, instance):
    assert "is not the name" in guest.reload(expected=EX_CONFIG, instance=instance)
