/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/profile-list.h"

#include <string.h>

#include "orchestrator/discovery.h"
#include "orchestrator/text-file.h"

struct Profiles {
        GPtrArray *list; /* of Profile, in the order in which they count */
        ProfileReporter *reporter;
        void *userdata;
};

static void profile_destroy(void *profile)
{
        profile_free(profile);
}

typedef Profile *Parse(const char *file, const char *text, gsize size);

/* Reads the file and adds what it says, if it says anything. */
static void profiles_add(Profiles *profiles, const char *file, Parse *parse)
{
        g_autofree char *text = NULL, *message = NULL;
        Profile *profile;
        gsize size;

        if (text_file_read(file, &text, &size, &message) < 0) {
                profiles->reporter(profiles->userdata, message);
                return;
        }
        profile = parse(file, text, size);
        if (!profile)
                return;
        if (profile->problem)
                profiles->reporter(profiles->userdata, profile->problem);
        g_ptr_array_add(profiles->list, profile);
}

static void profiles_add_folders(Profiles *profiles, const char *const *folders, const char *suffix,
                                 Parse *parse)
{
        g_auto(GStrv) files = text_file_list(folders, suffix);

        for (char **file = files; *file; file++)
                profiles_add(profiles, *file, parse);
}

Profiles *profiles_load(const char *const *folders, const char *const *discovery_folders,
                        ProfileReporter *reporter, void *userdata)
{
        Profiles *profiles = g_new0(Profiles, 1);

        profiles->list = g_ptr_array_new_with_free_func(profile_destroy);
        profiles->reporter = reporter;
        profiles->userdata = userdata;
        profiles_add_folders(profiles, folders, PROFILE_SUFFIX, profile_parse);
        /* Like libvirt: whatever the files are called. */
        profiles_add_folders(profiles, discovery_folders, "", discovery_parse);
        return profiles;
}

Profiles *profiles_free(Profiles *profiles)
{
        if (!profiles)
                return NULL;
        g_ptr_array_unref(profiles->list);
        g_free(profiles);
        return NULL;
}

unsigned int profiles_count(const Profiles *profiles)
{
        return profiles->list->len;
}

const Profile *profiles_get(const Profiles *profiles, unsigned int index)
{
        return profiles->list->pdata[index];
}

const Profile *profiles_find(const Profiles *profiles, uint32_t device_id)
{
        for (unsigned int i = 0; i < profiles->list->len; i++) {
                const Profile *profile = profiles->list->pdata[i];

                if (profile->device_id == device_id)
                        return profile;
        }
        return NULL;
}

const Profile *profiles_find_name(const Profiles *profiles, const char *name)
{
        for (unsigned int i = 0; i < profiles->list->len; i++) {
                const Profile *profile = profiles->list->pdata[i];

                if (strcmp(profile->name, name) == 0)
                        return profile;
        }
        return NULL;
}
