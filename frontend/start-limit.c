/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/start-limit.h"

#define MESSAGE_USEC (UINT64_C(1000000) / START_LIMIT_RATE)
#define BURST_USEC   (START_LIMIT_BURST * MESSAGE_USEC)

uint64_t start_limit_take(StartLimit *limit, uint64_t now_usec, unsigned int messages)
{
        const uint64_t from = limit->paid_usec > now_usec ? limit->paid_usec : now_usec;

        if (from - now_usec > BURST_USEC)
                return from - now_usec - BURST_USEC;
        limit->paid_usec = from + messages * MESSAGE_USEC;
        return 0;
}
