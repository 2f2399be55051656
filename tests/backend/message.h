/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Messages with descriptors, in and out of a socket. */

#include "tests/backend/wire.h"

typedef struct Message {
        WireHeader header;
        WirePayload payload;
        int fds[WIRE_DESCRIPTOR_MAX]; /* owned; taken away ones are -1 */
        unsigned int n_fds;
} Message;

/*
 * Waits for a whole message. Of a payload that is too long only the first WIRE_PAYLOAD_MAX bytes
 * are read. Returns 1, 0 at the connection's end, or a negative errno (-EINTR: a signal). The
 * message's descriptors have to be closed in any case.
 */
int message_receive(int fd, Message *ret_message) _warn_unused_;
void message_close(Message *message);

/* Gives one descriptor away; -1 if there is none. */
int message_take_fd(Message *message, unsigned int index);

/* Sends all bytes, with descriptors at the first. Returns 0 or a negative errno. */
int bytes_send(int fd, const void *data, size_t size, const int *fds,
               unsigned int n_fds) _warn_unused_;
