/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The contract between the orchestrator and a frontend that serves several devices of a guest: the
 * file "devices" in the folder of that frontend, RUN_DIRECTORY/DOMID-shared, which has a
 * FRONTEND_FOLDER of its own. It has a line for each device, its instance. Each of these devices
 * has its folder and its launch file as any other. IOREQ server, domain and memory have to be the
 * same in all: they are what the first device says that the frontend could open when it started.
 * A device with seeded memory (MEMORY=seed) has to be served alone.
 *
 * The orchestrator writes the list, atomically, before it starts the frontend, and whenever it has
 * changed; then it reloads the frontend's unit. The frontend looks at the list when it starts and
 * when it is reloaded, at nothing else: a device that is not in the list any more is closed, one
 * that is new is opened, and so is one whose folder was made anew, or that has failed. When the
 * reload is over, all this is done; the backend of a device that was closed may still have the
 * guest's memory mapped, as after the end of any frontend. How each device is stands in its
 * STATUS_FILE (launch.h); the frontend's unit is ready when the list has been looked at, whatever
 * the backends do.
 *
 * That frontend's unit needs a drop-in with ReadWritePaths=RUN_DIRECTORY: it opens the frontend's
 * files of all these devices, before it gives up being root.
 *
 * An access to a range that is claimed, but not served, waits: for ten seconds at most, unless the
 * frontend looks again. If the range was served and its device was taken out of the list, it reads
 * as nothing at once.
 */

#include <stddef.h>
#include <stdint.h>

#include "common/device-name.h"
#include "common/macros.h"

#define DEVICE_LIST_FILE  "devices"
#define DEVICE_LIST_MAX   64   /* devices */
#define DEVICE_LIST_LIMIT 2048 /* bytes; a larger file is refused */

typedef struct DeviceList {
        unsigned int n;
        DeviceName names[DEVICE_LIST_MAX];
} DeviceList;

/* Whether the device is in the list. */
bool device_list_has(const DeviceList *list, const DeviceName *name);

/*
 * Reads and checks the text of a list of devices of one guest; it may be empty. text need not be
 * terminated, but each line is.
 *
 * Returns 0, or -EINVAL if any of it is wrong; ret_problem, if not NULL, then says what (a constant
 * string).
 */
int device_list_parse(const char *text, size_t size, uint16_t domid, DeviceList *ret_list,
                      const char **ret_problem) _warn_unused_;

/* Writes the text of a list. Returns its length, or -ENOSPC if size is too small. */
int device_list_format(const DeviceList *list, char *text, size_t size) _warn_unused_;

/*
 * Reads the file in the folder dirfd. Returns as device_list_parse(), -EFBIG for a file beyond
 * DEVICE_LIST_LIMIT, or the negative errno of the open or the read; ret_problem is then "".
 */
int device_list_read(int dirfd, uint16_t domid, DeviceList *ret_list,
                     const char **ret_problem) _warn_unused_;

/* Writes it, in a temporary file that then takes its name. Returns 0 or a negative errno. */
int device_list_write(int dirfd, const DeviceList *list) _warn_unused_;
