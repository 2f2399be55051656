/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The virtio-mmio register file, version 2 (virtio 1.3, section 4.2): turns the driver's accesses
 * into calls of virtio.h. It owns the two selectors' worth of state that only this transport has.
 */

#include <stdint.h>

#include "frontend/virtio.h"

/* Register offsets (table 4.1). */
enum {
        VIRTIO_MMIO_MAGIC_VALUE = 0x000,
        VIRTIO_MMIO_VERSION = 0x004,
        VIRTIO_MMIO_DEVICE_ID = 0x008,
        VIRTIO_MMIO_VENDOR_ID = 0x00c,
        VIRTIO_MMIO_DEVICE_FEATURES = 0x010,
        VIRTIO_MMIO_DEVICE_FEATURES_SEL = 0x014,
        VIRTIO_MMIO_DRIVER_FEATURES = 0x020,
        VIRTIO_MMIO_DRIVER_FEATURES_SEL = 0x024,
        VIRTIO_MMIO_QUEUE_SEL = 0x030,
        VIRTIO_MMIO_QUEUE_SIZE_MAX = 0x034,
        VIRTIO_MMIO_QUEUE_SIZE = 0x038,
        VIRTIO_MMIO_QUEUE_READY = 0x044,
        VIRTIO_MMIO_QUEUE_NOTIFY = 0x050,
        VIRTIO_MMIO_INTERRUPT_STATUS = 0x060,
        VIRTIO_MMIO_INTERRUPT_ACK = 0x064,
        VIRTIO_MMIO_STATUS = 0x070,
        VIRTIO_MMIO_QUEUE_DESC_LOW = 0x080,
        VIRTIO_MMIO_QUEUE_DESC_HIGH = 0x084,
        VIRTIO_MMIO_QUEUE_DRIVER_LOW = 0x090,
        VIRTIO_MMIO_QUEUE_DRIVER_HIGH = 0x094,
        VIRTIO_MMIO_QUEUE_DEVICE_LOW = 0x0a0,
        VIRTIO_MMIO_QUEUE_DEVICE_HIGH = 0x0a4,
        VIRTIO_MMIO_SHM_SEL = 0x0ac,
        VIRTIO_MMIO_SHM_LEN_LOW = 0x0b0,
        VIRTIO_MMIO_SHM_LEN_HIGH = 0x0b4,
        VIRTIO_MMIO_SHM_BASE_LOW = 0x0b8,
        VIRTIO_MMIO_SHM_BASE_HIGH = 0x0bc,
        VIRTIO_MMIO_QUEUE_RESET = 0x0c0,
        VIRTIO_MMIO_CONFIG_GENERATION = 0x0fc,
        VIRTIO_MMIO_CONFIG = 0x100,
};

#define VIRTIO_MMIO_MAGIC UINT32_C(0x74726976) /* "virt" */
/* The vendor: "XENV". The specification gives no list; drivers only show it. */
#define VIRTIO_MMIO_VENDOR UINT32_C(0x564e4558)

typedef struct VirtioMmio {
        VirtioDevice device;
        uint32_t device_features_sel;
        uint32_t driver_features_sel;
        uint32_t queue_sel;
        uint64_t n_bad_accesses; /* reads and writes that mean nothing: answered, and counted */
} VirtioMmio;

/*
 * The driver reads size bytes (as the hypervisor said: any number) at an offset from the base.
 * Registers are read by 4 bytes, the configuration space by 1, 2 or 4 aligned bytes; anything else
 * reads as 0.
 */
uint64_t virtio_mmio_read(VirtioMmio *mmio, uint64_t offset, uint32_t size);

/* The driver writes. The event says what the caller has to do. */
VirtioEvent virtio_mmio_write(VirtioMmio *mmio, uint64_t offset, uint32_t size, uint64_t value);
