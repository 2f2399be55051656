/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* frontend/vhost-channel.h, with the test as the backend. */

#include "frontend/vhost-channel.h"

#include <errno.h>
#include <glib.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "frontend/vhost-user.h"
#include "tests/fuzz/fake-clock.h"

#define NEED_REPLY (VHOST_USER_VERSION | VHOST_USER_NEED_REPLY)

typedef struct Fixture {
        Loop *loop;
        VhostChannel *channel;
        int backend;
        unsigned int n_changed, n_refused;
        uint32_t refused;
} Fixture;

static void on_changed(void *userdata)
{
        Fixture *fixture = userdata;

        fixture->n_changed++;
}

static void on_refused(void *userdata, uint32_t request)
{
        Fixture *fixture = userdata;

        fixture->n_refused++;
        fixture->refused = request;
}

static const VhostChannelOps ops = { .config_changed = on_changed, .refused = on_refused };

static void fixture_init(Fixture *fixture, gconstpointer data _unused_)
{
        g_assert_cmpint(loop_new(&fixture->loop), ==, 0);
        g_assert_cmpint(vhost_channel_new(fixture->loop, &ops, fixture, &fixture->backend,
                                          &fixture->channel),
                        ==, 0);
}

static void fixture_clear(Fixture *fixture, gconstpointer data _unused_)
{
        vhost_channel_free(fixture->channel);
        fd_closep(&fixture->backend);
        loop_free(fixture->loop);
}

static void run(Fixture *fixture)
{
        while (loop_turn(fixture->loop, false) > 0)
                ;
}

static void backend_send(Fixture *fixture, const void *bytes, size_t size)
{
        g_assert_cmpint(send(fixture->backend, bytes, size, MSG_NOSIGNAL), ==, (ssize_t)size);
        run(fixture);
}

static void expect_reply(Fixture *fixture, uint32_t request, uint32_t result)
{
        const uint32_t expected[] = { request, VHOST_USER_VERSION | VHOST_USER_REPLY, 8, result,
                                      0 };
        uint32_t reply[6];
        const int n = (int)recv(fixture->backend, reply, sizeof(reply), 0);

        g_assert_cmpmem(reply, n, expected, sizeof(expected));
}

/* However it comes: at once, or byte by byte. */
static void test_config_change(Fixture *fixture, gconstpointer data _unused_)
{
        const uint32_t request[] = { 2, NEED_REPLY, 0 };

        backend_send(fixture, request, sizeof(request));
        g_assert_cmpuint(fixture->n_changed, ==, 1);
        expect_reply(fixture, 2, 0);
        for (size_t i = 0; i < sizeof(request); i++) {
                g_assert_cmpuint(fixture->n_changed, ==, 1);
                backend_send(fixture, (const char *)request + i, 1);
        }
        g_assert_cmpuint(fixture->n_changed, ==, 2);
        expect_reply(fixture, 2, 0);
}

/* Unknown, or with a payload that does not belong there, which is skipped. */
static void test_refused(Fixture *fixture, gconstpointer data _unused_)
{
        const uint32_t unknown[] = { 7, VHOST_USER_VERSION, 8, 2, NEED_REPLY };
        const uint32_t too_long[] = { 2, NEED_REPLY, 4, 0 };

        backend_send(fixture, unknown, sizeof(unknown));
        g_assert_cmpuint(fixture->n_refused, ==, 1);
        g_assert_cmpuint(fixture->refused, ==, 7);
        backend_send(fixture, too_long, sizeof(too_long));
        g_assert_cmpuint(fixture->n_refused, ==, 2);
        g_assert_cmpuint(fixture->n_changed, ==, 0);
        expect_reply(fixture, 2, 1);
}

/* A channel that is closed, at any byte, or that brings nonsense, is not read any more. */
static void test_end(void)
{
        static const uint32_t requests[][4] = {
                { 2, 0, 0 },
                { 2, 2, 0 },
                { 2, VHOST_USER_VERSION | VHOST_USER_REPLY, 0 },
                { 7, VHOST_USER_VERSION, 4097 },
                { 7, VHOST_USER_VERSION, 8, 0 },
        };

        for (unsigned int i = 0; i < G_N_ELEMENTS(requests); i++) {
                const uint32_t good[] = { 2, VHOST_USER_VERSION, 0 };
                Fixture fixture = { 0 };

                fixture_init(&fixture, NULL);
                if (i < 4) {
                        backend_send(&fixture, requests[i], 12);
                        backend_send(&fixture, good, sizeof(good));
                } else {
                        backend_send(&fixture, requests[i], 16);
                        fd_closep(&fixture.backend);
                        run(&fixture);
                }
                g_assert_cmpint(loop_turn(fixture.loop, false), ==, 0);
                g_assert_cmpuint(fixture.n_changed + fixture.n_refused, ==, 0);
                fixture_clear(&fixture, NULL);
        }
}

/* A backend that does not read its replies has no channel any more. */
static void test_backend_that_is_gone(Fixture *fixture, gconstpointer data _unused_)
{
        const uint32_t request[] = { 2, NEED_REPLY, 0 };

        g_assert_cmpint(send(fixture->backend, request, sizeof(request), 0), ==, sizeof(request));
        fd_closep(&fixture->backend);
        run(fixture);
        g_assert_cmpuint(fixture->n_changed, ==, 1);
}

/* So many in a window of time; the others wait for the next one. */
static void test_flood(Fixture *fixture, gconstpointer data _unused_)
{
        const uint32_t request[] = { 2, VHOST_USER_VERSION, 0 };

        for (unsigned int i = 0; i < 2 * VHOST_CHANNEL_REQUESTS; i++)
                backend_send(fixture, request, sizeof(request));
        g_assert_cmpuint(fixture->n_changed, ==, VHOST_CHANNEL_REQUESTS);
        fake_clock_advance(VHOST_CHANNEL_WINDOW_USEC - 1);
        run(fixture);
        g_assert_cmpuint(fixture->n_changed, ==, VHOST_CHANNEL_REQUESTS);
        fake_clock_advance(1);
        run(fixture);
        g_assert_cmpuint(fixture->n_changed, ==, 2 * VHOST_CHANNEL_REQUESTS);
}

static unsigned int n_descriptors(void)
{
        GDir *directory = g_dir_open("/proc/self/fd", 0, NULL);
        unsigned int n = 0;

        while (g_dir_read_name(directory))
                n++;
        g_dir_close(directory);
        return n;
}

static void nothing(void *userdata _unused_)
{
}

/* Without descriptors, and on a loop that has no place. Nothing is left of the attempt. */
static void test_cannot_be_made(void)
{
        VhostChannel *channel = NULL;
        Loop *loop = NULL;
        struct rlimit limit, none;
        int backend = -1;

        g_assert_cmpint(loop_new(&loop), ==, 0);
        g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &limit), ==, 0);
        none = (struct rlimit){ .rlim_cur = 0, .rlim_max = limit.rlim_max };
        g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &none), ==, 0);
        g_assert_cmpint(vhost_channel_new(loop, &ops, NULL, &backend, &channel), ==, -EMFILE);
        g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);

        for (int i = 0; i < LOOP_WATCHES_MAX; i++)
                g_assert_cmpint(loop_watch(loop, 1000 + i, nothing, NULL), ==, 0);
        for (unsigned int before = n_descriptors(), i = 0; i < 3; i++) {
                g_assert_cmpint(vhost_channel_new(loop, &ops, NULL, &backend, &channel), ==,
                                -ENOSPC);
                g_assert_cmpuint(n_descriptors(), ==, before);
        }
        g_assert_null(channel);
        g_assert_cmpint(backend, ==, -1);
        loop_free(loop);
}

#define add(name, function) g_test_add(name, Fixture, NULL, fixture_init, function, fixture_clear)

int main(int argc, char *argv[])
{
        g_test_init(&argc, &argv, NULL);
        add("/vhost-channel/config-change", test_config_change);
        add("/vhost-channel/refused", test_refused);
        g_test_add_func("/vhost-channel/end", test_end);
        add("/vhost-channel/backend-that-is-gone", test_backend_that_is_gone);
        add("/vhost-channel/flood", test_flood);
        g_test_add_func("/vhost-channel/cannot-be-made", test_cannot_be_made);
        return g_test_run();
}
