/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/sandbox-setting.h"

#include <glib.h>
#include <string.h>

#include "orchestrator/dropin.h"

/*
 * Of systemd.exec(5) and systemd.resource-control(5). systemd takes quotes in lists of paths; where
 * it takes one path, they would belong to it.
 */
static const struct {
        const char *name;
        bool quotes;
} settings[] = {
        { "AmbientCapabilities", false },
        { "BindPaths", true },
        { "BindReadOnlyPaths", true },
        { "CapabilityBoundingSet", false },
        { "DeviceAllow", false },
        { "DynamicUser", false },
        { "IPAddressAllow", false },
        { "IPAddressDeny", false },
        { "InaccessiblePaths", true },
        { "LimitNOFILE", false },
        { "MemoryMax", false },
        { "NetworkNamespacePath", false },
        { "PrivateDevices", false },
        { "PrivateNetwork", false },
        { "PrivatePIDs", false },
        { "PrivateTmp", false },
        { "PrivateUsers", false },
        { "ProcSubset", false },
        { "ProtectHome", false },
        { "RestrictAddressFamilies", false },
        { "RestrictNamespaces", false },
        { "RestrictSUIDSGID", false },
        { "SupplementaryGroups", true },
        { "SystemCallFilter", false },
        { "TasksMax", false },
        { "TemporaryFileSystem", true },
        { "User", false },
};
_Static_assert(ARRAY_SIZE(settings) <= SANDBOX_SETTINGS_MAX, "a place for each directive");

int sandbox_setting_find(const char *name)
{
        for (unsigned int i = 0; i < ARRAY_SIZE(settings); i++) {
                if (strcmp(settings[i].name, name) == 0)
                        return (int)i;
        }
        return -1;
}

const char *sandbox_setting_name(unsigned int setting)
{
        return settings[setting].name;
}

static void append_word(GString *out, const char *expanded, bool quoted)
{
        if (out->len > 0)
                g_string_append_c(out, ' ');
        if (quoted) {
                dropin_append_quoted(out, expanded);
                return;
        }
        for (; *expanded != '\0'; expanded++) {
                if (*expanded == '%')
                        g_string_append_c(out, '%');
                g_string_append_c(out, *expanded);
        }
}

int sandbox_setting_expand(unsigned int setting, const char *value, const Variable *variables,
                           size_t n_variables, char **ret_text, char **ret_message)
{
        g_auto(GStrv) words = g_strsplit_set(value, " \t", -1);
        g_autoptr(GString) out = g_string_new(NULL);

        for (char **word = words; *word; word++) {
                g_autofree char *expanded = NULL;
                int r;

                if (**word == '\0')
                        continue;
                r = expand(*word, variables, n_variables, &expanded, ret_message);
                if (r < 0)
                        return r;
                if (r != EXPAND_LEFT_OUT)
                        append_word(out, expanded, settings[setting].quotes && strstr(*word, "%{"));
        }
        *ret_text = g_string_free(g_steal_pointer(&out), FALSE);
        return 0;
}
