/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/control.h"
#include "common/macros.h"
#include "orchestrator/ctl-bus.h"
#include "orchestrator/ctl-json.h"
#include "orchestrator/report-message.h"
#include "orchestrator/table.h"

/* A line can be no wider than the next one, which is not known yet: room for what is common. */
#define DEVICE_WIDTH 20
#define GUEST_WIDTH  16
#define STATE_WIDTH  8

static void print_json(const DeviceReport *report, const char *now)
{
        g_autoptr(JsonBuilder) builder = json_builder_new();

        json_builder_begin_object(builder);
        json_add_text(builder, "time", now);
        json_add_report(builder, report);
        json_builder_end_object(builder);
        json_print(builder, false);
}

static void print_line(const DeviceReport *report, const char *now, bool color)
{
        g_autofree char *guest = text_printable(report->domain ? report->domain : "-");
        g_autofree char *problem = text_printable(report->problem ? report->problem : "");
        g_autofree char *device = text_printable(report->instance ? report->instance : "-");
        g_autofree char *state = text_printable(report->state ? report->state : "-");
        g_autofree char *padded = g_strdup_printf("%-*s", STATE_WIDTH, state);
        g_autofree char *shown = tone_text(padded, tone_of_state(state), color);

        printf("%s  %-*s  %-*s  %s%s%s\n", now, DEVICE_WIDTH, device, GUEST_WIDTH, guest, shown,
               *problem != '\0' ? "  " : "", problem);
}

typedef struct Listener {
        const Ctl *ctl;
        bool broken; /* nobody takes our output any more */
} Listener;

static int on_changed(sd_bus_message *signal, void *userdata, sd_bus_error *error _unused_)
{
        g_autoptr(GDateTime) now = g_date_time_new_now_local();
        Listener *listener = userdata;
        const Ctl *ctl = listener->ctl;
        g_autofree char *time = NULL;
        DeviceReport report;
        int r;

        r = report_read(signal, &report);
        if (r < 0)
                ctl_bad_answer(r);
        if (r <= 0)
                return 0;
        time = g_date_time_format(now, ctl->json ? "%Y-%m-%dT%H:%M:%S.%f%:z" : "%H:%M:%S.%f");
        if (ctl->json)
                print_json(&report, time);
        else
                print_line(&report, time, ctl->color);
        /* Whoever reads along sees it now. */
        listener->broken = fflush(stdout) != 0;
        return 0;
}

/* Goes on until the connection or the output ends. Returns why. */
static int serve(sd_bus *bus, const Listener *listener)
{
        int r;

        do {
                r = sd_bus_process(bus, NULL);
                if (r == 0)
                        r = sd_bus_wait(bus, UINT64_MAX);
        } while ((r >= 0 || r == -EINTR) && !listener->broken);
        return listener->broken ? -EPIPE : r;
}

int ctl_events(const Ctl *ctl)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
        Listener listener = { .ctl = ctl };
        int r, status;

        status = ctl_connect(ctl, &bus);
        if (status != CTL_OK)
                return status;
        r = sd_bus_match_signal(bus, NULL, NULL, CONTROL_PATH, CONTROL_NAME, "DeviceChanged",
                                on_changed, &listener);
        /* Signals are not refused: who may not look would wait for ever. */
        if (r >= 0) {
                status = ctl_call(bus, "ListDevices", &reply, "");
                if (status != CTL_OK)
                        return status;
        }
        if (r >= 0)
                r = serve(bus, &listener);
        if (listener.broken)
                return CTL_FAILED;
        fprintf(stderr, "xen-virtioctl: xen-virtiod has hung up: %s\n", strerror(-r));
        return CTL_NO_DAEMON;
}
