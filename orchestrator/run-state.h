/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The folders under /run/xen-virtio, by instance. That of a device, "5-disk-51712", with a launch
 * file in it is a claimed device, whoever runs: an orchestrator that starts adopts it. That of a
 * frontend that several devices share, "5-shared", with a launch file in it says likewise which
 * IOREQ server is theirs; the file is a copy of the first device's.
 */

#include <stdbool.h>
#include <stddef.h>

#include "common/device-list.h"
#include "common/device-name.h"
#include "common/launch.h"

/* What to do with one that was found; launch is its record, NULL if it cannot be read. */
typedef void RunStateFound(void *userdata, const char *instance, const Launch *launch);

/*
 * Goes through the folder rundir and reports each instance with a launch file. Others that have an
 * instance's name are removed: nothing was ever started there. A launch file that cannot be read,
 * be it for want of memory or because another version wrote it, is left: the device may well run.
 * Returns 0 or a negative errno.
 */
int run_state_list(int rundir, RunStateFound *found, void *userdata) _warn_unused_;

/* Opens the folder. Returns a descriptor of the caller's, or a negative errno. */
int run_state_open(int rundir, const char *instance) _warn_unused_;

/* Returns 1 if there is a launch file, readable or not, 0 if there is none, or a negative errno. */
int run_state_is_claimed(int rundir, const char *instance) _warn_unused_;

/* Makes the folder and the launch file in it. Returns 0 or a negative errno. */
int run_state_create(int rundir, const char *instance, const Launch *launch) _warn_unused_;

/* Writes the list of devices into a shared frontend's folder. Returns 0 or a negative errno. */
int run_state_write_list(int rundir, const char *instance, const DeviceList *list) _warn_unused_;

/* Removes a socket that an earlier backend has left, or the next one could not bind it. */
void run_state_remove_socket(int rundir, const char *instance);

/*
 * Removes the folder and the files in it, the launch file last: until then the device is known.
 * Returns 0, also if there is none, or a negative errno.
 */
int run_state_remove(int rundir, const char *instance);
