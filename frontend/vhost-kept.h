/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A connection that outlasts the process. A backend may end with its connection, or not know where
 * its rings are to go on with the next one; it need not notice at all that another process is at
 * our end. systemd keeps the descriptors (descriptor-store.h); what they mean stands here.
 *
 * A connection is gone on with only if its rings run and nothing is under way on it: what had been
 * asked, and whose answer it is that comes next, would not be known.
 */

#include <stdint.h>

#include "common/macros.h"
#include "frontend/descriptor-store.h"
#include "frontend/loop.h"
#include "frontend/vhost-channel.h"
#include "frontend/vhost-inflight.h"
#include "frontend/vhost-negotiate.h"
#include "frontend/vhost-rings.h"
#include "frontend/virtio.h"

/* Free of pointers and descriptors, and without holes. All zero: there is no connection. */
typedef struct VhostKept {
        uint64_t features; /* this and the following: what the negotiation came to */
        uint64_t protocol_features;
        uint64_t queues;              /* bit n: the backend has queue n */
        uint64_t connection, channel; /* which sockets they are; 0: no channel */
        uint16_t n_queues;            /* of the backend */
        uint8_t running;              /* 1: the rings run; the session writes it and all above */
        uint8_t asking;               /* 1: an answer has yet to come; written by the client */
        uint8_t hearing;              /* 1: a request came in part; written by the channel */
        uint8_t reserved[3];
} VhostKept;

_Static_assert(sizeof(VhostKept) == 48, "the layout belongs to the device's state");

/* The connection of this process, and of the one before. */
typedef struct VhostKeeper {
        VhostKept *kept;        /* borrowed, as is the store */
        DescriptorStore *store; /* NULL: no connection is kept */

        bool is_stored; /* ours: systemd has the connection of this process */
} VhostKeeper;

/* Whether the driver wants all rings that run on the connection; it may want more. */
bool vhost_kept_runs(const VhostKept *kept, const VirtioDevice *device);

/*
 * NULL if the connection in the store can be gone on with; or why not, as the end of a sentence.
 * Neither what the record says nor what the store has is believed.
 */
const char *vhost_kept_problem(const VhostKept *kept, const VhostProgress *progress,
                               const VirtioDevice *device, const DescriptorStore *store);

/*
 * Decides on that at the start, before anything in the store is used, and says so in the log: what
 * cannot be gone on with, all of it, is thrown away. The store may be NULL.
 */
void vhost_kept_settle(VhostKept *kept, const VhostProgress *progress, const VirtioDevice *device,
                       DescriptorStore *store, const LogContext *context);

/*
 * Goes on with the connection in the store, of which vhost_kept_problem() has found nothing, if its
 * rings are still those that the driver wants: makes a client (in the negotiation) and a channel
 * (or none: NULL) of it, negotiates and starts nothing anew. Else it ends. Returns whether.
 */
bool vhost_keeper_adopt(VhostKeeper *keeper, Loop *loop, const VhostChannelOps *channel_ops,
                        VhostNegotiation *negotiation, VhostRings *rings,
                        VhostChannel **ret_channel);

/* What a former process has left is of no use: its connection ends. */
void vhost_keeper_forget(VhostKeeper *keeper);

/* The rings run on a connection, with these queues, and a channel or none. */
void vhost_keeper_put(VhostKeeper *keeper, const VhostNegotiation *negotiation, uint64_t queues,
                      VhostClient *client, VhostChannel *channel);

/*
 * The connection (NULL: what is left of it) is of no use any more: it ends at once, though systemd
 * may have it for a while.
 */
void vhost_keeper_end(VhostKeeper *keeper, const VhostClient *client);

/* Whether the next process could go on now. */
bool vhost_keeper_is_ready(const VhostKeeper *keeper);
