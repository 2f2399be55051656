/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/vhost-negotiate.h"

#include <errno.h>
#include <string.h>

#include "frontend/config-space.h"
#include "frontend/net-control.h"
#include "frontend/vhost-request.h"
#include "frontend/virtio.h"

#define BIT(n) (UINT64_C(1) << (n))

/*
 * Transport features of virtio 1.3 section 6 that are passed between driver and backend untouched:
 * INDIRECT_DESC, EVENT_IDX, VERSION_1, RING_PACKED, IN_ORDER, ORDER_PLATFORM, RING_RESET. Bits 24
 * and up that are not here belong to a transport or to vhost-user itself.
 */
#define DEVICE_FEATURES (BIT(24) - 1)
#define TRANSPORT_FEATURES                                                                         \
        (BIT(28) | BIT(29) | BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_F_RING_PACKED) | BIT(35) |       \
         BIT(36) | BIT(VIRTIO_F_RING_RESET))

/* What is implemented here, and nothing else, is acknowledged. */
#define PROTOCOL_FEATURES                                                                          \
        (BIT(VHOST_USER_PROTOCOL_F_MQ) | BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK) |                    \
         BIT(VHOST_USER_PROTOCOL_F_NET_MTU) | BIT(VHOST_USER_PROTOCOL_F_BACKEND_REQ) |             \
         BIT(VHOST_USER_PROTOCOL_F_CONFIG) | BIT(VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD) |           \
         BIT(VHOST_USER_PROTOCOL_F_RESET_DEVICE) | BIT(VHOST_USER_PROTOCOL_F_STATUS) |             \
         BIT(VHOST_USER_PROTOCOL_F_XEN_MMAP))

bool vhost_has_feature(const VhostNegotiation *negotiation, unsigned int bit)
{
        return negotiation->features & BIT(bit);
}

bool vhost_has_protocol_feature(const VhostNegotiation *negotiation, unsigned int bit)
{
        return negotiation->protocol_features & BIT(bit);
}

/*
 * What is passed on to the driver of what the backend has. ACCESS_PLATFORM lets it hand out grants,
 * and is between it and us. The backend could not map the grants of a ring that is made anew
 * meanwhile.
 */
static uint64_t offer_features(const VhostNegotiation *negotiation)
{
        const uint64_t features = negotiation->features & (DEVICE_FEATURES | TRANSPORT_FEATURES) &
                                  ~negotiation->type->features_mask;

        if (!negotiation->grants)
                return features;
        /* A packed ring is granted in three places, and of regions for such there are few. */
        return (features & ~(BIT(VIRTIO_F_RING_RESET) | BIT(VIRTIO_F_RING_PACKED))) |
               BIT(VIRTIO_F_ACCESS_PLATFORM);
}

/* Returns whether there is a way; if not, the negotiation has failed. */
static bool way_choose(VhostNegotiation *negotiation, bool xen_mmap)
{
        int r = memory_way_choose(negotiation->memory, negotiation->grants, xen_mmap,
                                  &negotiation->offer.way);

        if (r < 0)
                negotiation->failed(negotiation->userdata, r,
                                    negotiation->grants
                                            ? "the guest hands out grants (grant_usage=1), and the "
                                              "backend cannot map them: it does not offer XEN_MMAP"
                                            : "the backend does not offer XEN_MMAP, which its "
                                              "profile asks for (Memory=xen-mmap)");
        return r >= 0;
}

static uint16_t queues_limit(uint64_t n)
{
        return (uint16_t)(n < VIRTIO_QUEUES_MAX ? n : VIRTIO_QUEUES_MAX);
}

/*
 * Whether the control queue of a network card is left to its frontend, with several pairs of queues
 * before it. So it is with backends that were made for QEMU; one that has a configuration space is
 * a whole device. What is granted cannot be looked at here.
 */
static bool leaves_control(const VhostNegotiation *negotiation)
{
        const MemoryWay way = negotiation->offer.way;

        return negotiation->type->id == VIRTIO_ID_NET && negotiation->config->net_queue_pairs > 1 &&
               vhost_has_feature(negotiation, NET_F_MQ) &&
               vhost_has_protocol_feature(negotiation, VHOST_USER_PROTOCOL_F_MQ) &&
               !vhost_has_protocol_feature(negotiation, VHOST_USER_PROTOCOL_F_CONFIG) &&
               (way == MEMORY_WAY_FILE || way == MEMORY_WAY_FOREIGN);
}

/* Such a backend's number of queues is that of pairs, of which no more are used than are wanted. */
static uint64_t queues_of_pairs(const VhostNegotiation *negotiation, uint64_t n_pairs)
{
        const uint64_t wanted = negotiation->config->net_queue_pairs;

        return NET_QUEUES_PER_PAIR * (n_pairs < wanted ? n_pairs : wanted);
}

/* payload: the backend's configuration space, or NULL where it gives none. */
static void offer_complete(VhostNegotiation *negotiation, const VhostUserPayload *payload)
{
        VhostOffer *offer = &negotiation->offer;

        offer->features = offer_features(negotiation);
        offer->n_queues =
                queues_limit((uint64_t)negotiation->n_queues + negotiation->type->n_queues_silent);
        if (leaves_control(negotiation) && negotiation->n_queues > NET_QUEUES_PER_PAIR)
                offer->control_queue = offer->n_queues++;
        offer->config_size = payload ? payload->config.size : 0;
        if (payload)
                memcpy(offer->config, payload->config.data, payload->config.size);
        config_space_complete(negotiation->type, negotiation->config, offer);
}

static void config_answered(void *userdata, const VhostUserPayload *payload)
{
        VhostNegotiation *negotiation = userdata;

        offer_complete(negotiation, payload);
        negotiation->done(negotiation->userdata);
}

static void config_updated(void *userdata, const VhostUserPayload *payload)
{
        VhostNegotiation *negotiation = userdata;

        offer_complete(negotiation, payload);
        negotiation->changed(negotiation->userdata);
}

/* How much of the configuration space to ask the backend for; 0: nothing. */
static uint32_t config_size(const VhostNegotiation *negotiation)
{
        const uint32_t said = negotiation->config->size;

        if (!vhost_has_protocol_feature(negotiation, VHOST_USER_PROTOCOL_F_CONFIG))
                return 0;
        return said > 0 ? said : negotiation->type->config_size;
}

void vhost_config_update(VhostNegotiation *negotiation, void (*changed)(void *userdata))
{
        const uint32_t size = config_size(negotiation);

        negotiation->changed = changed;
        if (size > 0)
                vhost_get_config(negotiation->client, size, config_updated, negotiation);
}

static void config_query(VhostNegotiation *negotiation)
{
        const uint32_t size = config_size(negotiation);

        if (size > 0) {
                vhost_get_config(negotiation->client, size, config_answered, negotiation);
                return;
        }
        offer_complete(negotiation, NULL);
        negotiation->done(negotiation->userdata);
}

static void queue_num_answered(void *userdata, const VhostUserPayload *payload)
{
        VhostNegotiation *negotiation = userdata;

        if (payload->u64 == 0) {
                negotiation->failed(negotiation->userdata, -EPROTO, "the backend has no queues");
                return;
        }
        negotiation->n_queues = queues_limit(leaves_control(negotiation)
                                                     ? queues_of_pairs(negotiation, payload->u64)
                                                     : payload->u64);
        if (negotiation->n_queues < negotiation->type->n_queues_min)
                negotiation->n_queues = negotiation->type->n_queues_min;
        config_query(negotiation);
}

static void protocol_features_answered(void *userdata, const VhostUserPayload *payload)
{
        VhostNegotiation *negotiation = userdata;
        VhostClient *client = negotiation->client;

        negotiation->protocol_features = payload->u64 & PROTOCOL_FEATURES;
        if (!way_choose(negotiation,
                        vhost_has_protocol_feature(negotiation, VHOST_USER_PROTOCOL_F_XEN_MMAP)))
                return;
        if (!memory_way_is_xen_mmap(negotiation->offer.way))
                negotiation->protocol_features &= ~BIT(VHOST_USER_PROTOCOL_F_XEN_MMAP);
        vhost_set_protocol_features(client, negotiation->protocol_features);
        if (vhost_has_protocol_feature(negotiation, VHOST_USER_PROTOCOL_F_REPLY_ACK))
                vhost_client_use_acks(client);
        vhost_set_owner(client);
        if (vhost_has_protocol_feature(negotiation, VHOST_USER_PROTOCOL_F_BACKEND_REQ))
                vhost_set_backend_channel(client, negotiation->channel);
        if (vhost_has_protocol_feature(negotiation, VHOST_USER_PROTOCOL_F_MQ))
                vhost_get_queue_num(client, queue_num_answered, negotiation);
        else
                config_query(negotiation);
}

static void features_answered(void *userdata, const VhostUserPayload *payload)
{
        VhostNegotiation *negotiation = userdata;

        negotiation->features = payload->u64;
        negotiation->protocol_features = 0;
        if (!vhost_has_feature(negotiation, VIRTIO_F_VERSION_1)) {
                negotiation->failed(negotiation->userdata, -EPROTO,
                                    "the backend does not offer VIRTIO_F_VERSION_1");
                return;
        }
        negotiation->n_queues = negotiation->type->n_queues;
        negotiation->offer = (VhostOffer){ 0 };
        if (vhost_has_feature(negotiation, VHOST_USER_F_PROTOCOL_FEATURES)) {
                vhost_get_protocol_features(negotiation->client, protocol_features_answered,
                                            negotiation);
                return;
        }
        if (!way_choose(negotiation, false))
                return;
        vhost_set_owner(negotiation->client);
        config_query(negotiation);
}

bool vhost_negotiate_again(VhostNegotiation *negotiation,
                           const uint8_t config[VHOST_USER_CONFIG_MAX])
{
        VhostUserPayload payload = { .config.size = config_size(negotiation) };
        const bool xen_mmap =
                vhost_has_protocol_feature(negotiation, VHOST_USER_PROTOCOL_F_XEN_MMAP);

        negotiation->offer = (VhostOffer){ 0 };
        if (memory_way_choose(negotiation->memory, negotiation->grants, xen_mmap,
                              &negotiation->offer.way) < 0 ||
            memory_way_is_xen_mmap(negotiation->offer.way) != xen_mmap)
                return false;
        if (vhost_has_protocol_feature(negotiation, VHOST_USER_PROTOCOL_F_REPLY_ACK))
                vhost_client_use_acks(negotiation->client);
        memcpy(payload.config.data, config, sizeof(payload.config.data));
        offer_complete(negotiation, payload.config.size > 0 ? &payload : NULL);
        return true;
}

void vhost_negotiate(VhostNegotiation *negotiation)
{
        vhost_get_features(negotiation->client, features_answered, negotiation);
}
