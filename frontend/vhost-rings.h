/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Starts and stops the rings of a backend that has been negotiated with, in the order of
 * vhost-user.rst, "Ring states".
 */

#include <stdint.h>

#include "frontend/memory-table.h"
#include "frontend/vhost-inflight.h"
#include "frontend/vhost-negotiate.h"
#include "frontend/virtio.h"

/* Done, whatever was ordered. It is not called if the connection fails meanwhile. */
typedef void (*VhostRingsDone)(void *userdata);

/* The rings on one connection. One order at a time. */
typedef struct VhostRings {
        const VhostNegotiation *negotiation; /* borrowed, as is all but what is marked */
        const VhostMemory *memory;
        const VirtioDevice *device;
        const int *kick_fds; /* one for each queue */
        int call_fd;         /* for all queues */
        VhostProgress *progress;
        int progress_file;
        void *userdata;

        VhostRingsDone done;
        bool handing_over; /* ours, as are those that follow: what is stopped goes on */
        bool unfinished;   /* where a ring has stopped says nothing of all its requests */
        bool handed_over;  /* what is started was */
        bool memory_known; /* to the backend */
        GrantSet grants;   /* for this connection, or none */
        uint16_t queue;    /* the one that is being started or stopped */
        uint64_t started;  /* bit n: the backend has queue n */
} VhostRings;

/*
 * Starts all queues that are ready, with the features that the driver chose; if backends have begun
 * with them before (progress), where those have stopped. Not to be called after vhost_refusal().
 *
 * Returns 0, or -EMFILE if the process has no descriptor for grants left: its successor has.
 */
int vhost_rings_start(VhostRings *rings, VhostRingsDone done) _warn_unused_;

/* Another process has started these queues (bit n: queue n) on the connection, and they run. */
void vhost_rings_adopt(VhostRings *rings, uint64_t queues);

/* The connection has ended: the backend knows and has nothing of ours any more. */
void vhost_rings_forget(VhostRings *rings);

/* Stops all queues that were started, and resets the device. */
void vhost_rings_stop(VhostRings *rings, VhostRingsDone done);

/*
 * The same without the reset: progress says from where the rings are to go on; unless they are
 * unfinished, which packed ones are while the backend has requests of theirs.
 */
void vhost_rings_hand_over(VhostRings *rings, VhostRingsDone done);

/*
 * The driver, which has n_pairs of the device in use, is to have so many: enables the rings of
 * those that come to it, disables those of others.
 */
void vhost_rings_enable(VhostRings *rings, uint16_t n_pairs, VhostRingsDone done);

/* A queue is not the one any more that backends have begun with. It must not run. */
void vhost_ring_forget(VhostRings *rings, uint16_t queue);

/* The first queue that is ready and was not started, of those that the backend has, or -1. */
int vhost_ring_next(const VhostRings *rings);

/* Whether the backend has anything of a queue, which is to be stopped then. */
bool vhost_ring_is_known(const VhostRings *rings, uint16_t queue);

/* Starts a queue as vhost_ring_next() said, or stops one that is known; the others go on. */
void vhost_ring_start(VhostRings *rings, uint16_t queue, VhostRingsDone done);
void vhost_ring_stop(VhostRings *rings, uint16_t queue, VhostRingsDone done);
