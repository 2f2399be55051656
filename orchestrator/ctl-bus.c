/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/ctl-bus.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/control.h"
#include "common/macros.h"
#include "orchestrator/report-message.h"
#include "orchestrator/systemd-bus.h"

static int no_daemon(int error)
{
        bool denied = error == -EACCES || error == -EPERM;

        fprintf(stderr, "xen-virtioctl: cannot ask xen-virtiod: %s%s\n", strerror(-error),
                denied ? "" : "; is it running?");
        return denied ? CTL_NOT_PERMITTED : CTL_NO_DAEMON;
}

int ctl_bad_answer(int error)
{
        fprintf(stderr, "xen-virtioctl: cannot read the answer of xen-virtiod: %s\n",
                strerror(-error));
        return CTL_NO_DAEMON;
}

int ctl_connect(const Ctl *ctl, sd_bus **ret_bus)
{
        _cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
        g_autofree char *path = g_build_filename(ctl->run_directory, CONTROL_SOCKET, NULL);
        g_autofree char *escaped = g_uri_escape_string(path, "/", FALSE);
        g_autofree char *address = g_strconcat("unix:path=", escaped, NULL);
        int r;

        r = sd_bus_new(&bus);
        if (r >= 0)
                r = sd_bus_set_address(bus, address);
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r < 0)
                return no_daemon(r);
        *ret_bus = steal_pointer(bus);
        return CTL_OK;
}

/* The exit status for what a call has come to. */
static int call_failed(int r, const sd_bus_error *error)
{
        if (!sd_bus_error_is_set(error) || r == -ENOTCONN || r == -ECONNRESET || r == -EPIPE ||
            r == -ETIMEDOUT)
                return no_daemon(r);
        if (sd_bus_error_has_name(error, SD_BUS_ERROR_ACCESS_DENIED)) {
                fprintf(stderr, "xen-virtioctl: %s\n", error->message);
                return CTL_NOT_PERMITTED;
        }
        fprintf(stderr, "xen-virtioctl: %s\n", error->message);
        return CTL_FAILED;
}

int ctl_call(sd_bus *bus, const char *method, sd_bus_message **ret_reply, const char *types, ...)
{
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        va_list args;
        int r;

        r = sd_bus_message_new_method_call(bus, &call, NULL, CONTROL_PATH, CONTROL_NAME, method);
        if (r >= 0) {
                va_start(args, types);
                r = sd_bus_message_appendv(call, types, args);
                va_end(args);
        }
        if (r >= 0)
                r = sd_bus_call(bus, call, 0, &error, ret_reply);
        return r < 0 ? call_failed(r, &error) : CTL_OK;
}

static gint report_compare(gconstpointer a, gconstpointer b)
{
        const DeviceReport *x = a, *y = b;

        if (x->domid != y->domid)
                return x->domid < y->domid ? -1 : 1;
        return g_strcmp0(x->instance, y->instance);
}

int ctl_devices_get(const Ctl *ctl, CtlDevices *ret_devices)
{
        _cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
        DeviceReport report;
        int r, status;

        ret_devices->reports = g_array_new(FALSE, FALSE, sizeof(DeviceReport));
        status = ctl_connect(ctl, &bus);
        if (status == CTL_OK)
                status = ctl_call(bus, "ListDevices", &ret_devices->reply, "");
        if (status != CTL_OK)
                return status;

        r = sd_bus_message_enter_container(ret_devices->reply, 'a', "a{sv}");
        while (r >= 0 && (r = report_read(ret_devices->reply, &report)) > 0)
                g_array_append_val(ret_devices->reports, report);
        if (r < 0)
                return ctl_bad_answer(r);
        g_array_sort(ret_devices->reports, report_compare);
        return CTL_OK;
}

void ctl_devices_clear(CtlDevices *devices)
{
        devices->reply = sd_bus_message_unref(devices->reply);
        g_clear_pointer(&devices->reports, g_array_unref);
}

/* Returns a copy that g_free() frees. */
static char *version_get(sd_bus *bus, const char *service, const char *path, const char *interface)
{
        _cleanup_free_ char *text = NULL;

        if (sd_bus_get_property_string(bus, service, path, interface, "Version", NULL, &text) < 0)
                return NULL;
        return g_strdup(text);
}

char *ctl_daemon_version(sd_bus *bus)
{
        return version_get(bus, NULL, CONTROL_PATH, CONTROL_NAME);
}

char *ctl_systemd_version(void)
{
        _cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
        const char *name;

        if (systemd_bus_open(&bus, &name) < 0)
                return NULL;
        return version_get(bus, name, SYSTEMD_PATH, SYSTEMD_MANAGER);
}
