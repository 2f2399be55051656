/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The control socket of xen-virtiod, in the folder of the first argument, for the readers of the
 * second one; with devices that standard input describes, one order a line:
 *
 *     set INSTANCE DOMID DOMAIN STATE [PROBLEM]
 *
 * makes the device or changes it, and announces that; those of libxl's kind "virtio" are served by
 * a shared frontend. What it was asked to restart it prints.
 */

#include <errno.h>
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "common/device-name.h"
#include "orchestrator/control.h"
#include "orchestrator/metrics.h"

typedef struct Simulation {
        Control *control;
        GHashTable *devices; /* instance → words of its order */
        Histogram claims;
        Readers readers;
} Simulation;

static void describe(char **words, DeviceReport *ret_report)
{
        static char shared[DEVICE_INSTANCE_MAX];
        DeviceName name;
        bool is_shared = device_name_parse(words[1], &name) >= 0 && name.kind == DEVICE_KIND_VIRTIO;

        if (is_shared)
                device_name_shared(name.domid, shared);
        *ret_report = (DeviceReport){
                .instance = words[1],
                .domid = (uint32_t)g_ascii_strtoull(words[2], NULL, 10),
                .domain = words[3],
                .type = "blk",
                .device_id = 2,
                .state = words[4],
                .problem = words[5],
                .frontend = is_shared ? shared : words[1],
                .base = 0x2000000,
                .server = 1,
                .memory_kib = 196608,
                .backend_restarts = 3,
                .counters = { .requests = 70, .bad_accesses = 2, .kicks = 20, .interrupts = 19 },
        };
}

static void on_list(void *userdata, ControlVisitor *visit, void *argument)
{
        Simulation *simulation = userdata;
        GHashTableIter iter;
        char **words;

        g_hash_table_iter_init(&iter, simulation->devices);
        while (g_hash_table_iter_next(&iter, NULL, (void **)&words)) {
                DeviceReport report;

                describe(words, &report);
                visit(argument, &report);
        }
}

static void collect(void *argument, const DeviceReport *report)
{
        g_array_append_vals(argument, report, 1);
}

static char *on_metrics(void *userdata)
{
        g_autoptr(GArray) reports = g_array_new(FALSE, FALSE, sizeof(DeviceReport));
        Simulation *simulation = userdata;

        on_list(simulation, collect, reports);
        return metrics_format((const DeviceReport *)(void *)reports->data, reports->len,
                              &simulation->claims);
}

static const Readers *on_readers(void *userdata)
{
        const Simulation *simulation = userdata;

        return &simulation->readers;
}

static const char *on_status(void *userdata)
{
        const Simulation *simulation = userdata;

        return g_hash_table_size(simulation->devices) > 0 ? "devices" : "no devices";
}

static int on_restart(void *userdata, const char *instance, bool backend, bool frontend)
{
        Simulation *simulation = userdata;

        if (strcmp(instance, "9-disk-9") == 0)
                return -EBUSY;
        if (!g_hash_table_lookup(simulation->devices, instance))
                return -ENODEV;
        printf("restart %s%s%s\n", instance, backend ? " backend" : "",
               frontend ? " frontend" : "");
        fflush(stdout);
        return 0;
}

static const ControlOps ops = {
        .list = on_list,
        .metrics = on_metrics,
        .readers = on_readers,
        .status = on_status,
        .restart = on_restart,
};

static int on_input(sd_event_source *source, int fd, uint32_t events G_GNUC_UNUSED, void *userdata)
{
        Simulation *simulation = userdata;
        g_auto(GStrv) lines = NULL;
        char text[65536];
        ssize_t n = read(fd, text, sizeof(text) - 1);

        if (n <= 0)
                return sd_event_exit(sd_event_source_get_event(source), 0);
        text[n] = '\0';
        lines = g_strsplit(text, "\n", -1);
        for (unsigned int i = 0; lines[i]; i++) {
                char **words = g_strsplit(lines[i], " ", 6);
                DeviceReport report;

                if (g_strv_length(words) < 5) {
                        g_strfreev(words);
                        continue;
                }
                g_hash_table_insert(simulation->devices, g_strdup(words[1]), words);
                describe(words, &report);
                control_announce(simulation->control, &report);
        }
        return 0;
}

int main(int argc, char **argv)
{
        Simulation simulation = {
                .devices = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                                 (GDestroyNotify)g_strfreev),
        };
        sd_event *event = NULL;
        int r;

        histogram_add(&simulation.claims, 3000);
        r = readers_parse(argc > 2 ? argv[2] : "everybody", &simulation.readers);
        if (r >= 0)
                r = sd_event_new(&event);
        if (r >= 0)
                r = control_new(event, argv[1], &ops, &simulation, &simulation.control);
        if (r >= 0)
                r = sd_event_add_io(event, NULL, STDIN_FILENO, EPOLLIN, on_input, &simulation);
        if (r < 0) {
                fprintf(stderr, "cannot start: %s\n", strerror(-r));
                return EXIT_FAILURE;
        }
        puts("ready");
        fflush(stdout);
        r = sd_event_loop(event);
        control_free(simulation.control);
        sd_event_unref(event);
        g_hash_table_unref(simulation.devices);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
