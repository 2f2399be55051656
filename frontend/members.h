/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The devices of a process, which come and go. None of them disturbs the others. */

#include "common/device-list.h"
#include "common/launch.h"
#include "common/macros.h"
#include "frontend/device-files.h"
#include "frontend/device.h"

typedef struct Members Members;

/*
 * parts: what all devices have in common; name and launch file are each device's own. Copied, and
 * borrowed as device_new() does. ops.failed is called when a device has failed, which is then
 * freed by itself. common: the launch file of any of the devices; server, domain and memory have
 * to be the same in all.
 *
 * Returns 0 or a negative errno.
 */
int members_new(const DeviceParts *parts, const Launch *common,
                Members **ret_members) _warn_unused_;
Members *members_free(Members *members);

/*
 * Makes a device and looks for its backend. Nothing happens if there is that device already, unless
 * it has failed or its folder is another one: then it is made anew. The files are taken over in any
 * case. Returns 0 or a negative errno, which has been logged, and stands in STATUS_FILE.
 */
int members_add(Members *members, const DeviceName *name, DeviceFiles *files) _warn_unused_;

/* Frees all devices that are not in the list. Not to be called by a device. */
void members_keep(Members *members, const DeviceList *list);

/* The device that has the range which begins at base, or NULL. */
Device *members_find(const Members *members, uint64_t base);

/*
 * Whether a device may still come for a range that has none: it never had one, or that has failed;
 * it was not taken away.
 */
bool members_may_come(const Members *members, uint64_t base);

/*
 * Lets all devices go (device_leave()), and calls ops.left when the last one has been let go. From
 * now on members_add() and members_keep() do nothing: the next process looks at the list itself.
 */
void members_leave(Members *members, bool keep);

/* The guest gave memory back. */
void members_memory_changed(Members *members);
