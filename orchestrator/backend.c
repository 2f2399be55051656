/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/backend.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "common/device-id.h"
#include "common/guest-memory.h"
#include "orchestrator/device-variables.h"
#include "orchestrator/disk-check.h"
#include "orchestrator/dropin.h"
#include "orchestrator/file-view.h"
#include "orchestrator/paths.h"

#define PRELOAD_LIBRARY LIBDIR "/libxen-virtio-mmap.so"

typedef struct Composer {
        const DeviceSpec *spec;
        const Profile *profile;
        DeviceVariables variables;
        Dropin *dropin;
} Composer;

static bool is_device(const char *path)
{
        struct stat st;

        return stat(path, &st) == 0 && (S_ISBLK(st.st_mode) || S_ISCHR(st.st_mode));
}

/*
 * Opens the sandbox for one path. A device has to be allowed by its number as well. A disk
 * that the guest may only read is one that its backend may only read, whatever the profile says.
 */
static void add_path(Composer *composer, DropinKey key, char *path)
{
        bool device = is_device(path);
        bool writable = key == DROPIN_READ_WRITE_PATH;

        if (composer->spec->disk_readonly && g_strcmp0(path, composer->spec->disk_path) == 0)
                writable = false;
        if (device)
                dropin_add(composer->dropin,
                           writable ? DROPIN_READ_WRITE_DEVICE : DROPIN_READ_ONLY_DEVICE,
                           g_strdup(path));
        dropin_add(composer->dropin, writable ? DROPIN_READ_WRITE_PATH : DROPIN_READ_ONLY_PATH,
                   path);
}

/* Expands a key of the profile into the drop-in. */
static int add_words(Composer *composer, DropinKey key, char *const *words, char **ret_message)
{
        for (; words && *words; words++) {
                g_autofree char *reason = NULL;
                char *expanded;
                int r;

                r = expand(*words, composer->variables.list, composer->variables.n, &expanded,
                           &reason);
                if (r < 0) {
                        *ret_message = g_strdup_printf("%s: %s", composer->profile->file, reason);
                        return r;
                }
                if (r == EXPAND_LEFT_OUT)
                        g_free(expanded);
                else if (key == DROPIN_READ_WRITE_PATH || key == DROPIN_READ_ONLY_PATH)
                        add_path(composer, key, expanded);
                else
                        dropin_add(composer->dropin, key, expanded);
        }
        return 0;
}

/* The profile's own lines of the unit. */
static int add_settings(Composer *composer, char **ret_message)
{
        for (unsigned int i = 0; i < SANDBOX_SETTINGS_MAX; i++) {
                const char *value = composer->profile->settings[i];
                g_autofree char *text = NULL, *reason = NULL;
                int r;

                if (!value)
                        continue;
                r = sandbox_setting_expand(i, value, composer->variables.list,
                                           composer->variables.n, &text, &reason);
                if (r < 0) {
                        *ret_message = g_strdup_printf("%s: %s", composer->profile->file, reason);
                        return r;
                }
                dropin_add(composer->dropin, DROPIN_LINE,
                           g_strdup_printf("%s=%s", sandbox_setting_name(i), text));
        }
        return 0;
}

/* What every backend gets from us, so that it can map the guest's memory and be connected to. */
static int add_preload(Composer *composer, char **ret_message)
{
        uint64_t memory_kib = composer->spec->memory_kib;
        MemoryBank banks[MEMORY_BANKS_MAX];
        char text[GUEST_MEMORY_TEXT_MAX];
        int n;

        n = guest_memory_banks(memory_kib, banks);
        if (n < 0) {
                *ret_message =
                        g_strdup_printf("cannot map %" PRIu64 " KiB of guest memory", memory_kib);
                return n;
        }
        guest_memory_format(banks, (unsigned int)n, text);
        dropin_add(composer->dropin, DROPIN_ENVIRONMENT, g_strdup("LD_PRELOAD=" PRELOAD_LIBRARY));
        dropin_add(composer->dropin, DROPIN_ENVIRONMENT,
                   g_strdup_printf(GUEST_MEMORY_ENV_DOMID "=%u",
                                   (unsigned int)composer->spec->name.domid));
        dropin_add(composer->dropin, DROPIN_ENVIRONMENT,
                   g_strdup_printf(GUEST_MEMORY_ENV_BANKS "=%s", text));
        dropin_add(composer->dropin, DROPIN_ENVIRONMENT,
                   g_strdup_printf(BACKEND_SOCKET_ENV "=%s", composer->variables.socket));
        return 0;
}

/* So that the journal finds what a backend prints, too, by its device and guest. */
static void add_journal_fields(Composer *composer)
{
        const DeviceSpec *spec = composer->spec;
        const char *type = device_id_name(spec->device_id);
        g_autofree char *domain = g_strconcat("XEN_DOMAIN=", spec->domain, NULL);
        GString *line = g_string_new("LogExtraFields=");

        g_string_append_printf(line, "XEN_DOMID=%u ", (unsigned int)spec->name.domid);
        if (type)
                g_string_append_printf(line, "VIRTIO_TYPE=%s ", type);
        dropin_append_quoted(line, domain);
        dropin_add(composer->dropin, DROPIN_LINE, g_string_free(line, FALSE));
}

/* A program and a library that are not where every backend sees them. */
static void add_software(Composer *composer)
{
        const char *const files[] = { composer->dropin->words[DROPIN_COMMAND]->pdata[0],
                                      PRELOAD_LIBRARY };

        for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
                if (!file_view_has(files[i]))
                        dropin_add(composer->dropin, DROPIN_READ_ONLY_PATH, g_strdup(files[i]));
        }
}

static int compose(Composer *composer, char **ret_message)
{
        const Profile *profile = composer->profile;
        g_auto(GStrv) folders = NULL;
        int r;

        r = add_preload(composer, ret_message);
        if (r >= 0)
                r = add_words(composer, DROPIN_COMMAND, profile->command, ret_message);
        if (r >= 0)
                r = add_words(composer, DROPIN_ENVIRONMENT, profile->environment, ret_message);
        if (r >= 0)
                r = add_words(composer, DROPIN_READ_WRITE_PATH, profile->read_write_paths,
                              ret_message);
        if (r >= 0)
                r = add_words(composer, DROPIN_READ_ONLY_PATH, profile->read_only_paths,
                              ret_message);
        if (r < 0)
                return r;
        add_journal_fields(composer);
        add_software(composer);
        folders = file_view_folders();
        file_view_add(composer->dropin, (const char *const *)folders);
        return add_settings(composer, ret_message);
}

int backend_check_program(const Profile *profile, char **ret_message)
{
        g_autofree char *program = NULL, *reason = NULL;
        int r;

        /* It has no variables, but percent signs are written twice. */
        r = expand(profile->command[0], NULL, 0, &program, &reason);
        if (r >= 0)
                r = program_check(program, &reason);
        if (r == -ENOENT && profile->package)
                *ret_message = position_message(profile->file, profile->command_at,
                                                "%s; Debian's package %s has it", reason,
                                                profile->package);
        else if (r < 0)
                *ret_message = position_message(profile->file, profile->command_at, "%s", reason);
        return r;
}

int backend_plan(const DeviceSpec *spec, int order, const Configuration *configuration,
                 BackendPlan *ret_plan, char **ret_message)
{
        Composer composer = { .spec = spec, .dropin = &ret_plan->dropin };
        const char *disk_driver = NULL;
        g_autofree char *reason = NULL;
        int r;

        dropin_init(&ret_plan->dropin);
        r = configuration_choose(configuration, spec, order, &ret_plan->choice, ret_message);
        if (r < 0)
                return r;
        composer.profile = ret_plan->choice.profile;
        r = backend_check_program(composer.profile, ret_message);
        if (r < 0)
                return r;
        if (spec->disk_path) {
                r = disk_check(spec->disk_path, spec->disk_readonly, &disk_driver, ret_message);
                if (r < 0)
                        return r;
        }

        r = device_variables_fill(spec, &ret_plan->choice, disk_driver, &composer.variables,
                                  &reason);
        if (r < 0)
                *ret_message = g_strdup_printf("%s: %s", composer.profile->file, reason);
        else
                r = compose(&composer, ret_message);
        device_variables_clear(&composer.variables);
        return r;
}

void backend_plan_clear(BackendPlan *plan)
{
        device_choice_clear(&plan->choice);
        dropin_clear(&plan->dropin);
}

int backend_prepare(const DeviceSpec *spec, int order, const Configuration *configuration,
                    char **ret_dropin, RestartPolicy *ret_restart, char **ret_message)
{
        _cleanup_(backend_plan_clear) BackendPlan plan;
        int r;

        r = backend_plan(spec, order, configuration, &plan, ret_message);
        if (r < 0)
                return r;
        *ret_dropin = dropin_format(&plan.dropin);
        *ret_restart = plan.choice.profile->restart;
        return 0;
}
