/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* xen-virtioctl: shows what xen-virtiod serves. See xen-virtioctl(1). */

#include <errno.h>
#include <glib.h>
#include <inttypes.h>
#include <json-glib/json-glib.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-bus.h>

#include "common/control.h"
#include "common/device-name.h"
#include "common/device-type.h"
#include "orchestrator/ctl-check.h"
#include "orchestrator/paths.h"

enum {
        EXIT_OK = 0,
        EXIT_NO_DEVICE = 1,
        EXIT_WRONG_USAGE = 2,
        EXIT_NO_DAEMON = 3,
};

/* A device as the daemon told of it; the texts belong to the reply. */
typedef struct Row {
        const char *instance, *domain, *state, *error;
        uint32_t domid, device_id, server;
        uint64_t base;
} Row;

static char *type_name(const Row *row)
{
        const DeviceType *type = device_type_find(row->device_id);

        return type->name ? g_strdup(type->name) : g_strdup_printf("%" PRIu32, row->device_id);
}

/* Returns 0 with a reply that is positioned in its array of devices, or a negative errno. */
static int devices_get(sd_bus **ret_bus, sd_bus_message **ret_reply)
{
        _cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
        int r;

        r = sd_bus_new(&bus);
        if (r >= 0)
                r = sd_bus_set_address(bus, "unix:path=" RUN_DIRECTORY "/" CONTROL_SOCKET);
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r >= 0)
                r = sd_bus_call_method(bus, NULL, CONTROL_PATH, CONTROL_NAME, "ListDevices", NULL,
                                       ret_reply, NULL);
        if (r >= 0)
                r = sd_bus_message_enter_container(*ret_reply, 'a', CONTROL_DEVICE);
        if (r < 0)
                return r;
        *ret_bus = steal_pointer(bus);
        return 0;
}

/* Returns 1 with a device, 0 at the end, or a negative errno. */
static int device_next(sd_bus_message *reply, Row *ret_row)
{
        return sd_bus_message_read(reply, CONTROL_DEVICE, &ret_row->instance, &ret_row->domid,
                                   &ret_row->domain, &ret_row->device_id, &ret_row->state,
                                   &ret_row->base, &ret_row->server, &ret_row->error);
}

static void row_print_table(const Row *row, bool first)
{
        g_autofree char *type = type_name(row);

        if (first)
                printf("%-24s %-16s %-6s %-9s %s\n", "DEVICE", "GUEST", "TYPE", "STATE", "PROBLEM");
        printf("%-24s %-16s %-6s %-9s %s\n", row->instance, row->domain, type, row->state,
               *row->error ? row->error : "-");
}

static void row_print_details(const Row *row)
{
        g_autofree char *type = type_name(row);
        char frontend[DEVICE_UNIT_MAX], backend[DEVICE_UNIT_MAX];
        DeviceName name;

        printf("      Device: %s\n"
               "       Guest: %s (domain %" PRIu32 ")\n"
               "        Type: %s (virtio device id %" PRIu32 ")\n"
               "       State: %s\n",
               row->instance, row->domain, row->domid, type, row->device_id, row->state);
        if (*row->error)
                printf("     Problem: %s\n", row->error);
        printf("        MMIO: %#" PRIx64 ", IOREQ server %" PRIu32 "\n", row->base, row->server);
        if (device_name_parse(row->instance, &name) < 0)
                return;
        device_name_frontend_unit(&name, frontend);
        device_name_backend_unit(&name, backend);
        printf("       Units: %s\n"
               "              %s\n"
               "     Journal: journalctl VIRTIO_DEVICE=%s\n",
               frontend, backend, row->instance);
}

static void row_add_json(const Row *row, JsonBuilder *builder)
{
        g_autofree char *type = type_name(row);

        json_builder_begin_object(builder);
        json_builder_set_member_name(builder, "device");
        json_builder_add_string_value(builder, row->instance);
        json_builder_set_member_name(builder, "domid");
        json_builder_add_int_value(builder, row->domid);
        json_builder_set_member_name(builder, "domain");
        json_builder_add_string_value(builder, row->domain);
        json_builder_set_member_name(builder, "type");
        json_builder_add_string_value(builder, type);
        json_builder_set_member_name(builder, "state");
        json_builder_add_string_value(builder, row->state);
        json_builder_set_member_name(builder, "base");
        json_builder_add_int_value(builder, (gint64)row->base);
        json_builder_set_member_name(builder, "ioreq-server");
        json_builder_add_int_value(builder, row->server);
        json_builder_set_member_name(builder, "problem");
        if (*row->error)
                json_builder_add_string_value(builder, row->error);
        else
                json_builder_add_null_value(builder);
        json_builder_end_object(builder);
}

static void json_print(JsonBuilder *builder)
{
        g_autoptr(JsonGenerator) generator = json_generator_new();
        g_autoptr(JsonNode) root = json_builder_get_root(builder);
        g_autofree char *text = NULL;

        json_generator_set_pretty(generator, true);
        json_generator_set_root(generator, root);
        text = json_generator_to_data(generator, NULL);
        puts(text);
}

/* Shows all devices, or the one that is named. Returns the exit status. */
static int devices_show(const char *only, bool json)
{
        _cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        g_autoptr(JsonBuilder) builder = json_builder_new();
        unsigned int n = 0;
        Row row;
        int r;

        r = devices_get(&bus, &reply);
        if (r < 0) {
                fprintf(stderr, "xen-virtioctl: cannot ask xen-virtiod: %s\n", strerror(-r));
                return EXIT_NO_DAEMON;
        }
        json_builder_begin_array(builder);
        while ((r = device_next(reply, &row)) > 0) {
                if (only && strcmp(only, row.instance) != 0)
                        continue;
                if (json)
                        row_add_json(&row, builder);
                else if (only)
                        row_print_details(&row);
                else
                        row_print_table(&row, n == 0);
                n++;
        }
        json_builder_end_array(builder);
        if (json)
                json_print(builder);
        if (only && n == 0) {
                fprintf(stderr, "xen-virtioctl: no device %s, see xen-virtioctl list\n", only);
                return EXIT_NO_DEVICE;
        }
        if (!json && n == 0)
                puts("No devices.");
        return r < 0 ? EXIT_NO_DAEMON : EXIT_OK;
}

int main(int argc, char **argv)
{
        g_autoptr(GOptionContext) context = g_option_context_new("list | show DEVICE | check");
        g_autoptr(GError) error = NULL;
        gboolean json = FALSE, version = FALSE;
        const GOptionEntry entries[] = {
                { "json", 0, 0, G_OPTION_ARG_NONE, &json, "Output for programs", NULL },
                { "version", 0, 0, G_OPTION_ARG_NONE, &version, "Show the version and exit", NULL },
                { NULL },
        };

        if (argc > 1 && strcmp(argv[1], "check") == 0)
                return ctl_check(argc - 1, argv + 1);
        g_option_context_set_summary(context, "Shows the virtio devices that xen-virtiod serves.");
        g_option_context_add_main_entries(context, entries, NULL);
        if (!g_option_context_parse(context, &argc, &argv, &error)) {
                fprintf(stderr, "xen-virtioctl: %s\n", error->message);
                return EXIT_WRONG_USAGE;
        }
        if (version) {
                puts("xen-virtioctl " VERSION);
                return EXIT_OK;
        }
        if (argc == 2 && strcmp(argv[1], "list") == 0)
                return devices_show(NULL, json);
        if (argc == 3 && strcmp(argv[1], "show") == 0)
                return devices_show(argv[2], json);
        fputs("xen-virtioctl: list, or show DEVICE? See xen-virtioctl --help\n", stderr);
        return EXIT_WRONG_USAGE;
}
