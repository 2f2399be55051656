/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* frontend/vhost-client.h and vhost-request.h, with the test as the backend. */

#include "frontend/vhost-client.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/socket.h>

#include "frontend/vhost-request.h"

#define REPLY (VHOST_USER_VERSION | VHOST_USER_REPLY)

typedef struct Fixture {
        sd_event *event;
        VhostClient *client;
        int backend;
        unsigned int n_answered, n_failed;
        int descriptor; /* that came with the answer */
        int error;
        VhostUserPayload payload;
        bool has_payload;
} Fixture;

static void on_failed(void *userdata, int error, const char *reason)
{
        Fixture *fixture = userdata;

        g_assert_cmpint(error, <, 0);
        g_assert_nonnull(reason);
        fixture->n_failed++;
        fixture->error = error;
        fixture->client = vhost_client_free(fixture->client); /* is allowed here */
}

static void on_answered(void *userdata, const VhostUserPayload *payload)
{
        Fixture *fixture = userdata;

        fixture->n_answered++;
        fixture->has_payload = payload != NULL;
        if (payload)
                fixture->payload = *payload;
}

/* Keeps the descriptor, which has to come only once. */
static void on_area_answered(void *userdata, const VhostUserPayload *payload)
{
        Fixture *fixture = userdata;

        fixture->descriptor = vhost_client_take_descriptor(fixture->client);
        g_assert_cmpint(vhost_client_take_descriptor(fixture->client), ==, -1);
        on_answered(userdata, payload);
}

static void fixture_init(Fixture *fixture, gconstpointer data _unused_)
{
        int fds[2];

        g_assert_cmpint(sd_event_new(&fixture->event), >=, 0);
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), ==,
                        0);
        fixture->backend = fds[1];
        g_assert_cmpint(
                vhost_client_new(fixture->event, fds[0], on_failed, fixture, &fixture->client), ==,
                0);
}

static void fixture_clear(Fixture *fixture, gconstpointer data _unused_)
{
        vhost_client_free(fixture->client);
        fd_closep(&fixture->backend);
        sd_event_unref(fixture->event);
}

/* Lets the client do all that it can do now. */
static void run(Fixture *fixture)
{
        while (sd_event_run(fixture->event, 0) > 0)
                ;
}

static void backend_send(Fixture *fixture, const void *data, size_t size)
{
        g_assert_cmpint(send(fixture->backend, data, size, MSG_NOSIGNAL), ==, (ssize_t)size);
}

static void answer(Fixture *fixture, uint32_t request, const void *payload, size_t size)
{
        VhostUserHeader header = { .request = request, .flags = REPLY, .size = (uint32_t)size };

        backend_send(fixture, &header, sizeof(header));
        backend_send(fixture, payload, size);
        run(fixture);
}

/* Reads a request that has to have this payload, and these flags besides the version. */
static void expect(Fixture *fixture, uint32_t request, uint32_t flags, const void *payload,
                   size_t size)
{
        VhostUserHeader header;
        char received[sizeof(VhostUserPayload)];

        g_assert_cmpint(recv(fixture->backend, &header, sizeof(header), 0), ==, sizeof(header));
        g_assert_cmpuint(header.request, ==, request);
        g_assert_cmphex(header.flags, ==, VHOST_USER_VERSION | flags);
        g_assert_cmpuint(header.size, ==, size);
        if (size == 0)
                return;
        g_assert_cmpint(recv(fixture->backend, received, size, 0), ==, (ssize_t)size);
        g_assert_true(memcmp(received, payload, size) == 0);
}

static void expect_nothing(Fixture *fixture)
{
        char byte;

        g_assert_cmpint(recv(fixture->backend, &byte, 1, 0), ==, -1);
        g_assert_cmpint(errno, ==, EAGAIN);
}

static void assert_failed(Fixture *fixture)
{
        run(fixture);
        g_assert_cmpuint(fixture->n_failed, ==, 1);
        g_assert_cmpuint(fixture->n_answered, ==, 0);
        g_assert_null(fixture->client);
}

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
        const VhostUserXenRegion first = { { 1, 2, 3, 4 }, 5, 6 },
                                 second = { { 7, 8, 9, 0 }, 1, 2 };
        const VhostUserXenMemoryTable table = { 2, 0, { first, second } };
        const int fds[] = { fixture->backend, fixture->backend };
        char bytes[1024];
        union {
                struct cmsghdr align;
                char space[CMSG_SPACE(8 * sizeof(int))];
        } control;
        struct iovec iov = { bytes, sizeof(bytes) };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control };
        int received[2];

        message.msg_controllen = sizeof(control);
        vhost_set_memory_table(fixture->client, table.regions, fds, 2);
        g_assert_cmpint(recvmsg(fixture->backend, &message, MSG_CMSG_CLOEXEC), ==, 12 + 8 + 64);
        g_assert_cmpint(control.align.cmsg_type, ==, SCM_RIGHTS);
        g_assert_cmpuint(control.align.cmsg_len, ==, CMSG_LEN(2 * sizeof(int)));
        memcpy(received, CMSG_DATA(&control.align), sizeof(received));
        close(received[0]);
        close(received[1]);
        g_assert_cmpmem(bytes + 12, 72, ((uint64_t[]){ 2, 1, 2, 3, 4, 7, 8, 9, 0 }), 72);
        vhost_set_xen_memory_table(fixture->client, table.regions, fds, 2);
        expect(fixture, VHOST_USER_SET_MEM_TABLE, 0, &table, 8 + 2 * 40);
}

static void test_acks(Fixture *fixture, gconstpointer data _unused_)
{
        const uint64_t zero = 0;

        vhost_client_use_acks(fixture->client);
        vhost_set_owner(fixture->client);
        expect(fixture, VHOST_USER_SET_OWNER, VHOST_USER_NEED_REPLY, NULL, 0);
        vhost_get_features(fixture->client, on_answered, fixture);
        expect(fixture, VHOST_USER_GET_FEATURES, 0, NULL, 0); /* has an answer of its own */
        answer(fixture, VHOST_USER_SET_OWNER, &zero, sizeof(zero));
        answer(fixture, VHOST_USER_GET_FEATURES, &zero, sizeof(zero));
        g_assert_cmpuint(fixture->n_answered, ==, 1);
        g_assert_cmpuint(fixture->n_failed, ==, 0);
}

static void test_refusal(Fixture *fixture, gconstpointer data _unused_)
{
        const uint64_t refusal = 1;

        vhost_client_use_acks(fixture->client);
        vhost_set_owner(fixture->client);
        answer(fixture, VHOST_USER_SET_OWNER, &refusal, sizeof(refusal));
        assert_failed(fixture);
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

/* An answer that comes byte by byte is one answer. */
static void test_byte_by_byte(Fixture *fixture, gconstpointer data _unused_)
{
        struct {
                VhostUserHeader header;
                uint32_t payload[2];
        } reply = { { VHOST_USER_GET_FEATURES, REPLY, 8 }, { 5, 6 } };

        vhost_get_features(fixture->client, on_answered, fixture);
        for (size_t i = 0; i < sizeof(reply); i++) {
                g_assert_cmpuint(fixture->n_answered, ==, 0);
                backend_send(fixture, (const char *)&reply + i, 1);
                run(fixture);
        }
        g_assert_cmpuint(fixture->n_answered, ==, 1);
        g_assert_cmpuint(fixture->n_failed, ==, 0);
}

/* A connection that ends after any number of bytes has failed, unless the answer was whole. */
static void test_cut_anywhere(void)
{
        struct {
                VhostUserHeader header;
                uint32_t payload[2];
        } reply = { { VHOST_USER_GET_FEATURES, REPLY, 8 }, { 5, 6 } };

        for (size_t length = 0; length <= sizeof(reply); length++) {
                Fixture fixture = { 0 };

                fixture_init(&fixture, NULL);
                vhost_get_features(fixture.client, on_answered, &fixture);
                backend_send(&fixture, &reply, length);
                fd_closep(&fixture.backend);
                run(&fixture);
                g_assert_cmpuint(fixture.n_answered, ==, length == sizeof(reply));
                g_assert_cmpuint(fixture.n_failed, ==, 1);
                fixture_clear(&fixture, NULL);
        }
}

/* Every single bit of a good answer, flipped. Only those of the number itself may pass. */
static void test_every_bit(void)
{
        for (unsigned int bit = 0; bit < 20 * 8; bit++) {
                uint32_t reply[] = { VHOST_USER_GET_FEATURES, REPLY, 8, 5, 6 };
                Fixture fixture = { 0 };

                fixture_init(&fixture, NULL);
                vhost_get_features(fixture.client, on_answered, &fixture);
                reply[bit / 32] ^= UINT32_C(1) << (bit % 32);
                backend_send(&fixture, reply, sizeof(reply));
                run(&fixture);
                g_assert_cmpuint(fixture.n_answered, ==, bit >= 12 * 8);
                g_assert_cmpuint(fixture.n_failed, ==, bit < 12 * 8);
                fixture_clear(&fixture, NULL);
        }
}

static void test_config_lies(void)
{
        static const VhostUserConfig lies[] = { { .offset = 1, .size = 60 },
                                                { .size = 59 },
                                                { .size = 61 },
                                                { .size = UINT32_MAX },
                                                { .offset = UINT32_MAX, .size = 60 } };
        static const uint32_t sizes[] = { 0, 11, 12, 71, 73, 268, 269, UINT32_MAX };

        for (size_t i = 0; i < G_N_ELEMENTS(lies) + G_N_ELEMENTS(sizes); i++) {
                VhostUserConfig config = { .size = 60 };
                VhostUserHeader header = { VHOST_USER_GET_CONFIG, REPLY, 72 };
                Fixture fixture = { 0 };

                if (i < G_N_ELEMENTS(lies))
                        config = lies[i];
                else
                        header.size = sizes[i - G_N_ELEMENTS(lies)];
                fixture_init(&fixture, NULL);
                vhost_get_config(fixture.client, 60, on_answered, &fixture);
                backend_send(&fixture, &header, sizeof(header));
                backend_send(&fixture, &config, sizeof(config));
                assert_failed(&fixture);
                fixture_clear(&fixture, NULL);
        }
}

static void test_unasked(Fixture *fixture, gconstpointer data _unused_)
{
        answer(fixture, VHOST_USER_GET_FEATURES, &(uint64_t){ 0 }, 8);
        assert_failed(fixture);
}

/* Errors are told from the loop, not from within the call that met them. */
static void test_closed_before_the_request(Fixture *fixture, gconstpointer data _unused_)
{
        fd_closep(&fixture->backend);
        vhost_get_features(fixture->client, on_answered, fixture);
        vhost_set_owner(fixture->client);
        g_assert_cmpuint(fixture->n_failed, ==, 0);
        assert_failed(fixture);
}

static void test_backend_that_does_not_read(Fixture *fixture, gconstpointer data _unused_)
{
        for (unsigned int i = 0; i < 1000000 && fixture->client; i++) {
                vhost_set_features(fixture->client, i);
                if (i % 1000 == 0)
                        run(fixture);
        }
        g_assert_cmpint(fixture->error, ==, -EAGAIN);
        assert_failed(fixture);
}

static void test_too_many_requests(Fixture *fixture, gconstpointer data _unused_)
{
        for (unsigned int i = 0; i < VHOST_WAITING_MAX; i++)
                vhost_get_features(fixture->client, on_answered, fixture);
        run(fixture);
        g_assert_cmpuint(fixture->n_failed, ==, 0);
        vhost_get_features(fixture->client, on_answered, fixture);
        assert_failed(fixture);
}

static unsigned int descriptors_count(void)
{
        g_autoptr(GDir) folder = g_dir_open("/proc/self/fd", 0, NULL);
        unsigned int n = 0;

        while (g_dir_read_name(folder))
                n++;
        return n;
}

/* As many as the kernel lets through, with each answer: refused, and none stays open. */
static void test_descriptor_flood(void)
{
        const unsigned int before = descriptors_count();

        for (unsigned int n = 1; n <= 253; n += 84) {
                uint32_t reply[] = { VHOST_USER_GET_FEATURES, REPLY, 8, 5, 6 };
                union {
                        struct cmsghdr align;
                        char space[CMSG_SPACE(253 * sizeof(int))];
                } control = { 0 };
                struct iovec iov = { reply, sizeof(reply) };
                struct msghdr message = { .msg_iov = &iov,
                                          .msg_iovlen = 1,
                                          .msg_control = &control,
                                          .msg_controllen = CMSG_SPACE(n * sizeof(int)) };
                Fixture fixture = { 0 };

                fixture_init(&fixture, NULL);
                control.align = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
                                                  .cmsg_type = SCM_RIGHTS,
                                                  .cmsg_len = CMSG_LEN(n * sizeof(int)) };
                for (unsigned int i = 0; i < n; i++)
                        memcpy(CMSG_DATA(&control.align) + i * sizeof(int), &fixture.backend,
                               sizeof(int));
                vhost_get_features(fixture.client, on_answered, &fixture);
                g_assert_cmpint(sendmsg(fixture.backend, &message, 0), ==, sizeof(reply));
                assert_failed(&fixture);
                g_assert_cmpint(fixture.error, ==, -EBADMSG);
                fixture_clear(&fixture, NULL);
                g_assert_cmpuint(descriptors_count(), ==, before);
        }
}

/* Answers GET_INFLIGHT_FD in pieces; the first of them brings so many descriptors. */
static void area_answer(Fixture *fixture, unsigned int n_fds, size_t piece)
{
        uint32_t reply[] = { 31, REPLY, 24, 0x1000, 0, 0, 0, 1 | 64 << 16, 0 };
        union {
                struct cmsghdr align;
                int numbers[CMSG_SPACE(2 * sizeof(int)) / sizeof(int)];
        } control = { 0 };
        struct iovec iov = { reply, piece };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control };

        vhost_get_inflight(fixture->client, 1, 64, on_area_answered, fixture);
        expect(fixture, 31, 0, (uint32_t[]){ 0, 0, 0, 0, 1 | 64 << 16, 0 }, 24);
        control.align = (struct cmsghdr){ CMSG_LEN(n_fds * sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
        memcpy(CMSG_DATA(&control.align), (int[]){ fixture->backend, fixture->backend }, 8);
        message.msg_controllen = n_fds > 0 ? CMSG_SPACE(n_fds * sizeof(int)) : 0;
        for (size_t done = 0; done < sizeof(reply); done += piece) {
                iov.iov_base = (char *)reply + done;
                g_assert_cmpint(sendmsg(fixture->backend, &message, 0), ==, (ssize_t)piece);
                message.msg_controllen = 0;
                run(fixture);
        }
}

/* However it comes, there is exactly one descriptor; without it, or with more, the answer fails. */
static void test_inflight(void)
{
        static const size_t pieces[] = { 1, 4, 12, 36, 36, 36 };
        const unsigned int before = descriptors_count();

        for (unsigned int i = 0; i < G_N_ELEMENTS(pieces); i++) {
                const unsigned int n_fds = i < 4 ? 1 : (i - 4) * 2;
                Fixture fixture = { .descriptor = -1 };

                fixture_init(&fixture, NULL);
                area_answer(&fixture, n_fds, pieces[i]);
                g_assert_cmpuint(fixture.n_answered, ==, n_fds == 1);
                g_assert_cmpint(fixture.descriptor >= 0, ==, n_fds == 1);
                if (n_fds == 1)
                        g_assert_cmpuint(fixture.payload.inflight.mmap_size, ==, 0x1000);
                else
                        assert_failed(&fixture);
                fd_closep(&fixture.descriptor);
                fixture_clear(&fixture, NULL);
        }
        g_assert_cmpuint(descriptors_count(), ==, before);
}

#define add(name, function) g_test_add(name, Fixture, NULL, fixture_init, function, fixture_clear)

int main(int argc, char *argv[])
{
        g_test_init(&argc, &argv, NULL);
        add("/vhost-client/query", test_query);
        add("/vhost-client/config", test_config);
        add("/vhost-client/commands", test_commands);
        add("/vhost-client/descriptors", test_descriptors);
        add("/vhost-client/acks", test_acks);
        add("/vhost-client/refusal", test_refusal);
        add("/vhost-client/vring-base", test_vring_base);
        add("/vhost-client/byte-by-byte", test_byte_by_byte);
        g_test_add_func("/vhost-client/cut-anywhere", test_cut_anywhere);
        g_test_add_func("/vhost-client/every-bit", test_every_bit);
        g_test_add_func("/vhost-client/config-lies", test_config_lies);
        add("/vhost-client/unasked", test_unasked);
        add("/vhost-client/closed-before-the-request", test_closed_before_the_request);
        add("/vhost-client/backend-that-does-not-read", test_backend_that_does_not_read);
        add("/vhost-client/too-many-requests", test_too_many_requests);
        g_test_add_func("/vhost-client/descriptor-flood", test_descriptor_flood);
        g_test_add_func("/vhost-client/inflight", test_inflight);
        return g_test_run();
}
