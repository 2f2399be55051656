/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/profile.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "common/device-id.h"
#include "common/launch.h"
#include "common/macros.h"
#include "common/parse.h"
#include "orchestrator/config-file.h"
#include "orchestrator/device-options.h"
#include "orchestrator/device-variables.h"
#include "orchestrator/restart-policy.h"

#define SECTION_BACKEND "Backend"
#define SECTION_OPTIONS "Options"
#define SECTION_RESTART "Restart"
#define SECTION_SERVICE "Service"
#define KEY_TYPE        0 /* in the table of keys */

/* The keys' parsers return -EINVAL with a reason, without file and position. */
typedef int (*KeyParser)(const char *value, void *field, char **ret_reason);

static int parse_type(const char *value, void *field, char **ret_reason)
{
        uint32_t id = device_id_parse(value);

        if (id == 0) {
                *ret_reason = g_strdup_printf("\"%s\" is no virtio device type", value);
                return -EINVAL;
        }
        *(uint32_t *)field = id;
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

static int parse_config_size(const char *value, void *field, char **ret_reason)
{
        uint64_t number;

        if (parse_unsigned(value, LAUNCH_CONFIG_SIZE, &number) < 0 || number == 0) {
                *ret_reason = g_strdup_printf("\"%s\" is no number between 1 and %d", value,
                                              LAUNCH_CONFIG_SIZE);
                return -EINVAL;
        }
        *(uint16_t *)field = (uint16_t)number;
        return 0;
}

static int parse_words(const char *value, void *field, char **ret_reason)
{
        g_autoptr(GError) error = NULL;
        g_auto(GStrv) words = NULL;

        if (!g_shell_parse_argv(value, NULL, &words, &error)) {
                if (!g_error_matches(error, G_SHELL_ERROR, G_SHELL_ERROR_EMPTY_STRING)) {
                        *ret_reason = g_strdup(error->message);
                        return -EINVAL;
                }
                words = g_new0(char *, 1);
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

/* Debian's Policy, 5.6.7: what a name of a package is. */
static int parse_package(const char *value, void *field, char **ret_reason)
{
        static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
        static const char all[] = "abcdefghijklmnopqrstuvwxyz0123456789+-.";

        if (strspn(value, letters) == 0 || value[strspn(value, all)] != '\0') {
                *ret_reason = g_strdup_printf("\"%s\" is no name of a package", value);
                return -EINVAL;
        }
        *(char **)field = g_strdup(value);
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
        bool words; /* the field is a list of words, which may have variables */
} keys[] = {
        [KEY_TYPE] = { "Type", parse_type, offsetof(Profile, device_id), true, false },
        { "ExecStart", parse_command, offsetof(Profile, command), true, true },
        { "Package", parse_package, offsetof(Profile, package), false, false },
        { "Memory", parse_memory, offsetof(Profile, memory), false, false },
        { "ConfigSize", parse_config_size, offsetof(Profile, config_size), false, false },
        { "ReadWritePaths", parse_words, offsetof(Profile, read_write_paths), false, true },
        { "ReadOnlyPaths", parse_words, offsetof(Profile, read_only_paths), false, true },
        { "Environment", parse_environment, offsetof(Profile, environment), false, true },
};

/* One file under way. */
typedef struct Parser {
        const ConfigFile *file;
        Profile *profile;
} Parser;

/* Always returns -EINVAL, for "return refuse(…)". */
static int refuse(Parser *parser, Position at, const char *key, const char *reason)
{
        parser->profile->problem = position_message(parser->file->path, at, "%s: %s", key, reason);
        return -EINVAL;
}

/* Finds what nobody would ever look at: a misspelt section or key. */
static int check_sections(Parser *parser)
{
        const GPtrArray *sections = parser->file->sections;

        for (unsigned int i = 0; i < sections->len; i++) {
                const ConfigSection *section = sections->pdata[i];

                if (strcmp(section->name, SECTION_BACKEND) != 0 &&
                    strcmp(section->name, SECTION_OPTIONS) != 0 &&
                    strcmp(section->name, SECTION_RESTART) != 0 &&
                    strcmp(section->name, SECTION_SERVICE) != 0)
                        return refuse(parser, section->at, section->name, "unknown section");
        }
        return 0;
}

static int check_keys(Parser *parser, const ConfigSection *backend)
{
        for (unsigned int i = 0; i < backend->entries->len; i++) {
                const ConfigEntry *entry = backend->entries->pdata[i];
                size_t key = 0;

                while (key < ARRAY_SIZE(keys) && strcmp(keys[key].name, entry->key) != 0)
                        key++;
                if (key == ARRAY_SIZE(keys))
                        return refuse(parser, entry->key_at, entry->key, "unknown key");
        }
        return 0;
}

static int read_key(Parser *parser, const ConfigSection *backend, size_t key)
{
        const ConfigEntry *entry = config_section_find(backend, keys[key].name);
        void *field = (char *)parser->profile + keys[key].offset;
        g_autofree char *reason = NULL;

        if (!entry && !keys[key].required)
                return 0;
        if (!entry)
                return refuse(parser, backend->at, keys[key].name, "the key is missing");
        if (keys[key].parser(entry->value, field, &reason) < 0)
                return refuse(parser, entry->value_at, keys[key].name, reason);
        if (keys[key].parser == parse_command)
                parser->profile->command_at = entry->value_at;
        return 0;
}

static bool option_name_is_valid(const char *name)
{
        return g_ascii_islower(*name) &&
               name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-")] == '\0';
}

/* "required", "default" or "default VALUE". */
static int read_option(Parser *parser, const ConfigEntry *entry)
{
        static const char word[] = "default";
        const char *value = entry->value;
        Profile *profile = parser->profile;
        g_autofree char *reason = NULL;
        ProfileOption *option;

        if (!option_name_is_valid(entry->key))
                return refuse(parser, entry->key_at, entry->key, "this is no name of an option");
        if (device_variables_has(entry->key) ||
            device_option_find(profile->device_id, entry->key) >= 0)
                return refuse(parser, entry->key_at, entry->key, "every device has this");
        if (profile->n_options == PROFILE_OPTIONS_MAX)
                return refuse(parser, entry->key_at, entry->key, "one option too many");

        option = &profile->options[profile->n_options];
        if (g_str_has_prefix(value, word) && strchr(" \t", value[strlen(word)]))
                option->standard = g_strchug(g_strdup(value + strlen(word)));
        else if (strcmp(value, "required") != 0)
                return refuse(parser, entry->value_at, entry->key,
                              "neither \"required\" nor \"default VALUE\"");
        option->key = g_strdup(entry->key);
        profile->n_options++;

        /* The options are no variables of each other. */
        if (option->standard && device_variables_check(option->standard, NULL, &reason) < 0)
                return refuse(parser, entry->value_at, entry->key, reason);
        return 0;
}

static int read_restart(Parser *parser, const ConfigSection *section)
{
        RestartPolicy *policy = &parser->profile->restart;

        for (unsigned int i = 0; i < section->entries->len; i++) {
                const ConfigEntry *entry = section->entries->pdata[i];
                g_autofree char *reason = NULL;

                if (!restart_policy_has(entry->key))
                        return refuse(parser, entry->key_at, entry->key, "unknown key");
                if (restart_policy_set(policy, entry->key, entry->value, &reason) < 0)
                        return refuse(parser, entry->value_at, entry->key, reason);
        }
        if (policy->delay_max_usec != 0 && policy->delay_max_usec < policy->delay_usec)
                return refuse(parser, section->at, section->name,
                              "MaxDelaySec is less than DelaySec");
        return 0;
}

static int read_setting(Parser *parser, const ConfigEntry *entry)
{
        const int setting = sandbox_setting_find(entry->key);
        g_autofree char *reason = NULL;

        if (setting < 0)
                return refuse(parser, entry->key_at, entry->key, "unknown key");
        if (device_variables_check(entry->value, parser->profile, &reason) < 0)
                return refuse(parser, entry->value_at, entry->key, reason);
        parser->profile->settings[setting] = g_strdup(entry->value);
        return 0;
}

/* Tries the variables of each word, so that mistakes show at once. */
static int check_words(Parser *parser, const ConfigSection *backend, size_t key)
{
        const ConfigEntry *entry = config_section_find(backend, keys[key].name);
        void *field = (char *)parser->profile + keys[key].offset;
        char **word = *(char ***)field;
        g_autofree char *reason = NULL;

        for (; word && *word; word++) {
                if (device_variables_check(*word, parser->profile, &reason) < 0)
                        return refuse(parser, entry->value_at, keys[key].name, reason);
        }
        return 0;
}

static int read_file(Parser *parser)
{
        const ConfigSection *backend = config_file_find(parser->file, SECTION_BACKEND);
        const ConfigSection *options = config_file_find(parser->file, SECTION_OPTIONS);
        const ConfigSection *restart = config_file_find(parser->file, SECTION_RESTART);
        const ConfigSection *service = config_file_find(parser->file, SECTION_SERVICE);
        int r;

        r = check_sections(parser);
        if (r < 0)
                return r;
        if (!backend)
                return refuse(parser, (Position){ 1, 1 }, SECTION_BACKEND,
                              "the section is missing");
        /* The type before all else, so that it is known whose devices suffer. */
        r = read_key(parser, backend, KEY_TYPE);
        if (r >= 0)
                r = check_keys(parser, backend);
        for (size_t i = KEY_TYPE + 1; i < ARRAY_SIZE(keys) && r >= 0; i++)
                r = read_key(parser, backend, i);
        for (unsigned int i = 0; options && i < options->entries->len && r >= 0; i++)
                r = read_option(parser, options->entries->pdata[i]);
        for (size_t i = 0; i < ARRAY_SIZE(keys) && r >= 0; i++)
                r = keys[i].words ? check_words(parser, backend, i) : 0;
        if (r >= 0 && restart)
                r = read_restart(parser, restart);
        for (unsigned int i = 0; service && i < service->entries->len && r >= 0; i++)
                r = read_setting(parser, service->entries->pdata[i]);
        return r;
}

Profile *profile_new(const char *file, const char *suffix)
{
        Profile *profile = g_new0(Profile, 1);

        profile->file = g_strdup(file);
        profile->name = g_path_get_basename(file);
        if (g_str_has_suffix(profile->name, suffix))
                profile->name[strlen(profile->name) - strlen(suffix)] = '\0';
        return profile;
}

Profile *profile_parse(const char *file, const char *text, gsize size)
{
        g_autoptr(ConfigFile) config = NULL;
        Profile *profile;

        if (size == 0)
                return NULL;
        profile = profile_new(file, PROFILE_SUFFIX);
        if (config_file_parse(file, text, size, &config, &profile->problem) >= 0)
                read_file(&(Parser){ config, profile });
        return profile;
}

int profile_find_option(const Profile *profile, const char *key)
{
        for (unsigned int i = 0; i < profile->n_options; i++) {
                if (strcmp(profile->options[i].key, key) == 0)
                        return (int)i;
        }
        return -ENOENT;
}

Profile *profile_free(Profile *profile)
{
        if (!profile)
                return NULL;
        g_free(profile->problem);
        g_free(profile->file);
        g_free(profile->name);
        g_strfreev(profile->command);
        g_free(profile->package);
        g_strfreev(profile->read_write_paths);
        g_strfreev(profile->read_only_paths);
        g_strfreev(profile->environment);
        for (unsigned int i = 0; i < profile->n_options; i++) {
                g_free(profile->options[i].key);
                g_free(profile->options[i].standard);
        }
        for (unsigned int i = 0; i < SANDBOX_SETTINGS_MAX; i++)
                g_free(profile->settings[i]);
        g_free(profile);
        return NULL;
}
