/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* frontend/vhost-request.h: each request's bytes, and its answer. */

#include "frontend/vhost-request.h"

#include <glib.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/unit/vhost-fixture.h"

static void test_query(Fixture *fixture, gconstpointer data _unused_)
{
        const uint64_t features = 0x123456789abcdef0;

        vhost_get_features(fixture->client, on_answered, fixture);
        expect(fixture, VHOST_USER_GET_FEATURES, 0, NULL, 0);
        g_assert_cmpuint(fixture->n_answered, ==, 0);
        answer(fixture, VHOST_USER_GET_FEATURES, &features, sizeof(features));
        g_assert_cmpuint(fixture->n_answered, ==, 1);
        g_assert_cmphex(fixture->payload.u64, ==, features);
        g_assert_cmpuint(fixture->n_failed, ==, 0);
}

/* Those whose answer is a number. */
static void test_numbers(Fixture *fixture, gconstpointer data _unused_)
{
        static const struct {
                void (*send)(VhostClient *client, VhostAnswered answered, void *userdata);
                uint32_t request;
        } queries[] = {
                { vhost_get_features, 1 },   { vhost_get_protocol_features, 15 },
                { vhost_get_queue_num, 17 }, { vhost_get_status, 40 },
                { vhost_barrier, 1 }, /* any request does that has an answer */
        };

        for (unsigned int i = 0; i < G_N_ELEMENTS(queries); i++) {
                const uint64_t number = UINT64_C(0x100000000) + i;

                queries[i].send(fixture->client, on_answered, fixture);
                expect(fixture, queries[i].request, 0, NULL, 0);
                answer(fixture, queries[i].request, &number, sizeof(number));
                g_assert_cmpuint(fixture->n_answered, ==, i + 1);
                g_assert_cmphex(fixture->payload.u64, ==, number);
        }
}

static void test_config(Fixture *fixture, gconstpointer data _unused_)
{
        VhostUserConfig config = { .size = 60 };
        const size_t size = VHOST_USER_CONFIG_HEADER_SIZE + 60;
        char asked[sizeof(config)] = { 0 };

        vhost_get_config(fixture->client, 60, on_answered, fixture);
        memcpy(asked, &config, size);
        expect(fixture, VHOST_USER_GET_CONFIG, 0, asked, size);
        memset(config.data, 0x5a, 60);
        answer(fixture, VHOST_USER_GET_CONFIG, &config, size);
        g_assert_cmpuint(fixture->n_answered, ==, 1);
        g_assert_cmpmem(&fixture->payload.config, size, &config, size);
}

/* The caller looks at the acknowledgement, where there is one; a refusal is no failure. */
static void test_set_config(Fixture *fixture, gconstpointer data _unused_)
{
        const uint32_t payload[] = { 32, 4, 0, 0x04030201 };
        const uint64_t refusal = 1;

        vhost_set_config(fixture->client, 32, payload + 3, 4, on_answered, fixture);
        expect(fixture, 25, 0, payload, sizeof(payload));
        run(fixture);
        g_assert_cmpuint(fixture->n_answered, ==, 0);

        vhost_client_use_acks(fixture->client);
        vhost_set_config(fixture->client, 32, payload + 3, 4, on_answered, fixture);
        expect(fixture, 25, VHOST_USER_NEED_REPLY, payload, sizeof(payload));
        answer(fixture, 25, &refusal, sizeof(refusal));
        g_assert_cmpuint(fixture->n_answered, ==, 1);
        g_assert_cmpuint(fixture->payload.u64, ==, 1);
        g_assert_cmpuint(fixture->n_failed, ==, 0);
}

/* As above. */
static void test_net_set_mtu(Fixture *fixture, gconstpointer data _unused_)
{
        const uint64_t mtu = 65535, refusal = 1;

        vhost_net_set_mtu(fixture->client, 65535, on_answered, fixture);
        expect(fixture, 20, 0, &mtu, sizeof(mtu));
        run(fixture);
        g_assert_cmpuint(fixture->n_answered, ==, 0);

        vhost_client_use_acks(fixture->client);
        vhost_net_set_mtu(fixture->client, 65535, on_answered, fixture);
        expect(fixture, 20, VHOST_USER_NEED_REPLY, &mtu, sizeof(mtu));
        answer(fixture, 20, &refusal, sizeof(refusal));
        g_assert_cmpuint(fixture->n_answered, ==, 1);
        g_assert_cmpuint(fixture->payload.u64, ==, 1);
        g_assert_cmpuint(fixture->n_failed, ==, 0);
}

/* Each request's bytes, written down here a second time. */
static void test_commands(Fixture *fixture, gconstpointer data _unused_)
{
        const VhostUserVringAddress address = { 1, 0, 0x1000, 0x2000, 0x3000, 0 };
        const uint64_t features = 0x140000000, no_descriptor = 1;
        const VhostUserInflight area = { .mmap_size = 0x1000, .n_queues = 1, .queue_size = 64 };

        vhost_set_owner(fixture->client);
        expect(fixture, 3, 0, NULL, 0);
        vhost_set_features(fixture->client, features);
        expect(fixture, 2, 0, &features, 8);
        vhost_set_protocol_features(fixture->client, features);
        expect(fixture, 16, 0, &features, 8);
        vhost_set_vring_num(fixture->client, 1, 256);
        expect(fixture, 8, 0, (uint32_t[]){ 1, 256 }, 8);
        vhost_set_vring_base(fixture->client, 1, 7);
        expect(fixture, 10, 0, (uint32_t[]){ 1, 7 }, 8);
        vhost_set_vring_address(fixture->client, &address);
        expect(fixture, 9, 0, (uint32_t[]){ 1, 0, 0x1000, 0, 0x2000, 0, 0x3000, 0, 0, 0 }, 40);
        vhost_set_vring_enable(fixture->client, 1, true);
        expect(fixture, 18, 0, (uint32_t[]){ 1, 1 }, 8);
        vhost_set_vring_kick(fixture->client, 1, fixture->backend);
        expect(fixture, 12, 0, &no_descriptor, 8);
        vhost_set_vring_call(fixture->client, 1, fixture->backend);
        expect(fixture, 13, 0, &no_descriptor, 8);
        vhost_set_backend_channel(fixture->client, fixture->backend);
        expect(fixture, 21, 0, NULL, 0);
        vhost_reset_device(fixture->client);
        expect(fixture, 34, 0, NULL, 0);
        vhost_set_status(fixture->client, 11);
        expect(fixture, 39, 0, (uint32_t[]){ 11, 0 }, 8);
        vhost_set_inflight(fixture->client, &area, fixture->backend);
        expect(fixture, 32, 0, (uint32_t[]){ 0x1000, 0, 0, 0, 1 | 64 << 16, 0 }, 24);
        expect_nothing(fixture);
}

/* Sends two regions and looks for two descriptors on the other side. */
static void test_descriptors(Fixture *fixture, gconstpointer data _unused_)
{
        const VhostUserXenRegion first = { { 1, 2, 3, 4 }, 5, 6 };
        const VhostUserXenRegion second = { { 7, 8, 9, 10 }, 11, 12 };
        const VhostUserXenMemoryTable table = { 2, 0, { first, second } };
        const uint64_t plain[] = { 2, 1, 2, 3, 4, 7, 8, 9, 10 };
        const int fds[] = { fixture->backend, fixture->backend };
        char bytes[1024];
        union {
                struct cmsghdr align;
                char space[CMSG_SPACE(8 * sizeof(int))];
        } control;
        struct iovec iov = { bytes, sizeof(bytes) };
        struct msghdr message = { .msg_iov = &iov,
                                  .msg_iovlen = 1,
                                  .msg_control = &control,
                                  .msg_controllen = sizeof(control) };
        int received[2];

        vhost_set_memory_table(fixture->client, table.regions, fds, 2);
        g_assert_cmpint(recvmsg(fixture->backend, &message, MSG_CMSG_CLOEXEC), ==, 12 + 8 + 64);
        g_assert_cmpint(control.align.cmsg_type, ==, SCM_RIGHTS);
        g_assert_cmpuint(control.align.cmsg_len, ==, CMSG_LEN(2 * sizeof(int)));
        memcpy(received, CMSG_DATA(&control.align), sizeof(received));
        close(received[0]);
        close(received[1]);
        g_assert_cmpmem(bytes + 12, sizeof(plain), plain, sizeof(plain));
        vhost_set_xen_memory_table(fixture->client, table.regions, fds, 2);
        expect(fixture, VHOST_USER_SET_MEM_TABLE, 0, &table, 8 + 2 * 40);
}

static void test_vring_base(Fixture *fixture, gconstpointer data _unused_)
{
        vhost_get_vring_base(fixture->client, 3, on_answered, fixture);
        expect(fixture, VHOST_USER_GET_VRING_BASE, 0, (uint32_t[]){ 3, 0 }, 8);
        answer(fixture, VHOST_USER_GET_VRING_BASE, (uint32_t[]){ 3, 77 }, 8);
        g_assert_cmpuint(fixture->n_answered, ==, 1);
        g_assert_cmpuint(fixture->payload.state.num, ==, 77);

        fixture->n_answered = 0;
        vhost_get_vring_base(fixture->client, 3, on_answered, fixture);
        answer(fixture, VHOST_USER_GET_VRING_BASE, (uint32_t[]){ 2, 77 }, 8);
        assert_failed(fixture);
}

#define add(name, function) g_test_add(name, Fixture, NULL, fixture_init, function, fixture_clear)

int main(int argc, char *argv[])
{
        g_test_init(&argc, &argv, NULL);
        add("/vhost-request/query", test_query);
        add("/vhost-request/numbers", test_numbers);
        add("/vhost-request/config", test_config);
        add("/vhost-request/set-config", test_set_config);
        add("/vhost-request/net-set-mtu", test_net_set_mtu);
        add("/vhost-request/commands", test_commands);
        add("/vhost-request/descriptors", test_descriptors);
        add("/vhost-request/vring-base", test_vring_base);
        return g_test_run();
}
