/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* legality.c: each rule is broken once, from a state in which all else is legal. */

#include "tests/backend/legality-fixture.h"

static void test_life(void)
{
        Legality legality;

        prepare(&legality, SPLIT);
        for (int lap = 0; lap < 2; lap++) {
                start(&legality, 0);
                start(&legality, 1);
                assert_legal(send_state(&legality, WIRE_SET_VRING_ENABLE, 0, 0));
                assert_legal(send_state(&legality, WIRE_GET_VRING_BASE, 0, 0));
                assert_legal(send_state(&legality, WIRE_GET_VRING_BASE, 1, 0));
        }
        assert_legal(send_none(&legality, WIRE_RESET_DEVICE));
        assert_legal(send_u64(&legality, WIRE_SET_FEATURES, FEATURES, 0));
        start(&legality, 0);
}

static void test_header(void)
{
        static const uint32_t flags[] = { 0, 2, 3, WIRE_VERSION | WIRE_REPLY, WIRE_VERSION | 0x10 };
        Legality legality;

        legality_begin(&legality, &offer);
        for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
                assert_illegal(send_flags(&legality, WIRE_GET_FEATURES, flags[i], NULL, 0, 0),
                               "flags that are not version 1 of a request");
        assert_illegal(send_flags(&legality, WIRE_GET_FEATURES, WIRE_VERSION | WIRE_NEED_REPLY,
                                  NULL, 0, 0),
                       "NEED_REPLY without REPLY_ACK");
        assert_illegal(send_u64(&legality, WIRE_GET_FEATURES, 0, 0), "a wrong size of the payload");
        assert_illegal(send(&legality, WIRE_GET_FEATURES, NULL, 0, 1),
                       "a descriptor that does not belong there");
        for (uint32_t request = 0; request < 300; request++) {
                if (!wire_request_name(request))
                        assert_illegal(send_none(&legality, request),
                                       "a request that does not exist, or that nobody may send any"
                                       " more");
        }
        negotiate(&legality, PROTOCOL);
        assert_legal(send_flags(&legality, WIRE_GET_FEATURES, WIRE_VERSION | WIRE_NEED_REPLY, NULL,
                                0, 0));
}

static void test_negotiation(void)
{
        Legality legality;

        legality_begin(&legality, &offer);
        assert_illegal(send_none(&legality, WIRE_GET_PROTOCOL_FEATURES),
                       "protocol features of a backend that has not offered any");
        assert_legal(send_none(&legality, WIRE_GET_FEATURES));
        assert_illegal(send_u64(&legality, WIRE_SET_PROTOCOL_FEATURES, 0, 0),
                       "SET_PROTOCOL_FEATURES before GET_PROTOCOL_FEATURES");
        assert_illegal(send_u64(&legality, WIRE_SET_FEATURES, 0, 0),
                       "a request that changes the device before SET_OWNER");
        assert_legal(send_none(&legality, WIRE_GET_PROTOCOL_FEATURES));
        assert_illegal(send_u64(&legality, WIRE_SET_PROTOCOL_FEATURES, BIT(1), 0),
                       "SET_PROTOCOL_FEATURES with a bit that was not offered");
        assert_legal(send_u64(&legality, WIRE_SET_PROTOCOL_FEATURES, 0, 0));
        assert_illegal(send_u64(&legality, WIRE_SET_PROTOCOL_FEATURES, 0, 0),
                       "SET_PROTOCOL_FEATURES twice");
        assert_legal(send_none(&legality, WIRE_SET_OWNER));
        assert_illegal(send_none(&legality, WIRE_SET_OWNER), "SET_OWNER twice");
        assert_illegal(send_u64(&legality, WIRE_SET_FEATURES, BIT(40), 0),
                       "SET_FEATURES with a bit that was not offered");
        assert_illegal(send_state(&legality, WIRE_SET_VRING_NUM, 0, 16),
                       "a ring is set up before SET_FEATURES");

        legality_begin(&legality, &offer);
        assert_legal(send_none(&legality, WIRE_SET_OWNER));
        assert_illegal(send_u64(&legality, WIRE_SET_FEATURES, 0, 0),
                       "SET_FEATURES before GET_FEATURES");
        legality.offer.features = BIT(FEATURE_VERSION_1);
        assert_legal(send_none(&legality, WIRE_GET_FEATURES));
        assert_illegal(send_none(&legality, WIRE_GET_PROTOCOL_FEATURES),
                       "protocol features of a backend that has not offered any");
}

/* Whatever belongs to a protocol feature is illegal without it, in any form. */
static void test_protocol_features(void)
{
        static const uint32_t requests[] = {
                WIRE_GET_QUEUE_NUM,   WIRE_NET_SET_MTU,  WIRE_SET_BACKEND_REQ_FD,
                WIRE_GET_CONFIG,      WIRE_SET_CONFIG,   WIRE_GET_INFLIGHT_FD,
                WIRE_SET_INFLIGHT_FD, WIRE_RESET_DEVICE, WIRE_GET_MAX_MEM_SLOTS,
                WIRE_ADD_MEM_REG,     WIRE_REM_MEM_REG,  WIRE_SET_STATUS,
                WIRE_GET_STATUS,
        };
        Legality legality;

        negotiate(&legality, 0);
        for (size_t i = 0; i < ARRAY_SIZE(requests); i++)
                assert_illegal(send_none(&legality, requests[i]),
                               "a request whose protocol feature was not acknowledged");
}

static void test_config(void)
{
        static const struct {
                uint32_t offset, size, flags;
                int more;
                const char *broken;
        } cases[] = {
                { 0, 60, 0, 0, NULL },
                { 196, 60, 0, 0, NULL },
                { 0, 60, 0, -1, "a wrong size of the payload" },
                { 0, 60, 0, 1, "a wrong size of the payload" },
                { 0, 0, 0, 0, "a part of the configuration space that cannot be" },
                { 197, 60, 0, 0, "a part of the configuration space that cannot be" },
                { UINT32_MAX, 60, 0, 0, "a part of the configuration space that cannot be" },
                { 0, 60, 1, 0, "flags of a configuration space that are not 0" },
        };
        Legality legality;

        negotiate(&legality, PROTOCOL);
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                const WireConfig config = { cases[i].offset, cases[i].size, cases[i].flags, { 0 } };
                const size_t size = WIRE_CONFIG_HEADER_SIZE + cases[i].size;

                assert_illegal(
                        send(&legality, WIRE_GET_CONFIG, &config, size + (size_t)cases[i].more, 0),
                        cases[i].broken);
        }
        assert_illegal(send_none(&legality, WIRE_SET_CONFIG), "a wrong size of the payload");
}

static void test_inflight(void)
{
        const WireInflight good = { 4096, 0, N_QUEUES, 16, 0 };
        const WireInflight wrong[] = { { 4096, 0, 0, 16, 0 },
                                       { 4096, 0, N_QUEUES + 1, 16, 0 },
                                       { 4096, 0, N_QUEUES, 0, 0 } };
        const WireInflight empty = { 0, 0, N_QUEUES, 16, 0 };
        Legality legality;

        prepare(&legality, SPLIT);
        for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
                assert_illegal(send(&legality, WIRE_GET_INFLIGHT_FD, &wrong[i], 24, 0),
                               "an inflight buffer for queues that are not there");
        assert_legal(send(&legality, WIRE_GET_INFLIGHT_FD, &empty, 24, 0));
        assert_illegal(send(&legality, WIRE_SET_INFLIGHT_FD, &empty, 24, 1),
                       "an inflight buffer without a size");
        assert_illegal(send(&legality, WIRE_SET_INFLIGHT_FD, &good, 24, 0),
                       "a descriptor is missing");
        assert_legal(send(&legality, WIRE_SET_INFLIGHT_FD, &good, 24, 1));
        start(&legality, 0);
        assert_illegal(send(&legality, WIRE_SET_INFLIGHT_FD, &good, 24, 1),
                       "SET_INFLIGHT_FD while rings are started");
}

static void test_status(void)
{
        Legality legality;

        prepare(&legality, SPLIT);
        assert_legal(send_u64(&legality, WIRE_SET_STATUS, 0, 0));
        assert_legal(send_u64(&legality, WIRE_SET_STATUS, 1, 0));
        assert_legal(send_u64(&legality, WIRE_SET_STATUS, 3, 0));
        assert_illegal(send_u64(&legality, WIRE_SET_STATUS, 1, 0), "a status that loses bits");
        assert_illegal(send_u64(&legality, WIRE_SET_STATUS, 7, 0), "DRIVER_OK without FEATURES_OK");
        assert_illegal(send_u64(&legality, WIRE_SET_STATUS, 0x13, 0),
                       "a status with bits that do not exist");
        assert_illegal(send_u64(&legality, WIRE_SET_STATUS, 0x100, 0),
                       "a status with bits that do not exist");
        assert_legal(send_u64(&legality, WIRE_SET_STATUS, 0xf, 0));
        assert_legal(send_u64(&legality, WIRE_SET_STATUS, 0, 0));
}

static void test_mtu(void)
{
        Legality legality;

        prepare(&legality, SPLIT);
        assert_legal(send_u64(&legality, WIRE_NET_SET_MTU, 1500, 0));
        assert_illegal(send_u64(&legality, WIRE_NET_SET_MTU, 67, 0), "an MTU that cannot be");
        prepare(&legality, SPLIT & ~BIT(FEATURE_NET_MTU));
        assert_illegal(send_u64(&legality, WIRE_NET_SET_MTU, 1500, 0),
                       "NET_SET_MTU without VIRTIO_NET_F_MTU");
}

static void test_reset(void)
{
        Legality legality;

        prepare(&legality, SPLIT);
        start(&legality, 0);
        assert_legal(send_none(&legality, WIRE_RESET_DEVICE));
        assert_illegal(send_state(&legality, WIRE_SET_VRING_ENABLE, 0, 1),
                       "a ring is set up before SET_FEATURES");
        assert_illegal(send_none(&legality, WIRE_SET_OWNER), "SET_OWNER twice"); /* retained */
}

static void test_channel(void)
{
        const WireHeader good = { WIRE_BACKEND_CONFIG_CHANGE, WIRE_VERSION | WIRE_REPLY, 8 };
        WirePayload payload = { 0 };
        WireHeader header = good;

        assert_legal(legality_channel_check(&header, &payload, WIRE_BACKEND_CONFIG_CHANGE));
        assert_illegal(legality_channel_check(&header, &payload, 77),
                       "an answer to another request than the backend's");
        header.flags = WIRE_VERSION;
        assert_illegal(legality_channel_check(&header, &payload, WIRE_BACKEND_CONFIG_CHANGE),
                       "wrong flags of an answer to the backend");
        header = good;
        header.size = 4;
        assert_illegal(legality_channel_check(&header, &payload, WIRE_BACKEND_CONFIG_CHANGE),
                       "a wrong size of an answer to the backend");
        payload.u64 = 1;
        assert_illegal(legality_channel_check(&good, &payload, WIRE_BACKEND_CONFIG_CHANGE),
                       "CONFIG_CHANGE is refused");
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/legality/life", test_life);
        g_test_add_func("/legality/header", test_header);
        g_test_add_func("/legality/negotiation", test_negotiation);
        g_test_add_func("/legality/protocol-features", test_protocol_features);
        g_test_add_func("/legality/config", test_config);
        g_test_add_func("/legality/inflight", test_inflight);
        g_test_add_func("/legality/status", test_status);
        g_test_add_func("/legality/mtu", test_mtu);
        g_test_add_func("/legality/reset", test_reset);
        g_test_add_func("/legality/channel", test_channel);
        return g_test_run();
}
