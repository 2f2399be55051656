/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "tests/backend/legality.h"

#include <string.h>

#define ANY_SIZE       UINT32_MAX
#define ANY_FDS        UINT32_MAX
#define NO_PROTOCOL    (-1)
#define STATUS_BITS    UINT64_C(0xcf) /* virtio 1.3 section 2.1 */
#define STATUS_FEATURE UINT64_C(0x08)
#define STATUS_DRIVER  UINT64_C(0x04) /* DRIVER_OK */

/* What holds for each request, whatever its state. A request that is not here is never legal. */
typedef struct RequestRule {
        uint32_t size;
        uint32_t n_fds;
        int protocol; /* the bit that has to be acknowledged, or NO_PROTOCOL */
        bool wants_owner;
        bool is_ring;
} RequestRule;

static const RequestRule rules[_WIRE_REQUEST_MAX] = {
        [WIRE_GET_FEATURES] = { 0, 0, NO_PROTOCOL, false, false },
        [WIRE_SET_FEATURES] = { 8, 0, NO_PROTOCOL, true, false },
        [WIRE_SET_OWNER] = { 0, 0, NO_PROTOCOL, false, false },
        [WIRE_SET_MEM_TABLE] = { ANY_SIZE, ANY_FDS, NO_PROTOCOL, true, false },
        [WIRE_SET_VRING_NUM] = { 8, 0, NO_PROTOCOL, true, true },
        [WIRE_SET_VRING_ADDR] = { 40, 0, NO_PROTOCOL, true, true },
        [WIRE_SET_VRING_BASE] = { 8, 0, NO_PROTOCOL, true, true },
        [WIRE_GET_VRING_BASE] = { 8, 0, NO_PROTOCOL, true, true },
        [WIRE_SET_VRING_KICK] = { 8, ANY_FDS, NO_PROTOCOL, true, true },
        [WIRE_SET_VRING_CALL] = { 8, ANY_FDS, NO_PROTOCOL, true, true },
        [WIRE_SET_VRING_ERR] = { 8, ANY_FDS, NO_PROTOCOL, true, true },
        [WIRE_GET_PROTOCOL_FEATURES] = { 0, 0, NO_PROTOCOL, false, false },
        [WIRE_SET_PROTOCOL_FEATURES] = { 8, 0, NO_PROTOCOL, false, false },
        [WIRE_GET_QUEUE_NUM] = { 0, 0, WIRE_PROTOCOL_MQ, false, false },
        [WIRE_SET_VRING_ENABLE] = { 8, 0, NO_PROTOCOL, true, true },
        [WIRE_NET_SET_MTU] = { 8, 0, WIRE_PROTOCOL_MTU, true, false },
        [WIRE_SET_BACKEND_REQ_FD] = { 0, 1, WIRE_PROTOCOL_BACKEND_REQ, false, false },
        [WIRE_GET_CONFIG] = { ANY_SIZE, 0, WIRE_PROTOCOL_CONFIG, false, false },
        [WIRE_SET_CONFIG] = { ANY_SIZE, 0, WIRE_PROTOCOL_CONFIG, true, false },
        [WIRE_GET_INFLIGHT_FD] = { 24, 0, WIRE_PROTOCOL_INFLIGHT_SHMFD, true, false },
        [WIRE_SET_INFLIGHT_FD] = { 24, 1, WIRE_PROTOCOL_INFLIGHT_SHMFD, true, false },
        [WIRE_RESET_DEVICE] = { 0, 0, WIRE_PROTOCOL_RESET_DEVICE, true, false },
        [WIRE_GET_MAX_MEM_SLOTS] = { 0, 0, WIRE_PROTOCOL_CONFIGURE_MEM_SLOTS, false, false },
        [WIRE_ADD_MEM_REG] = { ANY_SIZE, 1, WIRE_PROTOCOL_CONFIGURE_MEM_SLOTS, true, false },
        [WIRE_REM_MEM_REG] = { ANY_SIZE, 0, WIRE_PROTOCOL_CONFIGURE_MEM_SLOTS, true, false },
        [WIRE_SET_STATUS] = { 8, 0, WIRE_PROTOCOL_STATUS, true, false },
        [WIRE_GET_STATUS] = { 0, 0, WIRE_PROTOCOL_STATUS, true, false },
};

void legality_begin(Legality *legality, const LegalOffer *offer)
{
        *legality = (Legality){ .offer = *offer };
}

bool legality_has_protocol(const Legality *legality, unsigned int bit)
{
        return legality->protocol_features & BIT(bit);
}

static const char *header_check(const Legality *legality, const WireHeader *header,
                                const RequestRule *rule, unsigned int n_fds)
{
        const bool can_ack = legality_has_protocol(legality, WIRE_PROTOCOL_REPLY_ACK);

        if ((header->flags & ~WIRE_NEED_REPLY) != WIRE_VERSION)
                return "flags that are not version 1 of a request";
        if ((header->flags & WIRE_NEED_REPLY) && !can_ack)
                return "NEED_REPLY without REPLY_ACK";
        if (rule->protocol != NO_PROTOCOL &&
            !legality_has_protocol(legality, (unsigned int)rule->protocol))
                return "a request whose protocol feature was not acknowledged";
        if (rule->size != ANY_SIZE && header->size != rule->size)
                return "a wrong size of the payload";
        if (rule->n_fds != ANY_FDS && n_fds != rule->n_fds)
                return n_fds > rule->n_fds ? "a descriptor that does not belong there"
                                           : "a descriptor is missing";
        /* "Issued when a new connection is established": before anything is changed. */
        if (rule->wants_owner && !legality->has_owner)
                return "a request that changes the device before SET_OWNER";
        return NULL;
}

static const char *owner_check(Legality *legality)
{
        if (legality->has_owner)
                return "SET_OWNER twice"; /* rust-vmm fails the second */
        legality->has_owner = true;
        return NULL;
}

static const char *features_check(Legality *legality, uint64_t features)
{
        const uint64_t changed = features ^ legality->features;

        if (!legality->features_asked)
                return "SET_FEATURES before GET_FEATURES";
        if (features & ~legality->offer.features)
                return "SET_FEATURES with a bit that was not offered";
        /* "Migration" lets logging be switched on the way. */
        if (legality_any_started(legality) && (changed & ~BIT(FEATURE_LOG_ALL)))
                return "SET_FEATURES changes features of started rings";
        legality->features = features;
        legality->has_features = true;
        return NULL;
}

static const char *protocol_features_check(Legality *legality, uint64_t features)
{
        if (!legality->protocol_features_asked)
                return "SET_PROTOCOL_FEATURES before GET_PROTOCOL_FEATURES";
        if (legality->has_protocol_features)
                return "SET_PROTOCOL_FEATURES twice";
        if (features & ~legality->offer.protocol_features)
                return "SET_PROTOCOL_FEATURES with a bit that was not offered";
        legality->protocol_features = features;
        legality->has_protocol_features = true;
        return NULL;
}

static const char *protocol_features_get_check(Legality *legality)
{
        if (!legality->features_asked ||
            !(legality->offer.features & BIT(FEATURE_PROTOCOL_FEATURES)))
                return "protocol features of a backend that has not offered any";
        legality->protocol_features_asked = true;
        return NULL;
}

static const char *config_check(const WireHeader *header, const WireConfig *config)
{
        if (header->size < WIRE_CONFIG_HEADER_SIZE || config->size > WIRE_CONFIG_MAX ||
            header->size != WIRE_CONFIG_HEADER_SIZE + config->size)
                return "a wrong size of the payload";
        if (config->size == 0 || config->offset > WIRE_CONFIG_MAX ||
            config->offset + config->size > WIRE_CONFIG_MAX)
                return "a part of the configuration space that cannot be";
        /* 1 stands for live migration; QEMU's backends refuse whatever is not 0. */
        if (config->flags != 0)
                return "flags of a configuration space that are not 0";
        return NULL;
}

static const char *inflight_check(const Legality *legality, uint32_t request,
                                  const WireInflight *inflight)
{
        if (inflight->n_queues == 0 || inflight->n_queues > legality->offer.n_queues ||
            inflight->queue_size == 0)
                return "an inflight buffer for queues that are not there";
        if (request == WIRE_GET_INFLIGHT_FD)
                return NULL;
        if (inflight->mmap_size == 0)
                return "an inflight buffer without a size";
        if (legality_any_started(legality))
                return "SET_INFLIGHT_FD while rings are started";
        return NULL;
}

/* Virtio 1.3, section 2.1: bits are only added, until all are cleared. */
static const char *status_check(Legality *legality, uint64_t status)
{
        if (status & ~STATUS_BITS)
                return "a status with bits that do not exist";
        if (status != 0 && (legality->status & ~status) != 0)
                return "a status that loses bits";
        if ((status & STATUS_DRIVER) && !(status & STATUS_FEATURE))
                return "DRIVER_OK without FEATURES_OK";
        legality->status = (uint8_t)status;
        return NULL;
}

/* What a device knows but its session: features, rings, status. rust-vmm forgets features too. */
static const char *reset_check(Legality *legality)
{
        memset(legality->rings, 0, sizeof(legality->rings));
        legality->features = 0;
        legality->has_features = false;
        legality->status = 0;
        return NULL;
}

static const char *mtu_check(const Legality *legality, uint64_t mtu)
{
        if (!(legality->features & BIT(FEATURE_NET_MTU)))
                return "NET_SET_MTU without VIRTIO_NET_F_MTU";
        return mtu < 68 || mtu > UINT16_MAX ? "an MTU that cannot be" : NULL;
}

static const char *session_check(Legality *legality, const WireHeader *header,
                                 const WirePayload *payload, unsigned int n_fds)
{
        switch (header->request) {
        case WIRE_GET_FEATURES:
                legality->features_asked = true;
                return NULL;
        case WIRE_SET_FEATURES:
                return features_check(legality, payload->u64);
        case WIRE_SET_OWNER:
                return owner_check(legality);
        case WIRE_GET_PROTOCOL_FEATURES:
                return protocol_features_get_check(legality);
        case WIRE_SET_PROTOCOL_FEATURES:
                return protocol_features_check(legality, payload->u64);
        case WIRE_SET_MEM_TABLE:
                return legality_table_check(legality, header, payload, n_fds);
        case WIRE_ADD_MEM_REG:
        case WIRE_REM_MEM_REG:
                if (header->size !=
                    sizeof(uint64_t) + (legality_has_protocol(legality, WIRE_PROTOCOL_XEN_MMAP)
                                                ? WIRE_REGION_XEN_SIZE
                                                : WIRE_REGION_SIZE))
                        return "a wrong size of the payload";
                return header->request == WIRE_ADD_MEM_REG
                               ? legality_slot_add_check(legality, payload)
                               : legality_slot_remove_check(legality, payload);
        case WIRE_GET_CONFIG:
        case WIRE_SET_CONFIG:
                return config_check(header, &payload->config);
        case WIRE_GET_INFLIGHT_FD:
        case WIRE_SET_INFLIGHT_FD:
                return inflight_check(legality, header->request, &payload->inflight);
        case WIRE_SET_STATUS:
                return status_check(legality, payload->u64);
        case WIRE_RESET_DEVICE:
                return reset_check(legality);
        case WIRE_NET_SET_MTU:
                return mtu_check(legality, payload->u64);
        default:
                return NULL;
        }
}

const char *legality_check(Legality *legality, const WireHeader *header, const WirePayload *payload,
                           unsigned int n_fds)
{
        const RequestRule *rule;
        const char *broken;

        if (!wire_request_name(header->request))
                return "a request that does not exist, or that nobody may send any more";
        rule = &rules[header->request];
        broken = header_check(legality, header, rule, n_fds);
        if (broken)
                return broken;
        return rule->is_ring ? legality_ring_check(legality, header->request, payload, n_fds)
                             : session_check(legality, header, payload, n_fds);
}

const char *legality_channel_check(const WireHeader *header, const WirePayload *payload,
                                   uint32_t request)
{
        if (header->request != request)
                return "an answer to another request than the backend's";
        if (header->flags != (WIRE_VERSION | WIRE_REPLY))
                return "wrong flags of an answer to the backend";
        if (header->size != sizeof(uint64_t))
                return "a wrong size of an answer to the backend";
        return request == WIRE_BACKEND_CONFIG_CHANGE && payload->u64 != 0
                       ? "CONFIG_CHANGE is refused"
                       : NULL;
}
