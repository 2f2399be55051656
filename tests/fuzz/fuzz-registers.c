/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a guest may do to a device through the IOREQ page: everything. */

#include "tests/fuzz/input.h"
#include "tests/fuzz/machine.h"

#define BIT(n) (UINT64_C(1) << (n))

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
        static const MemoryBank banks[] = { { GUEST_BANK0_BASE, 1 << 20 },
                                            { GUEST_BANK1_BASE, 1 << 20 } };
        static const uint8_t config[60] = { 1, 2, 3 };
        VirtioMmio mmio;

        virtio_mmio_init(&mmio, banks, 2);
        virtio_offer(&mmio.device, BIT(VIRTIO_F_RING_RESET) | BIT(VIRTIO_F_RING_PACKED) | BIT(9), 3,
                     256, config, sizeof(config));
        mmio.device.device_id = 2;
        machine_run(&mmio, bytes, size);
        return 0;
}
