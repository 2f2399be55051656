/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * When to try again what has failed: after 0.1 s, then twice as long each time up to 60 s, each
 * 0 to 20 % longer so that many devices do not try in step. 60 s of health forget the past. There
 * is no last try: a guest waits for its device as long as it lives.
 *
 * Pure: the time and the random number are parameters.
 */

#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/clock.h"

#define RESTART_DELAY_MIN_USEC (100 * USEC_PER_MSEC)
#define RESTART_DELAY_MAX_USEC (60 * USEC_PER_SEC)
#define RESTART_HEALTHY_USEC   (60 * USEC_PER_SEC)

/* The times above, if one is not to be what is usual; 0: it is. Microseconds. */
typedef struct RestartPolicy {
        uint64_t delay_usec;     /* after the first failure */
        uint64_t delay_max_usec; /* never less than delay_usec */
        uint64_t healthy_usec;
} RestartPolicy;

/* All zero is the start: nothing failed, try at once. */
typedef struct Restart {
        RestartPolicy policy;   /* its owner's to write */
        unsigned int failures;  /* in a row */
        uint64_t healthy_since; /* 0: not healthy */
        uint64_t not_before;    /* when the next try may start */
        uint32_t n_ends;        /* all failures, and ends that were ordered */
        bool ordered;           /* its next end is no failure */
} Restart;

/* It works, from now on. */
void restart_note_healthy(Restart *restart, uint64_t now_usec);

/* It failed. random is any number; the same one gives the same delay. */
void restart_note_failure(Restart *restart, uint64_t now_usec, uint32_t random);

/*
 * It has said that it will fail again as long as nothing about it is changed. There is no way to
 * know of all that may be changed, so it is tried again nevertheless, as seldom as may be.
 */
void restart_note_refusal(Restart *restart, uint64_t now_usec, uint32_t random);

/* It has ended by itself, which is either of these. */
void restart_note_end(Restart *restart, bool is_refusal, uint64_t now_usec, uint32_t random);

/* The past is forgotten: the next try may start at once. */
void restart_forget(Restart *restart);

/* It was told to end, only to be started again at once. */
void restart_note_order(Restart *restart);

/* It has ended. Returns whether it was told to, and forgets that: else it is a failure. */
bool restart_take_order(Restart *restart);
