/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Something that is tried again and again: soon at first, then more and more seldom. */

#include <stdbool.h>
#include <stdint.h>

#include "frontend/loop.h"

/* Between two attempts, microseconds. */
#define RETRY_MIN_USEC UINT64_C(5000)
#define RETRY_MAX_USEC UINT64_C(250000)

/* Its owner's to embed, and all zero until it is set up. */
typedef struct Retry {
        LoopTimer timer;
        uint64_t wait_usec; /* before the next one but the very first */
} Retry;

/* Sets it up, with nothing to try. Each attempt is a call of attempt. */
void retry_init(Retry *retry, Loop *loop, void (*attempt)(void *userdata), void *userdata);

/* The last attempt has failed: one more, after twice as long as the last time. */
void retry_later(Retry *retry);

/* One attempt now, and soon again if it fails. */
void retry_now(Retry *retry);

/* It has worked: the next time it is tried soon again. */
void retry_succeed(Retry *retry);

/* Whether it has failed for so long that it will not be tried more seldom. */
bool retry_is_slow(const Retry *retry);

/* Tries no more; to be done before it ceases to be. */
void retry_stop(Retry *retry);
