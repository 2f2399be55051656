/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The orchestrator as a whole: the table of devices and the queue of those to look at. Whatever
 * happens only puts devices into the queue; one pass empties it.
 */

#include <systemd/sd-event.h>

#include "common/macros.h"

typedef struct Manager Manager;

/*
 * Connects to xenstore, Xen and systemd, adopts the devices of an earlier orchestrator, and works
 * as soon as the loop runs. Says by itself what it cannot do. Returns 0 or a negative errno.
 */
int manager_new(sd_event *event, Manager **ret_manager) _warn_unused_;

/*
 * Reads the configuration again. Devices that run keep what they were started with, until their
 * backend has to be started again.
 */
void manager_reload(Manager *manager);

/* The devices go on. */
Manager *manager_free(Manager *manager);
