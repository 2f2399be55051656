/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A note that a range is about to be taken or given back, in RUN_DIRECTORY: an orchestrator that is
 * killed between what it tells Xen and its own record leaves an IOREQ server that nobody knows of,
 * and that outlives it. The next one finds the note. With a record beside it, it says that units of
 * an earlier claim may still be up: they have not been seen down since the range was taken.
 *
 * Such a note is a symbolic link, which is there or is not, to the UUID of the guest.
 */

#include <stdint.h>

#include "common/macros.h"

/* Leaves the note; one may be there. Returns 0 or a negative errno. */
int claim_intent_begin(int rundir, uint16_t domid, uint64_t base, const char *uuid) _warn_unused_;

/* Takes it away: Xen, systemd and our record say the same. */
void claim_intent_end(int rundir, uint16_t domid, uint64_t base);

/* What to do with a note that was left. */
typedef void ClaimIntentFound(void *userdata, uint16_t domid, uint64_t base, const char *uuid);

/*
 * Reports each, which may take it away; those that cannot be read are left. Returns 0 or a negative
 * errno.
 */
int claim_intent_list(int rundir, ClaimIntentFound *found, void *userdata) _warn_unused_;
