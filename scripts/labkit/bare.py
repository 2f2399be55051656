# SPDX-License-Identifier: LGPL-2.1-or-later
"""Kernels of a few instructions: guests that are up in no time, in hardly any memory."""

import struct

TEXT_OFFSET, IMAGE_SIZE, FLAGS_4K_ANYWHERE = 0, 0x10000, 0xa
CODE_OFFSET = 64  # the header's size
WAIT_FOR_INTERRUPT, CALL_FIRMWARE = 0xd503207f, 0xd4000002  # wfi, hvc #0
CPU_ON = 0xc4000003  # PSCI, in registers of 64 bits


class Code:
    """Instructions of arm64 for a CPU without an MMU, as the kernel's image has them."""

    def __init__(self):
        self._words = []

    def __len__(self):
        return len(self._words)

    def add(self, word):
        """An instruction that stands for itself."""
        self._words.append(word)

    def set(self, register, value):
        """A number of up to 32 bits for a register: movz, movk."""
        self.add(0xd2800000 | (value & 0xffff) << 5 | register)
        self.add(0xf2a00000 | value >> 16 << 5 | register)

    def set_place(self, register, distance):
        """The address so many instructions from here: adr."""
        self.add(0x10000000 | distance << 5 | register)

    def store(self, register, base, offset):
        """32 bits to where a register points to: str."""
        self.add(0xb9000000 | offset // 4 << 10 | base << 5 | register)

    def load(self, register, base, offset):
        """32 bits from there: ldr."""
        self.add(0xb9400000 | offset // 4 << 10 | base << 5 | register)

    def jump(self, place):
        """To an instruction, by its number: b."""
        self.add(0x14000000 | (place - len(self)) & 0x3ffffff)

    def image(self):
        """What xl takes for a kernel."""
        header = struct.pack("<IIQQQQQQ4sI", 0x14000000 | CODE_OFFSET // 4, 0, TEXT_OFFSET,
                             IMAGE_SIZE, FLAGS_4K_ANYWHERE, 0, 0, 0, b"ARM\x64", 0)
        return header + struct.pack(f"<{len(self)}I", *self._words) + bytes(4096)


def idle_kernel():
    """Does nothing."""
    code = Code()
    code.add(WAIT_FOR_INTERRUPT)
    code.jump(0)
    return code.image()


def flood_kernel(base, prepare, write, read, vcpus=1):
    """Writes each (offset, value) of a list to the registers at this base, and then, on each vCPU
    and without an end, writes zero to one and reads another one."""
    code = Code()
    registers, value = 9, 10
    code.set(registers, base)
    for offset, number in prepare:
        code.set(value, number)
        code.store(value, registers, offset)
    length = 8  # of starting a vCPU
    for vcpu in range(1, vcpus):
        code.set(0, CPU_ON)
        code.set(1, vcpu)
        code.set_place(2, length * (vcpus - vcpu) - 4)
        code.set(3, 0)
        code.add(CALL_FIRMWARE)
    code.set(registers, base)  # a vCPU that was started begins here
    code.set(value, 0)
    again = len(code)
    code.store(value, registers, write)
    code.load(value + 1, registers, read)
    code.jump(again)
    return code.image()
