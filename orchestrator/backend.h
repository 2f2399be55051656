/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* From a device and its configuration to a backend that systemd can start. */

#include "orchestrator/configuration.h"
#include "orchestrator/dropin.h"

/* What would be run for a device. */
typedef struct BackendPlan {
        DeviceChoice choice;
        Dropin dropin;
} BackendPlan;

/*
 * Looks up what is to be run for the device, checks what that needs, and works out all its words.
 * order is as for guest_file_find().
 *
 * Returns 0; or a negative errno with one sentence in *ret_message that says what is wrong: the
 * configuration, the program or the disk. The caller frees it; *ret_plan is to be cleared in either
 * case.
 */
int backend_plan(const DeviceSpec *spec, int order, const Configuration *configuration,
                 BackendPlan *ret_plan, char **ret_message) _warn_unused_;

void backend_plan_clear(BackendPlan *plan);

/*
 * Whether the program of a profile without a problem is there. Returns 0, or a negative errno with
 * one sentence in *ret_message that begins with the profile's FILE:LINE:COLUMN.
 */
int backend_check_program(const Profile *profile, char **ret_message) _warn_unused_;

/* backend_plan(), the text of the unit's drop-in, and when it is to be tried again. */
int backend_prepare(const DeviceSpec *spec, int order, const Configuration *configuration,
                    char **ret_dropin, RestartPolicy *ret_restart,
                    char **ret_message) _warn_unused_;
