# SPDX-License-Identifier: LGPL-2.1-or-later
"""A device of each type that the reference backend has, and a driver that uses its queues."""

import struct
from dataclasses import dataclass

import pytest

from sim.backend import F_INFLIGHT
from sim.guest import CONFIG, CONFIG_CHANGED, QUEUE_SEL, QUEUE_SIZE_MAX, VERSION_1, Driver
from sim.rings import EVENT_IDX, INDIRECT_DESC, RingDriver

CONSOLE, RNG, SCSI, INPUT, SOUND, I2C, CAN, GPIO, SPI, PRIVATE = 3, 4, 8, 18, 25, 34, 36, 41, 45, 63


@dataclass(frozen=True)
class Kind:
    """What is told to the driver of a type."""

    device_id: int
    queues: int
    queue_size: int
    space: bytes = b""
    features: int = 0  # of its own
    in_order: bool = True


KINDS = {
    "console": Kind(CONSOLE, 2, 128, struct.pack("<HHII", 80, 25, 1, 0), 1 << 0),
    "rng": Kind(RNG, 1, 256),
    "scsi": Kind(SCSI, 3, 128, struct.pack("<7I2HI", 1, 126, 0xffff, 8, 16, 96, 32, 0, 0, 0)),
    "input": Kind(INPUT, 2, 64, bytes(136)),
    "sound": Kind(SOUND, 4, 64, struct.pack("<III", 0, 1, 0)),
    "i2c": Kind(I2C, 1, 64, features=1 << 0),
    "can": Kind(CAN, 3, 64, bytes(2), 7),
    "gpio": Kind(GPIO, 2, 256, struct.pack("<HHI", 8, 0, 0), 1 << 0),
    "spi": Kind(SPI, 1, 64, struct.pack("<4B7I", 2, 1, 0, 0, 1 << 7, 0xf, 10_000_000,
                                       0, 0, 0, 0)),
}


class Requester(Driver):
    """A driver that puts one request after the other into its queues."""

    knows = VERSION_1 | EVENT_IDX | INDIRECT_DESC

    def submit(self, queue, data, size=0):
        """Starts a request: bytes to be read, and room for others. Returns its head and room."""
        memory = self.xen.memory
        buffers, room = [], None
        if data:
            address = memory.allocate(len(data), align=8)
            memory.write(address, data)
            buffers.append((address, len(data), False))
        if size:
            room = memory.allocate(size, align=8)
            buffers.append((room, size, True))
        head = self.rings[queue].add(*buffers)
        self.notify(queue)
        return head, room

    def finish(self, queue, request):
        """Waits for a request, which has to be the next one. Returns what was written."""
        head, written = self.wait_used(queue)
        assert head == request[0]
        return self.xen.memory.read(request[1], written) if request[1] else b""

    def ask(self, queue, data, size=0):
        """A whole request."""
        return self.finish(queue, self.submit(queue, data, size))


def begin(machine, name, *options, **keys):
    """A device of a type, and its driver, which runs. Returns it and the backend."""
    kind = KINDS[name]
    machine.be_of_type(kind.device_id, **keys)
    backend = machine.reference_backend(f"--type={name}", *options)
    machine.frontend().wait_ready()
    driver = Requester(machine.xen)
    assert driver.identify() == kind.device_id
    driver.start(kind.queues, wanted=VERSION_1 | kind.features)
    return driver, backend


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("protocol", ["0xfdff", "0xfdfe"], ids=["counted", "fixed"])
def test_what_the_driver_is_told(machine, name, protocol):
    """Also by backends that do not say how many queues they have."""
    kind = KINDS[name]
    driver, _ = begin(machine, name, f"--protocol={int(protocol, 16) | 1 << 9 | 1 << 12:#x}")
    assert driver.features == VERSION_1 | kind.features
    assert driver.space(len(kind.space) + 4) == kind.space + bytes(4)
    for queue in range(kind.queues + 1):
        driver.write(QUEUE_SEL, queue)
        assert driver.read(QUEUE_SIZE_MAX) == (kind.queue_size if queue < kind.queues else 0)


def test_rng(machine):
    driver, _ = begin(machine, "rng")
    first, second = (driver.ask(0, b"", 64) for _ in range(2))
    assert len(first) == len(second) == 64
    assert first != second


def test_console(machine):
    """It has been listened to since before anything was said."""
    driver, backend = begin(machine, "console")
    listening = driver.submit(0, b"", 16)
    driver.ask(1, b"hello")
    assert driver.finish(0, listening) == b"hello"
    driver.ask(1, b"in two pieces")
    assert driver.ask(0, b"", 6) + driver.ask(0, b"", 16) == b"in two pieces"
    backend.refresh()
    while not driver.next_interrupt() & CONFIG_CHANGED:
        pass
    assert driver.space(4) == struct.pack("<HH", 81, 25)


def listen_and_hear(machine, change):
    """A console's driver has been listening since before something was changed."""
    machine.be_of_type(CONSOLE)
    options = ["--type=console", f"--protocol={0xfdff & ~F_INFLIGHT if change else 0xfdff:#x}"]
    backend = machine.reference_backend(*options)
    frontend = machine.frontend().wait_ready()
    driver = Requester(machine.xen).start(2, wanted=VERSION_1)
    listening = [driver.submit(0, b"", 16) for _ in range(2)]
    driver.ask(1, b"zero")
    assert driver.finish(0, listening[0]) == b"zero"
    if change:
        change(frontend)
    else:
        backend.kill()
        machine.reference_backend(*options)
    for text in (b"one", b"two"):
        driver.ask(1, text)
        assert driver.finish(0, listening[1]) == text
        listening[1] = driver.submit(0, b"", 16)


def test_what_waits_when_the_backend_dies(machine):
    listen_and_hear(machine, None)


def test_what_waits_when_the_frontend_is_exchanged(machine):
    """No area tells of it, only where the ring is to be gone on with."""
    def change(frontend):
        frontend.process.terminate()
        frontend.wait_exit(0)
        machine.frontend().wait_ready()

    listen_and_hear(machine, change)


def i2c(driver, address, data=None, size=0):
    """A message: bytes to be written, or how many to read. Returns the status and what was read."""
    flags = 2 if data is None else 0
    answer = driver.ask(0, struct.pack("<HHI", address << 1, 0, flags) + (data or b""), size + 1)
    return answer[-1], answer[:-1]


def test_i2c(machine):
    driver, _ = begin(machine, "i2c")
    assert i2c(driver, 0x50, b"\x10\xaa\xbb") == (0, b"")
    assert i2c(driver, 0x50, b"\x10") == (0, b"")
    assert i2c(driver, 0x50, size=2) == (0, b"\xaa\xbb")
    assert i2c(driver, 0x50, b"") == (0, b"")  # is it there?
    assert i2c(driver, 0x51, b"") == (1, b"")


GET_DIRECTION, SET_DIRECTION, GET_VALUE, SET_VALUE, IRQ_TYPE = range(2, 7)
OUT, IN, RISING = 1, 2, 1


def gpio(driver, kind, line, value=0):
    """A request. Returns the value that came back."""
    status, answer = driver.ask(0, struct.pack("<HHI", kind, line, value), 2)
    assert status == 0
    return answer


def test_gpio(machine):
    driver, _ = begin(machine, "gpio")
    gpio(driver, SET_DIRECTION, 0, OUT)
    gpio(driver, SET_DIRECTION, 4, IN)
    assert gpio(driver, GET_DIRECTION, 0) == OUT
    for value in (1, 0, 1):
        gpio(driver, SET_VALUE, 0, value)
        assert gpio(driver, GET_VALUE, 4) == value
    assert driver.ask(0, struct.pack("<HHI", GET_VALUE, 8, 0), 2) == b"\1\0"


def test_gpio_interrupts(machine):
    """They come in the order of the edges, not of the buffers."""
    driver, _ = begin(machine, "gpio")
    for line in (0, 1):
        gpio(driver, SET_DIRECTION, line, OUT)
        gpio(driver, IRQ_TYPE, 4 + line, RISING)
    waiting = [driver.submit(1, struct.pack("<H", line), 1) for line in (4, 5)]
    gpio(driver, SET_VALUE, 1, 1)
    assert driver.finish(1, waiting[1]) == b"\1"
    gpio(driver, SET_VALUE, 0, 1)
    assert driver.finish(1, waiting[0]) == b"\1"
    unused = driver.submit(1, struct.pack("<H", 4), 1)
    gpio(driver, IRQ_TYPE, 4, 0)
    assert driver.finish(1, unused) == b"\0"


def select(driver, what, of_it=0):
    """What the input device shows of itself."""
    driver.vcpu.write(CONFIG, what, 1)
    driver.vcpu.write(CONFIG + 1, of_it, 1)
    size = driver.read(CONFIG + 2, 1)
    return driver.space(8 + size)[8:]


def test_input(machine):
    driver, backend = begin(machine, "input")
    for _ in range(3):  # the second time nothing may be left of the first
        assert select(driver, 1) == b"xen-virtio-test"
        assert select(driver, 0x11, 1) == b"\0\0\0\x40"
        assert select(driver, 0x11, 2) == b""
    listening = [driver.submit(0, b"", 8) for _ in range(3)]
    backend.refresh()
    events = [struct.unpack("<HHI", driver.finish(0, request)) for request in listening]
    assert events == [(1, 30, 1), (0, 0, 0), (1, 30, 0)]
    driver.ask(1, struct.pack("<HHI", 17, 0, 1))  # a light that it does not have


def test_what_is_selected_of_no_backend(machine):
    """The driver does not wait for one that is gone."""
    driver, backend = begin(machine, "input")
    backend.kill()
    machine.xen.wait_for(lambda: select(driver, 1) in (b"", b"xen-virtio-test"), "answers")
    machine.reference_backend("--type=input")
    machine.xen.wait_for(lambda: select(driver, 1) == b"xen-virtio-test", "the next backend")


def test_select_of_a_backend_that_says_nothing(machine):
    """A backend that dies while the driver waits for what it has selected."""
    driver, _ = begin(machine, "input", "--misbehave=set-config:close",
                      "--misbehave-connections=1")
    driver.vcpu.write(CONFIG, 1, 1)
    driver.read(CONFIG + 2, 1)
    machine.xen.wait_for(lambda: select(driver, 1) == b"xen-virtio-test", "the next connection")


def test_scsi(machine):
    driver, _ = begin(machine, "scsi")
    inquiry = bytes([0x12, 0, 0, 0, 36, 0]).ljust(32, b"\0")
    answer = driver.ask(2, b"\1\0\x40\0".ljust(8, b"\0") + bytes(11) + inquiry, 108 + 36)
    assert answer[11] == 0
    assert answer[108 + 8:][:7] == b"XENVIRT"
    answer = driver.ask(2, b"\1\1\x40\0".ljust(8, b"\0") + bytes(11) + inquiry, 108 + 36)
    assert answer[11] == 3  # nobody there
    # Linux writes what the driver may write, and what is there already.
    driver.write(CONFIG + 20, 96)
    driver.write(CONFIG + 24, 64)
    assert driver.space(28)[20:] == struct.pack("<II", 96, 32)


def test_sound(machine):
    driver, _ = begin(machine, "sound")
    answer = driver.ask(0, struct.pack("<IIII", 0x100, 0, 1, 32), 36)
    assert struct.unpack_from("<IIIQQ", answer) == (0x8000, 0, 0, 1 << 5, 1 << 7)
    assert driver.ask(0, struct.pack("<II", 0x104, 0), 4) == struct.pack("<I", 0x8000)
    assert driver.ask(2, bytes(4 + 480), 8) == struct.pack("<II", 0x8000, 0)


START, STOP = 0x201, 0x202
EXTENDED, FD, RTR = 0x8000, 0x4000, 0x2000
OFF_THE_BUS = b"\1\0"


def can_frame(flags, can_id, data=b"", length=None):
    """A frame without the word that says which way it goes."""
    return struct.pack("<HBBHII", len(data) if length is None else length, 0, 0, 0, flags,
                       can_id) + data


def can_send(driver, frame):
    """Whether the controller has taken it."""
    return driver.ask(0, struct.pack("<H", 1) + frame, 1) == b"\0"


def can_control(driver, kind):
    """Starts or stops the controller."""
    assert driver.ask(2, struct.pack("<H", kind), 1) == b"\0"


def test_can(machine):
    driver, _ = begin(machine, "can")
    assert not can_send(driver, can_frame(0, 0x123, b"early"))
    can_control(driver, START)
    for frame, back in (
            (can_frame(0, 0x123, b"data"), None),
            (can_frame(EXTENDED, 0x1fffffff, b"all of it"[:8]), None),
            (can_frame(FD, 1, bytes(range(64))), None),
            (can_frame(RTR, 2, length=4), can_frame(RTR, 2, bytes(4)))):
        listening = driver.submit(1, b"", 80)
        assert can_send(driver, frame)
        assert driver.finish(1, listening) == struct.pack("<H", 0x101) + (back or frame)
    assert not can_send(driver, can_frame(0, 1, bytes(9)))
    assert not can_send(driver, can_frame(FD | RTR, 1))


def test_can_that_is_busy(machine):
    """Who sends more than there is room for waits, until it is stopped."""
    driver, _ = begin(machine, "can")
    can_control(driver, START)
    for number in range(16):
        assert can_send(driver, can_frame(0, number))
    waiting = driver.submit(0, struct.pack("<H", 1) + can_frame(0, 16), 1)
    for number in range(17):
        assert driver.ask(1, b"", 80) == struct.pack("<H", 0x101) + can_frame(0, number)
    assert driver.finish(0, waiting) == b"\0"
    for number in range(16):
        assert can_send(driver, can_frame(0, number))
    waiting = driver.submit(0, struct.pack("<H", 1) + can_frame(0, 16), 1)
    can_control(driver, STOP)
    assert driver.finish(0, waiting) == b"\1"


def test_can_off_the_bus(machine):
    """Its configuration space says so, until it is started again."""
    driver, backend = begin(machine, "can")
    can_control(driver, START)
    backend.refresh()
    machine.xen.wait_for(lambda: driver.space(2) == OFF_THE_BUS, "bus off")
    assert not can_send(driver, can_frame(0, 1))
    can_control(driver, START)
    machine.xen.wait_for(lambda: driver.space(2) == bytes(2), "on the bus again")
    assert can_send(driver, can_frame(0, 1))


def spi_head(chip=0, bits=8, mode=0, frequency=1_000_000, word_delay=0):
    """The parameters of a transfer."""
    return struct.pack("<8B6I", chip, bits, 0, 1, 1, 0, 0, 0, mode, frequency, word_delay, 0, 0, 0)


def test_spi(machine):
    """One chip's output is wired to its input, the other one shows what it is asked with."""
    driver, _ = begin(machine, "spi")
    assert driver.ask(0, spi_head() + b"out and in", 11) == b"out and in\0"
    assert driver.ask(0, spi_head() + b"out alone", 1) == b"\0"
    assert driver.ask(0, spi_head(), 5) == bytes(5)
    shown = spi_head(1, mode=3)
    assert driver.ask(0, shown + b"something".ljust(40), 41) == shown + bytes(8) + b"\0"
    assert driver.ask(0, spi_head(1), 2)[1:] == b"\2"  # too little to show it all
    for wrong in (spi_head(2), spi_head(bits=9), spi_head(mode=4),
                  spi_head(frequency=20_000_000), spi_head(word_delay=1)):
        assert driver.ask(0, wrong, 1) == b"\1"


def test_private_type(machine):
    """Of a type that nobody knows its profile says how large the configuration space is."""
    machine.be_of_type(PRIVATE, CONFIG_SIZE=64)
    machine.reference_backend("--type=loopback")
    machine.frontend().wait_ready()
    driver = RingDriver(machine.xen)
    driver.start(8, wanted=VERSION_1)
    assert driver.space(66) == bytes(range(64)) + bytes(2)
    for queue in range(8):
        driver.submit(bytes([queue]) * 100, queue)
        driver.drain(queue)
