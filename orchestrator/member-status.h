/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a shared frontend says of one of its devices: its STATUS_FILE (common/launch.h). */

#include <systemd/sd-event.h>

#include "common/device-name.h"
#include "orchestrator/units.h"

typedef struct MemberStatus MemberStatus;

/*
 * Opens the file in the device's folder under rundir, and makes it if it is not there. changed is
 * called after something was written into it. Returns 0 or a negative errno.
 */
int member_status_open(sd_event *event, int rundir, const DeviceName *name, UnitHandler *changed,
                       void *userdata, MemberStatus **ret_status) _warn_unused_;

MemberStatus *member_status_close(MemberStatus *status);

/* UNIT_UP if the device is served, UNIT_DOWN if it cannot be, UNIT_STARTING if nothing is said. */
UnitPhase member_status_phase(const MemberStatus *status);

/* What was said is void: nothing is. */
void member_status_reset(MemberStatus *status);
