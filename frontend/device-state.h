/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * All that defines a device, in files that outlast the process that serves it: its successor goes
 * on where it was. The files are in FRONTEND_FOLDER in the device's folder, which backends cannot
 * reach; they live as long as the orchestrator's claim.
 */

#include <stdint.h>

#include "common/launch.h"
#include "common/log.h"
#include "common/macros.h"
#include "frontend/vhost-inflight.h"
#include "frontend/virtio-mmio.h"

#define DEVICE_STATE_VERSION 3

/* One layout without holes. Each part has one writer: virtio-mmio.c, the session. */
typedef struct DeviceState {
        uint32_t version;
        uint32_t size; /* of this structure */
        uint64_t base; /* this and the following: whose state it is, from the launch file */
        uint32_t irq;
        uint16_t server;
        char uuid[LAUNCH_UUID_SIZE];
        char reserved[5]; /* 0 */
        VirtioMmio mmio;
        VhostProgress progress;
} DeviceState;

/* The state of a device, and the descriptors of its files. */
typedef struct DeviceStateFiles {
        DeviceState *state; /* mapped */
        int inflight;       /* the file of vhost-inflight.h */
} DeviceStateFiles;

/*
 * Opens the files in the folder dirfd, and makes those that are not there. Without
 * FRONTEND_FOLDER they have no names, and the state ends with the process.
 *
 * Returns 1 if a former process has left the state of this very device, with guest memory in these
 * banks, and it can be gone on with; 0 if the device is new, or its state is of no use, which is
 * logged with the context; or a negative errno. To be closed in any case but the last.
 */
int device_state_open(int dirfd, const Launch *launch, const MemoryBank *banks,
                      unsigned int n_banks, const LogContext *context,
                      DeviceStateFiles *ret_files) _warn_unused_;
void device_state_close(DeviceStateFiles *files);
