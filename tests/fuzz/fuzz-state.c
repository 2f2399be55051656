/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What a frontend may find in the place of a device that was kept: anything. Whatever passes the
 * check goes on with the rest of the input. The first byte says how the structure is made: from a
 * device that runs, with so many bytes replaced, each by an offset and a value; 255 is the whole
 * structure as it is.
 */

#include "tests/fuzz/input.h"
#include "tests/fuzz/machine.h"

#define BIT(n) (UINT64_C(1) << (n))
#define RAM    GUEST_BANK0_BASE

static void put(VirtioMmio *mmio, uint64_t offset, uint32_t value)
{
        virtio_mmio_write(mmio, offset, 4, value);
}

static VirtioMmio mmio_new_running(void)
{
        static const MemoryBank banks[] = { { RAM, 1 << 20 }, { GUEST_BANK1_BASE, 1 << 20 } };
        const uint64_t features = BIT(VIRTIO_F_RING_RESET) | BIT(VIRTIO_F_VERSION_1);
        VirtioMmio mmio;

        virtio_mmio_init(&mmio, banks, 2);
        virtio_offer(&mmio.device, features | BIT(9), 3, 256, "config", 6);
        mmio.device.device_id = 2;
        put(&mmio, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
        put(&mmio, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(features >> 32));
        put(&mmio, VIRTIO_MMIO_STATUS, 0xb);
        put(&mmio, VIRTIO_MMIO_QUEUE_SIZE, 16);
        put(&mmio, VIRTIO_MMIO_QUEUE_DESC_LOW, RAM);
        put(&mmio, VIRTIO_MMIO_QUEUE_DRIVER_LOW, RAM + 4096);
        put(&mmio, VIRTIO_MMIO_QUEUE_DEVICE_LOW, RAM + 8192);
        put(&mmio, VIRTIO_MMIO_QUEUE_READY, 1);
        put(&mmio, VIRTIO_MMIO_STATUS, 0xf);
        return mmio;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
        Input input = { bytes, size };
        VirtioMmio mmio = mmio_new_running();
        const uint8_t n = input_u8(&input);

        if (n == UINT8_MAX)
                input_take(&input, &mmio, sizeof(mmio));
        for (unsigned int i = 0; i < n && n != UINT8_MAX; i++) {
                uint16_t offset;

                input_take(&input, &offset, sizeof(offset));
                ((uint8_t *)&mmio)[offset % sizeof(mmio)] = input_u8(&input);
        }
        if (virtio_mmio_check(&mmio) == 0)
                machine_run(&mmio, input.bytes, input.size);
        return 0;
}
