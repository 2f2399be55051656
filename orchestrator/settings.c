/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/settings.h"

#include <errno.h>
#include <string.h>

#include "common/parse.h"
#include "orchestrator/config-file.h"
#include "orchestrator/placement.h"
#include "orchestrator/text-file.h"

#define SECTION              "Daemon"
#define KEY_RESERVED_SERVERS "ReservedServers"
#define KEY_READERS          "Readers"

Settings settings_default(void)
{
        return (Settings){ .reserved_servers = RESERVED_SERVERS_DEFAULT };
}

static int read_reserved_servers(const char *path, const ConfigEntry *entry, Settings *settings,
                                 char **ret_message)
{
        uint64_t number;

        if (parse_unsigned(entry->value, RESERVED_SERVERS_MAX, &number) < 0) {
                *ret_message = position_message(path, entry->value_at,
                                                "%s: \"%s\" is no number from 0 to %u", entry->key,
                                                entry->value, RESERVED_SERVERS_MAX);
                return -EINVAL;
        }
        settings->reserved_servers = (unsigned int)number;
        return 0;
}

static int read_readers(const char *path, const ConfigEntry *entry, Settings *settings,
                        char **ret_message)
{
        if (readers_parse(entry->value, &settings->readers) < 0) {
                *ret_message = position_message(
                        path, entry->value_at,
                        "%s: \"%s\" is neither \"everybody\" nor \"root\" nor a group", entry->key,
                        entry->value);
                return -EINVAL;
        }
        return 0;
}

static int read_entry(const char *path, const ConfigEntry *entry, Settings *settings,
                      char **ret_message)
{
        if (strcmp(entry->key, KEY_RESERVED_SERVERS) == 0)
                return read_reserved_servers(path, entry, settings, ret_message);
        if (strcmp(entry->key, KEY_READERS) == 0)
                return read_readers(path, entry, settings, ret_message);
        *ret_message = position_message(path, entry->key_at, "%s: unknown key", entry->key);
        return -EINVAL;
}

int settings_parse(const char *path, const char *text, gsize size, Settings *settings,
                   char **ret_message)
{
        g_autoptr(ConfigFile) file = NULL;
        Settings read = *settings;
        int r;

        r = config_file_parse(path, text, size, &file, ret_message);
        for (unsigned int i = 0; r >= 0 && i < file->sections->len; i++) {
                const ConfigSection *section = file->sections->pdata[i];

                if (strcmp(section->name, SECTION) != 0) {
                        *ret_message = position_message(path, section->at, "%s: unknown section",
                                                        section->name);
                        return -EINVAL;
                }
                for (unsigned int j = 0; r >= 0 && j < section->entries->len; j++)
                        r = read_entry(path, section->entries->pdata[j], &read, ret_message);
        }
        if (r >= 0)
                *settings = read;
        return r;
}

int settings_read(const char *const *folders, Settings *settings, char **ret_message)
{
        g_autofree char *path = text_file_find(folders, SETTINGS_FILE), *text = NULL;
        gsize size;
        int r;

        if (!path)
                return 0;
        r = text_file_read(path, &text, &size, ret_message);
        return r < 0 ? r : settings_parse(path, text, size, settings, ret_message);
}
