/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The devices' folders under /run/xen-virtio. A folder with a launch file is a claimed device,
 * whoever runs: an orchestrator that starts adopts it.
 */

#include <stdbool.h>
#include <stddef.h>

#include "common/device-name.h"
#include "common/launch.h"

/* What to do with one device that was found; launch is its record, NULL if it cannot be read. */
typedef void RunStateFound(void *userdata, const DeviceName *name, const Launch *launch);

/*
 * Goes through the folder rundir and reports each device with a launch file. Others that have a
 * device's name are removed: nothing was ever started there. A launch file that cannot be read, be
 * it for want of memory or because another version wrote it, is left: the device may well run.
 * Returns 0 or a negative errno.
 */
int run_state_list(int rundir, RunStateFound *found, void *userdata) _warn_unused_;

/* Opens the device's folder. Returns a descriptor of the caller's, or a negative errno. */
int run_state_open(int rundir, const DeviceName *name) _warn_unused_;

/* Whether there is a launch file, readable or not. */
bool run_state_is_claimed(int rundir, const DeviceName *name);

/* Makes the device's folder and the launch file in it. Returns 0 or a negative errno. */
int run_state_create(int rundir, const DeviceName *name, const Launch *launch) _warn_unused_;

/* Removes a socket that an earlier backend has left, or the next one could not bind it. */
void run_state_remove_socket(int rundir, const DeviceName *name);

/*
 * Removes the folder and the files in it, the launch file last: until then the device is known.
 * Returns 0, also if there is none, or a negative errno.
 */
int run_state_remove(int rundir, const DeviceName *name);
