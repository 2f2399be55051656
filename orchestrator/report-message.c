/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/report-message.h"

#include <glib.h>
#include <string.h>

static int field_append(sd_bus_message *message, const DeviceReport *report,
                        const ReportField *field)
{
        uint64_t number;

        if (field->type == 's') {
                /* A guest's name may be any bytes; D-Bus refuses all of a message for one of them.
                 */
                g_autofree char *text = g_utf8_make_valid(report_text(report, field), -1);

                return sd_bus_message_append(message, "{sv}", field->name, "s", text);
        }
        number = report_number(report, field);
        if (field->type == 't')
                return sd_bus_message_append(message, "{sv}", field->name, "t", number);
        return sd_bus_message_append(message, "{sv}", field->name, "u", (uint32_t)number);
}

int report_append(sd_bus_message *message, const DeviceReport *report)
{
        int r;

        r = sd_bus_message_open_container(message, 'a', "{sv}");
        for (size_t i = 0; r >= 0 && i < n_report_fields; i++)
                r = field_append(message, report, &report_fields[i]);
        return r < 0 ? r : sd_bus_message_close_container(message);
}

static const ReportField *field_find(const char *name, char type)
{
        for (size_t i = 0; i < n_report_fields; i++) {
                if (strcmp(report_fields[i].name, name) == 0 && report_fields[i].type == type)
                        return &report_fields[i];
        }
        return NULL;
}

static int field_read(sd_bus_message *message, DeviceReport *report)
{
        const ReportField *field;
        const char *name, *contents;
        char type;
        int r;

        r = sd_bus_message_read(message, "s", &name);
        if (r >= 0)
                r = sd_bus_message_peek_type(message, &type, &contents);
        if (r < 0)
                return r;
        field = contents[1] == '\0' ? field_find(name, contents[0]) : NULL;
        if (!field)
                return sd_bus_message_skip(message, "v");
        r = sd_bus_message_enter_container(message, 'v', contents);
        if (r >= 0)
                r = sd_bus_message_read_basic(message, field->type, (char *)report + field->offset);
        return r < 0 ? r : sd_bus_message_exit_container(message);
}

int report_read(sd_bus_message *message, DeviceReport *ret_report)
{
        int r;

        *ret_report = (DeviceReport){ 0 };
        r = sd_bus_message_enter_container(message, 'a', "{sv}");
        if (r <= 0)
                return r;
        while ((r = sd_bus_message_enter_container(message, 'e', "sv")) > 0) {
                r = field_read(message, ret_report);
                if (r >= 0)
                        r = sd_bus_message_exit_container(message);
                if (r < 0)
                        return r;
        }
        if (r >= 0)
                r = sd_bus_message_exit_container(message);
        return r < 0 ? r : 1;
}
