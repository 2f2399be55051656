/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What is known of each virtio device type, in one table (virtio 1.3, section 5). A type that is
 * not in the table works through the generic entry, whose name is NULL. Names are those of Linux'
 * include/uapi/linux/virtio_ids.h, in lower case and as short as people say them.
 */

#include <stdbool.h>
#include <stdint.h>

#include "common/macros.h"

/* The types that something else has to know by name. */
#define VIRTIO_ID_NET   1
#define VIRTIO_ID_BLK   2
#define VIRTIO_ID_VSOCK 19
#define VIRTIO_ID_FS    26

/* A part of the configuration space that a feature brings. */
typedef struct DeviceField {
        uint8_t feature; /* its bit */
        uint8_t offset, size;
} DeviceField;

typedef struct DeviceType {
        uint32_t id;              /* virtio device id */
        const char *name;         /* as in our configuration, "blk" */
        const char *qemu_name;    /* in docs/interop/vhost-user.json; NULL: the same */
        uint16_t n_queues;        /* where the backend does not say (no VHOST_USER_PROTOCOL_F_MQ) */
        uint16_t n_queues_min;    /* it has these, whatever the backend says; 0: who knows */
        uint16_t n_queues_silent; /* behind the backend's: a driver sets them up, and no more */
        uint16_t queue_size;      /* largest ring offered to the driver, a power of two */
        uint16_t config_size;     /* bytes of configuration space to ask the backend for */
        uint16_t writable_offset; /* what of the configuration space the driver may write */
        uint16_t writable_size;   /* its bytes; 0: none */
        bool writable_selects;    /* it chooses what the rest of the space shows */
        uint64_t features_mask;   /* device-specific feature bits that are not passed on */
        /* These are passed on only if their part of the configuration space is known: the backend
         * has given it, or config-space.c makes it. The last one has size 0; NULL: none. */
        const DeviceField *fields;
} DeviceType;

/* Never NULL: the generic entry for ids that are not in the table. */
const DeviceType *device_type_find(uint32_t id);
