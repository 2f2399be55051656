/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * How often a driver may start its device or a queue anew, since each time costs its backend some
 * messages, and a device a connection. What drivers do (firmware, boot, kexec, rebinding) comes
 * nowhere near the limit; one that goes on and on has the backend hear of it so often, and no more.
 * Pure.
 */

#include <stdint.h>

#include "common/macros.h"

/* So many messages at any time at once, and so many a second without an end. */
#define START_LIMIT_BURST 5000
#define START_LIMIT_RATE  50

/* No less than is sent for a start and the stop that follows, with all that a backend can have. */
#define START_LIMIT_DEVICE 25 /* messages, beside those of its queues */
#define START_LIMIT_QUEUE  10

/* Zero: nothing was started yet. */
typedef struct StartLimit {
        uint64_t paid_usec; /* when, at that rate, all that was sent will have been due */
} StartLimit;

/*
 * The driver wants to start something that costs so many messages at the time now_usec
 * (CLOCK_MONOTONIC). Returns 0, and counts them; or else after how many microseconds to ask again.
 */
uint64_t start_limit_take(StartLimit *limit, uint64_t now_usec, unsigned int messages);
