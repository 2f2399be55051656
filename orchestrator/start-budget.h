/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * How many processes are started again, all devices together: a host that is short of something
 * does not get better by being asked for it more often. First starts do not count: guests wait for
 * them. Pure.
 */

#include "orchestrator/clock.h"

#define START_BUDGET_BURST         40
#define START_BUDGET_INTERVAL_USEC (USEC_PER_SEC / 20)

/* All zero is a full one. */
typedef struct StartBudget {
        uint64_t full_usec; /* when it will be, or was, full again */
} StartBudget;

/* Takes one start. Returns 0, or the time at which to ask again. */
uint64_t start_budget_take(StartBudget *budget, uint64_t now_usec);
