/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/ctl-json.h"

#include <stdio.h>

void json_add_text(JsonBuilder *builder, const char *name, const char *text)
{
        json_builder_set_member_name(builder, name);
        if (text && *text != '\0')
                json_builder_add_string_value(builder, text);
        else
                json_builder_add_null_value(builder);
}

void json_add_report(JsonBuilder *builder, const DeviceReport *report)
{
        for (size_t i = 0; i < n_report_fields; i++) {
                const ReportField *field = &report_fields[i];

                if (field->type == 's') {
                        json_add_text(builder, field->name, report_text(report, field));
                        continue;
                }
                json_builder_set_member_name(builder, field->name);
                json_builder_add_int_value(builder, (gint64)report_number(report, field));
        }
}

void json_print(JsonBuilder *builder, bool pretty)
{
        g_autoptr(JsonGenerator) generator = json_generator_new();
        g_autoptr(JsonNode) root = json_builder_get_root(builder);
        g_autofree char *text = NULL;

        json_generator_set_pretty(generator, pretty);
        json_generator_set_root(generator, root);
        text = json_generator_to_data(generator, NULL);
        puts(text);
}
