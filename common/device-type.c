/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "common/device-type.h"

/* struct virtio_net_config, section 5.1.4 */
static const DeviceField net_fields[] = {
        { .feature = 3, .offset = 10, .size = 2 }, /* MTU */
        { .feature = 5, .offset = 0, .size = 6 },  /* MAC */
        { .feature = 16, .offset = 6, .size = 2 }, /* STATUS */
        { .feature = 22, .offset = 8, .size = 2 }, /* MQ: max_virtqueue_pairs */
        { .size = 0 },
};

/* struct virtio_blk_config, section 5.2.4 */
static const DeviceField blk_fields[] = {
        { .feature = 1, .offset = 8, .size = 4 },    /* SIZE_MAX */
        { .feature = 2, .offset = 12, .size = 4 },   /* SEG_MAX */
        { .feature = 4, .offset = 16, .size = 4 },   /* GEOMETRY */
        { .feature = 6, .offset = 20, .size = 4 },   /* BLK_SIZE */
        { .feature = 10, .offset = 24, .size = 8 },  /* TOPOLOGY */
        { .feature = 11, .offset = 32, .size = 1 },  /* CONFIG_WCE: writeback */
        { .feature = 12, .offset = 34, .size = 2 },  /* MQ: num_queues */
        { .feature = 13, .offset = 36, .size = 12 }, /* DISCARD */
        { .feature = 14, .offset = 48, .size = 9 },  /* WRITE_ZEROES */
        { .feature = 16, .offset = 60, .size = 12 }, /* SECURE_ERASE */
        { .feature = 17, .offset = 72, .size = 24 }, /* ZONED */
        { .size = 0 },
};

static const DeviceType device_types[] = {
        {
                .id = VIRTIO_ID_NET,
                .name = "net",
                .n_queues = 2,
                /* Backends were made for QEMU, which takes their number for that of pairs. */
                .n_queues_min = 2,
                .queue_size = 256,
                .config_size = 12, /* up to mtu: what a backend that has a space has */
                .fields = net_fields,
        },
        {
                .id = VIRTIO_ID_BLK,
                .name = "blk",
                .n_queues = 1,
                .queue_size = 256,
                /* Up to write_zeroes_may_unmap and its padding: what every backend has. QEMU's
                 * refuse to be asked for more than they have. */
                .config_size = 60,
                .writable_offset = 32, /* writeback */
                .writable_size = 1,
                .fields = blk_fields,
        },
        {
                .id = VIRTIO_ID_VSOCK,
                .name = "vsock",
                .n_queues = 2,
                /* Events are the frontend's to tell: QEMU does when a guest has been moved. Its
                 * backends need not have that queue, and drivers do not work without it. */
                .n_queues_silent = 1,
                .queue_size = 128,
                .config_size = 8, /* guest_cid */
        },
        {
                .id = VIRTIO_ID_FS,
                .name = "fs",
                .n_queues = 2,
                .queue_size = 128,
                .config_size = 40, /* tag, num_request_queues */
                /* NOTIFICATION: nobody says how large the buffers of its queue are. */
                .features_mask = UINT64_C(1) << 0,
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
