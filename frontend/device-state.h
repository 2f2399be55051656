/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * All that defines a device, in files that outlast the process that serves it: its successor goes
 * on where it was. The files (device-files.h) are in FRONTEND_FOLDER in the device's folder, which
 * backends cannot reach; they live as long as the orchestrator's claim.
 */

#include <stdint.h>

#include "common/launch.h"
#include "common/log.h"
#include "common/macros.h"
#include "frontend/vhost-inflight.h"
#include "frontend/vhost-kept.h"
#include "frontend/virtio-mmio.h"

#define DEVICE_STATE_VERSION 5

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
        VhostKept kept; /* of no use without the descriptors: looked at when these are known */
} DeviceState;

/*
 * Maps the state from its file, which may be new. inflight is the file of vhost-inflight.h.
 *
 * Returns 1 if a former process has left the state of this very device, with guest memory in these
 * banks, and it can be gone on with; 0 if the device is new, or its state is of no use, which is
 * logged with the context; or a negative errno. To be unmapped in any case but the last.
 */
int device_state_map(int file, int inflight, const Launch *launch, const MemoryBank *banks,
                     unsigned int n_banks, const LogContext *context,
                     DeviceState **ret_state) _warn_unused_;
void device_state_unmap(DeviceState *state);
