/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/unit-properties.h"

#include <glib.h>
#include <string.h>

/* One whose value is a word. Returns 1, 0 if it does not count, or a negative errno. */
static int word_read(sd_bus_message *message, const char *property, UnitStatus *status)
{
        const char *word;
        int r;

        if (strcmp(property, "ActiveState") != 0 && strcmp(property, "SubState") != 0 &&
            strcmp(property, "Result") != 0)
                return 0;
        r = sd_bus_message_read(message, "v", "s", &word);
        if (r < 0)
                return r;
        if (*property == 'A')
                status->phase = unit_phase_parse(word);
        else if (*property == 'S')
                status->lingers = unit_status_lingers(word);
        else
                g_strlcpy(status->result, word, sizeof(status->result));
        return 1;
}

static int property_read(sd_bus_message *message, UnitStatus *status)
{
        const char *property;
        int r;

        r = sd_bus_message_read(message, "s", &property);
        if (r >= 0)
                r = word_read(message, property, status);
        if (r != 0)
                return r;
        if (strcmp(property, "ExecMainCode") == 0)
                return sd_bus_message_read(message, "v", "i", &status->exit_code);
        if (strcmp(property, "ExecMainStatus") == 0)
                return sd_bus_message_read(message, "v", "i", &status->exit_status);
        return sd_bus_message_skip(message, "v");
}

int unit_properties_read(sd_bus_message *message, UnitStatus *status)
{
        int r;

        r = sd_bus_message_skip(message, "s");
        if (r >= 0)
                r = sd_bus_message_enter_container(message, 'a', "{sv}");
        while (r >= 0) {
                r = sd_bus_message_enter_container(message, 'e', "sv");
                if (r <= 0)
                        break;
                r = property_read(message, status);
                if (r >= 0)
                        r = sd_bus_message_exit_container(message);
        }
        return r;
}
