/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What frontend and backend tell each other first on a new connection: features, queues, and the
 * configuration space.
 */

#include <stdint.h>

#include "common/device-type.h"
#include "common/launch.h"
#include "frontend/memory-way.h"
#include "frontend/vhost-client.h"

/* What the driver can be offered with this backend. */
typedef struct VhostOffer {
        uint64_t features; /* also those that are between frontend and driver alone */
        uint16_t n_queues;
        uint16_t control_queue; /* a network card's, if it is to be served here; 0: it is not */
        MemoryWay way;          /* how the guest's memory gets to the backend */
        uint32_t config_size;
        uint8_t config[VHOST_USER_CONFIG_MAX];
} VhostOffer;

/* The negotiation of one connection; its results stay valid as long as the connection does. */
typedef struct VhostNegotiation {
        uint64_t features;          /* of the backend, all */
        uint64_t protocol_features; /* acknowledged */
        uint16_t n_queues;          /* of the backend; the offer may have more, which none serves */
        VhostOffer offer;

        VhostClient *client; /* borrowed, as is all that follows */
        const DeviceType *type;
        const LaunchConfig *config; /* what the launch file says of the configuration space */
        int channel;                /* the end of its own channel, for the backend that wants one */
        bool grants;                /* the guest's driver hands out grants, not addresses */
        MemoryChoice memory;
        void (*done)(void *userdata);
        void (*changed)(void *userdata); /* ours */
        VhostFailed failed;
        void *userdata;
} VhostNegotiation;

/*
 * Sends the first request. client, type, config, done, failed and userdata are set by the caller.
 * Ends with done; or with failed, if the backend cannot work; or with the client's own failure.
 */
void vhost_negotiate(VhostNegotiation *negotiation);

/*
 * Goes on with a connection of which features, protocol_features and n_queues are known, as another
 * process has found them. config is the configuration space as the driver sees it. Sends nothing.
 * Returns whether the guest's memory gets to the backend as it did.
 */
bool vhost_negotiate_again(VhostNegotiation *negotiation,
                           const uint8_t config[VHOST_USER_CONFIG_MAX]);

/*
 * Reads the configuration space again; in the time of the connection, after done. Calls changed
 * when the offer is up to date, unless there is none to read.
 */
void vhost_config_update(VhostNegotiation *negotiation, void (*changed)(void *userdata));

/* Whether a feature was offered by the backend, or a protocol feature agreed on. */
bool vhost_has_feature(const VhostNegotiation *negotiation, unsigned int bit);
bool vhost_has_protocol_feature(const VhostNegotiation *negotiation, unsigned int bit);
