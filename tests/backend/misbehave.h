/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * How a reply goes wrong, on command: REQUEST:KIND[:ARGUMENT], where REQUEST is a name of wire.h or
 * "any". A kind that changes a reply does nothing to requests that have none.
 */

#include "tests/backend/wire.h"

typedef enum MisbehaviourKind {
        MISBEHAVE_NONE,
        MISBEHAVE_LATE,          /* milliseconds; all stands still meanwhile */
        MISBEHAVE_NEVER_ANSWER,  /* but goes on with the next request */
        MISBEHAVE_SHORT,         /* bytes that are missing, though the header counts them */
        MISBEHAVE_LONG,          /* bytes that come after the reply */
        MISBEHAVE_WRONG_ID,      /* of the request */
        MISBEHAVE_WRONG_FLAGS,   /* the flags instead */
        MISBEHAVE_WRONG_SIZE,    /* in the header; the bytes are there */
        MISBEHAVE_NACK,          /* says no in the way of the request */
        MISBEHAVE_EXTRA_FDS,     /* so many descriptors more */
        MISBEHAVE_CLOSE_AFTER,   /* so many bytes of the reply, then the end */
        MISBEHAVE_CLOSE,         /* instead of a reply */
        MISBEHAVE_SLOW,          /* milliseconds between two bytes */
        MISBEHAVE_NEVER_READ,    /* anything any more */
        MISBEHAVE_FLOOD,         /* the reply so many times more */
        MISBEHAVE_FLOOD_CONFIG,  /* so many CONFIG_CHANGE on the backend's channel */
        MISBEHAVE_FLOOD_UNKNOWN, /* so many requests that do not exist, with a descriptor each */
        _MISBEHAVE_MAX,
} MisbehaviourKind;

typedef struct Misbehaviour {
        uint32_t request; /* 0: any */
        MisbehaviourKind kind;
        uint64_t argument;
} Misbehaviour;

/* Returns 0, or -EINVAL if the text is not of the form above. */
int misbehaviour_parse(const char *text, Misbehaviour *ret_misbehaviour) _warn_unused_;

/* What is to be done to a request; NULL for nothing. */
const Misbehaviour *misbehaviour_find(const Misbehaviour *all, size_t n, uint32_t request);

/* A reply as it would be right. */
typedef struct Reply {
        WireHeader header;
        WirePayload payload;
        int fd; /* borrowed; -1: none */
} Reply;

typedef enum ReplyResult {
        REPLY_SENT,
        REPLY_CLOSE, /* the connection is to be closed, or is */
        REPLY_DEAF,  /* nothing is to be read from it any more */
} ReplyResult;

/* Sends a reply, or what is to take its place (wrong may be NULL). */
ReplyResult reply_send(int fd, const Reply *reply, const Misbehaviour *wrong);
