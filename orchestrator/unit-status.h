/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What systemd says about a unit, in our words. Pure. */

#include "orchestrator/reconcile.h"

#define UNIT_RESULT_SIZE 32

typedef struct UnitStatus {
        UnitPhase phase;               /* never UNIT_UNKNOWN */
        bool lingers;                  /* see unit_status_lingers() */
        char result[UNIT_RESULT_SIZE]; /* of the last run; "" or "success": nothing special */
        int exit_code;   /* of its main process: CLD_EXITED, CLD_KILLED, CLD_DUMPED; 0: none */
        int exit_status; /* or the signal */
        char *refusal;   /* why systemd refused the last order, or NULL */
} UnitStatus;

/* The phase for systemd's ActiveState. Words that it may learn yet count as down. */
UnitPhase unit_phase_parse(const char *active_state);

/*
 * Whether, by its SubState, a unit whose process has died is about to be started again by systemd,
 * which keeps its descriptors until then. Units of ours are so for longer than it takes us to start
 * them, and count as down; but they have to be restarted, or the descriptors are lost.
 */
bool unit_status_lingers(const char *sub_state);

/* Whether its process has said by its exit status (sysexits.h) that to try again is of no use. */
bool unit_status_is_refusal(const UnitStatus *status);

/*
 * Says why the unit is down, as the end of a sentence that begins with its role: "exited with
 * status 1", "was killed by signal 9 (KILL)". The caller frees it.
 */
char *unit_status_describe(const UnitStatus *status);
