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

/* struct virtio_console_config, section 5.3.4 */
static const DeviceField console_fields[] = {
        { .feature = 0, .offset = 0, .size = 4 }, /* SIZE: cols, rows */
        { .feature = 1, .offset = 4, .size = 4 }, /* MULTIPORT: max_nr_ports */
        { .feature = 2, .offset = 8, .size = 4 }, /* EMERG_WRITE */
        { .size = 0 },
};

/* struct virtio_snd_config, section 5.14.4 */
static const DeviceField sound_fields[] = {
        { .feature = 0, .offset = 12, .size = 4 }, /* CTLS: controls */
        { .size = 0 },
};

/* A type of which nothing is known but how it is called. */
#define NAMED(number, word)                                                                        \
        {                                                                                          \
                .id = number, .name = word, .n_queues = 1, .queue_size = 256                       \
        }

/*
 * Sizes of queues are those that the backends we know take: a larger one would be refused, and
 * nothing tells how large it may be. Sizes of configuration spaces, too: some backends give what
 * happens to lie behind theirs to those who ask for more.
 */
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
                .qemu_name = "block",
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
                .id = 3,
                .name = "console",
                .n_queues = 2,
                .queue_size = 128,
                .config_size = 12,
                .writable_offset = 8, /* emerg_wr */
                .writable_size = 4,
                .fields = console_fields,
        },
        { .id = 4, .name = "rng", .n_queues = 1, .queue_size = 256 },
        NAMED(5, "balloon"),
        NAMED(6, "iomem"),
        NAMED(7, "rpmsg"),
        /* cdb_size and sense_size are the driver's to write, too, but backends made for QEMU take
         * no writes: drivers that write what is there anyway, as Linux, lose nothing. */
        { .id = 8, .name = "scsi", .n_queues = 3, .queue_size = 128, .config_size = 36 },
        NAMED(9, "9p"),
        NAMED(10, "mac80211-wlan"),
        NAMED(11, "rproc-serial"),
        NAMED(12, "caif"),
        NAMED(13, "memory-balloon"),
        NAMED(16, "gpu"),
        NAMED(17, "clock"),
        {
                .id = 18,
                .name = "input",
                .n_queues = 2,
                .queue_size = 64,
                .config_size = 136,
                .writable_offset = 0, /* select, subsel */
                .writable_size = 2,
                .writable_selects = true,
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
        { .id = 20, .name = "crypto", .n_queues = 2, .queue_size = 256, .config_size = 56 },
        NAMED(21, "signal-dist"),
        NAMED(22, "pstore"),
        NAMED(23, "iommu"),
        NAMED(24, "mem"),
        {
                .id = 25,
                .name = "sound",
                .n_queues = 4,
                .queue_size = 64,
                .config_size = 12, /* up to chmaps: controls is newer than some backends */
                .fields = sound_fields,
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
        NAMED(27, "pmem"),
        NAMED(28, "rpmb"),
        NAMED(29, "mac80211-hwsim"),
        NAMED(30, "video-encoder"),
        NAMED(31, "video-decoder"),
        { .id = 32, .name = "scmi", .n_queues = 2, .queue_size = 256 },
        NAMED(33, "nitro-sec-mod"),
        { .id = 34, .name = "i2c", .n_queues = 1, .queue_size = 64 },
        NAMED(35, "watchdog"),
        { .id = 36, .name = "can", .n_queues = 3, .queue_size = 64, .config_size = 2 },
        NAMED(38, "param-serv"),
        NAMED(39, "audio-policy"),
        NAMED(40, "bt"),
        { .id = 41, .name = "gpio", .n_queues = 2, .queue_size = 256, .config_size = 8 },
        NAMED(42, "rdma"),
        NAMED(43, "camera"),
        NAMED(44, "ism"),
        { .id = 45, .name = "spi", .n_queues = 1, .queue_size = 64, .config_size = 32 },
};

static const DeviceType generic = NAMED(0, NULL);

const DeviceType *device_type_find(uint32_t id)
{
        for (size_t i = 0; i < ARRAY_SIZE(device_types); i++) {
                if (device_types[i].id == id)
                        return &device_types[i];
        }
        return &generic;
}
