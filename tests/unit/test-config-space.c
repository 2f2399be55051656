/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/config-space.h"

#include <glib.h>
#include <string.h>

#define BIT(n) (UINT64_C(1) << (n))

/* Virtio 1.3, section 5.1.3, written down a second time. */
#define MTU      BIT(3)
#define MAC      BIT(5)
#define MRG      BIT(15)
#define STATUS   BIT(16)
#define CTRL_VQ  BIT(17)
#define MQ       BIT(22)
#define PACKED   BIT(34)
#define CTRL_ALL (BIT(2) | CTRL_VQ | BIT(18) | BIT(19) | BIT(20) | BIT(21) | MQ | BIT(23))

#define MAC_BYTES "\x02\x16\x3e\x01\x02\x03"

/* What comes of a backend's features, queues and space (of size 0: none). */
static VhostOffer complete(uint32_t device_id, const LaunchConfig *launch, uint64_t features,
                           uint16_t n_queues, const char *config, uint32_t size)
{
        VhostOffer offer = { .features = features, .n_queues = n_queues, .config_size = size };

        /* What another connection's backend had must not come through. */
        memset(offer.config, 0xee, sizeof(offer.config));
        memcpy(offer.config, config, size);
        config_space_complete(device_type_find(device_id), launch, &offer);
        for (uint32_t i = offer.config_size; i < sizeof(offer.config); i++)
                g_assert_cmphex(offer.config[i], ==, 0);
        return offer;
}

#define assert_space(offer, bytes)                                                                 \
        g_assert_cmpmem((offer)->config, (offer)->config_size, bytes, sizeof(bytes) - 1)

/* Most backends of network cards: no space, and a control queue that they do not have. */
static void test_net(void)
{
        const LaunchConfig nothing = { 0 };
        const LaunchConfig some = { .net_mac = MAC_BYTES, .net_mtu = 0x1234 };
        VhostOffer offer;

        offer = complete(1, &nothing, MRG | MTU | MAC | CTRL_ALL, 64, "", 0);
        g_assert_cmphex(offer.features, ==, MRG | STATUS);
        g_assert_cmpuint(offer.n_queues, ==, 2);
        assert_space(&offer, "\0\0\0\0\0\0\1\0");

        offer = complete(1, &some, MRG | MTU | CTRL_ALL, 64, "", 0);
        g_assert_cmphex(offer.features, ==, MRG | MTU | MAC | STATUS);
        assert_space(&offer, MAC_BYTES "\1\0\0\0\x34\x12");

        /* The backend would send packets that are larger. */
        offer = complete(1, &some, MRG, 2, "", 0);
        g_assert_cmphex(offer.features, ==, MRG | MAC | STATUS);
}

/* Whatever it offers of a control queue, and whatever was asked for. */
static void test_net_without_control(void)
{
        const LaunchConfig launch = { .net_queue_pairs = 2 };
        const uint64_t features[] = { CTRL_ALL, CTRL_VQ, MQ, 0 };

        for (size_t i = 0; i < G_N_ELEMENTS(features); i++) {
                const VhostOffer offer = complete(1, &launch, features[i], 64, "", 0);

                g_assert_cmphex(offer.features, ==, STATUS);
                g_assert_cmpuint(offer.n_queues, ==, 2);
                g_assert_cmpuint(offer.control_queue, ==, 0);
        }
}

/* A control queue that is served here: what can be told there, and no more, whatever it has. */
static void test_net_control(void)
{
        const LaunchConfig launch = { .net_queue_pairs = 31, .net_mac = MAC_BYTES };
        const uint64_t features[] = { MQ, MQ | CTRL_VQ, CTRL_ALL, CTRL_ALL | PACKED };

        for (uint16_t n_pairs = 2; n_pairs <= 31; n_pairs++) {
                for (size_t i = 0; i < G_N_ELEMENTS(features); i++) {
                        VhostOffer offer = {
                                .features = MRG | features[i],
                                .n_queues = (uint16_t)(2 * n_pairs + 1),
                                .control_queue = (uint16_t)(2 * n_pairs),
                        };

                        config_space_complete(device_type_find(1), &launch, &offer);
                        g_assert_cmphex(offer.features, ==, MRG | MAC | STATUS | CTRL_VQ | MQ);
                        g_assert_cmpuint(offer.n_queues, ==, 2 * n_pairs + 1);
                        g_assert_cmpuint(offer.control_queue, ==, 2 * n_pairs);
                        g_assert_cmpuint(offer.config_size, ==, 10);
                        g_assert_cmpuint(offer.config[8], ==, n_pairs);
                        g_assert_cmpuint(offer.config[9], ==, 0);
                }
        }
}

/* A backend's own: where the space says, behind its pairs. */
static void test_net_queue_pairs(void)
{
        static const struct {
                uint64_t features;
                uint16_t n_queues, pairs;
                uint64_t expected;
                uint16_t expected_queues;
        } cases[] = {
                { CTRL_ALL, 5, 2, CTRL_ALL, 5 },
                { CTRL_ALL, 6, 2, CTRL_ALL, 5 },
                { CTRL_ALL, 4, 2, 0, 2 },
                { CTRL_ALL, 64, 31, CTRL_ALL, 63 },
                { CTRL_ALL, 62, 31, 0, 2 },
                { CTRL_ALL, 3, 1, CTRL_ALL, 3 },
                { CTRL_ALL, 1, 1, 0, 1 },
                /* Without MQ the control queue is behind the first pair. */
                { CTRL_VQ, 64, 2, CTRL_VQ, 3 },
                { CTRL_VQ, 2, 2, 0, 2 },
                /* Linux refuses a device that offers one without the other. */
                { MQ, 64, 2, 0, 2 },
        };
        const LaunchConfig nothing = { 0 };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                const LaunchConfig launch = { .net_queue_pairs = cases[i].pairs };
                const char config[] = { 0, 0, 0, 0, 0, 0, 0, 0, (char)cases[i].pairs, 0 };
                const uint64_t features = cases[i].features | STATUS;
                VhostOffer offer = complete(1, &nothing, features, cases[i].n_queues, config, 10);

                g_test_message("case %zu", i);
                g_assert_cmphex(offer.features, ==, cases[i].expected | STATUS);
                g_assert_cmpuint(offer.n_queues, ==, cases[i].expected_queues);
                /* What the launch file says stands over it. */
                offer = complete(1, &launch, features, cases[i].n_queues, "\0\0\0\0\0\0\0\0\1", 10);
                g_assert_cmphex(offer.features, ==, cases[i].expected | STATUS);
                g_assert_cmpuint(offer.n_queues, ==, cases[i].expected_queues);
                g_assert_cmpuint(offer.config[8], ==, cases[i].pairs);
        }
}

/* A backend with a space is a whole device; what the launch file says stands over it. */
static void test_net_of_a_backend(void)
{
        const char config[] = "\1\2\3\4\5\6\2\0\3\0\xdc\5";
        const uint64_t all = MTU | MAC | STATUS | CTRL_ALL;
        const LaunchConfig nothing = { 0 };
        const LaunchConfig some = { .net_mac = MAC_BYTES, .net_queue_pairs = 2 };
        VhostOffer offer;

        offer = complete(1, &nothing, all, 7, config, 12);
        g_assert_cmphex(offer.features, ==, all);
        assert_space(&offer, "\1\2\3\4\5\6\2\0\3\0\xdc\5");
        offer = complete(1, &nothing, all, 6, config, 12);
        g_assert_cmphex(offer.features, ==, MTU | MAC | STATUS);

        /* It does not know of a link, so it is ours. */
        offer = complete(1, &nothing, MTU, 2, config, 12);
        g_assert_cmphex(offer.features, ==, MTU | STATUS);
        assert_space(&offer, "\1\2\3\4\5\6\1\0\3\0\xdc\5");

        offer = complete(1, &some, all, 5, config, 12);
        g_assert_cmphex(offer.features, ==, all);
        assert_space(&offer, MAC_BYTES "\2\0\2\0\xdc\5");

        /* Fields that it has not got. */
        offer = complete(1, &nothing, MTU | MAC | STATUS, 2, config, 8);
        g_assert_cmphex(offer.features, ==, MAC | STATUS);

        /* No pair at all: nobody could say where its control queue is. */
        offer = complete(1, &nothing, CTRL_ALL, 64, "\0\0\0\0\0\0\0\0\0\0\0\0", 12);
        g_assert_cmphex(offer.features, ==, STATUS);
        offer = complete(1, &nothing, CTRL_ALL, 64, "\0\0\0\0\0\0\0\0\xff\xff\0\0", 12);
        g_assert_cmphex(offer.features, ==, STATUS);
}

static void test_link(void)
{
        const LaunchConfig nothing = { 0 };
        VhostOffer offer = complete(1, &nothing, 0, 2, "", 0);

        g_assert_true(config_space_disconnect(device_type_find(1), &offer));
        assert_space(&offer, "\0\0\0\0\0\0\0\0");
        g_assert_cmphex(offer.features, ==, STATUS);
        g_assert_false(config_space_disconnect(device_type_find(1), &offer));

        /* Only the link: the rest is as it was. */
        offer = complete(1, &nothing, STATUS, 2, "\1\1\1\1\1\1\3\1\1\1\1\1", 12);
        g_assert_true(config_space_disconnect(device_type_find(1), &offer));
        assert_space(&offer, "\1\1\1\1\1\1\2\1\1\1\1\1");

        /* A disk has none, whatever stands there; nor has a card that never had a backend. */
        offer = complete(2, &nothing, 0, 1, "\1\1\1\1\1\1\1\1", 8);
        g_assert_false(config_space_disconnect(device_type_find(2), &offer));
        assert_space(&offer, "\1\1\1\1\1\1\1\1");
        offer = (VhostOffer){ 0 };
        g_assert_false(config_space_disconnect(device_type_find(1), &offer));
}

#define NO_TAG "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
#define FULL   "123456789012345678901234567890123456"

static void test_fs(void)
{
        const LaunchConfig nothing = { 0 }, tagged = { .fs_tag = "tag" }, full = { .fs_tag = FULL };
        const LaunchConfig many = { .fs_request_queues = 63 };
        VhostOffer offer;

        offer = complete(26, &nothing, BIT(32), 2, "", 0);
        g_assert_cmphex(offer.features, ==, BIT(32));
        assert_space(&offer, NO_TAG "\1\0\0\0");

        offer = complete(26, &tagged, 0, 64, "", 0);
        g_assert_cmpstr((const char *)offer.config, ==, "tag");
        g_assert_cmpuint(offer.config_size, ==, 40);
        g_assert_cmpuint(offer.config[36], ==, 1);
        offer = complete(26, &full, 0, 2, "", 0);
        assert_space(&offer, FULL "\1\0\0\0");

        /* As many as the backend has besides the one for urgent requests, and never none. */
        offer = complete(26, &many, 0, 64, "", 0);
        assert_space(&offer, NO_TAG "\x3f\0\0\0");
        offer = complete(26, &many, 0, 4, "", 0);
        assert_space(&offer, NO_TAG "\3\0\0\0");
        offer = complete(26, &many, 0, 1, "", 0);
        assert_space(&offer, NO_TAG "\1\0\0\0");

        /* The backend's, and the tag over it: the shorter one leaves nothing of the longer. */
        offer = complete(26, &nothing, 0, 8, FULL "\7\0\0\0", 40);
        assert_space(&offer, FULL "\7\0\0\0");
        offer = complete(26, &tagged, 0, 8, FULL "\7\0\0\0", 40);
        g_assert_cmpmem(offer.config, 36, "tag" NO_TAG, 36);
        g_assert_cmpuint(offer.config[36], ==, 7);
}

static void test_vsock(void)
{
        const LaunchConfig nothing = { 0 }, some = { .vsock_cid = 0x01020304 };
        VhostOffer offer;

        offer = complete(19, &some, 0, 3, "", 0);
        assert_space(&offer, "\4\3\2\1\0\0\0\0");
        offer = complete(19, &some, 0, 3, "\x9\0\0\0\0\0\0\0", 8);
        assert_space(&offer, "\4\3\2\1\0\0\0\0");
        offer = complete(19, &nothing, 0, 3, "\x9\0\0\0\0\0\0\0", 8);
        assert_space(&offer, "\x9\0\0\0\0\0\0\0");
        offer = complete(19, &nothing, 0, 3, "", 0);
        g_assert_cmpuint(offer.config_size, ==, 0);
}

/* Any bytes of any type, over all else. */
static void test_bytes(void)
{
        LaunchConfig launch = { .bytes_offset = 4, .bytes_size = 2, .bytes = { 0xaa, 0xbb } };
        VhostOffer offer;

        offer = complete(63, &launch, 0, 1, "", 0);
        assert_space(&offer, "\0\0\0\0\xaa\xbb");
        offer = complete(2, &launch, 0, 1, "\1\2\3\4\5\6\7\x8", 8);
        assert_space(&offer, "\1\2\3\4\xaa\xbb\7\x8");
        memcpy(launch.net_mac, MAC_BYTES, LAUNCH_MAC_SIZE);
        offer = complete(1, &launch, 0, 2, "", 0);
        assert_space(&offer, "\x02\x16\x3e\x01\xaa\xbb\1\0");

        launch.bytes_offset = 255;
        launch.bytes_size = 1;
        offer = complete(2, &launch, 0, 1, "\1\2\3\4\5\6\7\x8", 8);
        g_assert_cmpuint(offer.config_size, ==, 256);
        g_assert_cmphex(offer.config[255], ==, 0xaa);
}

/* A disk's features come and go with their fields. */
static void test_fields(void)
{
        static const struct {
                unsigned int feature;
                uint32_t end; /* of its field */
        } cases[] = { { 1, 12 },  { 2, 16 },  { 4, 20 },  { 6, 24 },  { 10, 32 }, { 11, 33 },
                      { 12, 36 }, { 13, 48 }, { 14, 57 }, { 16, 72 }, { 17, 96 } };
        const LaunchConfig nothing = { 0 };
        const uint64_t plain = BIT(5) | BIT(9) | BIT(15) | BIT(32); /* RO, FLUSH, LIFETIME */
        const char config[256] = { 0 };

        for (uint32_t size = 0; size <= 100; size++) {
                uint64_t expected = plain, all = plain;

                for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                        all |= BIT(cases[i].feature);
                        if (cases[i].end <= size)
                                expected |= BIT(cases[i].feature);
                }
                g_assert_cmphex(complete(2, &nothing, all, 1, config, size).features, ==, expected);
        }
}

int main(int argc, char *argv[])
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/config-space/net", test_net);
        g_test_add_func("/config-space/net-without-control", test_net_without_control);
        g_test_add_func("/config-space/net-control", test_net_control);
        g_test_add_func("/config-space/net-queue-pairs", test_net_queue_pairs);
        g_test_add_func("/config-space/net-of-a-backend", test_net_of_a_backend);
        g_test_add_func("/config-space/link", test_link);
        g_test_add_func("/config-space/fs", test_fs);
        g_test_add_func("/config-space/vsock", test_vsock);
        g_test_add_func("/config-space/bytes", test_bytes);
        g_test_add_func("/config-space/fields", test_fields);
        return g_test_run();
}
