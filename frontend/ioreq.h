/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Takes the requests of all vCPUs, checks them, hands each access to the device that it is for, and
 * answers. Every request is answered, whatever it is: a vCPU waits for it. Only the handlers may
 * put an access off, and then have to call ioreq_serve() again.
 */

#include <stdint.h>

#include "common/macros.h"
#include "frontend/hypervisor.h"

/* A memory access that lies within a device's range and is of 1, 2, 4 or 8 bytes. */
typedef struct MmioAccess {
        uint64_t offset; /* from the base of the range */
        uint32_t size;
        bool is_read;
        uint64_t data; /* written; no more bits than size says */
} MmioAccess;

typedef enum MmioResult {
        MMIO_DONE, /* answer with *ret_data */
        MMIO_WAIT, /* not now: hand the same access over again in the next ioreq_serve() */
} MmioResult;

typedef struct IoreqOps {
        /*
         * Which device has the range of VIRTIO_MMIO_RANGE_SIZE bytes that begins at base, a
         * multiple of that. If none has, the access is answered as nothing or put off.
         */
        MmioResult (*find)(void *userdata, uint64_t base, void **ret_device);
        MmioResult (*access)(void *device, const MmioAccess *access, uint64_t *ret_data);
        /* After the access was answered: for what the vCPU does not need to wait for. */
        void (*answered)(void *device);
        /* INVALIDATE: the guest gave memory back, mappings of it may be stale. */
        void (*invalidate)(void *userdata);
} IoreqOps;

typedef struct IoreqServer {
        Hypervisor *hypervisor; /* borrowed */
        const IoreqOps *ops;
        void *userdata;
        uint64_t n_requests;
        uint64_t n_bad_requests; /* answered, but not handed over */
} IoreqServer;

/*
 * Serves what waits, each vCPU once, and unmasks the events that were taken. Bounded work: a guest
 * that asks again at once is served in the next round of the loop.
 *
 * Returns 0, or the negative errno of the hypervisor's interface, after which nothing works.
 */
int ioreq_serve(IoreqServer *server) _warn_unused_;
