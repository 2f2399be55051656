/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A connection with xenstored, in its wire protocol (docs/misc/xenstore.txt of Xen, stable).
 *
 * Instead of libxenstore, for the sake of time: that library waits for each answer before it sends
 * the next request, and has a thread for the answers. A device is some twenty requests; sent at
 * once, they take the time of one. It also does not tell when the connection is lost.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/macros.h"

typedef struct XenstoreWire XenstoreWire;

/* Connects to the daemon's socket, or where it runs elsewhere, through the kernel. */
int xenstore_wire_open(XenstoreWire **ret_wire) _warn_unused_;

XenstoreWire *xenstore_wire_close(XenstoreWire *wire);

int xenstore_wire_fd(const XenstoreWire *wire);

/*
 * Queues a request. type is one of enum xsd_sockmsg_type, transaction 0 or what TRANSACTION_START
 * has answered, payload what the protocol says, at most 4096 bytes. Requests are answered in order,
 * each with one xenstore_wire_answer().
 */
void xenstore_wire_request(XenstoreWire *wire, uint32_t type, uint32_t transaction,
                           const void *payload, size_t size);

/* The same for a payload that is a text with its terminator. */
void xenstore_wire_request_text(XenstoreWire *wire, uint32_t type, uint32_t transaction,
                                const char *text);

/*
 * Sends what is queued and waits for the next answer. ret_text may be NULL; otherwise the caller
 * frees it (g_free). It has a terminator behind its *ret_size bytes.
 *
 * Returns 0; the negative errno that xenstored answers; or -ECONNRESET if the connection is lost,
 * and from then on always.
 */
int xenstore_wire_answer(XenstoreWire *wire, char **ret_text, size_t *ret_size) _warn_unused_;

/*
 * The next watch event among all that have come, without waiting. Returns 1; 0 if there is none; or
 * -ECONNRESET. The caller frees the texts (g_free).
 */
int xenstore_wire_event(XenstoreWire *wire, char **ret_path, char **ret_token) _warn_unused_;

/* Whether events have come that xenstore_wire_event() has not returned; the fd does not say. */
bool xenstore_wire_has_event(const XenstoreWire *wire);
