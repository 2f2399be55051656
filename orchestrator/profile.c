/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/profile.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "common/device-type.h"
#include "common/parse.h"
#include "orchestrator/device-variables.h"

#define GROUP         "Backend"
#define DEVICE_ID_MAX 63

/* One file under way: the keys' parsers return -EINVAL with a reason, without file and key. */
typedef int (*KeyParser)(const char *value, void *field, char **ret_reason);

static int parse_type(const char *value, void *field, char **ret_reason)
{
        const DeviceType *type = device_type_find_name(value);
        uint64_t number;

        if (type) {
                *(uint32_t *)field = type->id;
                return 0;
        }
        if (parse_unsigned(value, DEVICE_ID_MAX, &number) < 0 || number == 0) {
                *ret_reason = g_strdup_printf("\"%s\" is no virtio device type", value);
                return -EINVAL;
        }
        *(uint32_t *)field = (uint32_t)number;
        return 0;
}

static int parse_memory(const char *value, void *field, char **ret_reason)
{
        int r = memory_choice_parse(value, field);

        if (r < 0)
                *ret_reason = g_strdup_printf("\"%s\" is none of auto, xen-mmap, seed and preload",
                                              value);
        return r;
}

/* Splits into words, and tries each one's variables, so that mistakes show at once. */
static int parse_words(const char *value, void *field, char **ret_reason)
{
        g_autoptr(GError) error = NULL;
        g_auto(GStrv) words = NULL;
        int r;

        if (!g_shell_parse_argv(value, NULL, &words, &error)) {
                if (!g_error_matches(error, G_SHELL_ERROR, G_SHELL_ERROR_EMPTY_STRING)) {
                        *ret_reason = g_strdup(error->message);
                        return -EINVAL;
                }
                words = g_new0(char *, 1);
        }
        for (char **word = words; *word; word++) {
                r = device_variables_check(*word, ret_reason);
                if (r < 0)
                        return r;
        }

        *(char ***)field = g_steal_pointer(&words);
        return 0;
}

static int parse_command(const char *value, void *field, char **ret_reason)
{
        char ***command = field;
        int r;

        r = parse_words(value, field, ret_reason);
        if (r < 0)
                return r;
        if (!**command) {
                *ret_reason = g_strdup("there is no command");
                return -EINVAL;
        }
        if ((**command)[0] != '/' || strchr(**command, '%')) {
                *ret_reason = g_strdup_printf("\"%s\" is not an absolute path", **command);
                return -EINVAL;
        }
        return 0;
}

static int parse_environment(const char *value, void *field, char **ret_reason)
{
        int r;

        r = parse_words(value, field, ret_reason);
        if (r < 0)
                return r;
        for (char **word = *(char ***)field; *word; word++) {
                if (strchr(*word, '=') > *word)
                        continue;
                *ret_reason = g_strdup_printf("\"%s\" is not NAME=value", *word);
                return -EINVAL;
        }
        return 0;
}

static const struct {
        const char *name;
        KeyParser parser;
        size_t offset;
        bool required;
} keys[] = {
        { "Type", parse_type, offsetof(Profile, device_id), true },
        { "ExecStart", parse_command, offsetof(Profile, command), true },
        { "Memory", parse_memory, offsetof(Profile, memory), false },
        { "ReadWritePaths", parse_words, offsetof(Profile, read_write_paths), false },
        { "ReadOnlyPaths", parse_words, offsetof(Profile, read_only_paths), false },
        { "Environment", parse_environment, offsetof(Profile, environment), false },
};

static bool key_is_known(const char *name)
{
        for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
                if (strcmp(keys[i].name, name) == 0)
                        return true;
        }
        return false;
}

/* Finds what nobody would ever look at: a misspelt key or group. */
static int check_names(GKeyFile *key_file, char **ret_reason)
{
        g_auto(GStrv) groups = g_key_file_get_groups(key_file, NULL);
        g_auto(GStrv) names = NULL;

        for (char **group = groups; *group; group++) {
                if (strcmp(*group, GROUP) != 0) {
                        *ret_reason = g_strdup_printf("unknown group [%s]", *group);
                        return -EINVAL;
                }
        }
        names = g_key_file_get_keys(key_file, GROUP, NULL, NULL);
        for (char **name = names; name && *name; name++) {
                if (!key_is_known(*name)) {
                        *ret_reason = g_strdup_printf("%s: unknown key", *name);
                        return -EINVAL;
                }
        }
        return 0;
}

static int read_key(GKeyFile *key_file, size_t key, Profile *profile, char **ret_reason)
{
        g_autofree char *value = g_key_file_get_value(key_file, GROUP, keys[key].name, NULL);
        g_autofree char *reason = NULL;
        int r;

        if (!value && !keys[key].required)
                return 0;
        if (!value) {
                *ret_reason = g_strdup_printf("%s: the key is missing", keys[key].name);
                return -EINVAL;
        }
        r = keys[key].parser(value, (char *)profile + keys[key].offset, &reason);
        if (r < 0)
                *ret_reason = g_strdup_printf("%s: %s", keys[key].name, reason);
        return r;
}

int profile_parse(const char *file, const char *text, gsize size, Profile **ret_profile,
                  char **ret_message)
{
        g_autoptr(GKeyFile) key_file = g_key_file_new();
        g_autoptr(Profile) profile = g_new0(Profile, 1);
        g_autoptr(GError) error = NULL;
        g_autofree char *reason = NULL;
        int r;

        if (size == 0)
                return 1;
        if (!g_key_file_load_from_data(key_file, text, size, G_KEY_FILE_NONE, &error)) {
                *ret_message = g_strdup_printf("%s: %s", file, error->message);
                return -EINVAL;
        }
        profile->file = g_strdup(file);
        r = check_names(key_file, &reason);
        for (size_t i = 0; i < ARRAY_SIZE(keys) && r >= 0; i++)
                r = read_key(key_file, i, profile, &reason);
        if (r < 0) {
                *ret_message = g_strdup_printf("%s: %s", file, reason);
                return r;
        }

        *ret_profile = g_steal_pointer(&profile);
        return 0;
}

Profile *profile_free(Profile *profile)
{
        if (!profile)
                return NULL;
        g_free(profile->file);
        g_strfreev(profile->command);
        g_strfreev(profile->read_write_paths);
        g_strfreev(profile->read_only_paths);
        g_strfreev(profile->environment);
        g_free(profile);
        return NULL;
}
