/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/start-limit.h"

#define MESSAGE_USEC (UINT64_C(1000000) / START_LIMIT_RATE)
#define BURST_USEC   (START_LIMIT_BURST * MESSAGE_USEC)

/* No less than is sent from a connection to the next one, with all that a backend can have. */
#define MESSAGES_OF_START 25
#define MESSAGES_OF_QUEUE 10

uint64_t start_limit_take(StartLimit *limit, uint64_t now_usec, unsigned int n_queues)
{
        const uint64_t from = limit->paid_usec > now_usec ? limit->paid_usec : now_usec;
        const uint64_t messages = MESSAGES_OF_START + MESSAGES_OF_QUEUE * (uint64_t)n_queues;

        if (from - now_usec > BURST_USEC)
                return from - now_usec - BURST_USEC;
        limit->paid_usec = from + messages * MESSAGE_USEC;
        return 0;
}
