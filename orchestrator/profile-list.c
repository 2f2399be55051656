/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/profile-list.h"

#include <string.h>

#include "common/log.h"

#define SUFFIX ".conf"

struct Profiles {
        GPtrArray *list; /* of Profile, in the order in which they count */
};

static void profile_destroy(void *profile)
{
        profile_free(profile);
}

/* Reads the file and adds it, or logs why not. */
static void profiles_add(Profiles *profiles, const char *file)
{
        g_autofree char *text = NULL, *message = NULL;
        g_autoptr(GError) error = NULL;
        Profile *profile;
        gsize size;
        int r;

        if (!g_file_get_contents(file, &text, &size, &error)) {
                log_error(NULL, "%s, the profile is not used", error->message);
                return;
        }
        r = profile_parse(file, text, size, &profile, &message);
        if (r < 0)
                log_error(NULL, "%s, the profile is not used", message);
        if (r == 0)
                g_ptr_array_add(profiles->list, profile);
}

/* Puts the folder's profiles into the table name → path, over what it holds. */
static void folder_list(const char *folder, GHashTable *paths)
{
        g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
        const char *name;

        while (dir && (name = g_dir_read_name(dir))) {
                if (g_str_has_suffix(name, SUFFIX))
                        g_hash_table_replace(paths, g_strdup(name),
                                             g_build_filename(folder, name, NULL));
        }
}

static int name_compare(const void *a, const void *b)
{
        return strcmp(a, b);
}

Profiles *profiles_load(const char *const *folders)
{
        g_autoptr(GHashTable) paths =
                g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        Profiles *profiles = g_new0(Profiles, 1);
        g_autoptr(GList) names = NULL;
        unsigned int n_folders = 0;

        profiles->list = g_ptr_array_new_with_free_func(profile_destroy);
        while (folders[n_folders])
                n_folders++;
        while (n_folders > 0)
                folder_list(folders[--n_folders], paths);

        names = g_list_sort(g_hash_table_get_keys(paths), name_compare);
        for (const GList *name = names; name; name = name->next)
                profiles_add(profiles, g_hash_table_lookup(paths, name->data));
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

const Profile *profiles_find(const Profiles *profiles, uint32_t device_id)
{
        for (unsigned int i = 0; i < profiles->list->len; i++) {
                const Profile *profile = profiles->list->pdata[i];

                if (profile->device_id == device_id)
                        return profile;
        }
        return NULL;
}
