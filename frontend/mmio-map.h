/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which device of a process has which range of the guest's addresses, and which ranges had one. */

#include <stdint.h>

#include "common/device-list.h"
#include "common/macros.h"

/* To begin with, all zero. */
typedef struct MmioMap {
        struct {
                uint64_t base; /* guest-physical, of VIRTIO_MMIO_RANGE_SIZE bytes */
                void *device;  /* borrowed; NULL for a range that had one */
        } ranges[DEVICE_LIST_MAX];
        unsigned int n;
} MmioMap;

/*
 * Gives a range to a device. Returns 0, -EEXIST if another device has it, or -ENOSPC if there are
 * DEVICE_LIST_MAX of them.
 */
int mmio_map_add(MmioMap *map, uint64_t base, void *device) _warn_unused_;

/* Takes it away again. That it had a device is remembered, while there is room. */
void mmio_map_remove(MmioMap *map, uint64_t base);

/* The device that has the range which begins at base, or NULL. */
void *mmio_map_find(const MmioMap *map, uint64_t base);

/* Whether the range has a device, or had one. */
bool mmio_map_knows(const MmioMap *map, uint64_t base);
