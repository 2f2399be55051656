/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The one decision of the orchestrator: what to do next for a device, from what is wanted and what
 * is. Pure and without memory, so that it converges from any state, however it came about.
 */

#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/spec.h"

typedef enum Wish {
        WISH_UNCLEAR, /* the nodes make no sense: leave everything as it is */
        WISH_SERVE,   /* the toolstack asks for the device */
        WISH_CLOSE,   /* state 5: the toolstack waits for state 6 */
        WISH_CLOSED,  /* state 6, and the toolstack has yet to remove the nodes */
        WISH_DEAD,    /* the nodes are there, but not the domain they were written for */
        WISH_GONE,    /* the nodes are not there (any more) */
} Wish;

typedef struct Desired {
        Wish wish;
        bool answer_early; /* state 2 follows the claim, not the device's readiness */
} Desired;

typedef enum UnitPhase {
        UNIT_UNKNOWN, /* systemd does not answer, or has not yet */
        UNIT_DOWN,
        UNIT_STARTING,
        UNIT_UP,
        UNIT_STOPPING,
} UnitPhase;

typedef struct Observed {
        bool claimed;       /* an IOREQ server is ours, with all that hangs on it */
        XenbusState xenbus; /* the node "state" */
        UnitPhase backend;
        UnitPhase frontend;
        UnitPhase slice;        /* of both units; stopping it stops them */
        bool leftover;          /* the units have not been down since the claim */
        bool failed;            /* the node "error" says why it is not served */
        uint64_t answer_after;  /* state 2 does not wait for the units beyond this */
        bool stop_requested;    /* the device was told to end; there is no way back */
        uint64_t stop_deadline; /* then it ends whatever systemd says */
        uint64_t claim_after;   /* earliest times of the next try: to take or give back the range */
        uint64_t backend_after;
        uint64_t frontend_after;
} Observed;

typedef enum Action {
        ACTION_NONE,
        ACTION_CLAIM,  /* take the MMIO range, before anything else */
        ACTION_ANSWER, /* write state 2 */
        ACTION_START_BACKEND,
        ACTION_START_FRONTEND,
        ACTION_CLEAR,   /* stop what is up of both units, and of an earlier claim */
        ACTION_STOP,    /* stop both units: the device ends */
        ACTION_RELEASE, /* give the range back and remove the files */
        ACTION_CLOSE,   /* write state 6 */
        ACTION_FORGET,  /* the device is history */
        _ACTION_MAX,
} Action;

const char *action_name(Action action);

/*
 * Decides. The action is to be done now; afterwards, or when anything changes, or at *ret_wake_usec
 * (USEC_NEVER: not by itself), it is asked again.
 */
Action reconcile(const Desired *desired, const Observed *observed, uint64_t now_usec,
                 uint64_t *ret_wake_usec);
