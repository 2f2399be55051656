/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What a toolstack asks for: one device, read from its xenstore nodes and checked. Pure; the nodes
 * are untrusted text. A DeviceSpec never changes once it is made.
 */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/device-name.h"
#include "common/launch.h"
#include "orchestrator/node-set.h"

/* The values of the node "state" (xen/io/xenbus.h). */
typedef enum XenbusState {
        XENBUS_UNKNOWN,
        XENBUS_INITIALISING, /* written by the toolstack: it asks for the device */
        XENBUS_INIT_WAIT,    /* written by us: the device is served; libxl waits for exactly this */
        XENBUS_INITIALISED,
        XENBUS_CONNECTED,
        XENBUS_CLOSING, /* written by the toolstack: it wants the device gone */
        XENBUS_CLOSED,  /* written by us: it is; libxl waits for this at most 10 s */
} XenbusState;

typedef struct DeviceSpec {
        DeviceName name;
        char uuid[LAUNCH_UUID_SIZE]; /* the domain's */
        char *domain;                /* its name, printable UTF-8, not empty */
        uint64_t memory_kib;         /* its RAM at most, whole pages */

        uint64_t base;      /* guest address of the registers, multiple of VIRTIO_MMIO_RANGE_SIZE */
        uint32_t irq;       /* GIC INTID of an SPI */
        uint32_t device_id; /* virtio device id, 1 to 63; 0: the guest's file has to say */
        bool grant_usage;

        /* DEVICE_KIND_DISK only */
        char *disk_path; /* absolute, printable UTF-8 */
        char *disk_dev;  /* the name in xl.cfg, "xvda" */
        bool disk_readonly;
} DeviceSpec;

/*
 * Reads a device's nodes.
 *
 * Returns 0, or -EINVAL with one sentence in *ret_message that names the node at fault and quotes
 * its value harmlessly. The caller owns what is returned.
 */
int device_spec_parse(const DeviceName *name, const NodeSet *nodes, DeviceSpec **ret_spec,
                      char **ret_message) _warn_unused_;

DeviceSpec *device_spec_free(DeviceSpec *spec);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DeviceSpec, device_spec_free)

/* Reads the node "state"; -EINVAL if it is none of xenbus' states. NULL is not one either. */
int xenbus_state_parse(const char *text, XenbusState *ret_state) _warn_unused_;
