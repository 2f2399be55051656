/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * When the manager looks at its devices: after all that is ready by then, and after the claims that
 * are on their way. A claim has milliseconds until the guest runs, all else has seconds; and what
 * is started takes the CPU from the claims that are yet to come. But xenstored may be silent, so a
 * pass waits for a moment and no longer.
 */

#include <stdbool.h>
#include <systemd/sd-event.h>

#include "common/macros.h"
#include "orchestrator/clock.h"

/* How long a pass waits for claims at most: that many take a busy host so long. */
#define PASS_PATIENCE_USEC (500 * USEC_PER_MSEC)

typedef struct Pass Pass;

/* The handler is called for each pass. Returns 0 or the negative errno of the event loop. */
int pass_new(sd_event *event, void (*handler)(void *userdata), void *userdata,
             Pass **ret_pass) _warn_unused_;

Pass *pass_free(Pass *pass);

/*
 * Asks for a pass: at once, or when it is asked for without claims_are_due, or after
 * PASS_PATIENCE_USEC from when it was first asked for.
 */
void pass_schedule(Pass *pass, bool claims_are_due);
