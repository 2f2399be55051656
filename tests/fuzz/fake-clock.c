/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "tests/fuzz/fake-clock.h"

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define USEC UINT64_C(1000000)

/* Years from now, so that the kernel's timers, which do not know of this clock, cost nothing. */
#define START_USEC (1000000000 * USEC)

static uint64_t now_usec = START_USEC;

/* In the place of the C library's. */
__attribute__((visibility("default"))) int clock_gettime(clockid_t clock, struct timespec *ret_time)
{
        if (clock != CLOCK_MONOTONIC && clock != CLOCK_MONOTONIC_COARSE && clock != CLOCK_BOOTTIME)
                return (int)syscall(SYS_clock_gettime, clock, ret_time);
        ret_time->tv_sec = (time_t)(now_usec / USEC);
        ret_time->tv_nsec = (long)(now_usec % USEC * 1000);
        return 0;
}

void fake_clock_reset(void)
{
        now_usec = START_USEC;
}

void fake_clock_advance(uint64_t usec)
{
        now_usec += usec;
}
