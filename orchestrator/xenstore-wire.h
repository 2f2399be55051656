/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A connection with xenstored, in its wire protocol (docs/misc/xenstore.txt of Xen, stable).
 *
 * Instead of libxenstore, which waits for each answer before it sends the next request: a device is
 * some twenty requests, and sent at once they take the time of one. Nothing here ever waits:
 * xenstored may say nothing for seconds, while it is updated.
 */

#include <stddef.h>
#include <stdint.h>

#include "common/macros.h"

typedef struct XenstoreWire XenstoreWire;

/*
 * Told of the answer to a request: result is 0 or the negative errno that xenstored answers, text
 * has a terminator behind its size bytes, which may have others among them, and is lent. Returns 0,
 * or a negative errno, which ends the connection. May send requests.
 */
typedef int XenstoreAnswer(void *userdata, int result, const char *text, size_t size);

/* Told of each watch event. */
typedef void XenstoreEvent(void *userdata, const char *path, const char *token);

/* Connects to the daemon's socket, or where it runs elsewhere, through the kernel. */
int xenstore_wire_open(XenstoreEvent *event, void *userdata, XenstoreWire **ret_wire) _warn_unused_;

/* Nobody is told of the answers that have not come. */
XenstoreWire *xenstore_wire_close(XenstoreWire *wire);

int xenstore_wire_fd(const XenstoreWire *wire);

/*
 * Queues a request. type is one of enum xsd_sockmsg_type, transaction 0 or what TRANSACTION_START
 * has answered, payload what the protocol says, at most 4096 bytes. Requests are answered in order.
 */
void xenstore_wire_request(XenstoreWire *wire, uint32_t type, uint32_t transaction,
                           const void *payload, size_t size, XenstoreAnswer *answer,
                           void *userdata);

/* The same for a payload that is a text with its terminator. */
void xenstore_wire_request_text(XenstoreWire *wire, uint32_t type, uint32_t transaction,
                                const char *text, XenstoreAnswer *answer, void *userdata);

/*
 * Sends what can be sent. Returns 1 if it has to be called again when the descriptor is writable; 0
 * if all is sent; or -ECONNRESET.
 */
int xenstore_wire_flush(XenstoreWire *wire) _warn_unused_;

/*
 * Reads what has come, at least some of it, and tells of it. Returns 0; what an answer's function
 * returns; or -ECONNRESET. After an error there is nothing left to do but to close.
 */
int xenstore_wire_dispatch(XenstoreWire *wire) _warn_unused_;
