/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The descriptors over which driver and backend wake each other: a kick for each queue, written
 * here and read by the backend, and one call for all queues, written by the backend and read here.
 */

#include <stdint.h>

#include "common/macros.h"
#include "frontend/descriptor-store.h"
#include "frontend/loop.h"
#include "frontend/virtio.h"

typedef struct Notify Notify;

/*
 * called is run when a backend has used buffers of any queue. The loop is borrowed, as is the store
 * (or NULL), which has the descriptors of a former process, and gets those that are made.
 *
 * Returns 0 or a negative errno.
 */
int notify_new(Loop *loop, DescriptorStore *store, LoopReady called, void *userdata,
               Notify **ret_notify) _warn_unused_;
Notify *notify_free(Notify *notify);

/*
 * Makes the kick descriptors of the first n_queues (up to VIRTIO_QUEUES_MAX) that do not exist yet.
 * Returns 0 or a negative errno.
 */
int notify_prepare(Notify *notify, uint16_t n_queues) _warn_unused_;

/* An array of VIRTIO_QUEUES_MAX descriptors, -1 for those that were not made. */
const int *notify_kick_fds(const Notify *notify);
int notify_call_fd(const Notify *notify);

/* Whether calls are read here; not while the kernel turns them into interrupts itself. */
void notify_call_watch(Notify *notify, bool watch);

/* Tells the backend that a queue has work. Never blocks; a kick that is pending is as good. */
void notify_kick(const Notify *notify, uint16_t queue);
