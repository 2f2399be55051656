/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the files of the world share: history-world.h is for the histories. */

#include "common/launch.h"
#include "tests/unit/orchestrator/history-world.h"

uint64_t world_base(unsigned int device);
void world_uuid(uint32_t number, char *ret_uuid, size_t size);

/* Which device an instance's name is of; false for one that the world does not have. */
bool world_find(const char *instance, unsigned int *ret_guest, unsigned int *ret_device);

/* Whether Xen has the device's range in a server of the guest's. */
bool world_has_server(unsigned int guest, unsigned int device);

/* The instance in the name of a unit; it lives until the next call. */
const char *world_instance(const char *unit);

/* An effect of the orchestrator's is about to happen. Returns whether it does. */
bool world_acts(const char *what, unsigned int guest, unsigned int device);

/* Something that a device has is taken from it, which was made for that life of its nodes. */
void world_harm(unsigned int guest, unsigned int device, uint32_t life, const char *what);

/* The orchestrator does what it must not do. */
void world_blame(const char *what, unsigned int guest, unsigned int device);

/* Parts of the orchestrator end: what was queued for it goes with it. */
void store_forget_all(void);
void loop_forget_all(void);

bool systemd_is_connected(void);
