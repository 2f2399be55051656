/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/units.h"

#include <errno.h>
#include <glib.h>
#include <string.h>
#include <systemd/sd-bus.h>

#include "common/log.h"
#include "orchestrator/restart.h"
#include "orchestrator/systemd-bus.h"
#include "orchestrator/unit-properties.h"
#include "orchestrator/unit-status.h"

#define SYSTEMD_UNIT_PATH "/org/freedesktop/systemd1/unit"
#define LOCAL_NAME        "org.freedesktop.DBus.Local"
#define LOCAL_PATH        "/org/freedesktop/DBus/Local"

#define UNITS_PATTERN "xen-virtio-*" /* all units of ours, services and slices */

/* One call at a time for each unit; nobody waits for what a later order has overtaken. */
typedef enum Order {
        ORDER_NONE,
        ORDER_START,
        ORDER_STOP,
        ORDER_RELOAD,
} Order;

static const char *const order_words[] = {
        [ORDER_START] = "start",
        [ORDER_STOP] = "stop",
        [ORDER_RELOAD] = "reload",
};

struct Units {
        sd_event *event;
        GHashTable *table; /* name → Unit, not owned */
        Restart restart;   /* of the connection */

        /* The connection, NULL if there is none. */
        sd_bus *bus;
        sd_bus_slot *job_removed, *unit_removed, *disconnected, *list;
        sd_event_source *reconnect;
        const char *sender; /* of systemd's signals */
        bool settled;       /* the units' states have been read */
};

struct Unit {
        Units *units;
        char *name;
        char *path; /* of its object */
        UnitHandler *handler;
        void *userdata;

        sd_bus_slot *changed, *call;
        Order order; /* given, and not yet carried out */
        char *job;   /* the order's job, once systemd has answered */
        ReloadPhase reload;

        UnitStatus status; /* as systemd has reported it */
};

static int units_connect(Units *units);
static int units_retry(Units *units, int reason);

UnitPhase unit_phase(const Unit *unit)
{
        if (!unit->units->settled)
                return UNIT_UNKNOWN;
        if (unit->order == ORDER_STOP)
                return UNIT_STOPPING;
        if (unit->order == ORDER_START && unit->status.phase != UNIT_UP)
                return UNIT_STARTING;
        return unit->status.lingers ? UNIT_DOWN : unit->status.phase;
}

const char *unit_name(const Unit *unit)
{
        return unit->name;
}

static void unit_set_order(Unit *unit, Order order)
{
        if (unit->order == ORDER_RELOAD)
                unit->reload = RELOAD_FAILED;
        unit->order = order;
        unit->call = sd_bus_slot_unref(unit->call);
        g_clear_pointer(&unit->job, g_free);
}

static void unit_set_phase(Unit *unit, UnitPhase phase, const char *sub_state)
{
        unit->status.phase = phase;
        unit->status.lingers = unit_status_lingers(sub_state);
}

/*
 * PropertiesChanged. systemd sends that of the service before that of the unit, so that the result
 * is here when the state says that it is over.
 */
static int unit_on_changed(sd_bus_message *message, void *userdata, sd_bus_error *error _unused_)
{
        Unit *unit = userdata;
        int r;

        r = unit_properties_read(message, &unit->status);
        if (r < 0)
                log_warning(NULL, "%s: cannot read what systemd says: %s, ignoring", unit->name,
                            strerror(-r));
        unit->handler(unit->userdata);
        return 0;
}

/* The answer to an order: the job, or a refusal. */
static int unit_on_answer(sd_bus_message *message, void *userdata, sd_bus_error *ret _unused_)
{
        const sd_bus_error *error = sd_bus_message_get_error(message);
        Unit *unit = userdata;
        const char *job;

        if (!error && sd_bus_message_read(message, "o", &job) >= 0) {
                unit->job = g_strdup(job);
                return 0;
        }
        g_free(unit->status.refusal);
        unit->status.refusal =
                g_strdup(error && error->message ? error->message : "no usable answer");
        log_warning(NULL, "%s: systemd refuses to %s it: %s", unit->name, order_words[unit->order],
                    unit->status.refusal);
        if (unit->order != ORDER_RELOAD)
                unit->status.phase = UNIT_DOWN;
        unit_set_order(unit, ORDER_NONE);
        unit->handler(unit->userdata);
        return 0;
}

static void unit_order(Unit *unit, Order order, const char *method)
{
        int r;

        if (!unit->units->bus)
                return;
        unit_set_order(unit, order);
        r = sd_bus_call_method_async(unit->units->bus, &unit->call, SYSTEMD_NAME, SYSTEMD_PATH,
                                     SYSTEMD_MANAGER, method, unit_on_answer, unit, "ss",
                                     unit->name, "replace");
        if (r < 0) {
                log_error_errno(NULL, r, "%s: cannot call %s: %m", unit->name, method);
                unit_set_order(unit, ORDER_NONE);
        }
}

void unit_start(Unit *unit)
{
        const UnitPhase phase = unit->status.phase;
        const bool anew = unit->status.lingers || phase == UNIT_UP;

        g_free(unit->status.refusal);
        unit->status = (UnitStatus){ .phase = phase };
        unit_order(unit, ORDER_START, anew ? "RestartUnit" : "StartUnit");
        if (phase == UNIT_UP && unit->order == ORDER_START)
                unit->status.phase = UNIT_STARTING;
}

void unit_stop(Unit *unit)
{
        unit_order(unit, ORDER_STOP, "StopUnit");
}

void unit_reload(Unit *unit)
{
        unit_order(unit, ORDER_RELOAD, "ReloadUnit");
        unit->reload = unit->order == ORDER_RELOAD ? RELOAD_RUNNING : RELOAD_FAILED;
}

ReloadPhase unit_reload_phase(const Unit *unit)
{
        return unit->reload;
}

bool unit_end_is_refusal(const Unit *unit)
{
        return unit_status_is_refusal(&unit->status);
}

char *unit_describe_end(const Unit *unit)
{
        return unit_status_describe(&unit->status);
}

/* Listens to the unit's signals on the present connection. */
static void unit_attach(Unit *unit)
{
        int r;

        r = sd_bus_match_signal_async(unit->units->bus, &unit->changed, unit->units->sender,
                                      unit->path, "org.freedesktop.DBus.Properties",
                                      "PropertiesChanged", unit_on_changed, NULL, unit);
        if (r < 0)
                log_error_errno(NULL, r, "%s: cannot listen to systemd: %m", unit->name);
}

static void unit_detach(Unit *unit)
{
        unit_set_order(unit, ORDER_NONE);
        unit->changed = sd_bus_slot_unref(unit->changed);
}

Unit *unit_new(Units *units, const char *name, UnitHandler *handler, void *userdata)
{
        Unit *unit = g_new0(Unit, 1);
        char *path;

        unit->units = units;
        unit->name = g_strdup(name);
        unit->handler = handler;
        unit->userdata = userdata;
        unit->status.phase = UNIT_DOWN;
        if (sd_bus_path_encode(SYSTEMD_UNIT_PATH, name, &path) < 0)
                g_error("out of memory");
        unit->path = path;
        g_hash_table_insert(units->table, unit->name, unit);
        if (units->bus)
                unit_attach(unit);
        return unit;
}

Unit *unit_free(Unit *unit)
{
        if (!unit)
                return NULL;
        unit_detach(unit);
        g_hash_table_remove(unit->units->table, unit->name);
        g_free(unit->status.refusal);
        g_free(unit->name);
        free(unit->path);
        g_free(unit);
        return NULL;
}

void units_stop_other(Units *units, const char *name)
{
        int r = -ENOTCONN;

        if (units->bus)
                r = sd_bus_call_method_async(units->bus, NULL, SYSTEMD_NAME, SYSTEMD_PATH,
                                             SYSTEMD_MANAGER, "StopUnit", NULL, NULL, "ss", name,
                                             "replace");
        if (r < 0)
                log_error_errno(NULL, r, "%s: cannot stop it: %m", name);
}

/* JobRemoved: the signals about what the job has done to the unit came before it. */
static int units_on_job_removed(sd_bus_message *message, void *userdata,
                                sd_bus_error *error _unused_)
{
        const char *job, *name, *result;
        Units *units = userdata;
        bool reloaded;
        Unit *unit;
        int r;

        r = sd_bus_message_read(message, "uoss", NULL, &job, &name, &result);
        if (r < 0)
                return units_retry(units, r);
        unit = g_hash_table_lookup(units->table, name);
        if (!unit || g_strcmp0(unit->job, job) != 0)
                return 0;
        if (unit->order == ORDER_STOP)
                unit->status.phase = UNIT_DOWN;
        reloaded = unit->order == ORDER_RELOAD && strcmp(result, "done") == 0;
        unit_set_order(unit, ORDER_NONE);
        if (reloaded)
                unit->reload = RELOAD_DONE;
        unit->handler(unit->userdata);
        return 0;
}

/* UnitRemoved: it ended, and systemd has forgotten it. */
static int units_on_unit_removed(sd_bus_message *message, void *userdata,
                                 sd_bus_error *error _unused_)
{
        Units *units = userdata;
        const char *name;
        Unit *unit;
        int r;

        r = sd_bus_message_read(message, "so", &name, NULL);
        if (r < 0)
                return units_retry(units, r);
        unit = g_hash_table_lookup(units->table, name);
        if (!unit)
                return 0;
        unit_set_phase(unit, UNIT_DOWN, "");
        unit->handler(unit->userdata);
        return 0;
}

/*
 * A process of ours that nobody looks after: its device was given up while systemd did not answer,
 * or its record is gone. It goes with its slice.
 */
static void units_stop_stray(Units *units, const char *name, UnitPhase phase)
{
        const char *instance = strchr(name, '@'), *end = strstr(name, ".service");
        g_autofree char *slice = NULL;

        if (phase == UNIT_DOWN || phase == UNIT_STOPPING || !instance || !end)
                return;
        log_warning(NULL, "%s: nobody needs it, stopping it", name);
        slice = g_strdup_printf("xen-virtio-%.*s.slice", (int)(end - instance - 1), instance + 1);
        units_stop_other(units, slice);
}

/* The answer to ListUnitsByPatterns: what is not in it is not running. */
static int units_on_list(sd_bus_message *message, void *userdata, sd_bus_error *ret _unused_)
{
        Units *units = userdata;
        const char *name, *state, *sub;
        GHashTableIter iter;
        Unit *unit;
        int r;

        r = -sd_bus_message_get_errno(message);
        if (r >= 0)
                r = sd_bus_message_enter_container(message, 'a', "(ssssssouso)");
        if (r < 0)
                return units_retry(units, r);

        g_hash_table_iter_init(&iter, units->table);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&unit))
                unit_set_phase(unit, UNIT_DOWN, "");
        while ((r = sd_bus_message_read(message, "(ssssssouso)", &name, NULL, NULL, &state, &sub,
                                        NULL, NULL, NULL, NULL, NULL)) > 0) {
                unit = g_hash_table_lookup(units->table, name);
                if (unit)
                        unit_set_phase(unit, unit_phase_parse(state), sub);
                else
                        units_stop_stray(units, name, unit_phase_parse(state));
        }
        if (r < 0)
                return units_retry(units, r);

        units->settled = true;
        restart_note_healthy(&units->restart, clock_now_usec());
        g_hash_table_iter_init(&iter, units->table);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&unit))
                unit->handler(unit->userdata);
        return 0;
}

static void units_disconnect(Units *units)
{
        GHashTableIter iter;
        Unit *unit;

        units->settled = false;
        g_hash_table_iter_init(&iter, units->table);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&unit))
                unit_detach(unit);
        units->job_removed = sd_bus_slot_unref(units->job_removed);
        units->unit_removed = sd_bus_slot_unref(units->unit_removed);
        units->disconnected = sd_bus_slot_unref(units->disconnected);
        units->list = sd_bus_slot_unref(units->list);
        units->bus = sd_bus_close_unref(units->bus);
}

static int units_on_reconnect(sd_event_source *source _unused_, uint64_t usec _unused_,
                              void *userdata)
{
        Units *units = userdata;

        units_disconnect(units);
        return units_connect(units);
}

/* The connection is gone, could not be made, or tells what we cannot read: later again. */
static int units_retry(Units *units, int reason)
{
        int r;

        restart_note_failure(&units->restart, clock_now_usec(), g_random_int());
        log_error_errno(NULL, reason, "no connection to systemd: %m, trying again");
        units->settled = false;
        units->reconnect = sd_event_source_unref(units->reconnect);
        r = sd_event_add_time(units->event, &units->reconnect, CLOCK_MONOTONIC,
                              units->restart.not_before, 0, units_on_reconnect, units);
        if (r < 0) {
                log_error_errno(NULL, r, "cannot set a timer: %m");
                sd_event_exit(units->event, r);
        }
        return r;
}

static int units_on_disconnected(sd_bus_message *message _unused_, void *userdata,
                                 sd_bus_error *error _unused_)
{
        return units_retry(userdata, -ECONNRESET);
}

/* The order: listen first, then ask for the states, so that no change falls between the two. */
static int units_listen(Units *units)
{
        GHashTableIter iter;
        Unit *unit;
        int r;

        r = sd_bus_match_signal(units->bus, &units->disconnected, NULL, LOCAL_PATH, LOCAL_NAME,
                                "Disconnected", units_on_disconnected, units);
        if (r >= 0)
                r = sd_bus_match_signal_async(units->bus, &units->job_removed, units->sender,
                                              SYSTEMD_PATH, SYSTEMD_MANAGER, "JobRemoved",
                                              units_on_job_removed, NULL, units);
        if (r >= 0)
                r = sd_bus_match_signal_async(units->bus, &units->unit_removed, units->sender,
                                              SYSTEMD_PATH, SYSTEMD_MANAGER, "UnitRemoved",
                                              units_on_unit_removed, NULL, units);
        if (r >= 0 && units->sender)
                r = sd_bus_call_method_async(units->bus, NULL, SYSTEMD_NAME, SYSTEMD_PATH,
                                             SYSTEMD_MANAGER, "Subscribe", NULL, NULL, NULL);
        if (r < 0)
                return r;

        g_hash_table_iter_init(&iter, units->table);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&unit))
                unit_attach(unit);
        return sd_bus_call_method_async(units->bus, &units->list, SYSTEMD_NAME, SYSTEMD_PATH,
                                        SYSTEMD_MANAGER, "ListUnitsByPatterns", units_on_list,
                                        units, "asas", 0, 1, UNITS_PATTERN);
}

/* Fails only if the event loop does: anything else is tried again. */
static int units_connect(Units *units)
{
        int r;

        r = systemd_bus_open(&units->bus, &units->sender);
        if (r >= 0)
                r = sd_bus_attach_event(units->bus, units->event, SD_EVENT_PRIORITY_NORMAL);
        if (r >= 0)
                r = units_listen(units);
        return r < 0 ? units_retry(units, r) : 0;
}

int units_new(sd_event *event, Units **ret_units)
{
        Units *units = g_new0(Units, 1);
        int r;

        units->event = sd_event_ref(event);
        units->table = g_hash_table_new(g_str_hash, g_str_equal);
        r = units_connect(units);
        if (r < 0) {
                units_free(units);
                return r;
        }

        *ret_units = units;
        return 0;
}

Units *units_free(Units *units)
{
        if (!units)
                return NULL;
        units_disconnect(units);
        sd_event_source_disable_unref(units->reconnect);
        g_hash_table_unref(units->table);
        sd_event_unref(units->event);
        g_free(units);
        return NULL;
}
