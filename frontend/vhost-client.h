/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The frontend's end of one vhost-user connection: sends requests, and matches and checks what the
 * backend answers. Nothing here waits: a request is sent at once, and its answer goes to a
 * function. Requests may be sent before earlier ones are answered; a backend answers in order.
 *
 * A connection fails once and for all: at a reply that is not exactly as the protocol says, a
 * deadline that passed, a backend that does not read, or a closed socket.
 */

#include <stdint.h>

#include "common/macros.h"
#include "frontend/loop.h"
#include "frontend/vhost-user.h"

typedef struct VhostClient VhostClient;

/* The connection failed. The client must not be used but for freeing, which may be done here. */
typedef void (*VhostFailed)(void *userdata, int error, const char *reason);

/* An answer has come, and is well-formed. payload lives during the call; NULL for a plain ack. */
typedef void (*VhostAnswered)(void *userdata, const VhostUserPayload *payload);

/*
 * How long a backend may take for an answer, counted from the time when it had nothing else to
 * answer. To map a guest's memory takes a hypercall for each page: its time is that of the
 * acknowledgement or, without one, of the next answer.
 */
#define VHOST_ANSWER_TIMEOUT_USEC UINT64_C(5000000)
#define VHOST_MEMORY_TIMEOUT_USEC UINT64_C(60000000)

/* Requests that wait for an answer at a time: one for each queue, and what goes with them. */
#define VHOST_WAITING_MAX 96

/*
 * Makes a client of a connected, non-blocking stream socket, which it owns from then on (also when
 * this fails). Returns 0 or a negative errno.
 */
int vhost_client_new(Loop *loop, int fd, VhostFailed failed, void *userdata,
                     VhostClient **ret_client) _warn_unused_;

/*
 * Says in *asking (0 or 1, borrowed), from now on, whether an answer has yet to come. It is 1
 * before a request is sent, and until the answer was read.
 */
void vhost_client_note(VhostClient *client, uint8_t *asking);

/* The socket, for who keeps another descriptor of it. */
int vhost_client_fd(const VhostClient *client);

/* Closes the connection; no function is called any more. NULL is fine. */
VhostClient *vhost_client_free(VhostClient *client);

/*
 * The descriptor that came with the answer that is being delivered. The caller owns it; what is not
 * taken is closed. -1 if there is none, or it was taken already.
 */
int vhost_client_take_descriptor(VhostClient *client);

/*
 * From now on requests without an answer of their own ask for an acknowledgement, and fail the
 * connection if it says no (VHOST_USER_PROTOCOL_F_REPLY_ACK).
 */
void vhost_client_use_acks(VhostClient *client);

/* What the answer to a request looks like. */
typedef enum VhostAnswerKind {
        VHOST_ANSWER_ACK, /* a number that is 0 on success */
        VHOST_ANSWER_U64,
        VHOST_ANSWER_STATE,    /* a VhostUserVringState of the same index */
        VHOST_ANSWER_CONFIG,   /* a VhostUserConfig of the same offset (0) and size */
        VHOST_ANSWER_INFLIGHT, /* a VhostUserInflight and a descriptor */
} VhostAnswerKind;

typedef struct VhostQuery {
        uint32_t request;
        VhostAnswerKind kind;
        uint32_t expected; /* VHOST_ANSWER_STATE: the index; VHOST_ANSWER_CONFIG: the size */
        VhostAnswered answered;
        void *userdata;
} VhostQuery;

/*
 * Sends a request that has no answer of its own, or one that has. Errors are reported through the
 * client's "failed" function alone, from the event loop, never from within these calls.
 * vhost-request.h has a function for each request.
 */
void vhost_client_command(VhostClient *client, uint32_t request, const void *payload, size_t size,
                          const int *fds, unsigned int n_fds);

/* A command whose acknowledgement, where there is one, is the caller's to look at. */
void vhost_client_command_with(VhostClient *client, const VhostQuery *query, const void *payload,
                               size_t size);
void vhost_client_query(VhostClient *client, const VhostQuery *query, const void *payload,
                        size_t size);
