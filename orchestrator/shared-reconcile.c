/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/shared-reconcile.h"

#include "orchestrator/clock.h"

/* The action if its time has come, or nothing but a wake-up. */
static SharedAction when(SharedAction action, uint64_t after, uint64_t now_usec, uint64_t *wake)
{
        if (now_usec >= after)
                return action;
        *wake = after;
        return SHARED_NONE;
}

SharedAction shared_reconcile(const SharedObserved *observed, uint64_t now_usec,
                              uint64_t *ret_wake_usec)
{
        *ret_wake_usec = USEC_NEVER;

        switch (observed->frontend) {
        case UNIT_DOWN:
                if (observed->is_listed)
                        return when(SHARED_START, observed->start_after, now_usec, ret_wake_usec);
                return SHARED_NONE;
        case UNIT_STARTING:
                return observed->is_listed ? SHARED_NONE : SHARED_STOP;
        case UNIT_UP:
                if (!observed->is_listed)
                        return SHARED_STOP;
                if (!observed->is_known && !observed->is_reloading)
                        return when(SHARED_RELOAD, observed->reload_after, now_usec, ret_wake_usec);
                return SHARED_NONE;
        case UNIT_UNKNOWN:
        case UNIT_STOPPING:
                return SHARED_NONE;
        }
        return SHARED_NONE;
}
