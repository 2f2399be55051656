/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/configuration.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "common/device-id.h"
#include "orchestrator/guest-file.h"
#include "orchestrator/paths.h"

#define DISCOVERY_ETC "/etc/qemu/vhost-user"
#define DISCOVERY_USR "/usr/share/qemu/vhost-user"

/* The administrator's folder before the distribution's. */
static char **folders_make(const char *root, const char *etc, const char *usr)
{
        char **folders = g_new0(char *, 3);

        folders[0] = g_strconcat(root, etc, NULL);
        folders[1] = g_strconcat(root, usr, NULL);
        return folders;
}

/* A mistake costs what the file says, and nothing else. */
static Settings load_settings(const char *root, ProfileReporter *reporter, void *userdata)
{
        g_auto(GStrv) folders = folders_make(root, SYSCONFDIR, DATADIR);
        g_autofree char *message = NULL;
        Settings settings = settings_default();

        if (settings_read((const char *const *)folders, &settings, &message) < 0) {
                reporter(userdata, message);
                /* What it may have forbidden is. */
                settings.readers.kind = READERS_ROOT;
        }
        return settings;
}

Configuration *configuration_load(const char *root, ProfileReporter *reporter, void *userdata)
{
        g_auto(GStrv) profiles = folders_make(root, SYSCONFDIR "/backends", DATADIR "/backends");
        g_auto(GStrv) discovery = folders_make(root, DISCOVERY_ETC, DISCOVERY_USR);
        Configuration *configuration = g_new0(Configuration, 1);

        configuration->profiles = profiles_load((const char *const *)profiles,
                                                (const char *const *)discovery, reporter, userdata);
        configuration->guest_folders = folders_make(root, SYSCONFDIR "/guests", DATADIR "/guests");
        configuration->settings = load_settings(root, reporter, userdata);
        return configuration;
}

Configuration *configuration_free(Configuration *configuration)
{
        if (!configuration)
                return NULL;
        profiles_free(configuration->profiles);
        g_strfreev(configuration->guest_folders);
        g_free(configuration);
        return NULL;
}

void device_choice_clear(DeviceChoice *choice)
{
        g_free(choice->guest_file);
        device_options_clear(&choice->options);
        for (unsigned int i = 0; i < PROFILE_OPTIONS_MAX; i++)
                g_free(choice->values[i]);
        *choice = (DeviceChoice){ 0 };
}

/* "net", or the number of a type without a name. */
static char *type_name(uint32_t device_id)
{
        const char *name = device_id_name(device_id);

        return name ? g_strdup(name) : g_strdup_printf("type %" PRIu32, device_id);
}

static int find_named(const Configuration *configuration, const char *path,
                      const ConfigEntry *entry, const Profile **ret_profile, char **ret_message)
{
        *ret_profile = profiles_find_name(configuration->profiles, entry->value);
        if (*ret_profile)
                return 0;
        *ret_message = position_message(path, entry->value_at,
                                        "Backend: there is no profile \"%s\"", entry->value);
        return -ENOENT;
}

/* What "Backend=" says. */
static int choose_named(const Configuration *configuration, const char *path,
                        const ConfigEntry *entry, uint32_t device_id, const Profile **ret_profile,
                        char **ret_message)
{
        g_autofree char *type = type_name(device_id), *profile_type = NULL;
        const Profile *profile;
        int r;

        r = find_named(configuration, path, entry, &profile, ret_message);
        if (r < 0)
                return r;
        if (!profile->problem && profile->device_id != device_id) {
                profile_type = type_name(profile->device_id);
                *ret_message = position_message(path, entry->value_at,
                                                "Backend: \"%s\" is for %s devices, not for %s",
                                                entry->value, profile_type, type);
                return -EINVAL;
        }
        *ret_profile = profile;
        return 0;
}

static int choose_profile(const Configuration *configuration, const char *path,
                          const ConfigSection *section, uint32_t device_id,
                          const Profile **ret_profile, char **ret_message)
{
        const ConfigEntry *entry = section ? config_section_find(section, GUEST_KEY_BACKEND) : NULL;
        int r = 0;

        if (entry)
                r = choose_named(configuration, path, entry, device_id, ret_profile, ret_message);
        else
                *ret_profile = profiles_find(configuration->profiles, device_id);
        if (r < 0)
                return r;
        if (!*ret_profile) {
                g_autofree char *type = type_name(device_id);

                *ret_message = g_strdup_printf("no backend profile for virtio device type %" PRIu32
                                               " (%s)",
                                               device_id, type);
                return -ENOENT;
        }
        if ((*ret_profile)->problem) {
                *ret_message = g_strdup((*ret_profile)->problem);
                return -EINVAL;
        }
        return 0;
}

/* Takes over one key of the section. */
static int apply_entry(const char *path, const ConfigEntry *entry, uint32_t device_id,
                       DeviceChoice *choice, char **ret_message)
{
        int own = device_option_find(device_id, entry->key);
        int option = profile_find_option(choice->profile, entry->key);
        g_autofree char *reason = NULL;

        if (strcmp(entry->key, GUEST_KEY_BACKEND) == 0)
                return 0;
        if (own < 0 && option < 0) {
                *ret_message = position_message(path, entry->key_at,
                                                "%s: unknown key, also for the backend %s",
                                                entry->key, choice->profile->name);
                return -EINVAL;
        }
        if (*entry->value == '\0') {
                *ret_message = position_message(path, entry->value_at, "%s: the value is missing",
                                                entry->key);
                return -EINVAL;
        }
        if (own < 0) {
                choice->values[option] = g_strdup(entry->value);
                return 0;
        }
        if (device_option_check((DeviceOption)own, entry->value, &reason) < 0) {
                *ret_message =
                        position_message(path, entry->value_at, "%s: %s", entry->key, reason);
                return -EINVAL;
        }
        choice->options.values[own] = g_strdup(entry->value);
        return 0;
}

/* Whatever the profile requires has to be there. */
static int check_required(const char *path, const ConfigSection *section,
                          const DeviceChoice *choice, char **ret_message)
{
        const Profile *profile = choice->profile;

        for (unsigned int i = 0; i < profile->n_options; i++) {
                if (profile->options[i].standard || choice->values[i])
                        continue;
                if (section)
                        *ret_message = position_message(
                                path, section->at, "[%s] has no %s=, which %s requires",
                                section->name, profile->options[i].key, profile->file);
                else
                        *ret_message = g_strdup_printf("%s requires %s=, and no guest file says it",
                                                       profile->file, profile->options[i].key);
                return -ENODATA;
        }
        return 0;
}

int configuration_choose_section(const Configuration *configuration, const ConfigFile *file,
                                 const ConfigSection *section, uint32_t device_id,
                                 DeviceChoice *ret_choice, char **ret_message)
{
        const char *path = file ? file->path : NULL;
        int r;

        r = choose_profile(configuration, path, section, device_id, &ret_choice->profile,
                           ret_message);
        for (unsigned int i = 0; r >= 0 && section && i < section->entries->len; i++)
                r = apply_entry(path, section->entries->pdata[i], device_id, ret_choice,
                                ret_message);
        if (r >= 0)
                r = check_required(path, section, ret_choice, ret_message);
        if (r >= 0 && section)
                ret_choice->guest_file = g_strdup(path);
        return r;
}

int configuration_find_type(const Configuration *configuration, DeviceSpec *spec,
                            char **ret_message)
{
        g_autoptr(ConfigFile) file = NULL;
        const ConfigSection *section = NULL;
        const ConfigEntry *entry = NULL;
        const Profile *profile;
        int r;

        if (spec->device_id > 0)
                return 0;
        r = guest_file_read((const char *const *)configuration->guest_folders, spec->domain,
                            spec->uuid, &file, ret_message);
        /* Its order means nothing: no section of a type can be for it. */
        if (r == 0)
                r = guest_file_find(file, spec, 0, &section, ret_message);
        if (r < 0)
                return r;
        if (section)
                entry = config_section_find(section, GUEST_KEY_BACKEND);
        if (!entry) {
                *ret_message = g_strdup_printf("type: \"virtio,device\" is any, and no guest file "
                                               "has a [virtio-%" PRIu32 "] with Backend=",
                                               spec->name.devid);
                return -ENOENT;
        }
        r = find_named(configuration, file->path, entry, &profile, ret_message);
        if (r < 0)
                return r;
        spec->device_id = profile->device_id;
        if (spec->device_id == 0)
                *ret_message = g_strdup(profile->problem);
        return spec->device_id == 0 ? -EINVAL : 0;
}

int configuration_choose(const Configuration *configuration, const DeviceSpec *spec, int order,
                         DeviceChoice *ret_choice, char **ret_message)
{
        g_autoptr(ConfigFile) file = NULL;
        const ConfigSection *section = NULL;
        int r;

        *ret_choice = (DeviceChoice){ 0 };
        r = guest_file_read((const char *const *)configuration->guest_folders, spec->domain,
                            spec->uuid, &file, ret_message);
        if (r == 0)
                r = guest_file_find(file, spec, order, &section, ret_message);
        if (r >= 0)
                r = configuration_choose_section(configuration, file, section, spec->device_id,
                                                 ret_choice, ret_message);
        if (r >= 0)
                device_options_complete(spec, &ret_choice->options);
        return r;
}
