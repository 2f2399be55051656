/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "tests/unit/vhost-fixture.h"

#include <errno.h>
#include <glib.h>
#include <string.h>
#include <sys/socket.h>

static void on_failed(void *userdata, int error, const char *reason)
{
        Fixture *fixture = userdata;

        g_assert_cmpint(error, <, 0);
        g_assert_nonnull(reason);
        fixture->n_failed++;
        fixture->error = error;
        fixture->client = vhost_client_free(fixture->client); /* is allowed here */
}

void on_answered(void *userdata, const VhostUserPayload *payload)
{
        Fixture *fixture = userdata;

        fixture->n_answered++;
        fixture->has_payload = payload != NULL;
        if (payload)
                fixture->payload = *payload;
}

void fixture_init(Fixture *fixture, gconstpointer data _unused_)
{
        int fds[2];

        g_assert_cmpint(loop_new(&fixture->loop), ==, 0);
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), ==,
                        0);
        fixture->backend = fds[1];
        g_assert_cmpint(
                vhost_client_new(fixture->loop, fds[0], on_failed, fixture, &fixture->client), ==,
                0);
}

void fixture_clear(Fixture *fixture, gconstpointer data _unused_)
{
        vhost_client_free(fixture->client);
        fd_closep(&fixture->backend);
        loop_free(fixture->loop);
}

void run(Fixture *fixture)
{
        while (loop_turn(fixture->loop, false) > 0)
                ;
}

void backend_send(Fixture *fixture, const void *data, size_t size)
{
        g_assert_cmpint(send(fixture->backend, data, size, MSG_NOSIGNAL), ==, (ssize_t)size);
}

void answer(Fixture *fixture, uint32_t request, const void *payload, size_t size)
{
        VhostUserHeader header = { .request = request, .flags = REPLY, .size = (uint32_t)size };

        backend_send(fixture, &header, sizeof(header));
        backend_send(fixture, payload, size);
        run(fixture);
}

void expect(Fixture *fixture, uint32_t request, uint32_t flags, const void *payload, size_t size)
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

void expect_nothing(Fixture *fixture)
{
        char byte;

        g_assert_cmpint(recv(fixture->backend, &byte, 1, 0), ==, -1);
        g_assert_cmpint(errno, ==, EAGAIN);
}

void assert_failed(Fixture *fixture)
{
        run(fixture);
        g_assert_cmpuint(fixture->n_failed, ==, 1);
        g_assert_cmpuint(fixture->n_answered, ==, 0);
        g_assert_null(fixture->client);
}
