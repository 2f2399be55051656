/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What a client of the control socket sends, on its way to sd-bus: so much in all and no more, as
 * sd-bus would make room for any message that somebody begins, up to 128 MiB. Descriptors that come
 * with it are closed.
 */

#include <systemd/sd-event.h>

#include "common/macros.h"

typedef struct Intake Intake;

/*
 * Passes on what comes from the client's socket, which stays the caller's, until that has sent
 * limit bytes; then, and when the client has ended, the other side reads its end. *ret_fd is that
 * side, the caller's.
 *
 * Returns 0 or a negative errno.
 */
int intake_new(sd_event *event, int client, uint64_t limit, int64_t priority, Intake **ret_intake,
               int *ret_fd) _warn_unused_;
Intake *intake_free(Intake *intake);
