/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What devices see of xenstore, Xen and systemd, in memory: claims succeed, what is started is up
 * at once, and what is stopped ends by unit_end().
 */

#include <glib.h>

#include "orchestrator/store.h"
#include "orchestrator/units.h"

/* The other side of store.h: what devices have written, by devid. */
struct Store {
        char *errors[2];
};

/* The other side of units.h. */
struct Unit {
        char *name;
        UnitPhase phase;
        unsigned int n_starts;
};

struct Units {
        GPtrArray *list;
};

/* What claims_take() returns. */
extern int claims_take_result;

void unit_end(Unit *unit);

/* For the list's elements. */
void unit_destroy(void *data);
