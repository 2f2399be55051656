/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "common/device-type.h"

#include <string.h>

static const DeviceType device_types[] = {
        {
                .id = 2,
                .name = "blk",
                .n_queues = 1,
                .queue_size = 256,
                /* struct virtio_blk_config up to write_zeroes_may_unmap and its padding: what every
                 * backend has. QEMU's refuse to be asked for more than they have. */
                .config_size = 60,
                .writable_offset = 32, /* writeback */
                .writable_size = 1,
        },
};

static const DeviceType generic = { .n_queues = 1, .queue_size = 256 };

const DeviceType *device_type_find(uint32_t id)
{
        for (size_t i = 0; i < ARRAY_SIZE(device_types); i++) {
                if (device_types[i].id == id)
                        return &device_types[i];
        }
        return &generic;
}

const DeviceType *device_type_find_name(const char *name)
{
        for (size_t i = 0; i < ARRAY_SIZE(device_types); i++) {
                if (strcmp(device_types[i].name, name) == 0)
                        return &device_types[i];
        }
        return NULL;
}
