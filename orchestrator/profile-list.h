/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * All backend profiles, from the administrator's folder and the distribution's, and behind them
 * what QEMU's discovery files describe. A file hides the one of the same name in the other folder;
 * an empty file does nothing else. Of several for one type, the one whose name sorts first counts.
 */

#include "orchestrator/profile.h"

typedef struct Profiles Profiles;

/* Is told of each file that cannot be used, in one sentence. */
typedef void ProfileReporter(void *userdata, const char *problem);

/*
 * Reads all profiles and discovery files in the NULL-terminated lists of folders, of which the
 * first ones win. What cannot be used costs the devices of its type only.
 */
Profiles *profiles_load(const char *const *folders, const char *const *discovery_folders,
                        ProfileReporter *reporter, void *userdata);

Profiles *profiles_free(Profiles *profiles);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Profiles, profiles_free)

/* All of them, in the order in which they count; what is returned belongs to the list. */
unsigned int profiles_count(const Profiles *profiles);
const Profile *profiles_get(const Profiles *profiles, unsigned int index);

/* The first profile for a virtio device id, or NULL. It may have a problem. */
const Profile *profiles_find(const Profiles *profiles, uint32_t device_id);

/* The first profile of the name, or NULL. It may have a problem. */
const Profile *profiles_find_name(const Profiles *profiles, const char *name);
