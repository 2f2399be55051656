/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/restart.h"

#include "common/macros.h"

#define JITTER_PERCENT 20

/* So often doubled the shortest delay is beyond the longest one. */
#define DOUBLINGS_MAX 20

static uint64_t or_usual(uint64_t usec, uint64_t usual)
{
        return usec != 0 ? usec : usual;
}

void restart_note_healthy(Restart *restart, uint64_t now_usec)
{
        restart->healthy_since = now_usec;
}

void restart_note_failure(Restart *restart, uint64_t now_usec, uint32_t random)
{
        const RestartPolicy *policy = &restart->policy;
        const uint64_t least = or_usual(policy->delay_usec, RESTART_DELAY_MIN_USEC);
        const uint64_t most = or_usual(policy->delay_max_usec, RESTART_DELAY_MAX_USEC);
        uint64_t delay = most;

        if (restart->healthy_since != 0 &&
            now_usec - restart->healthy_since >=
                    or_usual(policy->healthy_usec, RESTART_HEALTHY_USEC))
                restart->failures = 0;
        restart->healthy_since = 0;

        if (restart->failures < DOUBLINGS_MAX)
                delay = least << restart->failures;
        if (delay > most)
                delay = most;
        delay += delay * (random % (JITTER_PERCENT * 1000 + 1)) / (100 * 1000);

        restart->failures++;
        restart->n_ends++;
        restart->not_before = now_usec + delay;
}

void restart_note_refusal(Restart *restart, uint64_t now_usec, uint32_t random)
{
        restart->healthy_since = 0;
        restart->failures = DOUBLINGS_MAX;
        restart_note_failure(restart, now_usec, random);
}

void restart_note_end(Restart *restart, bool is_refusal, uint64_t now_usec, uint32_t random)
{
        if (is_refusal)
                restart_note_refusal(restart, now_usec, random);
        else
                restart_note_failure(restart, now_usec, random);
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
