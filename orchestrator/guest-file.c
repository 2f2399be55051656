/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/guest-file.h"

#include <errno.h>
#include <string.h>

#include "common/device-id.h"
#include "common/parse.h"
#include "orchestrator/text-file.h"

#define SUFFIX ".conf"

/* More devices than any toolstack has addresses for. */
#define ORDER_MAX 1023

/* "virtio-3", "disk-51712". */
static int parse_devid(const char *heading, GuestSelector *ret_selector)
{
        for (DeviceKind kind = 0; kind < _DEVICE_KIND_MAX; kind++) {
                const char *word = device_kind_name(kind);
                uint64_t devid;

                if (!g_str_has_prefix(heading, word) || heading[strlen(word)] != '-')
                        continue;
                if (parse_unsigned(heading + strlen(word) + 1, UINT32_MAX, &devid) < 0)
                        return -EINVAL;
                *ret_selector = (GuestSelector){ .kind = kind, .devid = (uint32_t)devid };
                return 0;
        }
        return -EINVAL;
}

int guest_selector_parse(const char *heading, GuestSelector *ret_selector)
{
        const char *dot = strchr(heading, '.');
        g_autofree char *type = g_strndup(heading, dot ? (gsize)(dot - heading) : strlen(heading));
        GuestSelector selector = { .device_id = device_id_parse(type), .order = -1 };
        uint64_t order;

        if (selector.device_id == 0)
                return parse_devid(heading, ret_selector);
        if (dot) {
                if (parse_unsigned(dot + 1, ORDER_MAX, &order) < 0)
                        return -EINVAL;
                selector.order = (int)order;
        }
        *ret_selector = selector;
        return 0;
}

/* The same device under another heading ("fs", "26") would be a matter of luck. */
static bool selector_is_new(const ConfigFile *file, unsigned int index,
                            const GuestSelector *selector)
{
        for (unsigned int i = 0; i < index; i++) {
                const ConfigSection *section = file->sections->pdata[i];
                GuestSelector other;

                if (guest_selector_parse(section->name, &other) >= 0 &&
                    other.device_id == selector->device_id && other.order == selector->order &&
                    other.kind == selector->kind && other.devid == selector->devid)
                        return false;
        }
        return true;
}

int guest_file_parse(const char *path, const char *text, gsize size, ConfigFile **ret_file,
                     char **ret_message)
{
        g_autoptr(ConfigFile) file = NULL;
        int r;

        r = config_file_parse(path, text, size, &file, ret_message);
        if (r < 0)
                return r;
        for (unsigned int i = 0; i < file->sections->len; i++) {
                const ConfigSection *section = file->sections->pdata[i];
                GuestSelector selector;
                const char *reason = NULL;

                if (guest_selector_parse(section->name, &selector) < 0)
                        reason = "is neither TYPE, TYPE.N, virtio-DEVID nor disk-DEVID";
                else if (!selector_is_new(file, i, &selector))
                        reason = "means the same as another section";
                if (!reason)
                        continue;
                *ret_message =
                        position_message(path, section->at, "[%s] %s", section->name, reason);
                return -EINVAL;
        }
        *ret_file = g_steal_pointer(&file);
        return 0;
}

/* A domain's name is anything; one that is no file's name has no file. */
static char *find_file(const char *const *folders, const char *name)
{
        g_autofree char *file = g_strconcat(name, SUFFIX, NULL);

        return *name == '.' || strchr(name, '/') ? NULL : text_file_find(folders, file);
}

int guest_file_read(const char *const *folders, const char *domain, const char *uuid,
                    ConfigFile **ret_file, char **ret_message)
{
        g_autofree char *path = find_file(folders, uuid);
        g_autofree char *text = NULL;
        gsize size;
        int r;

        if (!path)
                path = find_file(folders, domain);
        if (!path)
                return 1;
        r = text_file_read(path, &text, &size, ret_message);
        if (r < 0)
                return r;
        return guest_file_parse(path, text, size, ret_file, ret_message);
}

/* How much the selector says about which device it means; 0: not this one. */
static int selector_match(const GuestSelector *selector, const DeviceSpec *spec, int order)
{
        if (selector->device_id == 0)
                return selector->kind == spec->name.kind && selector->devid == spec->name.devid ? 3
                                                                                                : 0;
        if (selector->device_id != spec->device_id)
                return 0;
        if (selector->order < 0)
                return 1;
        return selector->order == order ? 2 : 0;
}

bool guest_section_is_for(const ConfigSection *section, const DeviceSpec *spec, int order)
{
        GuestSelector selector;

        return guest_selector_parse(section->name, &selector) >= 0 &&
               selector_match(&selector, spec, order) > 0;
}

int guest_file_find(const ConfigFile *file, const DeviceSpec *spec, int order,
                    const ConfigSection **ret_section, char **ret_message)
{
        const ConfigSection *best_section = NULL, *ordered = NULL;
        int best = 0;

        for (unsigned int i = 0; i < file->sections->len; i++) {
                const ConfigSection *section = file->sections->pdata[i];
                GuestSelector selector;
                int match;

                if (guest_selector_parse(section->name, &selector) < 0)
                        continue;
                if (selector.device_id == spec->device_id && selector.order >= 0)
                        ordered = section;
                match = selector_match(&selector, spec, order);
                if (match > best) {
                        best = match;
                        best_section = section;
                }
        }
        /* To take the settings of the type, or of another device, would be a guess. */
        if (ordered && order < 0 && best < 3 && spec->name.kind == DEVICE_KIND_VIRTIO) {
                *ret_message = position_message(
                        file->path, ordered->at,
                        "[%s] cannot be told from others while nodes of the guest's make no sense",
                        ordered->name);
                return -EINVAL;
        }
        *ret_section = best_section;
        return 0;
}
