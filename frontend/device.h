/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * One virtio device: wires its registers, its descriptors and its relation to the backend together.
 * These parts do not know each other; device.c knows them all.
 */

#include "common/launch.h"
#include "common/macros.h"
#include "frontend/descriptor-store.h"
#include "frontend/device-files.h"
#include "frontend/hypervisor.h"
#include "frontend/ioreq.h"
#include "frontend/loop.h"
#include "frontend/vhost-rings.h"

typedef struct Device Device;

typedef struct DeviceOps {
        /* The backend has answered for the first time. */
        void (*ready)(void *userdata);
        /* Accesses that had to wait can go on. */
        void (*unblocked)(void *userdata);
        /* What device_leave() ordered is done, as far as it can be. May be called from within. */
        void (*left)(void *userdata);
        /*
         * Nothing works any more, and STATUS_FILE says so; the negative errno says why, and it was
         * logged. The device is to be freed, but not from here.
         */
        void (*failed)(void *userdata, int error);
} DeviceOps;

/* What a device is made of; borrowed for its life, but for what is marked. */
typedef struct DeviceParts {
        Loop *loop;
        Hypervisor *hypervisor;
        const NotifyProbe *probe;  /* copied, as are the following three */
        const VhostMemory *memory; /* the guest's RAM */
        DescriptorStore *store;    /* NULL: of the device alone nothing is kept */
        const DeviceName *name;
        const Launch *launch;
        const DeviceOps *ops;
        void *userdata;
} DeviceParts;

/*
 * Makes a device, which takes over its files, unless that fails. If a former process has left its
 * state there, the device goes on from there. Returns 0 or a negative errno.
 */
int device_new(const DeviceParts *parts, DeviceFiles *files, Device **ret_device) _warn_unused_;
Device *device_free(Device *device);

/*
 * Begins to look for the backend. The driver's accesses to a new device wait until the backend has
 * answered for the first time, but not longer than DEVICE_HOLD_USEC: then there is no device for
 * the driver that looks. Returns 0 or a negative errno.
 */
int device_serve(Device *device) _warn_unused_;

#define DEVICE_HOLD_USEC UINT64_C(10000000)

/*
 * The process is going to end in order: stops the rings in such a way that the next one goes on
 * with them without the loss of a request, and then calls ops->left. It takes as long as the
 * backend; to end before that is as safe as a crash. If the next one gets our descriptors (keep),
 * the rings may run on, and nothing has to be done.
 */
void device_leave(Device *device, bool keep);

/*
 * The driver's access to the device's range, as IoreqOps says; and what is left to do when it has
 * been answered.
 */
MmioResult device_access(Device *device, const MmioAccess *access, uint64_t *ret_data);
void device_answered(Device *device);

/* What it was made with. */
const DeviceFiles *device_files(const Device *device);

/* The guest gave memory back. */
void device_memory_changed(Device *device);
