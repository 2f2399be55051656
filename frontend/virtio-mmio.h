/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The virtio-mmio register file, version 2 (virtio 1.3, section 4.2): turns the driver's accesses
 * into calls of virtio.h. It owns the selectors, the state that only this transport has.
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

/*
 * The device and its registers: all that a process that takes the device over has to know. So it is
 * kept in memory that outlasts the process, in this layout, which has no holes, and in this host's
 * byte order. Another layout is another version.
 */
#define VIRTIO_MMIO_STATE_MAGIC   UINT64_C(0x4f494d4d2d4e4558) /* "XEN-MMIO" */
#define VIRTIO_MMIO_STATE_VERSION 1

typedef struct VirtioMmio {
        uint64_t magic;
        uint32_t version;
        uint32_t size; /* of this structure */
        VirtioDevice device;
        uint32_t device_features_sel;
        uint32_t driver_features_sel;
        uint32_t queue_sel;
        uint32_t reserved;       /* 0 */
        uint64_t n_bad_accesses; /* reads and writes that mean nothing: answered, and counted */
} VirtioMmio;

_Static_assert(sizeof(VirtioMmio) == 2424, "the layout belongs to the version");

/*
 * A device that offers nothing yet, whose rings may lie in these banks (at most MEMORY_BANKS_MAX).
 */
void virtio_mmio_init(VirtioMmio *mmio, const MemoryBank *banks, unsigned int n_banks);

/*
 * Whether a structure that was kept can be gone on with: it is of this version, and every field is
 * in its range. Its bytes may be anything. The banks and the device's id remain to be compared with
 * what they are today.
 *
 * Returns 0; -EPROTO if it is something else or of another version; -EINVAL if a field is wrong.
 */
int virtio_mmio_check(const VirtioMmio *mmio) _warn_unused_;

/*
 * The driver reads size bytes (as the hypervisor said: any number) at an offset from the base.
 * Registers are read by 4 bytes, the configuration space by 1, 2 or 4 aligned bytes; anything else
 * reads as 0.
 */
uint64_t virtio_mmio_read(VirtioMmio *mmio, uint64_t offset, uint32_t size);

/*
 * The driver writes, in the same sizes. The event says what the caller has to do. A write that is
 * repeated does nothing more, except that each write to the configuration space is an event.
 */
VirtioEvent virtio_mmio_write(VirtioMmio *mmio, uint64_t offset, uint32_t size, uint64_t value);
