/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The part of systemd that xen-virtiod uses, on a socket: units that start and stop after a while,
 * and no processes. Arguments: the socket. Standard input has orders, one a line:
 *
 *     latency MSEC      how long a start or stop takes from now on
 *     break PATTERN     units of that pattern fail when they start, from now on; "-" is none
 *     kill UNIT         the unit's process dies; a frontend then lingers, as Restart= has it
 *     stop UNIT         as "systemctl stop" does it
 *     away MSEC         all connections end, and nobody listens for a while: systemd is upgraded
 *     away until-back   likewise, until it is told to be
 *     back now          it is
 *
 * Standard output tells each new state of a unit: its name, the state, CLOCK_MONOTONIC in usec.
 */

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>
#include <systemd/sd-id128.h>
#include <unistd.h>

#include "common/macros.h"
#include "orchestrator/clock.h"

#define MANAGER_PATH   "/org/freedesktop/systemd1"
#define MANAGER_NAME   "org.freedesktop.systemd1.Manager"
#define UNIT_PREFIX    "/org/freedesktop/systemd1/unit"
#define UNIT_NAME      "org.freedesktop.systemd1.Unit"
#define SERVICE_NAME   "org.freedesktop.systemd1.Service"
#define PROPERTIES     "org.freedesktop.DBus.Properties"
#define SERVICE_SUFFIX ".service"
#define SLICE_SUFFIX   ".slice"

#define FRONTEND_PREFIX "xen-virtio-frontend@"

typedef struct Simulation {
        sd_event *event;
        const char *path;
        sd_event_source *listener;
        GPtrArray *buses;  /* of sd_bus */
        GHashTable *units; /* name → Unit; what is inactive is not there */
        uint64_t latency_usec;
        char *breaking;
        unsigned int n_jobs;
} Simulation;

typedef struct Unit {
        Simulation *simulation;
        char *name;
        const char *state;
        bool lingers; /* "activating", in the sub-state "auto-restart", for as long as it takes */
        char *job;    /* of what is under way */
        sd_event_source *timer;
} Unit;

static void listener_open(Simulation *simulation);

static void unit_free(void *data)
{
        Unit *unit = data;

        sd_event_source_disable_unref(unit->timer);
        g_free(unit->name);
        g_free(unit->job);
        g_free(unit);
}

/* "xen-virtio-backend@5-disk-1.service" is in "xen-virtio-5-disk-1.slice" and in all above it. */
static bool unit_is_in(const char *name, const char *slice)
{
        const char *instance = strchr(name, '@');
        g_autofree char *own = NULL;
        size_t length = strlen(slice) - strlen(SLICE_SUFFIX);

        if (!instance)
                return false;
        own = g_strdup_printf("xen-virtio-%.*s", (int)strcspn(instance + 1, "."), instance + 1);
        return strncmp(own, slice, length) == 0 && (own[length] == '\0' || own[length] == '-');
}

static bool is_slice(const char *name)
{
        return g_str_has_suffix(name, SLICE_SUFFIX);
}

static const char *sub_state(const Unit *unit)
{
        return unit->lingers ? "auto-restart" : "";
}

static void tell_properties(const Unit *unit, const char *result, int code, int status)
{
        _cleanup_(freep) char *path = NULL;

        sd_bus_path_encode(UNIT_PREFIX, unit->name, &path);
        for (unsigned int i = 0; i < unit->simulation->buses->len; i++) {
                sd_bus *bus = unit->simulation->buses->pdata[i];

                if (result)
                        sd_bus_emit_signal(bus, path, PROPERTIES, "PropertiesChanged", "sa{sv}as",
                                           SERVICE_NAME, 4, "MainPID", "u", 0, "Result", "s",
                                           result, "ExecMainCode", "i", code, "ExecMainStatus", "i",
                                           status, 0);
                sd_bus_emit_signal(bus, path, PROPERTIES, "PropertiesChanged", "sa{sv}as",
                                   UNIT_NAME, 2, "ActiveState", "s", unit->state, "SubState", "s",
                                   sub_state(unit), 0);
        }
}

static void unit_set_state(Unit *unit, const char *state, const char *result, int code, int status)
{
        unit->state = state;
        unit->lingers = strcmp(state, "activating") == 0 && result;
        printf("%s %s %" PRIu64 "\n", unit->name, unit->lingers ? sub_state(unit) : state,
               clock_now_usec());
        fflush(stdout);
        tell_properties(unit, result, code, status);
}

static void unit_end_job(Unit *unit, const char *result)
{
        if (!unit->job)
                return;
        for (unsigned int i = 0; i < unit->simulation->buses->len; i++)
                sd_bus_emit_signal(unit->simulation->buses->pdata[i], MANAGER_PATH, MANAGER_NAME,
                                   "JobRemoved", "uoss", 1, unit->job, unit->name, result);
        g_clear_pointer(&unit->job, g_free);
}

/* What is inactive is forgotten at once. */
static void unit_forget(Unit *unit)
{
        Simulation *simulation = unit->simulation;
        _cleanup_(freep) char *path = NULL;

        sd_bus_path_encode(UNIT_PREFIX, unit->name, &path);
        for (unsigned int i = 0; i < simulation->buses->len; i++)
                sd_bus_emit_signal(simulation->buses->pdata[i], MANAGER_PATH, MANAGER_NAME,
                                   "UnitRemoved", "so", unit->name, path);
        g_hash_table_remove(simulation->units, unit->name);
}

static int unit_on_started(sd_event_source *source G_GNUC_UNUSED, uint64_t usec G_GNUC_UNUSED,
                           void *userdata)
{
        Unit *unit = userdata;
        const char *pattern = unit->simulation->breaking;

        if (pattern && g_pattern_match_simple(pattern, unit->name)) {
                unit_set_state(unit, "failed", "exit-code", CLD_EXITED, 1);
                unit_end_job(unit, "failed");
                unit_forget(unit);
                return 0;
        }
        unit_set_state(unit, "active", "success", 0, 0);
        unit_end_job(unit, "done");
        return 0;
}

static int unit_on_stopped(sd_event_source *source G_GNUC_UNUSED, uint64_t usec G_GNUC_UNUSED,
                           void *userdata)
{
        Unit *unit = userdata;

        unit_set_state(unit, "inactive", "success", CLD_EXITED, 0);
        unit_end_job(unit, "done");
        unit_forget(unit);
        return 0;
}

static void unit_set_timer(Unit *unit, sd_event_time_handler_t handler)
{
        Simulation *simulation = unit->simulation;

        unit->timer = sd_event_source_disable_unref(unit->timer);
        sd_event_add_time(simulation->event, &unit->timer, CLOCK_MONOTONIC,
                          clock_now_usec() + simulation->latency_usec, 1, handler, unit);
}

static Unit *unit_get(Simulation *simulation, const char *name)
{
        Unit *unit = g_hash_table_lookup(simulation->units, name);

        if (unit)
                return unit;
        unit = g_new0(Unit, 1);
        unit->simulation = simulation;
        unit->name = g_strdup(name);
        unit->state = "inactive";
        g_hash_table_insert(simulation->units, unit->name, unit);
        return unit;
}

/* A slice is up as soon as something in it starts. */
static void slice_start(Simulation *simulation, const char *service)
{
        const char *instance = strchr(service, '@');
        g_autofree char *name = NULL;
        Unit *slice;

        if (!instance)
                return;
        name = g_strdup_printf("xen-virtio-%.*s" SLICE_SUFFIX, (int)strcspn(instance + 1, "."),
                               instance + 1);
        slice = unit_get(simulation, name);
        if (strcmp(slice->state, "active") == 0)
                return;
        /* It takes the place of a stop that is not over. */
        slice->timer = sd_event_source_disable_unref(slice->timer);
        unit_end_job(slice, "canceled");
        unit_set_state(slice, "active", NULL, 0, 0);
}

static const char *unit_new_job(Unit *unit)
{
        unit_end_job(unit, "canceled");
        unit->job = g_strdup_printf("/org/freedesktop/systemd1/job/%u", ++unit->simulation->n_jobs);
        return unit->job;
}

static void unit_start(Unit *unit)
{
        if (strcmp(unit->state, "active") != 0) {
                slice_start(unit->simulation, unit->name);
                unit_set_state(unit, "activating", NULL, 0, 0);
        }
        unit_set_timer(unit, unit_on_started);
}

static int unit_on_restart(sd_event_source *source G_GNUC_UNUSED, uint64_t usec G_GNUC_UNUSED,
                           void *userdata)
{
        unit_start(userdata);
        return 0;
}

/* One job, in which the unit is never inactive. */
static void unit_restart(Unit *unit)
{
        if (strcmp(unit->state, "active") == 0)
                unit_set_state(unit, "deactivating", NULL, 0, 0);
        unit_set_timer(unit, unit_on_restart);
}

static void unit_stop(Unit *unit)
{
        GHashTableIter iter;
        Unit *other;

        g_hash_table_iter_init(&iter, unit->simulation->units);
        while (is_slice(unit->name) && g_hash_table_iter_next(&iter, NULL, (void **)&other)) {
                if (unit_is_in(other->name, unit->name))
                        unit_stop(other);
        }
        unit_set_state(unit, "deactivating", NULL, 0, 0);
        unit_set_timer(unit, unit_on_stopped);
}

/* The bus */

static int on_order(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
        const char *member = sd_bus_message_get_member(message);
        const bool stops = strcmp(member, "StopUnit") == 0;
        Simulation *simulation = userdata;
        const char *name, *mode;
        Unit *unit;
        int r;

        r = sd_bus_message_read(message, "ss", &name, &mode);
        if (r < 0)
                return r;
        if (stops && !g_hash_table_contains(simulation->units, name) &&
            !g_str_has_suffix(name, SERVICE_SUFFIX) && !is_slice(name))
                return sd_bus_error_set(error, "org.freedesktop.systemd1.NoSuchUnit", "not loaded");
        unit = unit_get(simulation, name);
        r = sd_bus_reply_method_return(message, "o", unit_new_job(unit));
        if (stops)
                unit_stop(unit);
        else if (strcmp(member, "RestartUnit") == 0)
                unit_restart(unit);
        else if (!unit->lingers) /* what does is started by nobody but itself */
                unit_start(unit);
        return r;
}

/* Over at once: there is no process that could take its time. */
static int on_reload(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
        Simulation *simulation = userdata;
        const char *name, *mode;
        Unit *unit;
        int r;

        r = sd_bus_message_read(message, "ss", &name, &mode);
        if (r < 0)
                return r;
        unit = g_hash_table_lookup(simulation->units, name);
        if (!unit || strcmp(unit->state, "active") != 0)
                return sd_bus_error_set(error, "org.freedesktop.systemd1.JobTypeNotApplicable",
                                        "not active");
        r = sd_bus_reply_method_return(message, "o", unit_new_job(unit));
        unit_end_job(unit, "done");
        return r;
}

static int on_list(sd_bus_message *message, void *userdata, sd_bus_error *error G_GNUC_UNUSED)
{
        Simulation *simulation = userdata;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        GHashTableIter iter;
        Unit *unit;
        int r;

        r = sd_bus_message_new_method_return(message, &reply);
        if (r < 0)
                return r;
        sd_bus_message_open_container(reply, 'a', "(ssssssouso)");
        g_hash_table_iter_init(&iter, simulation->units);
        while (g_hash_table_iter_next(&iter, NULL, (void **)&unit))
                sd_bus_message_append(reply, "(ssssssouso)", unit->name, "", "loaded", unit->state,
                                      sub_state(unit), "", "/unit", 0, "", "/job");
        sd_bus_message_close_container(reply);
        return sd_bus_send(NULL, reply, NULL);
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("StartUnit", "ss", "o", on_order, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("RestartUnit", "ss", "o", on_order, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("ReloadUnit", "ss", "o", on_reload, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("StopUnit", "ss", "o", on_order, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("ListUnitsByPatterns", "asas", "a(ssssssouso)", on_list,
                      SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

static void bus_close(void *bus)
{
        sd_bus_close_unref(bus);
}

static int on_disconnected(sd_bus_message *message, void *userdata,
                           sd_bus_error *error G_GNUC_UNUSED)
{
        Simulation *simulation = userdata;

        g_ptr_array_remove_fast(simulation->buses, sd_bus_message_get_bus(message));
        return 0;
}

static int on_connection(sd_event_source *source G_GNUC_UNUSED, int listener,
                         uint32_t events G_GNUC_UNUSED, void *userdata)
{
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        Simulation *simulation = userdata;
        sd_id128_t id;
        sd_bus *bus;

        sd_id128_randomize(&id);
        if (fd < 0 || sd_bus_new(&bus) < 0)
                return 0;
        sd_bus_set_fd(bus, fd, fd);
        sd_bus_set_server(bus, true, id);
        sd_bus_start(bus);
        sd_bus_attach_event(bus, simulation->event, SD_EVENT_PRIORITY_NORMAL);
        sd_bus_add_object_vtable(bus, NULL, MANAGER_PATH, MANAGER_NAME, vtable, simulation);
        sd_bus_match_signal(bus, NULL, NULL, NULL, "org.freedesktop.DBus.Local", "Disconnected",
                            on_disconnected, simulation);
        g_ptr_array_add(simulation->buses, bus);
        return 0;
}

static void listener_open(Simulation *simulation)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        g_strlcpy(address.sun_path, simulation->path, sizeof(address.sun_path));
        unlink(simulation->path);
        if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 8) < 0)
                g_error("%s: %s", simulation->path, strerror(errno));
        sd_event_add_io(simulation->event, &simulation->listener, fd, EPOLLIN, on_connection,
                        simulation);
        sd_event_source_set_io_fd_own(simulation->listener, true);
}

static int on_return(sd_event_source *source G_GNUC_UNUSED, uint64_t usec G_GNUC_UNUSED,
                     void *userdata)
{
        listener_open(userdata);
        return 0;
}

/* Orders of the test */

static void go_away(Simulation *simulation, uint64_t usec)
{
        unlink(simulation->path);
        simulation->listener = sd_event_source_disable_unref(simulation->listener);
        g_ptr_array_set_size(simulation->buses, 0);
        if (usec > 0)
                sd_event_add_time(simulation->event, NULL, CLOCK_MONOTONIC, clock_now_usec() + usec,
                                  1, on_return, simulation);
}

static void unit_die(Unit *unit)
{
        const bool lingers = g_str_has_prefix(unit->name, FRONTEND_PREFIX);

        unit->timer = sd_event_source_disable_unref(unit->timer);
        unit_set_state(unit, lingers ? "activating" : "failed", "signal", CLD_KILLED, SIGKILL);
        unit_end_job(unit, "failed");
        if (!lingers)
                unit_forget(unit);
}

static void obey(Simulation *simulation, const char *order, const char *argument)
{
        uint64_t usec = g_ascii_strtoull(argument, NULL, 10) * USEC_PER_MSEC;
        Unit *unit = g_hash_table_lookup(simulation->units, argument);

        if (strcmp(order, "latency") == 0)
                simulation->latency_usec = usec;
        else if (strcmp(order, "away") == 0)
                go_away(simulation, usec);
        else if (strcmp(order, "back") == 0)
                listener_open(simulation);
        else if (strcmp(order, "break") == 0) {
                g_free(simulation->breaking);
                simulation->breaking = g_strdup(argument);
        } else if (unit && strcmp(order, "stop") == 0) {
                unit_new_job(unit);
                unit_stop(unit);
        } else if (unit && strcmp(order, "kill") == 0) {
                unit_die(unit);
        }
}

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
                g_auto(GStrv) words = g_strsplit(lines[i], " ", 2);

                if (g_strv_length(words) == 2)
                        obey(simulation, words[0], words[1]);
        }
        return 0;
}

int main(int argc G_GNUC_UNUSED, char **argv)
{
        Simulation simulation = {
                .path = argv[1],
                .buses = g_ptr_array_new_with_free_func(bus_close),
                .units = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, unit_free),
                .latency_usec = 5 * USEC_PER_MSEC,
        };
        int r;

        signal(SIGPIPE, SIG_IGN);
        r = sd_event_new(&simulation.event);
        if (r >= 0) {
                listener_open(&simulation);
                r = sd_event_add_io(simulation.event, NULL, STDIN_FILENO, EPOLLIN, on_input,
                                    &simulation);
        }
        puts("- ready 0");
        fflush(stdout);
        if (r >= 0)
                r = sd_event_loop(simulation.event);
        g_hash_table_unref(simulation.units);
        g_ptr_array_unref(simulation.buses);
        sd_event_source_disable_unref(simulation.listener);
        sd_event_unref(simulation.event);
        g_free(simulation.breaking);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
