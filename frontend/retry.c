/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/retry.h"

void retry_init(Retry *retry, Loop *loop, void (*attempt)(void *userdata), void *userdata)
{
        loop_timer_init(&retry->timer, loop, attempt, userdata);
        retry_succeed(retry);
}

void retry_later(Retry *retry)
{
        loop_timer_start(&retry->timer, retry->wait_usec);
        retry->wait_usec *= 2;
        if (retry->wait_usec > RETRY_MAX_USEC)
                retry->wait_usec = RETRY_MAX_USEC;
}

void retry_now(Retry *retry)
{
        retry_succeed(retry);
        loop_timer_start(&retry->timer, 0);
}

void retry_succeed(Retry *retry)
{
        retry->wait_usec = RETRY_MIN_USEC;
}

bool retry_is_slow(const Retry *retry)
{
        return retry->wait_usec >= RETRY_MAX_USEC;
}

void retry_stop(Retry *retry)
{
        loop_timer_stop(&retry->timer);
}
