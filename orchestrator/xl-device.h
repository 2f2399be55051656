/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The virtio devices of an xl.cfg(5), as libxl would write them into xenstore: disks with
 * specification=virtio, and virtio=. Pure. Disks of other kinds are nobody's business here.
 */

#include "orchestrator/spec.h"
#include "orchestrator/xl-config.h"

/* What the toolstack makes up when the guest is created. */
#define XL_DOMID 0
#define XL_UUID  "00000000-0000-0000-0000-000000000000"

typedef struct XlDevice {
        Position at;
        DeviceName name;  /* its domid is XL_DOMID; not known if the entry has no devid */
        DeviceSpec *spec; /* NULL: the entry makes no sense */
        char *problem;    /* then why: one sentence that begins with FILE:LINE:COLUMN */
} XlDevice;

/*
 * Reads the devices into a list of XlDevice, disks first: in the order in which libxl gives
 * addresses to them. The caller frees the list.
 *
 * Returns 0; -EINVAL with one sentence in *ret_message if what concerns all of them is wrong: the
 * guest's name, UUID or memory, or if disk or virtio is no list.
 */
int xl_devices_read(const XlConfig *config, GPtrArray **ret_devices,
                    char **ret_message) _warn_unused_;
