/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The frontends that serve several devices of a guest (common/device-list.h), each with the one
 * IOREQ server that has all their ranges. One is made with the first of its devices and goes with
 * the last. Its process has one restart policy; each device has its own for what is its own.
 */

#include <glib.h>
#include <systemd/sd-event.h>

#include "common/launch.h"
#include "orchestrator/claim.h"
#include "orchestrator/start-budget.h"
#include "orchestrator/units.h"

/* What they work with; the owner outlives them. */
typedef struct SharedServices {
        sd_event *event;
        Claims *claims;
        Units *units;
        int rundir;  /* RUN_DIRECTORY */
        int unitdir; /* DROPIN_UNIT_DIRECTORY */
        StartBudget *starts;

        /* Asks for shared_frontends_observe() and shared_frontends_reconcile(). */
        void (*schedule)(void *userdata);
        void *userdata;
} SharedServices;

/* Those of all guests. */
typedef struct SharedFrontends SharedFrontends;
typedef struct SharedFrontend SharedFrontend;

SharedFrontends *shared_frontends_new(const SharedServices *services);

/* Only the records, after those of the members: the processes go on. */
SharedFrontends *shared_frontends_free(SharedFrontends *all);

/* Takes over what systemd says by now; before the members are asked how they are. */
void shared_frontends_observe(SharedFrontends *all);

/* Does what there is to do, after the members have been told what is wanted of them. */
void shared_frontends_reconcile(SharedFrontends *all);

/* The one of the guest with that number, or NULL. */
SharedFrontend *shared_frontends_find(const SharedFrontends *all, uint16_t domid);

/*
 * Makes the one of a guest that has none, with the server that the launch file of its first device
 * has, and its record under /run. Returns 0 or a negative errno.
 */
int shared_frontends_open(SharedFrontends *all, uint16_t domid, const Launch *launch,
                          SharedFrontend **ret_shared) _warn_unused_;

/* One that an earlier orchestrator has made. Its members are yet to come. */
void shared_frontends_adopt(SharedFrontends *all, uint16_t domid, const Launch *launch);

/*
 * Forgets those without a member, after all devices were adopted: they have none any more, or never
 * had one. The claim that was not finished, or was being given back, says what is left in Xen.
 */
void shared_frontends_sweep(SharedFrontends *all);

/* Whether it is that guest's, and not one's that had the number before. */
bool shared_frontend_is_of(const SharedFrontend *shared, const char *uuid);

/*
 * Whether there is room in it for a device that will have that launch file. The server in the file
 * does not count.
 */
bool shared_frontend_fits(const SharedFrontend *shared, const Launch *launch);

uint16_t shared_frontend_server(const SharedFrontend *shared);

/* "5-shared", and the unit of the process. */
const char *shared_frontend_instance(const SharedFrontend *shared);
const char *shared_frontend_unit(const SharedFrontend *shared);

/* Has the process started anew, with all its devices, also if it waits for its next try. */
void shared_frontend_restart(SharedFrontend *shared);

/* How often the process has ended though it was to go on, and how often it was told to. */
uint32_t shared_frontend_restarts(const SharedFrontend *shared);
