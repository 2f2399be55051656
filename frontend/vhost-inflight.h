/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The area in which a backend notes the requests that it has taken and not given back yet
 * (vhost-user.rst, "Inflight I/O tracking"). The next backend finds them there, so that none is
 * lost and none is answered twice.
 *
 * A backend allocates the area. It is copied into a file of our own, which backends then share: so
 * it outlasts them and, where the file has a name, us.
 */

#include <stdint.h>

#include "common/macros.h"
#include "frontend/vhost-user.h"
#include "frontend/virtio.h"

/*
 * How far the backends have come since the driver's DRIVER_OK. Free of pointers and descriptors,
 * and without holes, so that it can outlast the process. All zero at first.
 */
typedef struct VhostProgress {
        uint64_t area_size; /* bytes in the file; 0: there is no area */
        uint16_t area_queues;
        uint16_t area_queue_size;
        int32_t holder;      /* the process that may use the guest's memory: see vhost-peer.h */
        uint8_t begun;       /* 1: a backend may have taken requests from the rings */
        uint8_t handed_over; /* 1: it has let go of all rings, and done all requests before bases */
        uint8_t reserved[6]; /* 0 */
        uint32_t bases[VIRTIO_QUEUES_MAX]; /* the next request, as vhost-user has it */
} VhostProgress;

_Static_assert(sizeof(VhostProgress) == 24 + 4 * VIRTIO_QUEUES_MAX,
               "the layout belongs to the device's state");

/*
 * Copies the area that a backend has allocated, for so many queues of so many descriptors, into
 * file (borrowed). descriptor is the backend's: nothing of it is believed, and it is not mapped.
 *
 * Returns 0; -EINVAL if the area has an impossible size; -EBADF if the descriptor is not of plain
 * shared memory, or of less than the area; or the negative errno of writing the file.
 */
int vhost_inflight_adopt(VhostProgress *progress, int file, const VhostUserInflight *area,
                         int descriptor, uint16_t n_queues, uint16_t queue_size) _warn_unused_;

/* The area is of no use any more. */
void vhost_inflight_drop(VhostProgress *progress);

/* How the file is described to a backend. */
VhostUserInflight vhost_inflight_describe(const VhostProgress *progress);

/*
 * Where the used ring of a split queue stood when a backend last noted it, or 0 where none has used
 * the area. Backends that track requests look at the ring itself and trust this for no more than
 * we do.
 */
uint16_t vhost_inflight_used_index(const VhostProgress *progress, int file, uint16_t queue);

/*
 * Forgets what was noted of a split queue's requests: its ring is made anew. What a backend has
 * said of the queue when it allocated the area stays. The queue must not run.
 */
void vhost_inflight_clear(const VhostProgress *progress, int file, uint16_t queue);

/* Whether a record that was kept can be true, with this file. Its bytes may be anything. */
bool vhost_inflight_is_consistent(const VhostProgress *progress, int file);
