/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>
#include <stdio.h>

#include "common/device-name.h"
#include "common/macros.h"
#include "orchestrator/ctl-bus.h"
#include "orchestrator/ctl-json.h"
#include "orchestrator/table.h"

static void print_line(const char *name, const char *format, ...) _printf_(2, 3);
static void print_line(const char *name, const char *format, ...)
{
        g_autofree char *text = NULL, *shown = NULL;
        va_list args;

        va_start(args, format);
        text = g_strdup_vprintf(format, args);
        va_end(args);
        shown = text_printable(text);
        printf("%13s%s %s\n", name, *name != '\0' ? ":" : " ", shown);
}

static void print_state(const DeviceReport *report, bool color)
{
        g_autofree char *state = text_printable(report->state ? report->state : "-");
        g_autofree char *shown = tone_text(state, tone_of_state(state), color);

        printf("%13s: %s\n", "State", shown);
        if (report->problem && *report->problem != '\0')
                print_line("Problem", "%s", report->problem);
        if (report->retry_msec > 0)
                print_line("Next try", "in %" PRIu64 ".%" PRIu64 " s", report->retry_msec / 1000,
                           report->retry_msec % 1000 / 100);
        if (report->outdated)
                print_line("Configuration", "differs from what the backend was started with; "
                                            "takes a restart of it");
}

static void print_counters(const DeviceReport *report)
{
        const Counters *counters = &report->counters;

        print_line("Restarts", "backend %" PRIu32 ", frontend %" PRIu32, report->backend_restarts,
                   report->frontend_restarts);
        if (counters->losses > 0)
                print_line("Backend lost", "%" PRIu64 " time%s", counters->losses,
                           counters->losses == 1 ? "" : "s");
        print_line("Accesses", "%" PRIu64 ", of which bad %" PRIu64, counters->requests,
                   counters->bad_accesses);
        print_line("Notifications", "%" PRIu64 " kicks, %" PRIu64 " interrupts by the frontend",
                   counters->kicks, counters->interrupts);
        if (counters->dropped_lines > 0)
                print_line("Not logged", "%" PRIu64 " lines", counters->dropped_lines);
}

static void print_units(const DeviceReport *report)
{
        char frontend[DEVICE_UNIT_MAX], backend[DEVICE_UNIT_MAX];
        DeviceName name;

        if (!report->instance || device_name_parse(report->instance, &name) < 0)
                return;
        device_name_backend_unit(&name, backend);
        if (report_is_shared(report))
                device_name_shared_unit(name.domid, frontend);
        else
                device_name_frontend_unit(&name, frontend);
        print_line("Units", "%s%s", frontend,
                   report_is_shared(report) ? ", shared with other devices" : "");
        print_line("", "%s", backend);
        print_line("Journal", "journalctl VIRTIO_DEVICE=%s", report->instance);
}

static void print_details(const DeviceReport *report, bool color)
{
        print_line("Device", "%s", report->instance);
        print_line("Guest", "%s (domain %" PRIu32 ")", report->domain ? report->domain : "-",
                   report->domid);
        print_line("Type", "%s (virtio device id %" PRIu32 ")", report->type, report->device_id);
        print_state(report, color);
        print_line("MMIO", "%#" PRIx64 ", IOREQ server %" PRIu32, report->base, report->server);
        print_counters(report);
        print_units(report);
}

static void print_json(const DeviceReport *report)
{
        g_autoptr(JsonBuilder) builder = json_builder_new();

        json_builder_begin_array(builder);
        json_builder_begin_object(builder);
        json_add_report(builder, report);
        json_builder_end_object(builder);
        json_builder_end_array(builder);
        json_print(builder, true);
}

int ctl_show(const Ctl *ctl)
{
        _cleanup_(ctl_devices_clear) CtlDevices devices = { 0 };
        int status = ctl_devices_get(ctl, &devices);

        if (status != CTL_OK)
                return status;
        for (guint i = 0; i < devices.reports->len; i++) {
                const DeviceReport *report = &g_array_index(devices.reports, DeviceReport, i);

                if (g_strcmp0(report->instance, ctl->argument) != 0)
                        continue;
                if (ctl->json)
                        print_json(report);
                else
                        print_details(report, ctl->color);
                return CTL_OK;
        }
        fprintf(stderr, "xen-virtioctl: no device %s, see xen-virtioctl list\n", ctl->argument);
        return CTL_FAILED;
}
