/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "orchestrator/xenstore-wire.h"

/* Numbers of the protocol, on purpose not taken from the headers that the code takes them from. */
#define READ        2U
#define WATCH_EVENT 15U
#define ERROR       16U

/* The test is the daemon: what it writes waits in the socket until the wire reads it. */
typedef struct Fixture {
        char *folder, *path;
        int daemon;
        XenstoreWire *wire;
} Fixture;

static void fixture_set_up(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int listener = socket(AF_UNIX, SOCK_STREAM, 0);

        fixture->folder = g_dir_make_tmp("test-wire-XXXXXX", NULL);
        fixture->path = g_build_filename(fixture->folder, "socket", NULL);
        g_strlcpy(address.sun_path, fixture->path, sizeof(address.sun_path));
        g_assert_cmpint(bind(listener, (struct sockaddr *)&address, sizeof(address)), ==, 0);
        g_assert_cmpint(listen(listener, 1), ==, 0);
        g_setenv("XENSTORED_PATH", fixture->path, TRUE);
        g_assert_cmpint(xenstore_wire_open(&fixture->wire), ==, 0);
        fixture->daemon = accept(listener, NULL, NULL);
        g_assert_cmpint(fixture->daemon, >=, 0);
        close(listener);
}

static void fixture_tear_down(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        xenstore_wire_close(fixture->wire);
        if (fixture->daemon >= 0)
                close(fixture->daemon);
        g_unlink(fixture->path);
        g_rmdir(fixture->folder);
        g_free(fixture->path);
        g_free(fixture->folder);
}

static void daemon_say(const Fixture *fixture, uint32_t type, const char *payload, uint32_t size)
{
        const uint32_t header[4] = { type, 0, 0, size };

        g_assert_cmpint(write(fixture->daemon, header, sizeof(header)), ==, sizeof(header));
        g_assert_cmpint(write(fixture->daemon, payload, size), ==, size);
}

static void check_answer(const Fixture *fixture, int expected, const char *text_expected)
{
        g_autofree char *text = NULL;
        size_t size = 0;

        g_assert_cmpint(xenstore_wire_answer(fixture->wire, &text, &size), ==, expected);
        g_assert_cmpstr(text, ==, text_expected);
        if (text_expected)
                g_assert_cmpuint(size, ==, strlen(text_expected));
}

static void check_event(const Fixture *fixture, const char *path_expected,
                        const char *token_expected)
{
        g_autofree char *path = NULL, *token = NULL;

        g_assert_cmpint(xenstore_wire_event(fixture->wire, &path, &token), ==,
                        path_expected ? 1 : 0);
        g_assert_cmpstr(path, ==, path_expected);
        g_assert_cmpstr(token, ==, token_expected);
}

static void check_lost(const Fixture *fixture)
{
        char *path, *token;

        check_answer(fixture, -ECONNRESET, NULL);
        g_assert_cmpint(xenstore_wire_event(fixture->wire, &path, &token), ==, -ECONNRESET);
        check_answer(fixture, -ECONNRESET, NULL);
}

/* What goes out: one header of four words each, and all of it before the first answer is read. */
static void test_requests(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        struct {
                uint32_t header[4];
                char payload[4];
        } sent[2];

        xenstore_wire_request_text(fixture->wire, READ, 7, "a/b");
        xenstore_wire_request(fixture->wire, 11, 0, "a\0xy", 4);
        daemon_say(fixture, READ, "1", 1);
        daemon_say(fixture, 11, "OK\0", 3);
        check_answer(fixture, 0, "1");
        g_assert_cmpint(read(fixture->daemon, &sent, sizeof(sent)), ==, sizeof(sent));
        g_assert_cmpuint(sent[0].header[0], ==, READ);
        g_assert_cmpuint(sent[0].header[2], ==, 7);
        g_assert_cmpuint(sent[0].header[3], ==, 4);
        g_assert_cmpmem(sent[0].payload, 4, "a/b\0", 4);
        g_assert_cmpuint(sent[1].header[0], ==, 11);
        g_assert_cmpmem(sent[1].payload, 4, "a\0xy", 4);
        g_assert_cmpint(xenstore_wire_answer(fixture->wire, NULL, NULL), ==, 0);
}

static void test_errors(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        daemon_say(fixture, ERROR, "ENOENT", 7);
        daemon_say(fixture, ERROR, "EAGAIN", 7);
        daemon_say(fixture, ERROR, "EACCES", 7);
        daemon_say(fixture, ERROR, "ENONSENSE", 10);
        daemon_say(fixture, ERROR, "", 0);
        daemon_say(fixture, READ, "", 0);
        check_answer(fixture, -ENOENT, NULL);
        check_answer(fixture, -EAGAIN, NULL);
        check_answer(fixture, -EACCES, NULL);
        check_answer(fixture, -EIO, NULL);
        check_answer(fixture, -EIO, NULL);
        check_answer(fixture, 0, "");
}

/* Events between answers wait until they are asked for, and lose nothing. */
static void test_events(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        check_event(fixture, NULL, NULL);
        daemon_say(fixture, WATCH_EVENT, "backend/virtio\0a", 17);
        daemon_say(fixture, READ, "1", 1);
        daemon_say(fixture, WATCH_EVENT, "@releaseDomain\0b", 17);
        daemon_say(fixture, READ, "2", 1);
        daemon_say(fixture, WATCH_EVENT, "x\0", 3);
        check_answer(fixture, 0, "1");
        g_assert_true(xenstore_wire_has_event(fixture->wire));
        check_answer(fixture, 0, "2");
        check_event(fixture, "backend/virtio", "a");
        check_event(fixture, "@releaseDomain", "b");
        check_event(fixture, "x", "");
        check_event(fixture, NULL, NULL);
        g_assert_false(xenstore_wire_has_event(fixture->wire));
}

/* A message may come byte by byte. */
static void test_pieces(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        static const char message[] = "\x0f\0\0\0\0\0\0\0\0\0\0\0\4\0\0\0p\0t";

        for (size_t i = 0; i < sizeof(message); i++) {
                check_event(fixture, NULL, NULL);
                g_assert_cmpint(write(fixture->daemon, message + i, 1), ==, 1);
        }
        check_event(fixture, "p", "t");
}

static void test_large(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        g_autofree char *largest = g_strnfill(4096, 'x');

        daemon_say(fixture, READ, largest, 4096);
        check_answer(fixture, 0, largest);
        daemon_say(fixture, READ, largest, 4096);
        check_answer(fixture, 0, largest);
}

static void test_too_large(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        const uint32_t header[4] = { READ, 0, 0, 4097 };

        g_assert_cmpint(write(fixture->daemon, header, sizeof(header)), ==, sizeof(header));
        check_lost(fixture);
}

static void test_event_without_token(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        daemon_say(fixture, WATCH_EVENT, "path", 5);
        check_lost(fixture);
}

static void test_answer_without_question(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        char *path, *token;

        daemon_say(fixture, READ, "1", 1);
        g_assert_cmpint(xenstore_wire_event(fixture->wire, &path, &token), ==, -ECONNRESET);
        check_lost(fixture);
}

static void test_end(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        close(fixture->daemon);
        fixture->daemon = -1;
        xenstore_wire_request_text(fixture->wire, READ, 0, "a");
        check_lost(fixture);
}

#define ADD(path, function)                                                                        \
        g_test_add(path, Fixture, NULL, fixture_set_up, function, fixture_tear_down)

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        signal(SIGPIPE, SIG_IGN);
        ADD("/xenstore-wire/requests", test_requests);
        ADD("/xenstore-wire/errors", test_errors);
        ADD("/xenstore-wire/events", test_events);
        ADD("/xenstore-wire/pieces", test_pieces);
        ADD("/xenstore-wire/large", test_large);
        ADD("/xenstore-wire/too-large", test_too_large);
        ADD("/xenstore-wire/event-without-token", test_event_without_token);
        ADD("/xenstore-wire/answer-without-question", test_answer_without_question);
        ADD("/xenstore-wire/end", test_end);
        return g_test_run();
}
