/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * systemd's units, over its own D-Bus interface. Every call is asynchronous; what is known of a
 * unit is a cache that systemd's signals keep up to date. A lost connection (systemd re-executes
 * itself when it is upgraded) is made again, and all units are asked for anew.
 */

#include <systemd/sd-event.h>

#include "common/macros.h"
#include "orchestrator/reconcile.h"

typedef struct Units Units;
typedef struct Unit Unit;

/* Called after something about the unit has changed, to take a note and no more. */
typedef void UnitHandler(void *userdata);

/* Starts to connect. Returns 0 or a negative errno. */
int units_new(sd_event *event, Units **ret_units) _warn_unused_;

/* All units have to be freed before. */
Units *units_free(Units *units);

/* Stops a unit that nobody looks after, and does not wait for it. */
void units_stop_other(Units *units, const char *name);

/* Looks after the unit of that name. Only one Unit for each name. */
Unit *unit_new(Units *units, const char *name, UnitHandler *handler, void *userdata);

/* The unit itself goes on. */
Unit *unit_free(Unit *unit);

const char *unit_name(const Unit *unit);

UnitPhase unit_phase(const Unit *unit);

/*
 * Orders a start or a stop. The phase changes at once; what comes of it shows later, a refusal as
 * UNIT_DOWN. A unit that is up is started anew, and like one that has died gets what systemd has
 * kept of it.
 */
void unit_start(Unit *unit);
void unit_stop(Unit *unit);

/* The last reload: RELOAD_FAILED also if it was overtaken by another order, or nobody knows. */
typedef enum ReloadPhase {
        RELOAD_NONE,
        RELOAD_RUNNING,
        RELOAD_DONE,
        RELOAD_FAILED,
} ReloadPhase;

/* Orders a reload of a unit that is up. */
void unit_reload(Unit *unit);
ReloadPhase unit_reload_phase(const Unit *unit);

/* Whether the unit is down as unit_status_is_refusal() says it. */
bool unit_end_is_refusal(const Unit *unit);

/* Why the unit is down, as unit_status_describe() says it. The caller frees it. */
char *unit_describe_end(const Unit *unit);
