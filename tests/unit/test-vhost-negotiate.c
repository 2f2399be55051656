/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/vhost-negotiate.h"

#include <glib.h>
#include <string.h>
#include <sys/socket.h>

#include "frontend/virtio.h"
#include "tests/unit/vhost-fixture.h"

#define BIT(n)       (UINT64_C(1) << (n))
#define BLOCK        2
#define MESSAGES_MAX 20

/* What the backend says of itself, and how it ends. */
typedef struct Case {
        uint64_t features, protocol_features, n_queues;
        bool grants;
        MemoryChoice memory;
        uint32_t device_id; /* 0: a disk */
        LaunchConfig config;

        VhostNegotiation negotiation;
        bool done;
        const char *reason; /* why it cannot work, or NULL */
} Case;

static void on_done(void *userdata)
{
        ((Case *)userdata)->done = true;
}

static void on_refused(void *userdata, int error, const char *reason)
{
        g_assert_cmpint(error, <, 0);
        ((Case *)userdata)->reason = reason;
}

/* Sends the right answer to one request. Returns false if there is none. */
static bool backend_serve(Fixture *fixture, const Case *given)
{
        VhostUserHeader header;
        VhostUserPayload payload = { 0 };

        if (recv(fixture->backend, &header, sizeof(header), 0) != sizeof(header))
                return false;
        if (header.size > 0)
                g_assert_cmpint(recv(fixture->backend, &payload, header.size, 0), ==, header.size);
        if (header.request == VHOST_USER_GET_FEATURES)
                answer(fixture, header.request, &given->features, 8);
        else if (header.request == VHOST_USER_GET_PROTOCOL_FEATURES)
                answer(fixture, header.request, &given->protocol_features, 8);
        else if (header.request == VHOST_USER_GET_QUEUE_NUM)
                answer(fixture, header.request, &given->n_queues, 8);
        else if (header.request == VHOST_USER_GET_CONFIG)
                answer(fixture, header.request, &payload, header.size);
        else if (header.flags & VHOST_USER_NEED_REPLY)
                answer(fixture, header.request, &(uint64_t){ 0 }, 8);
        return true;
}

static void case_run(Case *given)
{
        Fixture fixture = { 0 };

        fixture_init(&fixture, NULL);
        given->negotiation = (VhostNegotiation){
                .client = fixture.client,
                .type = device_type_find(given->device_id ? given->device_id : BLOCK),
                .config = &given->config,
                .channel = fixture.backend,
                .grants = given->grants,
                .memory = given->memory,
                .done = on_done,
                .failed = on_refused,
                .userdata = given,
        };
        given->done = false;
        given->reason = NULL;
        vhost_negotiate(&given->negotiation);
        for (unsigned int i = 0; i < MESSAGES_MAX && backend_serve(&fixture, given); i++)
                ;
        g_assert_cmpuint(fixture.n_failed, ==, 0);
        g_assert_true(given->done == !given->reason);
        fixture_clear(&fixture, NULL);
}

/* A backend that offers everything, known or not, and wants to be used as it is. */
static const Case all = { .features = UINT64_MAX, .protocol_features = UINT64_MAX, .n_queues = 4 };

/* One feature less: only what nothing works without is refused, and named. */
static void test_every_feature(void)
{
        Case given = all;
        uint64_t most;

        case_run(&given);
        g_assert_null(given.reason);
        most = given.negotiation.offer.features;
        for (unsigned int bit = 0; bit < 64; bit++) {
                given = all;
                given.features &= ~BIT(bit);
                case_run(&given);
                if (bit == VIRTIO_F_VERSION_1) {
                        g_assert_cmpstr(given.reason, ==,
                                        "the backend does not offer VIRTIO_F_VERSION_1");
                        continue;
                }
                g_assert_null(given.reason);
                g_assert_cmphex(given.negotiation.offer.features & ~(most & ~BIT(bit)), ==, 0);
        }
}

/* As above; without CONFIG there is no configuration space, without MQ the type's own queues. */
static void test_every_protocol_feature(void)
{
        for (unsigned int bit = 0; bit < 64; bit++) {
                Case given = all;

                given.protocol_features &= ~BIT(bit);
                case_run(&given);
                g_assert_null(given.reason);
                g_assert_false(vhost_has_protocol_feature(&given.negotiation, bit));
                g_assert_true((given.negotiation.offer.config_size > 0) ==
                              (bit != VHOST_USER_PROTOCOL_F_CONFIG));
                g_assert_cmpuint(given.negotiation.offer.n_queues, ==,
                                 bit == VHOST_USER_PROTOCOL_F_MQ ? device_type_find(BLOCK)->n_queues
                                                                 : 4);
        }
}

/* Where the guest hands out grants, or the profile asks for XEN_MMAP, that is needed, too. */
static void test_ways_to_the_memory(void)
{
        static const struct {
                bool grants;
                MemoryChoice memory;
                const char *reason;
        } wants[] = {
                { true, MEMORY_AUTO,
                  "the guest hands out grants (grant_usage=1), and the backend cannot map them: it "
                  "does not offer XEN_MMAP" },
                { false, MEMORY_XEN_MMAP,
                  "the backend does not offer XEN_MMAP, which its profile asks for "
                  "(Memory=xen-mmap)" },
        };

        for (unsigned int i = 0; i < G_N_ELEMENTS(wants); i++) {
                for (unsigned int bit = 0; bit < 64; bit++) {
                        Case given = all;

                        given.grants = wants[i].grants;
                        given.memory = wants[i].memory;
                        given.protocol_features &= ~BIT(bit);
                        case_run(&given);
                        g_assert_cmpstr(given.reason, ==,
                                        bit == VHOST_USER_PROTOCOL_F_XEN_MMAP ? wants[i].reason
                                                                              : NULL);
                }
        }
}

static void test_numbers_of_queues(void)
{
        static const uint64_t numbers[] = { 0,   1,          2,          VIRTIO_QUEUES_MAX,
                                            256, 0x8000,     0xffff,     0x10000,
                                            0,   UINT32_MAX, UINT64_MAX, BIT(63) };

        for (unsigned int i = 0; i < G_N_ELEMENTS(numbers); i++) {
                Case given = all;

                given.n_queues = numbers[i];
                case_run(&given);
                g_assert_cmpstr(given.reason, ==,
                                numbers[i] == 0 ? "the backend has no queues" : NULL);
                if (numbers[i] > 0)
                        g_assert_cmpuint(given.negotiation.offer.n_queues, ==,
                                         MIN(numbers[i], VIRTIO_QUEUES_MAX));
        }
}

#define MQ      BIT(22)
#define CTRL_VQ BIT(17)

/* A network card's backend as most are: no configuration space, and a number of pairs. */
static Case card(uint16_t wanted, uint64_t n_queues)
{
        return (Case){
                .features = UINT64_MAX,
                .protocol_features = ~BIT(VHOST_USER_PROTOCOL_F_CONFIG),
                .n_queues = n_queues,
                .device_id = VIRTIO_ID_NET,
                .config.net_queue_pairs = wanted,
        };
}

static void assert_pairs(Case *given, uint16_t n_pairs)
{
        const VhostNegotiation *negotiation = &given->negotiation;
        const VhostOffer *offer = &negotiation->offer;

        case_run(given);
        g_assert_null(given->reason);
        g_assert_cmpuint(negotiation->n_queues, ==, 2 * n_pairs);
        g_assert_cmpuint(offer->n_queues, ==, n_pairs > 1 ? 2 * n_pairs + 1 : 2);
        g_assert_cmpuint(offer->control_queue, ==, n_pairs > 1 ? 2 * n_pairs : 0);
        g_assert_cmphex(offer->features & (MQ | CTRL_VQ), ==, n_pairs > 1 ? MQ | CTRL_VQ : 0);
        if (n_pairs > 1)
                g_assert_cmpuint(offer->config[8], ==, n_pairs);
}

static void test_pairs(void)
{
        static const struct {
                uint16_t wanted;
                uint64_t n_queues;
                uint16_t n_pairs;
        } cases[] = {
                { 2, 2, 2 },    { 2, 128, 2 },          { 4, 3, 3 }, { 4, 1, 1 }, { 31, 31, 31 },
                { 31, 64, 31 }, { 31, UINT64_MAX, 31 },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                Case given = card(cases[i].wanted, cases[i].n_queues);

                g_test_message("case %zu", i);
                assert_pairs(&given, cases[i].n_pairs);
        }
}

/* Each thing that it takes; then the card is as without the key. */
static void test_one_pair(void)
{
        const Case good = card(4, 1);
        Case cases[] = { good, good, good, good, good, good };

        cases[0].features &= ~MQ;
        cases[1].protocol_features &= ~BIT(VHOST_USER_PROTOCOL_F_MQ);
        cases[2].grants = true;
        cases[3].memory = MEMORY_SEED;
        cases[4].config.net_queue_pairs = 1;
        cases[5].config.net_queue_pairs = 0;
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_test_message("case %zu", i);
                assert_pairs(&cases[i], 1);
                cases[i].n_queues = 4; /* of queues, or of pairs: it does not matter */
                case_run(&cases[i]);
                g_assert_cmpuint(cases[i].negotiation.offer.n_queues, ==, 2);
                g_assert_cmpuint(cases[i].negotiation.offer.control_queue, ==, 0);
                g_assert_cmphex(cases[i].negotiation.offer.features & (MQ | CTRL_VQ), ==, 0);
        }
        /* The backend need not offer CTRL_VQ, which it does not serve. */
        cases[0] = card(4, 4);
        cases[0].features &= ~CTRL_VQ;
        assert_pairs(&cases[0], 4);
}

/* Another process goes on with what was agreed, which may be less than what was asked for. */
static void test_pairs_again(void)
{
        Case given = card(4, 3);
        uint8_t config[VHOST_USER_CONFIG_MAX];
        VhostOffer first;
        Fixture fixture = { 0 };

        assert_pairs(&given, 3);
        first = given.negotiation.offer;
        memcpy(config, first.config, sizeof(config));
        fixture_init(&fixture, NULL);
        given.negotiation.client = fixture.client;
        g_assert_true(vhost_negotiate_again(&given.negotiation, config));
        g_assert_cmpmem(&given.negotiation.offer, sizeof(first), &first, sizeof(first));
        fixture_clear(&fixture, NULL);
}

int main(int argc, char *argv[])
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/vhost-negotiate/every-feature", test_every_feature);
        g_test_add_func("/vhost-negotiate/every-protocol-feature", test_every_protocol_feature);
        g_test_add_func("/vhost-negotiate/ways-to-the-memory", test_ways_to_the_memory);
        g_test_add_func("/vhost-negotiate/numbers-of-queues", test_numbers_of_queues);
        g_test_add_func("/vhost-negotiate/pairs", test_pairs);
        g_test_add_func("/vhost-negotiate/one-pair", test_one_pair);
        g_test_add_func("/vhost-negotiate/pairs-again", test_pairs_again);
        return g_test_run();
}
