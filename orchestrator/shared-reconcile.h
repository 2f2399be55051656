/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What to do next for the frontend that several devices of a guest share, from what is. Pure and
 * without memory, as reconcile().
 */

#include "orchestrator/reconcile.h"

typedef struct SharedObserved {
        bool is_listed; /* there are devices that it is to serve */
        bool is_known;  /* it has looked at the list since that has changed */
        UnitPhase frontend;
        bool is_reloading;
        uint64_t start_after, reload_after; /* earliest times of the next try */
} SharedObserved;

typedef enum SharedAction {
        SHARED_NONE,
        SHARED_START,  /* write the list and start it */
        SHARED_RELOAD, /* write the list and make it look at that */
        SHARED_STOP,
        _SHARED_MAX,
} SharedAction;

/* Decides, as reconcile() does. */
SharedAction shared_reconcile(const SharedObserved *observed, uint64_t now_usec,
                              uint64_t *ret_wake_usec);
