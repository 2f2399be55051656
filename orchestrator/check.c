/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/check.h"

#include <inttypes.h>
#include <string.h>

#include "common/device-id.h"
#include "orchestrator/backend.h"
#include "orchestrator/guest-file.h"
#include "orchestrator/guest-order.h"
#include "orchestrator/text-file.h"
#include "orchestrator/xl-device.h"

static void check_report(void *userdata, const char *problem)
{
        Check *check = userdata;

        check->n_problems++;
        g_string_append_printf(check->problems, "%s\n", problem);
}

Check *check_new(const char *root)
{
        Check *check = g_new0(Check, 1);

        check->output = g_string_new(NULL);
        check->problems = g_string_new(NULL);
        check->configuration = configuration_load(root, check_report, check);
        return check;
}

Check *check_free(Check *check)
{
        if (!check)
                return NULL;
        configuration_free(check->configuration);
        g_string_free(check->output, TRUE);
        g_string_free(check->problems, TRUE);
        g_free(check);
        return NULL;
}

/* Words as a shell would have to be given them, so that they can be tried by hand. */
static void append_words(GString *out, const GPtrArray *words)
{
        for (unsigned int i = 0; i < words->len; i++) {
                const char *word = words->pdata[i];
                g_autofree char *quoted = NULL;

                if (*word == '\0' || strpbrk(word, " \t\"'\\$`*?[]#~&|;<>(){}!"))
                        quoted = g_shell_quote(word);
                g_string_append_printf(out, "%s%s", i == 0 ? "    " : " ", quoted ? quoted : word);
        }
        g_string_append_c(out, '\n');
}

/* "disk-51712", "virtio-0": a device without the number of its domain. */
static char *device_label(const DeviceName *name)
{
        return g_strdup_printf("%s-%" PRIu32, device_kind_name(name->kind), name->devid);
}

/* Gives each device its type; says which ones have none, and leaves them out. */
static void check_types(Check *check, const char *path, const GPtrArray *devices)
{
        for (unsigned int i = 0; i < devices->len; i++) {
                XlDevice *device = devices->pdata[i];
                g_autofree char *message = NULL, *label = device_label(&device->name);

                if (!device->spec ||
                    configuration_find_type(check->configuration, device->spec, &message) >= 0)
                        continue;
                device->problem = position_message(path, device->at, "%s: %s", label, message);
                device->spec = device_spec_free(device->spec);
        }
}

/* What a device of an xl.cfg would run. */
static void check_device(Check *check, const char *path, const XlDevice *device, int order)
{
        _cleanup_(backend_plan_clear) BackendPlan plan = { 0 };
        g_autofree char *label = NULL, *message = NULL, *problem = NULL;
        const DeviceChoice *choice = &plan.choice;
        const char *type;
        int r;

        label = device_label(&device->name);
        r = backend_plan(device->spec, order, check->configuration, &plan, &message);
        if (r < 0) {
                problem = position_message(path, device->at, "%s: %s", label, message);
                check_report(check, problem);
                return;
        }
        type = device_id_name(device->spec->device_id);
        g_string_append_printf(check->output, "%s: %s by %s%s%s\n", label, type ? type : "device",
                               choice->profile->file, choice->guest_file ? ", " : "",
                               choice->guest_file ? choice->guest_file : "");
        append_words(check->output, plan.dropin.words[DROPIN_COMMAND]);
}

static int device_order(const GPtrArray *devices, const XlDevice *device)
{
        GuestOrder order = guest_order_begin(&device->name, device->spec->device_id);

        for (unsigned int i = 0; i < devices->len; i++) {
                const XlDevice *other = devices->pdata[i];

                guest_order_count(&order, &other->name, other->spec ? other->spec->device_id : 0);
        }
        return order.order;
}

/* Finds sections of the guest file that no device has. */
static void check_sections(Check *check, const GPtrArray *devices, const ConfigFile *file)
{
        for (unsigned int i = 0; i < file->sections->len; i++) {
                const ConfigSection *section = file->sections->pdata[i];
                g_autofree char *problem = NULL;
                bool used = false;

                for (unsigned int k = 0; k < devices->len && !used; k++) {
                        const XlDevice *device = devices->pdata[k];

                        used = !device->spec || guest_section_is_for(section, device->spec,
                                                                     device_order(devices, device));
                }
                if (used)
                        continue;
                problem = position_message(file->path, section->at,
                                           "[%s] is for no device of this guest", section->name);
                check_report(check, problem);
        }
}

static void check_devices(Check *check, const char *path, const GPtrArray *devices)
{
        const XlDevice *first = NULL;
        g_autoptr(ConfigFile) file = NULL;
        g_autofree char *message = NULL;

        check_types(check, path, devices);
        for (unsigned int i = 0; i < devices->len; i++) {
                const XlDevice *device = devices->pdata[i];

                if (device->problem)
                        check_report(check, device->problem);
                else
                        check_device(check, path, device, device_order(devices, device));
                if (device->spec)
                        first = device;
        }
        if (devices->len == 0)
                g_string_append_printf(check->output, "%s: no virtio devices\n", path);
        /* What is wrong with the file as a whole has been said of a device. */
        if (first && guest_file_read((const char *const *)check->configuration->guest_folders,
                                     first->spec->domain, first->spec->uuid, &file, &message) == 0)
                check_sections(check, devices, file);
}

void check_xl_config(Check *check, const char *path)
{
        g_autofree char *text = NULL, *message = NULL;
        g_autoptr(GPtrArray) devices = NULL;
        g_autoptr(XlConfig) config = NULL;
        gsize size;
        int r;

        r = text_file_read(path, &text, &size, &message);
        if (r >= 0)
                r = xl_config_parse(path, text, size, &config, &message);
        if (r >= 0)
                r = xl_devices_read(config, &devices, &message);
        if (r < 0)
                check_report(check, message);
        else
                check_devices(check, path, devices);
}

/* The type of the devices that a section is for; 0: only the guest's xl.cfg says. */
static uint32_t section_type(const Check *check, const ConfigSection *section)
{
        const ConfigEntry *entry = config_section_find(section, GUEST_KEY_BACKEND);
        const Profile *profile =
                entry ? profiles_find_name(check->configuration->profiles, entry->value) : NULL;
        GuestSelector selector;

        if (guest_selector_parse(section->name, &selector) >= 0 && selector.device_id > 0)
                return selector.device_id;
        return profile ? profile->device_id : 0;
}

/* A section without a device: what can be known of it. */
static void check_section(Check *check, const ConfigFile *file, const ConfigSection *section)
{
        g_autofree char *message = NULL;
        DeviceChoice choice = { 0 };
        uint32_t device_id = section_type(check, section);
        int r;

        if (device_id == 0 && !config_section_find(section, GUEST_KEY_BACKEND)) {
                g_string_append_printf(check->output,
                                       "%s: [%s]: only the guest's xl.cfg says what this is\n",
                                       file->path, section->name);
                return;
        }
        r = configuration_choose_section(check->configuration, file, section, device_id, &choice,
                                         &message);
        if (r >= 0)
                r = backend_check_program(choice.profile, &message);
        if (r < 0)
                check_report(check, message);
        else
                g_string_append_printf(check->output, "%s: [%s] by %s\n", file->path, section->name,
                                       choice.profile->file);
        device_choice_clear(&choice);
}

static void check_guest_file(Check *check, const ConfigFile *file)
{
        for (unsigned int i = 0; i < file->sections->len; i++)
                check_section(check, file, file->sections->pdata[i]);
}

void check_guest(Check *check, const char *guest)
{
        g_autoptr(ConfigFile) file = NULL;
        g_autofree char *message = NULL;
        int r;

        r = guest_file_read((const char *const *)check->configuration->guest_folders, guest, guest,
                            &file, &message);
        if (r > 0)
                message = g_strdup_printf("%s: there is neither a guest file of this name nor an "
                                          "xl.cfg",
                                          guest);
        if (r != 0)
                check_report(check, message);
        else
                check_guest_file(check, file);
}

/* A program that is not installed is no mistake, as long as no device needs it. */
static void check_profile(Check *check, const Profile *profile)
{
        g_autofree char *message = NULL;
        const char *type = device_id_name(profile->device_id);

        if (profile->problem)
                return;
        if (backend_check_program(profile, &message) < 0)
                g_string_append_printf(check->output, "%s\n", message);
        else
                g_string_append_printf(check->output, "%s: %s by %s\n", profile->file,
                                       type ? type : "device", profile->command[0]);
}

void check_everything(Check *check)
{
        const Configuration *configuration = check->configuration;
        g_auto(GStrv) paths =
                text_file_list((const char *const *)configuration->guest_folders, ".conf");

        for (unsigned int i = 0; i < profiles_count(configuration->profiles); i++)
                check_profile(check, profiles_get(configuration->profiles, i));
        for (char **path = paths; *path; path++) {
                g_autofree char *text = NULL, *message = NULL;
                g_autoptr(ConfigFile) file = NULL;
                gsize size;
                int r;

                r = text_file_read(*path, &text, &size, &message);
                if (r >= 0)
                        r = guest_file_parse(*path, text, size, &file, &message);
                if (r < 0)
                        check_report(check, message);
                else
                        check_guest_file(check, file);
        }
}
