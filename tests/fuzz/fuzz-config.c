/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What people may write into configuration files: anything. The first byte says which file it is.
 * Whatever is refused costs one line that begins with the file, the line and the column.
 */

#include <glib.h>
#include <stdio.h>
#include <string.h>

#include "orchestrator/discovery.h"
#include "orchestrator/guest-file.h"
#include "orchestrator/placement.h"
#include "orchestrator/settings.h"
#include "orchestrator/xl-device.h"
#include "tests/fuzz/input.h"

#define FILE_NAME "fuzz"

/* "fuzz:LINE:COLUMN: ", valid text, one line, and not without end. Takes the message over. */
static void check_message(char *message)
{
        unsigned int line = 0, column = 0;
        int length = 0;

        g_assert_nonnull(message);
        g_assert_cmpint(sscanf(message, FILE_NAME ":%u:%u: %n", &line, &column, &length), ==, 2);
        g_assert_cmpint(length, >, 0);
        g_assert_true(line >= 1 && column >= 1 && message[length] != '\0');
        for (const char *c = message; *c != '\0'; c++)
                g_assert_false(g_ascii_iscntrl(*c));
        g_assert_true(g_utf8_validate(message, -1, NULL));
        g_assert_cmpuint(strlen(message), <, 600);
        g_free(message);
}

static void check_profile(Profile *profile)
{
        if (profile && profile->problem) {
                check_message(g_steal_pointer(&profile->problem));
        } else if (profile) {
                g_assert_true(profile->device_id >= 1 && profile->device_id <= 63);
                g_assert_true(profile->command[0][0] == '/');
                g_assert_cmpuint(profile->n_options, <=, PROFILE_OPTIONS_MAX);
        }
        profile_free(profile);
}

static void check_guest_file(const char *text, size_t size)
{
        g_autoptr(ConfigFile) file = NULL;
        const ConfigSection *section;
        DeviceSpec spec = { .name = { 5, DEVICE_KIND_VIRTIO, 1 }, .device_id = 1 };
        char *message = NULL;

        if (guest_file_parse(FILE_NAME, text, size, &file, &message) < 0)
                check_message(message);
        else if (guest_file_find(file, &spec, -1, &section, &message) < 0)
                check_message(message);
}

static void check_settings(const char *text, size_t size)
{
        Settings settings = settings_default();
        char *message = NULL;

        if (settings_parse(FILE_NAME, text, size, &settings, &message) < 0)
                check_message(message);
        g_assert_cmpuint(settings.reserved_servers, <=, RESERVED_SERVERS_MAX);
}

static void check_xl_config(const char *text, size_t size)
{
        g_autoptr(GPtrArray) devices = NULL;
        g_autoptr(XlConfig) config = NULL;
        char *message = NULL;

        if (xl_config_parse(FILE_NAME, text, size, &config, &message) < 0 ||
            xl_devices_read(config, &devices, &message) < 0) {
                check_message(message);
                return;
        }
        for (unsigned int i = 0; i < devices->len; i++) {
                XlDevice *device = devices->pdata[i];

                g_assert_true(!device->spec != !device->problem);
                if (device->problem)
                        check_message(g_steal_pointer(&device->problem));
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
        const char *text = (const char *)bytes + 1;

        if (size == 0)
                return 0;
        switch (*bytes) {
        case 'p':
                check_profile(profile_parse(FILE_NAME, text, size - 1));
                break;
        case 'j':
                check_profile(discovery_parse(FILE_NAME, text, size - 1));
                break;
        case 'g':
                check_guest_file(text, size - 1);
                break;
        case 's':
                check_settings(text, size - 1);
                break;
        default:
                check_xl_config(text, size - 1);
        }
        return 0;
}
