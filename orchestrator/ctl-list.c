/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>

#include "common/macros.h"
#include "orchestrator/ctl-bus.h"
#include "orchestrator/ctl-json.h"
#include "orchestrator/table.h"

static void print_json(const GArray *reports)
{
        g_autoptr(JsonBuilder) builder = json_builder_new();

        json_builder_begin_array(builder);
        for (guint i = 0; i < reports->len; i++) {
                json_builder_begin_object(builder);
                json_add_report(builder, &g_array_index(reports, DeviceReport, i));
                json_builder_end_object(builder);
        }
        json_builder_end_array(builder);
        json_print(builder, true);
}

static void print_table(const GArray *reports, bool color)
{
        static const char *const headings[] = { "DEVICE", "GUEST",   "TYPE", "FRONTEND",
                                                "STATE",  "PROBLEM", NULL };
        _cleanup_(table_freep) Table *table = table_new(headings);
        g_autofree char *text = NULL;

        for (guint i = 0; i < reports->len; i++) {
                const DeviceReport *report = &g_array_index(reports, DeviceReport, i);

                table_add(table, report->instance, report->domain, report->type,
                          report_is_shared(report) ? "shared" : "own", report->state,
                          report->problem);
                table_set_tone(table, 4, tone_of_state(report->state));
        }
        text = table_format(table, color);
        fputs(text, stdout);
}

int ctl_list(const Ctl *ctl)
{
        _cleanup_(ctl_devices_clear) CtlDevices devices = { 0 };
        int status = ctl_devices_get(ctl, &devices);

        if (status != CTL_OK)
                return status;
        if (ctl->json)
                print_json(devices.reports);
        else if (devices.reports->len == 0)
                puts("No devices.");
        else
                print_table(devices.reports, ctl->color);
        return CTL_OK;
}
