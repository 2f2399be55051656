/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The one clock of the orchestrator: CLOCK_MONOTONIC in microseconds, as sd-event counts. */

#include <stdint.h>
#include <time.h>

#define USEC_PER_MSEC UINT64_C(1000)
#define USEC_PER_SEC  UINT64_C(1000000)

/* A time that never comes. */
#define USEC_NEVER UINT64_MAX

static inline uint64_t clock_now_usec(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * USEC_PER_SEC + (uint64_t)now.tv_nsec / 1000;
}
