/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What a device consists of outside of the process: the files in its folder, and descriptors for
 * what the guest grants. All of it is root's, and is opened by name before a process gives up being
 * root; what a process needs later is opened by another one (reload.h).
 */

#include "common/device-name.h"
#include "common/launch.h"
#include "common/log.h"
#include "common/macros.h"
#include "frontend/memory-table.h"

/* The order is that of reload.h. */
typedef enum DeviceFile {
        DEVICE_FILE_FOLDER, /* the device's folder, where the backend's socket is */
        DEVICE_FILE_LAUNCH,
        DEVICE_FILE_STATE, /* this and the following: in FRONTEND_FOLDER, or without a name */
        DEVICE_FILE_INFLIGHT,
        DEVICE_FILE_STATUS,
        DEVICE_FILE_COUNTERS,
        _DEVICE_FILE_MAX,
} DeviceFile;

/* Each descriptor is -1, or owned. */
typedef struct DeviceFiles {
        int fds[_DEVICE_FILE_MAX];
        GrantSets grants; /* of one descriptor each; none, unless the launch file wants them */
} DeviceFiles;

#define DEVICE_FILES_NONE                                                                          \
        {                                                                                          \
                .fds = { -1, -1, -1, -1, -1, -1 }                                                  \
        }

/*
 * Opens the files of the device in the folder rundir, and makes those of the frontend's that are
 * not there. Without FRONTEND_FOLDER these have no names, and end with the process.
 *
 * Returns 0; -EBADMSG if the launch file is wrong; or another negative errno. All have been logged.
 */
int device_files_open(int rundir, const DeviceName *name, DeviceFiles *ret_files,
                      Launch *ret_launch) _warn_unused_;
void device_files_close(DeviceFiles *files);

/* Hands all of them over, and leaves none behind. */
DeviceFiles device_files_steal(DeviceFiles *files);

/* Reads the launch file; returns 0 or a negative errno, which has been logged with the context. */
int device_files_launch(const DeviceFiles *files, const LogContext *context,
                        Launch *ret_launch) _warn_unused_;

/* Whether both are of the same folder. One that was made anew is another, whatever its name. */
bool device_files_are_same(const DeviceFiles *one, const DeviceFiles *other);

/* For a device that is served alone: how it is, systemd is told. */
void device_files_close_status(DeviceFiles *files);

/*
 * Says to the orchestrator how the device is: STATUS_*, or "". Returns 0, also if there is nobody
 * to be told, or a negative errno.
 */
int device_files_set_status(const DeviceFiles *files, const char *status);
