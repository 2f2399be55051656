/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * How many processes are started again, all devices together: a host that is short of something
 * does not get better by being asked for it more often. First starts do not count: guests wait for
 * them. Pure.
 */

#include <stdbool.h>

#include "orchestrator/clock.h"
#include "orchestrator/restart.h"

#define START_BUDGET_BURST         40
#define START_BUDGET_INTERVAL_USEC (USEC_PER_SEC / 20)

/* All zero is a full one. */
typedef struct StartBudget {
        uint64_t full_usec; /* when it will be, or was, full again */
} StartBudget;

/* Takes one start. Returns 0, or the time at which to ask again. */
uint64_t start_budget_take(StartBudget *budget, uint64_t now_usec);

/*
 * Whether something that its restart policy would start now may be started: if it has failed before
 * it takes one start, and if there is none, the next try is put off.
 */
bool start_budget_permit(StartBudget *budget, Restart *restart, uint64_t now_usec);
