/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* frontend/vhost-client.h: answers in every shape, deadlines and failures. */

#include "frontend/vhost-client.h"

#include <errno.h>
#include <glib.h>
#include <string.h>
#include <sys/socket.h>

#include "frontend/vhost-request.h"
#include "tests/fuzz/fake-clock.h"
#include "tests/unit/vhost-fixture.h"

/* Keeps the descriptor, which has to come only once. */
static void on_area_answered(void *userdata, const VhostUserPayload *payload)
{
        Fixture *fixture = userdata;

        fixture->descriptor = vhost_client_take_descriptor(fixture->client);
        g_assert_cmpint(vhost_client_take_descriptor(fixture->client), ==, -1);
        on_answered(userdata, payload);
}

/* The time runs for the oldest request only, and from when it became the oldest. */
static void test_deadline(Fixture *fixture, gconstpointer data _unused_)
{
        const uint64_t zero = 0;

        vhost_get_features(fixture->client, on_answered, fixture);
        vhost_get_queue_num(fixture->client, on_answered, fixture);
        run(fixture);
        fake_clock_advance(VHOST_ANSWER_TIMEOUT_USEC - 1);
        run(fixture);
        answer(fixture, VHOST_USER_GET_FEATURES, &zero, sizeof(zero));
        fake_clock_advance(VHOST_ANSWER_TIMEOUT_USEC - 1);
        run(fixture);
        g_assert_cmpuint(fixture->n_answered, ==, 1);
        g_assert_cmpuint(fixture->n_failed, ==, 0);
        fake_clock_advance(1);
        run(fixture);
        g_assert_cmpint(fixture->error, ==, -ETIMEDOUT);
        g_assert_cmpuint(fixture->n_failed, ==, 1);
}

/* A guest's memory takes a backend longer than anything else. */
static void test_memory_deadline(Fixture *fixture, gconstpointer data _unused_)
{
        const VhostUserXenRegion region = { { 0x40000000, 0x1000, 0x40000000, 0 }, 0, 0 };

        vhost_client_use_acks(fixture->client);
        vhost_set_memory_table(fixture->client, &region, &fixture->backend, 1);
        run(fixture);
        fake_clock_advance(VHOST_MEMORY_TIMEOUT_USEC - 1);
        run(fixture);
        g_assert_cmpuint(fixture->n_failed, ==, 0);
        fake_clock_advance(1);
        assert_failed(fixture);
        g_assert_cmpint(fixture->error, ==, -ETIMEDOUT);
}

static void on_answered_free(void *userdata, const VhostUserPayload *payload _unused_)
{
        Fixture *fixture = userdata;

        fixture->n_answered++;
        fixture->client = vhost_client_free(fixture->client);
}

/* Whoever gets an answer may have had enough; what came after it is not looked at. */
static void test_freed_by_an_answer(Fixture *fixture, gconstpointer data _unused_)
{
        const uint32_t answers[] = { 1, REPLY, 8, 0, 0, 17, REPLY, 8, 0, 0 };

        vhost_get_features(fixture->client, on_answered_free, fixture);
        vhost_get_queue_num(fixture->client, on_answered_free, fixture);
        backend_send(fixture, answers, sizeof(answers));
        run(fixture);
        g_assert_null(fixture->client);
        g_assert_cmpuint(fixture->n_answered, ==, 1);
        g_assert_cmpuint(fixture->n_failed, ==, 0);
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
        add("/vhost-client/deadline", test_deadline);
        add("/vhost-client/memory-deadline", test_memory_deadline);
        add("/vhost-client/freed-by-an-answer", test_freed_by_an_answer);
        add("/vhost-client/acks", test_acks);
        add("/vhost-client/refusal", test_refusal);
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
