/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the files of the world share: history-world.h is for the histories. */

#include "common/launch.h"
#include "tests/unit/orchestrator/history-world.h"

uint64_t world_base(unsigned int device);
void world_uuid(uint32_t number, char *ret_uuid, size_t size);

/* Which device an instance's name is of, or SHARED; false for one that the world does not have. */
bool world_find(const char *instance, unsigned int *ret_guest, unsigned int *ret_device);

/* Which device has that range. */
unsigned int world_device_at(uint64_t base);

/* In how many servers of the guest's Xen has the device's range. */
unsigned int world_count_servers(unsigned int guest, unsigned int device);

/* The instance in the name of a unit; it lives until the next call. */
const char *world_instance(const char *unit);

/* An effect of the orchestrator's is about to happen. Returns whether it does. */
bool world_acts(const char *what, unsigned int guest, unsigned int device);

/* Something that a device has is taken from it, which was made for that life of its nodes. */
void world_harm(unsigned int guest, unsigned int device, uint32_t life, const char *what);

/* The orchestrator does what it must not do. */
void world_blame(const char *what, unsigned int guest, unsigned int device);

/* The orchestrator ends: what was queued for it goes with it. */
void store_forget_all(void);

/* The shared frontend of a guest looks at its list. */
void shared_look(unsigned int guest);

/* It says of one more device how that is; what one has said is told. Each returns whether there was
 * any. */
bool shared_step(void);
bool world_step_status(void);
