/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * All backend profiles, from the administrator's folder and the distribution's. A file hides the
 * one of the same name in the other folder; an empty file does nothing else. Of several for one
 * type, the one whose name sorts first counts.
 */

#include "orchestrator/profile.h"

typedef struct Profiles Profiles;

/*
 * Reads all profiles in the NULL-terminated list of folders, of which the first one wins. What
 * cannot be read is logged and left out: one bad file must not cost the devices of other types.
 */
Profiles *profiles_load(const char *const *folders);

Profiles *profiles_free(Profiles *profiles);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Profiles, profiles_free)

/* The profile for a virtio device id, or NULL. */
const Profile *profiles_find(const Profiles *profiles, uint32_t device_id);
