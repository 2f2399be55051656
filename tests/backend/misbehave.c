/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "tests/backend/misbehave.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "common/parse.h"
#include "tests/backend/message.h"

/* Name and argument, if none is given. */
static const struct {
        const char *name;
        uint64_t argument;
} kinds[_MISBEHAVE_MAX] = {
        [MISBEHAVE_LATE] = { "late", 1000 },
        [MISBEHAVE_NEVER_ANSWER] = { "never-answer", 0 },
        [MISBEHAVE_SHORT] = { "short", 1 },
        [MISBEHAVE_LONG] = { "long", 1 },
        [MISBEHAVE_WRONG_ID] = { "wrong-id", 0 },
        [MISBEHAVE_WRONG_FLAGS] = { "wrong-flags", WIRE_VERSION },
        [MISBEHAVE_WRONG_SIZE] = { "wrong-size", 4 },
        [MISBEHAVE_NACK] = { "nack", 0 },
        [MISBEHAVE_EXTRA_FDS] = { "extra-fds", 1 },
        [MISBEHAVE_CLOSE_AFTER] = { "close-after-bytes", 0 },
        [MISBEHAVE_CLOSE] = { "close", 0 },
        [MISBEHAVE_SLOW] = { "slow", 100 },
        [MISBEHAVE_NEVER_READ] = { "never-read", 0 },
        [MISBEHAVE_FLOOD] = { "flood", 1000 },
        [MISBEHAVE_FLOOD_CONFIG] = { "flood-config", 10000 },
        [MISBEHAVE_FLOOD_UNKNOWN] = { "flood-unknown", 1000 },
};

static MisbehaviourKind kind_find(const char *name)
{
        for (MisbehaviourKind kind = 0; kind < _MISBEHAVE_MAX; kind++) {
                if (kinds[kind].name && strcmp(kinds[kind].name, name) == 0)
                        return kind;
        }
        return MISBEHAVE_NONE;
}

int misbehaviour_parse(const char *text, Misbehaviour *ret_misbehaviour)
{
        _cleanup_free_ char *copy = strdup(text);
        Misbehaviour result = { 0 };
        char *rest = copy;
        const char *request = strsep(&rest, ":");
        const char *kind = strsep(&rest, ":");

        if (!request || !kind)
                return -EINVAL;
        result.request = wire_request_find(request);
        result.kind = kind_find(kind);
        if ((result.request == 0 && strcmp(request, "any") != 0) || result.kind == MISBEHAVE_NONE)
                return -EINVAL;
        result.argument = kinds[result.kind].argument;
        if (rest && parse_unsigned(rest, UINT32_MAX, &result.argument) < 0)
                return -EINVAL;
        *ret_misbehaviour = result;
        return 0;
}

const Misbehaviour *misbehaviour_find(const Misbehaviour *all, size_t n, uint32_t request)
{
        for (size_t i = 0; i < n; i++) {
                if (all[i].request == 0 || all[i].request == request)
                        return &all[i];
        }
        return NULL;
}

/* Anything that interrupts the wait ends it: the loop looks at signals. */
static void wait_msec(uint64_t msec)
{
        const struct timespec time = {
                .tv_sec = (time_t)(msec / 1000),
                .tv_nsec = (long)(msec % 1000 * 1000000),
        };

        nanosleep(&time, NULL);
}

typedef struct Outgoing {
        struct {
                WireHeader header;
                uint8_t payload[WIRE_PAYLOAD_MAX];
        } bytes;
        size_t size;
        int fds[WIRE_DESCRIPTOR_MAX];
        unsigned int n_fds;
} Outgoing;

static void refuse(Outgoing *out)
{
        const uint64_t no = 1;

        if (out->bytes.header.request == WIRE_GET_CONFIG) {
                /* "uses zero length of payload to indicate an error" */
                out->bytes.header.size = 0;
                out->size = sizeof(WireHeader);
        } else if (out->bytes.header.request == WIRE_GET_VRING_BASE) {
                out->bytes.payload[0] ^= 1; /* another queue's */
        } else {
                memcpy(out->bytes.payload, &no, sizeof(no));
        }
}

static void change(Outgoing *out, const Misbehaviour *wrong)
{
        const uint32_t argument = (uint32_t)wrong->argument;

        switch (wrong->kind) {
        case MISBEHAVE_SHORT:
                out->size -= argument < out->size ? argument : out->size;
                break;
        case MISBEHAVE_LONG:
                out->size += argument < WIRE_PAYLOAD_MAX / 2 ? argument : WIRE_PAYLOAD_MAX / 2;
                break;
        case MISBEHAVE_WRONG_ID:
                out->bytes.header.request = argument ? argument : out->bytes.header.request + 1;
                break;
        case MISBEHAVE_WRONG_FLAGS:
                out->bytes.header.flags = argument;
                break;
        case MISBEHAVE_WRONG_SIZE:
                out->bytes.header.size = argument;
                break;
        case MISBEHAVE_NACK:
                refuse(out);
                break;
        case MISBEHAVE_EXTRA_FDS:
                for (uint32_t i = 0; i < argument && out->n_fds < ARRAY_SIZE(out->fds); i++)
                        out->fds[out->n_fds++] = STDERR_FILENO;
                break;
        case MISBEHAVE_CLOSE_AFTER:
                if (argument < out->size)
                        out->size = argument;
                break;
        case MISBEHAVE_LATE:
                wait_msec(argument);
                break;
        case MISBEHAVE_NONE:
        case MISBEHAVE_NEVER_ANSWER:
        case MISBEHAVE_CLOSE:
        case MISBEHAVE_SLOW:
        case MISBEHAVE_NEVER_READ:
        case MISBEHAVE_FLOOD:
        case MISBEHAVE_FLOOD_CONFIG:
        case MISBEHAVE_FLOOD_UNKNOWN:
        case _MISBEHAVE_MAX:
        default:
                break;
        }
}

static int slowly_send(int fd, const Outgoing *out, uint64_t msec)
{
        const uint8_t *bytes = (const uint8_t *)&out->bytes;
        int r = 0;

        for (size_t i = 0; i < out->size && r == 0; i++) {
                wait_msec(msec);
                r = bytes_send(fd, bytes + i, 1, NULL, 0);
        }
        return r;
}

ReplyResult reply_send(int fd, const Reply *reply, const Misbehaviour *wrong)
{
        const MisbehaviourKind kind = wrong ? wrong->kind : MISBEHAVE_NONE;
        const uint64_t n = kind == MISBEHAVE_FLOOD ? wrong->argument : 0;
        Outgoing out = {
                .bytes.header = reply->header,
                .size = sizeof(WireHeader) + reply->header.size,
        };
        int r = 0;

        memcpy(out.bytes.payload, &reply->payload, sizeof(out.bytes.payload));
        if (reply->fd >= 0)
                out.fds[out.n_fds++] = reply->fd;
        if (wrong)
                change(&out, wrong);

        if (kind == MISBEHAVE_CLOSE)
                return REPLY_CLOSE;
        if (kind == MISBEHAVE_NEVER_READ)
                return REPLY_DEAF;
        if (kind == MISBEHAVE_NEVER_ANSWER)
                return REPLY_SENT;
        if (kind == MISBEHAVE_SLOW)
                r = slowly_send(fd, &out, wrong->argument);
        else
                for (uint64_t i = 0; i <= n && r == 0; i++)
                        r = bytes_send(fd, &out.bytes, out.size, out.fds, out.n_fds);
        return r < 0 || kind == MISBEHAVE_CLOSE_AFTER ? REPLY_CLOSE : REPLY_SENT;
}
