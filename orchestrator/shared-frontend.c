/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/shared-frontend.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "common/log.h"
#include "orchestrator/clock.h"
#include "orchestrator/dropin.h"
#include "orchestrator/run-state.h"
#include "orchestrator/shared-internal.h"
#include "orchestrator/shared-reconcile.h"
#include "orchestrator/unit-fields.h"

/* It opens its files in the folders of all its devices, also of those that come later. */
#define DROPIN_TEXT                                                                                \
        "# Made by xen-virtiod for this guest; gone when it is.\n"                                 \
        "[Service]\nReadWritePaths=" RUN_DIRECTORY "\n"

#define shared_log(shared, error, ...)                                                             \
        ({                                                                                         \
                const LogContext context_ = { .device = (shared)->instance,                        \
                                              .domid = (shared)->domid };                          \
                log_error_errno(&context_, error, __VA_ARGS__);                                    \
        })

static void shared_schedule(const SharedFrontend *shared)
{
        const SharedServices *services = &shared->all->services;

        services->schedule(services->userdata);
}

/* All members may be another way now. */
static void shared_on_unit(void *userdata)
{
        const SharedFrontend *shared = userdata;

        for (guint i = 0; i < shared->members->len; i++) {
                const SharedMember *member = shared->members->pdata[i];

                member->handler(member->userdata);
        }
        shared_schedule(shared);
}

static SharedFrontend *shared_new(SharedFrontends *all, uint16_t domid, const Launch *launch)
{
        SharedFrontend *shared = g_new0(SharedFrontend, 1);
        char unit[DEVICE_UNIT_MAX];

        shared->all = all;
        shared->domid = domid;
        shared->launch = *launch;
        shared->wanted = SHARED_FIRST_CHANGE;
        device_name_shared(domid, shared->instance);
        device_name_shared_unit(domid, unit);
        shared->unit = unit_new(all->services.units, unit, shared_on_unit, shared);
        shared->phase = unit_phase(shared->unit);
        shared->members = g_ptr_array_new();
        g_hash_table_insert(all->table, GUINT_TO_POINTER(domid), shared);
        return shared;
}

static void shared_free(void *data)
{
        SharedFrontend *shared = data;

        sd_event_source_disable_unref(shared->timer);
        unit_free(shared->unit);
        g_ptr_array_unref(shared->members);
        g_free(shared);
}

SharedFrontends *shared_frontends_new(const SharedServices *services)
{
        SharedFrontends *all = g_new0(SharedFrontends, 1);

        all->services = *services;
        all->table = g_hash_table_new_full(NULL, NULL, NULL, shared_free);
        return all;
}

SharedFrontends *shared_frontends_free(SharedFrontends *all)
{
        if (!all)
                return NULL;
        g_hash_table_unref(all->table);
        g_free(all);
        return NULL;
}

SharedFrontend *shared_frontends_find(const SharedFrontends *all, uint16_t domid)
{
        return g_hash_table_lookup(all->table, GUINT_TO_POINTER(domid));
}

int shared_frontends_open(SharedFrontends *all, uint16_t domid, const Launch *launch,
                          SharedFrontend **ret_shared)
{
        char instance[DEVICE_INSTANCE_MAX];
        int r;

        device_name_shared(domid, instance);
        r = run_state_create(all->services.rundir, instance, launch);
        if (r < 0)
                return r;
        *ret_shared = shared_new(all, domid, launch);
        return 0;
}

void shared_frontends_adopt(SharedFrontends *all, uint16_t domid, const Launch *launch)
{
        shared_new(all, domid, launch);
}

/* The process has gone by now, or should have; its slice is never of use without it. */
int shared_frontend_forget(SharedFrontend *shared)
{
        const SharedServices *services = &shared->all->services;
        char slice[DEVICE_UNIT_MAX];
        int r, removed;

        device_name_shared_slice(shared->domid, slice);
        units_stop_other(services->units, slice);
        unit_fields_remove(services->unitdir, unit_name(shared->unit));
        r = dropin_remove(services->unitdir, unit_name(shared->unit));
        removed = run_state_remove(services->rundir, shared->instance);
        g_hash_table_remove(shared->all->table, GUINT_TO_POINTER(shared->domid));
        return r < 0 ? r : removed;
}

void shared_frontends_sweep(SharedFrontends *all)
{
        g_autoptr(GList) list = g_hash_table_get_values(all->table);

        for (const GList *i = list; i; i = i->next) {
                SharedFrontend *shared = i->data;

                if (shared->members->len == 0 && shared_frontend_forget(shared) < 0)
                        log_warning(NULL, "cannot remove what domain %u has left", shared->domid);
        }
}

bool shared_frontend_is_of(const SharedFrontend *shared, const char *uuid)
{
        return strcmp(shared->launch.uuid, uuid) == 0;
}

bool shared_frontend_fits(const SharedFrontend *shared, const Launch *launch)
{
        return shared_frontend_is_of(shared, launch->uuid) &&
               shared->launch.memory_kib == launch->memory_kib &&
               shared->members->len < DEVICE_LIST_MAX;
}

uint16_t shared_frontend_server(const SharedFrontend *shared)
{
        return shared->launch.server;
}

const char *shared_frontend_instance(const SharedFrontend *shared)
{
        return shared->instance;
}

const char *shared_frontend_unit(const SharedFrontend *shared)
{
        return unit_name(shared->unit);
}

uint32_t shared_frontend_restarts(const SharedFrontend *shared)
{
        return shared->restart.n_ends;
}

uint64_t shared_frontend_change(SharedFrontend *shared)
{
        shared_schedule(shared);
        return ++shared->wanted;
}

void shared_frontend_restart(SharedFrontend *shared)
{
        restart_forget(&shared->restart);
        if (unit_phase(shared->unit) != UNIT_DOWN) {
                unit_stop(shared->unit);
                if (unit_phase(shared->unit) == UNIT_STOPPING)
                        restart_note_order(&shared->restart);
        }
        shared_schedule(shared);
}

static void note_end(SharedFrontend *shared)
{
        const bool is_ordered = shared->is_ending;

        shared->is_ending = false;
        if (restart_take_order(&shared->restart) || is_ordered)
                return;
        restart_note_end(&shared->restart, unit_end_is_refusal(shared->unit), clock_now_usec(),
                         g_random_int());
        for (guint i = 0; i < shared->members->len; i++)
                shared_member_note_end(shared->members->pdata[i]);
}

static void observe_reload(SharedFrontend *shared)
{
        const ReloadPhase phase = unit_reload_phase(shared->unit);

        if (!shared->is_reloading || phase == RELOAD_RUNNING)
                return;
        shared->is_reloading = false;
        if (phase == RELOAD_DONE) {
                shared->known = shared->told;
                shared->reload_restart = (Restart){ 0 };
                return;
        }
        restart_note_failure(&shared->reload_restart, clock_now_usec(), g_random_int());
}

static void shared_observe(SharedFrontend *shared)
{
        const UnitPhase before = shared->phase;

        shared->phase = unit_phase(shared->unit);
        observe_reload(shared);
        if (shared->phase == UNIT_UP && before != UNIT_UP)
                restart_note_healthy(&shared->restart, clock_now_usec());
        /* It has looked at the list; of one that is just met again nobody knows when. */
        if (shared->phase == UNIT_UP && (before == UNIT_STARTING || before == UNIT_DOWN))
                shared->known = shared->told;
        if (shared->phase == UNIT_DOWN && before != UNIT_DOWN && before != UNIT_UNKNOWN)
                note_end(shared);
}

void shared_frontends_observe(SharedFrontends *all)
{
        GHashTableIter iter;
        SharedFrontend *shared;

        g_hash_table_iter_init(&iter, all->table);
        while (g_hash_table_iter_next(&iter, NULL, (void **)&shared))
                shared_observe(shared);
}

static int name_compare(const void *a, const void *b)
{
        return device_name_compare(a, b);
}

/* Which devices the process is to serve. */
static void list_make(const SharedFrontend *shared, DeviceList *ret_list)
{
        *ret_list = (DeviceList){ 0 };
        for (guint i = 0; i < shared->members->len; i++) {
                const SharedMember *member = shared->members->pdata[i];

                if (member->state != MEMBER_OUT)
                        ret_list->names[ret_list->n++] = member->name;
        }
        qsort(ret_list->names, ret_list->n, sizeof(ret_list->names[0]), name_compare);
}

static int list_write(SharedFrontend *shared)
{
        DeviceList list;
        int r;

        list_make(shared, &list);
        r = run_state_write_list(shared->all->services.rundir, shared->instance, &list);
        if (r >= 0)
                shared->told = shared->wanted;
        return r;
}

static void shared_start(SharedFrontend *shared)
{
        const SharedServices *services = &shared->all->services;
        int r;

        if (!start_budget_permit(services->starts, &shared->restart, clock_now_usec()))
                return;
        r = dropin_write(services->unitdir, unit_name(shared->unit), DROPIN_TEXT);
        if (r >= 0)
                r = list_write(shared);
        if (r < 0) {
                shared_log(shared, r, "cannot prepare the start of the frontend: %m");
                restart_note_failure(&shared->restart, clock_now_usec(), g_random_int());
                return;
        }
        for (guint i = 0; i < shared->members->len; i++)
                shared_member_reset(shared->members->pdata[i]);
        unit_start(shared->unit);
}

static void shared_reload(SharedFrontend *shared)
{
        int r;

        r = list_write(shared);
        if (r < 0) {
                shared_log(shared, r, "cannot write the list of devices: %m");
                restart_note_failure(&shared->reload_restart, clock_now_usec(), g_random_int());
                return;
        }
        shared->is_reloading = true;
        unit_reload(shared->unit);
}

static int shared_on_timer(sd_event_source *source _unused_, uint64_t usec _unused_, void *userdata)
{
        shared_schedule(userdata);
        return 0;
}

static void shared_set_timer(SharedFrontend *shared, uint64_t wake_usec)
{
        int r;

        shared->timer = sd_event_source_disable_unref(shared->timer);
        if (wake_usec == USEC_NEVER)
                return;
        r = sd_event_add_time(shared->all->services.event, &shared->timer, CLOCK_MONOTONIC,
                              wake_usec, USEC_PER_MSEC, shared_on_timer, shared);
        if (r < 0) {
                shared_log(shared, r, "cannot set a timer: %m");
                sd_event_exit(shared->all->services.event, r);
        }
}

static SharedAction shared_decide(const SharedFrontend *shared, uint64_t *ret_wake_usec)
{
        SharedObserved observed = {
                .is_known = shared->known == shared->wanted,
                .frontend = unit_phase(shared->unit),
                .is_reloading = shared->is_reloading,
                .start_after = shared->restart.not_before,
                .reload_after = shared->reload_restart.not_before,
        };
        DeviceList list;

        list_make(shared, &list);
        observed.is_listed = list.n > 0;
        return shared_reconcile(&observed, clock_now_usec(), ret_wake_usec);
}

/* What fails is noted with the time of the next try, which the second decision sets a timer for. */
static void shared_act(SharedFrontend *shared)
{
        uint64_t wake;

        switch (shared_decide(shared, &wake)) {
        case SHARED_START:
                shared_start(shared);
                break;
        case SHARED_RELOAD:
                shared_reload(shared);
                break;
        case SHARED_STOP:
                shared->is_ending = true;
                unit_stop(shared->unit);
                break;
        case SHARED_NONE:
        case _SHARED_MAX:
                break;
        }
        shared_observe(shared);
        shared_decide(shared, &wake);
        shared_set_timer(shared, wake);
}

void shared_frontends_reconcile(SharedFrontends *all)
{
        GHashTableIter iter;
        SharedFrontend *shared;

        g_hash_table_iter_init(&iter, all->table);
        while (g_hash_table_iter_next(&iter, NULL, (void **)&shared))
                shared_act(shared);
}
