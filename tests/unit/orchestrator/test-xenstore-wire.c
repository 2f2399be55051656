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
        GString *heard; /* what the wire has told, a line each */
        int verdict;    /* of the answers' function */
} Fixture;

static int on_answer(void *userdata, int result, const char *text, size_t size)
{
        Fixture *fixture = userdata;

        g_assert_cmpint(text[size], ==, '\0');
        if (result < 0)
                g_string_append_printf(fixture->heard, "error %d\n", -result);
        else
                g_string_append_printf(fixture->heard, "answer %s\n", text);
        return fixture->verdict;
}

static void on_event(void *userdata, const char *path, const char *token)
{
        Fixture *fixture = userdata;

        g_string_append_printf(fixture->heard, "event %s %s\n", path, token);
}

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
        g_assert_cmpint(xenstore_wire_open(on_event, fixture, &fixture->wire), ==, 0);
        fixture->heard = g_string_new(NULL);
        fixture->daemon = accept(listener, NULL, NULL);
        g_assert_cmpint(fixture->daemon, >=, 0);
        close(listener);
}

static void fixture_tear_down(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        xenstore_wire_close(fixture->wire);
        g_string_free(fixture->heard, TRUE);
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

/* Reads until there is nothing more, and compares what was told. */
static void check_heard(Fixture *fixture, const char *expected)
{
        for (unsigned int i = 0; i < 4; i++)
                g_assert_cmpint(xenstore_wire_dispatch(fixture->wire), ==, 0);
        g_assert_cmpstr(fixture->heard->str, ==, expected);
        g_string_truncate(fixture->heard, 0);
}

static void check_lost(const Fixture *fixture)
{
        g_assert_cmpint(xenstore_wire_dispatch(fixture->wire), ==, -ECONNRESET);
        g_assert_cmpstr(fixture->heard->str, ==, "");
}

static void ask(Fixture *fixture, unsigned int n)
{
        for (unsigned int i = 0; i < n; i++)
                xenstore_wire_request_text(fixture->wire, READ, 0, "a", on_answer, fixture);
        g_assert_cmpint(xenstore_wire_flush(fixture->wire), ==, 0);
}

/* What goes out: one header of four words each, and all of it before the first answer is read. */
static void test_requests(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        struct {
                uint32_t header[4];
                char payload[4];
        } sent[2];

        xenstore_wire_request_text(fixture->wire, READ, 7, "a/b", on_answer, fixture);
        xenstore_wire_request(fixture->wire, 11, 0, "a\0xy", 4, on_answer, fixture);
        g_assert_cmpint(xenstore_wire_flush(fixture->wire), ==, 0);
        g_assert_cmpint(read(fixture->daemon, &sent, sizeof(sent)), ==, sizeof(sent));
        g_assert_cmpuint(sent[0].header[0], ==, READ);
        g_assert_cmpuint(sent[0].header[2], ==, 7);
        g_assert_cmpuint(sent[0].header[3], ==, 4);
        g_assert_cmpmem(sent[0].payload, 4, "a/b\0", 4);
        g_assert_cmpuint(sent[1].header[0], ==, 11);
        g_assert_cmpmem(sent[1].payload, 4, "a\0xy", 4);
        check_heard(fixture, "");
        daemon_say(fixture, READ, "1", 1);
        daemon_say(fixture, 11, "OK\0", 3);
        check_heard(fixture, "answer 1\nanswer OK\n");
}

/* A daemon that reads nothing stops nobody: what does not fit is sent when it does. */
static void test_stall(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        unsigned int n_requests = 0;
        size_t n_bytes = 0, expected;
        char buffer[65536];
        ssize_t n;
        int r = 0;

        while (r == 0) {
                xenstore_wire_request_text(fixture->wire, READ, 0, "a", on_answer, fixture);
                n_requests++;
                r = xenstore_wire_flush(fixture->wire);
        }
        g_assert_cmpint(r, ==, 1);
        check_heard(fixture, "");
        expected = n_requests * (4 * sizeof(uint32_t) + 2);
        while (n_bytes < expected) {
                n = read(fixture->daemon, buffer, sizeof(buffer));
                g_assert_cmpint(n, >, 0);
                n_bytes += (size_t)n;
                g_assert_cmpint(xenstore_wire_flush(fixture->wire), >=, 0);
        }
        g_assert_cmpuint(n_bytes, ==, expected);
}

static void test_errors(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        g_autofree char *expected = g_strdup_printf("error %d\nerror %d\nerror %d\nerror %d\n"
                                                    "error %d\nanswer \n",
                                                    ENOENT, EAGAIN, EACCES, EIO, EIO);

        ask(fixture, 6);
        daemon_say(fixture, ERROR, "ENOENT", 7);
        daemon_say(fixture, ERROR, "EAGAIN", 7);
        daemon_say(fixture, ERROR, "EACCES", 7);
        daemon_say(fixture, ERROR, "ENONSENSE", 10);
        daemon_say(fixture, ERROR, "", 0);
        daemon_say(fixture, READ, "", 0);
        check_heard(fixture, expected);
}

/* Events and answers are told in their order: an answer says what was before it. */
static void test_events(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        ask(fixture, 2);
        daemon_say(fixture, WATCH_EVENT, "backend/virtio\0a", 17);
        daemon_say(fixture, READ, "1", 1);
        daemon_say(fixture, WATCH_EVENT, "@releaseDomain\0b", 17);
        daemon_say(fixture, READ, "2", 1);
        daemon_say(fixture, WATCH_EVENT, "x\0", 3);
        check_heard(fixture, "event backend/virtio a\nanswer 1\nevent @releaseDomain b\n"
                             "answer 2\nevent x \n");
}

/* A message may come byte by byte. */
static void test_pieces(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        static const char message[] = "\x0f\0\0\0\0\0\0\0\0\0\0\0\4\0\0\0p\0t";

        for (size_t i = 0; i < sizeof(message); i++) {
                check_heard(fixture, "");
                g_assert_cmpint(write(fixture->daemon, message + i, 1), ==, 1);
        }
        check_heard(fixture, "event p t\n");
}

static void test_large(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        g_autofree char *largest = g_strnfill(4096, 'x');
        g_autofree char *expected = g_strdup_printf("answer %s\nanswer %s\n", largest, largest);

        ask(fixture, 2);
        daemon_say(fixture, READ, largest, 4096);
        daemon_say(fixture, READ, largest, 4096);
        check_heard(fixture, expected);
}

static void test_too_large(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        const uint32_t header[4] = { READ, 0, 0, 4097 };

        ask(fixture, 1);
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
        daemon_say(fixture, READ, "1", 1);
        check_lost(fixture);
}

static void test_error_without_question(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        daemon_say(fixture, ERROR, "EINVAL", 7);
        check_lost(fixture);
}

static void test_answer_to_another_question(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        ask(fixture, 1);
        daemon_say(fixture, 11, "OK\0", 3);
        check_lost(fixture);
}

/* Who does not like an answer ends the connection, with what it says. */
static void test_verdict(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        ask(fixture, 2);
        fixture->verdict = -EPROTO;
        daemon_say(fixture, READ, "1", 1);
        daemon_say(fixture, READ, "2", 1);
        g_assert_cmpint(xenstore_wire_dispatch(fixture->wire), ==, -EPROTO);
        g_assert_cmpstr(fixture->heard->str, ==, "answer 1\n");
}

static void test_end(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        ask(fixture, 1);
        close(fixture->daemon);
        fixture->daemon = -1;
        check_lost(fixture);
        xenstore_wire_request_text(fixture->wire, READ, 0, "a", on_answer, fixture);
        g_assert_cmpint(xenstore_wire_flush(fixture->wire), ==, -ECONNRESET);
}

#define ADD(path, function)                                                                        \
        g_test_add(path, Fixture, NULL, fixture_set_up, function, fixture_tear_down)

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        signal(SIGPIPE, SIG_IGN);
        ADD("/xenstore-wire/requests", test_requests);
        ADD("/xenstore-wire/stall", test_stall);
        ADD("/xenstore-wire/errors", test_errors);
        ADD("/xenstore-wire/events", test_events);
        ADD("/xenstore-wire/pieces", test_pieces);
        ADD("/xenstore-wire/large", test_large);
        ADD("/xenstore-wire/too-large", test_too_large);
        ADD("/xenstore-wire/event-without-token", test_event_without_token);
        ADD("/xenstore-wire/answer-without-question", test_answer_without_question);
        ADD("/xenstore-wire/error-without-question", test_error_without_question);
        ADD("/xenstore-wire/answer-to-another-question", test_answer_to_another_question);
        ADD("/xenstore-wire/verdict", test_verdict);
        ADD("/xenstore-wire/end", test_end);
        return g_test_run();
}
