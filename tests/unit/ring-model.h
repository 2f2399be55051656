/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The rings of the world outside, as the events of frontend/virtio.h have them started and stopped.
 * Each event has to make sense in the state that the ones before it have led to.
 */

#include "frontend/virtio.h"

typedef struct RingModel {
        bool started;
        bool running[VIRTIO_QUEUES_MAX];
        unsigned int n_events[VIRTIO_EVENT_BROKEN + 1]; /* by type */
} RingModel;

/* Takes over a device that may already run. */
void ring_model_init(RingModel *rings, const VirtioDevice *device);

/* Does what an event, after which the device is as given, asks for; aborts if it makes no sense. */
void ring_model_apply(RingModel *rings, const VirtioDevice *device, VirtioEvent event);
