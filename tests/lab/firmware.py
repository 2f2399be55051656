# SPDX-License-Identifier: LGPL-2.1-or-later
"""U-Boot as a guest's kernel: its image, the commands that it runs, and its serial line."""

import struct
import zlib
from pathlib import Path

from labkit.program import COMPILER
from labkit.ui import check

OBJCOPY = "aarch64-linux-gnu-objcopy"
LOADER = Path(__file__).resolve().parent / "firmware.S"
ENVIRONMENT_SIZE = 0x40000  # CONFIG_ENV_SIZE

# The Devicetree Specification, chapter 5.
MAGIC, VERSION, COMPATIBLE_VERSION = 0xd00dfeed, 17, 16
BEGIN_NODE, END_NODE, PROPERTY, END = 1, 2, 3, 9
HEADER_SIZE, NO_RESERVED = 40, bytes(16)
NAMES = b"#address-cells\0#size-cells\0compatible\0console\0ranges\0reg\0skip-init\0"

UART_BASE, UART_SIZE = 0x22000000, 0x1000  # GUEST_PL011_BASE of Xen's public/arch-arm.h
UART_NODE = f"serial@{UART_BASE:x}"


def make_image(u_boot, folder, commands=()):
    """What xl takes for a kernel: U-Boot, which runs these commands. Without any it does what it
    was built to do: it looks for something to boot."""
    variables = {"bootdelay": "-2", "bootcmd": "; ".join(commands)}
    (folder / "environment").write_bytes(_environment(variables) if commands else b"")
    (folder / "u-boot.bin").write_bytes(u_boot)
    objects = folder / "firmware.o"
    image = folder / "firmware.bin"
    check(COMPILER, "-c", f"-Wa,-I{folder}", "-o", objects, LOADER)
    check(OBJCOPY, "-O", "binary", objects, image)
    return image.read_bytes()


def _environment(variables):
    """What U-Boot finds in its flash, but for the zeros at its end: these variables, no others."""
    texts = b"".join(f"{name}={value}\0".encode() for name, value in variables.items()) + b"\0"
    return struct.pack("<I", zlib.crc32(texts.ljust(ENVIRONMENT_SIZE - 4, b"\0"))) + texts


def serial_line():
    """The partial device tree for xl that has the UART of vuart="sbsa_uart" under the name that
    U-Boot knows, as its console. Xen sets it up."""
    two_cells = {"#address-cells": _cells(2), "#size-cells": _cells(2)}
    uart = _node(UART_NODE, {"compatible": b"arm,pl011\0", "skip-init": b"",
                             "reg": _cells(0, UART_BASE, 0, UART_SIZE)})
    bus = _node("passthrough", {**two_cells, "compatible": b"simple-bus\0", "ranges": b""}, uart)
    aliases = _node("aliases", {"console": f"/passthrough/{UART_NODE}\0".encode()})
    nodes = _node("", two_cells, aliases, bus) + _cells(END)
    start = HEADER_SIZE + len(NO_RESERVED)
    names = start + len(nodes)
    return _cells(MAGIC, names + len(NAMES), start, names, HEADER_SIZE, VERSION,
                  COMPATIBLE_VERSION, 0, len(NAMES), len(nodes)) + NO_RESERVED + nodes + NAMES


def _node(name, properties, *children):
    text = b"".join(_cells(PROPERTY, len(value), NAMES.index(key.encode() + b"\0")) + _padded(value)
                    for key, value in properties.items())
    return (_cells(BEGIN_NODE) + _padded(name.encode() + b"\0") + text + b"".join(children)
            + _cells(END_NODE))


def _cells(*numbers):
    return struct.pack(f">{len(numbers)}I", *numbers)


def _padded(value):
    return value + bytes(-len(value) % 4)
