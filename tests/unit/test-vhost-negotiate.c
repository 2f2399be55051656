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

        VhostNegotiation negotiation;
        bool done;
        const char *reason; /* why it cannot work, or NULL */
} Case;

static const LaunchConfig no_config;

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
                .type = device_type_find(BLOCK),
                .config = &no_config,
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

int main(int argc, char *argv[])
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/vhost-negotiate/every-feature", test_every_feature);
        g_test_add_func("/vhost-negotiate/every-protocol-feature", test_every_protocol_feature);
        g_test_add_func("/vhost-negotiate/ways-to-the-memory", test_ways_to_the_memory);
        g_test_add_func("/vhost-negotiate/numbers-of-queues", test_numbers_of_queues);
        return g_test_run();
}
