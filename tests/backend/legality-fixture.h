/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A frontend's messages for the tests of legality.h, and the ways into its states. */

#include <glib.h>
#include <string.h>

#include "tests/backend/legality.h"

#define N_QUEUES 2
#define RAM      UINT64_C(0x40000000)
#define RAM_SIZE UINT64_C(0x100000)
#define FEATURES                                                                                   \
        (BIT(FEATURE_VERSION_1) | BIT(FEATURE_PROTOCOL_FEATURES) | BIT(FEATURE_EVENT_IDX) |        \
         BIT(FEATURE_RING_PACKED) | BIT(FEATURE_NET_MTU))
#define PROTOCOL                                                                                   \
        (BIT(WIRE_PROTOCOL_MQ) | BIT(WIRE_PROTOCOL_REPLY_ACK) | BIT(WIRE_PROTOCOL_MTU) |           \
         BIT(WIRE_PROTOCOL_BACKEND_REQ) | BIT(WIRE_PROTOCOL_CONFIG) |                              \
         BIT(WIRE_PROTOCOL_INFLIGHT_SHMFD) | BIT(WIRE_PROTOCOL_RESET_DEVICE) |                     \
         BIT(WIRE_PROTOCOL_CONFIGURE_MEM_SLOTS) | BIT(WIRE_PROTOCOL_STATUS))

static const LegalOffer offer = {
        .features = FEATURES,
        .protocol_features = PROTOCOL | BIT(WIRE_PROTOCOL_XEN_MMAP),
        .n_queues = N_QUEUES,
};

static inline const char *send_flags(Legality *legality, uint32_t request, uint32_t flags,
                                     const void *payload, size_t size, unsigned int n_fds)
{
        const WireHeader header = { .request = request, .flags = flags, .size = (uint32_t)size };
        WirePayload copy = { 0 };

        if (size > 0)
                memcpy(&copy, payload, size);
        return legality_check(legality, &header, &copy, n_fds);
}

static inline const char *send(Legality *legality, uint32_t request, const void *payload,
                               size_t size, unsigned int n_fds)
{
        return send_flags(legality, request, WIRE_VERSION, payload, size, n_fds);
}

static inline const char *send_none(Legality *legality, uint32_t request)
{
        return send(legality, request, NULL, 0, 0);
}

static inline const char *send_u64(Legality *legality, uint32_t request, uint64_t value,
                                   unsigned int fds)
{
        return send(legality, request, &value, sizeof(value), fds);
}

static inline const char *send_state(Legality *legality, uint32_t request, uint32_t index,
                                     uint32_t num)
{
        const WireState state = { index, num };

        return send(legality, request, &state, sizeof(state), 0);
}

static inline const char *send_table(Legality *legality, const WireRegion *regions, uint32_t n,
                                     size_t step, unsigned int n_fds)
{
        uint8_t bytes[512] = { 0 };

        memcpy(bytes, &n, sizeof(n));
        for (uint32_t i = 0; i < n && i < WIRE_REGIONS_MAX; i++)
                memcpy(bytes + 8 + i * step, &regions[i], step);
        return send(legality, WIRE_SET_MEM_TABLE, bytes, 8 + n * step, n_fds);
}

static inline const char *send_slot(Legality *legality, uint32_t request, const WireRegion *region,
                                    unsigned int n_fds)
{
        uint8_t bytes[8 + WIRE_REGION_SIZE] = { 0 };

        memcpy(bytes + 8, region, WIRE_REGION_SIZE);
        return send(legality, request, bytes, sizeof(bytes), n_fds);
}

static inline WireAddress ring_address(uint32_t index)
{
        const uint64_t start = RAM + 0x10000 * index;

        return (WireAddress){
                .index = index,
                .descriptor = start,
                .available = start + 0x1000,
                .used = start + 0x2000,
        };
}

static inline const char *send_address(Legality *legality, const WireAddress *address)
{
        return send(legality, WIRE_SET_VRING_ADDR, address, sizeof(*address), 0);
}

#define assert_legal(result)           g_assert_cmpstr(result, ==, NULL)
#define assert_illegal(result, reason) g_assert_cmpstr(result, ==, reason)

static const WireRegion ram = { .guest_address = RAM, .size = RAM_SIZE, .user_address = RAM };

/* Up to SET_OWNER, with these protocol features. */
static inline void negotiate(Legality *legality, uint64_t protocol)
{
        legality_begin(legality, &offer);
        assert_legal(send_none(legality, WIRE_GET_FEATURES));
        assert_legal(send_none(legality, WIRE_GET_PROTOCOL_FEATURES));
        assert_legal(send_u64(legality, WIRE_SET_PROTOCOL_FEATURES, protocol, 0));
        assert_legal(send_none(legality, WIRE_SET_OWNER));
}

/* Up to the memory table. */
static inline void prepare(Legality *legality, uint64_t features)
{
        negotiate(legality, PROTOCOL);
        assert_legal(send_u64(legality, WIRE_SET_FEATURES, features, 0));
        assert_legal(send_table(legality, &ram, 1, WIRE_REGION_SIZE, 1));
}

static inline void start(Legality *legality, uint32_t index)
{
        const WireAddress address = ring_address(index);

        assert_legal(send_state(legality, WIRE_SET_VRING_NUM, index, 16));
        assert_legal(send_state(legality, WIRE_SET_VRING_BASE, index, 0));
        assert_legal(send_address(legality, &address));
        assert_legal(send_u64(legality, WIRE_SET_VRING_CALL, index, 1));
        assert_legal(send_u64(legality, WIRE_SET_VRING_KICK, index, 1));
        assert_legal(send_state(legality, WIRE_SET_VRING_ENABLE, index, 1));
}

/* Features with split rings. */
#define SPLIT (FEATURES & ~BIT(FEATURE_RING_PACKED))
