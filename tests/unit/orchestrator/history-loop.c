/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The event loop, the time, and what else the manager is linked with. */

#include <errno.h>
#include <glib.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

#include "common/log.h"
#include "orchestrator/backend.h"
#include "orchestrator/clock.h"
#include "orchestrator/configuration.h"
#include "orchestrator/control.h"
#include "orchestrator/device-services.h"
#include "orchestrator/manager.h"
#include "tests/fuzz/fake-clock.h"
#include "tests/unit/orchestrator/history-seams.h"

struct sd_event_source {
        sd_event_handler_t deferred;
        sd_event_time_handler_t timed;
        void *userdata;
        uint64_t usec;
        bool enabled;
};

#define SOURCES_MAX 32U

static sd_event_source *sources[SOURCES_MAX];
static unsigned int n_sources;
static Manager *manager;

static sd_event_source *source_new(void *userdata)
{
        sd_event_source *source = g_new0(sd_event_source, 1);

        if (n_sources == SOURCES_MAX)
                g_error("too many sources");
        source->userdata = userdata;
        source->enabled = true;
        sources[n_sources++] = source;
        return source;
}

sd_event *sd_event_ref(sd_event *event)
{
        return event;
}

sd_event *sd_event_unref(sd_event *event _unused_)
{
        return NULL;
}

int sd_event_add_defer(sd_event *event _unused_, sd_event_source **ret_source,
                       sd_event_handler_t handler, void *userdata)
{
        *ret_source = source_new(userdata);
        (*ret_source)->deferred = handler;
        return 0;
}

int sd_event_add_time(sd_event *event _unused_, sd_event_source **ret_source,
                      clockid_t clock _unused_, uint64_t usec, uint64_t accuracy _unused_,
                      sd_event_time_handler_t handler, void *userdata)
{
        *ret_source = source_new(userdata);
        (*ret_source)->timed = handler;
        (*ret_source)->usec = usec;
        return 0;
}

int sd_event_source_set_enabled(sd_event_source *source, int enabled)
{
        source->enabled = enabled != SD_EVENT_OFF;
        return 0;
}

int sd_event_source_set_time(sd_event_source *source, uint64_t usec)
{
        source->usec = usec;
        return 0;
}

int sd_event_source_set_priority(sd_event_source *source _unused_, int64_t priority _unused_)
{
        return 0;
}

sd_event_source *sd_event_source_disable_unref(sd_event_source *source)
{
        for (unsigned int i = 0; source && i < n_sources; i++) {
                if (sources[i] == source)
                        sources[i] = sources[--n_sources];
        }
        g_free(source);
        return NULL;
}

int sd_notifyf(int unset _unused_, const char *format _unused_, ...)
{
        return 0;
}

int sd_notify(int unset _unused_, const char *state _unused_)
{
        return 0;
}

/* The source that is due first; NULL if there is none. */
static sd_event_source *next_timer(void)
{
        sd_event_source *next = NULL;

        for (unsigned int i = 0; i < n_sources; i++) {
                if (sources[i]->timed && sources[i]->enabled &&
                    (!next || sources[i]->usec < next->usec))
                        next = sources[i];
        }
        return next;
}

static void timer_fire(sd_event_source *source)
{
        source->enabled = false;
        source->timed(source, source->usec, source->userdata);
}

bool world_step_loop(void)
{
        sd_event_source *timer = next_timer();

        if (world_step_status())
                return true;
        if (timer && timer->usec <= clock_now_usec()) {
                timer_fire(timer);
                return true;
        }
        for (unsigned int i = 0; i < n_sources; i++) {
                if (!sources[i]->deferred || !sources[i]->enabled)
                        continue;
                sources[i]->enabled = false;
                world_tell("pass");
                sources[i]->deferred(sources[i], sources[i]->userdata);
                return true;
        }
        return false;
}

bool world_step_time(void)
{
        sd_event_source *timer = next_timer();
        uint64_t now = clock_now_usec();

        if (!timer)
                return false;
        if (timer->usec > now)
                fake_clock_advance(timer->usec - now);
        timer_fire(timer);
        return true;
}

void world_start(void)
{
        world_tell("the orchestrator starts");
        for (unsigned int guest = 0; guest < N_GUESTS; guest++)
                world.guests[guest].known = 0;
        if (manager_new((sd_event *)(void *)&n_sources, &manager) < 0)
                g_error("the manager does not start");
}

void world_stop(void)
{
        world_tell("the orchestrator ends");
        manager = manager_free(manager);
        if (n_sources > 0)
                g_error("sources are left");
}

void world_kill(void)
{
        world.dead = true;
        world_stop();
        world.dead = false;
        world.fuse = 0;
}

/* device-services.h, without what is opened elsewhere. */

int device_services_open(DeviceServices *services, const StoreOps *store_ops,
                         void (*schedule)(void *userdata))
{
        static Configuration configuration;
        SharedServices shared = {
                .event = services->event,
                .rundir = -1,
                .unitdir = -1,
                .starts = services->starts,
                .schedule = schedule,
                .userdata = services->userdata,
        };
        int r;

        configuration.settings.reserved_servers = world.reserved;
        services->rundir = services->unitdir = -1;
        services->configuration = &configuration;
        r = store_open(services->event, store_ops, services->userdata, &services->store);
        if (r >= 0)
                r = units_new(services->event, &services->units);
        shared.units = services->units;
        services->shared = shared_frontends_new(&shared);
        return r;
}

void device_services_close(DeviceServices *services)
{
        shared_frontends_free(services->shared);
        units_free(services->units);
        store_close(services->store);
}

void device_services_reload(DeviceServices *services _unused_)
{
}

/* Nothing is configured, and every backend can be started, most of the time. */

int configuration_find_type(const Configuration *configuration _unused_, DeviceSpec *spec _unused_,
                            char **ret_message _unused_)
{
        return 0;
}

int configuration_choose(const Configuration *configuration _unused_,
                         const DeviceSpec *spec _unused_, int order _unused_,
                         DeviceChoice *ret_choice, char **ret_message _unused_)
{
        *ret_choice = (DeviceChoice){ 0 };
        return -ENOENT;
}

void device_choice_clear(DeviceChoice *choice _unused_)
{
}

int backend_prepare(const DeviceSpec *spec _unused_, int order _unused_,
                    const Configuration *configuration _unused_, char **ret_dropin,
                    RestartPolicy *ret_restart, char **ret_message)
{
        *ret_restart = (RestartPolicy){ 0 };
        if (world.faults && world_chance(3)) {
                *ret_message = g_strdup("the disk is not there");
                return -ENOENT;
        }
        *ret_dropin = g_strdup("[Service]\n");
        return 0;
}

/* Nobody asks how it is. */

int control_new(sd_event *event _unused_, const char *folder _unused_,
                const ControlOps *ops _unused_, void *userdata _unused_, Control **ret_control)
{
        *ret_control = NULL;
        return 0;
}

Control *control_free(Control *control _unused_)
{
        return NULL;
}

void control_announce(Control *control _unused_, const DeviceReport *report _unused_)
{
}

void log_setup(void)
{
}

void log_full(int priority _unused_, const LogContext *context, const char *id _unused_,
              int error _unused_, const char *format, ...)
{
        char text[512];
        va_list args;

        if (!world.verbose)
                return;
        va_start(args, format);
        vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        world_tell("    %s: %s", context && context->device ? context->device : "-", text);
}

bool log_limit_permit(LogLimit *limit _unused_, uint64_t now_usec _unused_)
{
        return true;
}
