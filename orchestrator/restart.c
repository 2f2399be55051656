/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/restart.h"

#include "common/macros.h"

#define JITTER_PERCENT 20

/* RESTART_DELAY_MIN_USEC doubled so often is beyond RESTART_DELAY_MAX_USEC. */
#define DOUBLINGS_MAX 10

void restart_note_healthy(Restart *restart, uint64_t now_usec)
{
        restart->healthy_since = now_usec;
}

void restart_note_failure(Restart *restart, uint64_t now_usec, uint32_t random)
{
        uint64_t delay = RESTART_DELAY_MAX_USEC;

        if (restart->healthy_since != 0 &&
            now_usec - restart->healthy_since >= RESTART_HEALTHY_USEC)
                restart->failures = 0;
        restart->healthy_since = 0;

        if (restart->failures < DOUBLINGS_MAX)
                delay = RESTART_DELAY_MIN_USEC << restart->failures;
        if (delay > RESTART_DELAY_MAX_USEC)
                delay = RESTART_DELAY_MAX_USEC;
        delay += delay * (random % (JITTER_PERCENT * 1000 + 1)) / (100 * 1000);

        restart->failures++;
        restart->n_ends++;
        restart->not_before = now_usec + delay;
}

void restart_forget(Restart *restart)
{
        restart->failures = 0;
        restart->not_before = 0;
}

void restart_note_order(Restart *restart)
{
        restart_forget(restart);
        restart->healthy_since = 0;
        restart->ordered = true;
}

bool restart_take_order(Restart *restart)
{
        bool ordered = restart->ordered;

        restart->ordered = false;
        restart->n_ends += ordered;
        return ordered;
}
