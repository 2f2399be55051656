/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* misbehave.h: what is written on the command line, and what comes out of the socket. */

#include "tests/backend/misbehave.h"

#include <glib.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/backend/message.h"

static void test_parse(void)
{
        static const char *const wrong[] = {
                "",      "any",       "any:",        "any:nothing", "get-nothing:late",
                ":late", "any:late:", "any:late:1s", "any:late:-1"
        };
        Misbehaviour result = { 0 };

        g_assert_cmpint(misbehaviour_parse("get-config:late:3000", &result), ==, 0);
        g_assert_cmpuint(result.request, ==, WIRE_GET_CONFIG);
        g_assert_cmpuint(result.kind, ==, MISBEHAVE_LATE);
        g_assert_cmpuint(result.argument, ==, 3000);
        g_assert_cmpint(misbehaviour_parse("any:extra-fds", &result), ==, 0);
        g_assert_cmpuint(result.request, ==, 0);
        g_assert_cmpuint(result.argument, ==, 1);
        for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
                g_assert_cmpint(misbehaviour_parse(wrong[i], &result), <, 0);
}

static void test_find(void)
{
        const Misbehaviour all[] = { { WIRE_GET_CONFIG, MISBEHAVE_LATE, 0 },
                                     { 0, MISBEHAVE_CLOSE, 0 } };

        g_assert_true(misbehaviour_find(all, 2, WIRE_GET_CONFIG) == &all[0]);
        g_assert_true(misbehaviour_find(all, 2, WIRE_SET_OWNER) == &all[1]);
        g_assert_null(misbehaviour_find(all, 1, WIRE_SET_OWNER));
}

/* Lets a reply of 8 bytes go wrong. Returns how many bytes came, and the message. */
static ssize_t spoil(const char *text, ReplyResult expected, WireHeader *ret_header,
                     uint64_t *ret_value, unsigned int *ret_fds)
{
        const Reply reply = {
                .header = { WIRE_GET_FEATURES, WIRE_VERSION | WIRE_REPLY, 8 },
                .payload.u64 = 0x1234,
                .fd = -1,
        };
        Misbehaviour wrong = { 0 };
        uint8_t bytes[8192] = { 0 };
        union {
                struct cmsghdr align;
                char space[CMSG_SPACE(WIRE_DESCRIPTOR_MAX * sizeof(int))];
        } control;
        struct iovec iov = { bytes, sizeof(bytes) };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
        const struct cmsghdr *part;
        int fds[2];
        ssize_t n;

        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), ==, 0);
        if (text)
                g_assert_cmpint(misbehaviour_parse(text, &wrong), ==, 0);
        g_assert_cmpint(reply_send(fds[0], &reply, text ? &wrong : NULL), ==, expected);
        close(fds[0]);
        message.msg_control = &control;
        message.msg_controllen = sizeof(control);
        n = recvmsg(fds[1], &message, 0);
        close(fds[1]);
        memcpy(ret_header, bytes, sizeof(*ret_header));
        memcpy(ret_value, bytes + sizeof(*ret_header), sizeof(*ret_value));
        part = CMSG_FIRSTHDR(&message);
        *ret_fds = part ? (unsigned int)((part->cmsg_len - CMSG_LEN(0)) / sizeof(int)) : 0;
        for (unsigned int i = 0; i < *ret_fds; i++) {
                int fd;

                memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof(fd));
                close(fd);
        }
        return n;
}

static void test_reply(void)
{
        static const struct {
                const char *text;
                ReplyResult result;
                ssize_t size;
                WireHeader header;
                uint64_t value;
                unsigned int n_fds;
        } cases[] = {
                { NULL, REPLY_SENT, 20, { 1, 5, 8 }, 0x1234, 0 },
                { "any:short:8", REPLY_SENT, 12, { 1, 5, 8 }, 0, 0 },
                { "any:long:3", REPLY_SENT, 23, { 1, 5, 8 }, 0x1234, 0 },
                { "any:wrong-id", REPLY_SENT, 20, { 2, 5, 8 }, 0x1234, 0 },
                { "any:wrong-flags:9", REPLY_SENT, 20, { 1, 9, 8 }, 0x1234, 0 },
                { "any:wrong-size:9", REPLY_SENT, 20, { 1, 5, 9 }, 0x1234, 0 },
                { "any:nack", REPLY_SENT, 20, { 1, 5, 8 }, 1, 0 },
                { "any:extra-fds:10", REPLY_SENT, 20, { 1, 5, 8 }, 0x1234, 10 },
                { "any:close-after-bytes:3", REPLY_CLOSE, 3, { 1, 0, 0 }, 0, 0 },
                { "any:close", REPLY_CLOSE, 0, { 0, 0, 0 }, 0, 0 },
                { "any:never-read", REPLY_DEAF, 0, { 0, 0, 0 }, 0, 0 },
                { "any:never-answer", REPLY_SENT, 0, { 0, 0, 0 }, 0, 0 },
                { "any:flood:9", REPLY_SENT, 200, { 1, 5, 8 }, 0x1234, 0 },
                { "any:slow:0", REPLY_SENT, 20, { 1, 5, 8 }, 0x1234, 0 },
                { "any:late:1", REPLY_SENT, 20, { 1, 5, 8 }, 0x1234, 0 },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                WireHeader header;
                uint64_t value;
                unsigned int n_fds;

                g_assert_cmpint(spoil(cases[i].text, cases[i].result, &header, &value, &n_fds), ==,
                                cases[i].size);
                g_assert_cmpmem(&header, sizeof(header), &cases[i].header, sizeof(header));
                g_assert_cmphex(value, ==, cases[i].value);
                g_assert_cmpuint(n_fds, ==, cases[i].n_fds);
        }
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/misbehave/parse", test_parse);
        g_test_add_func("/misbehave/find", test_find);
        g_test_add_func("/misbehave/reply", test_reply);
        return g_test_run();
}
