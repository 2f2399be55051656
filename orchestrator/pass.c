/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/pass.h"

#include <glib.h>
#include <time.h>

#include "common/log.h"

struct Pass {
        sd_event_source *now, *later;
        bool is_waiting;
        void (*handler)(void *userdata);
        void *userdata;
};

static void enable(sd_event_source *source, int enabled)
{
        int r = sd_event_source_set_enabled(source, enabled);

        if (r < 0)
                log_error_errno(NULL, r, "cannot schedule a pass: %m");
}

static void pass_run(Pass *pass)
{
        pass->is_waiting = false;
        enable(pass->now, SD_EVENT_OFF);
        enable(pass->later, SD_EVENT_OFF);
        pass->handler(pass->userdata);
}

static int pass_on_now(sd_event_source *source _unused_, void *userdata)
{
        pass_run(userdata);
        return 0;
}

static int pass_on_time(sd_event_source *source _unused_, uint64_t usec _unused_, void *userdata)
{
        pass_run(userdata);
        return 0;
}

int pass_new(sd_event *event, void (*handler)(void *userdata), void *userdata, Pass **ret_pass)
{
        Pass *pass = g_new(Pass, 1);
        int r;

        *pass = (Pass){ .handler = handler, .userdata = userdata };
        r = sd_event_add_defer(event, &pass->now, pass_on_now, pass);
        if (r >= 0)
                r = sd_event_source_set_priority(pass->now, SD_EVENT_PRIORITY_IDLE);
        if (r >= 0)
                r = sd_event_add_time(event, &pass->later, CLOCK_MONOTONIC, 0, USEC_PER_MSEC,
                                      pass_on_time, pass);
        if (r >= 0)
                r = sd_event_source_set_priority(pass->later, SD_EVENT_PRIORITY_IDLE);
        if (r < 0) {
                pass_free(pass);
                return r;
        }
        enable(pass->now, SD_EVENT_OFF);
        enable(pass->later, SD_EVENT_OFF);
        *ret_pass = pass;
        return 0;
}

Pass *pass_free(Pass *pass)
{
        if (!pass)
                return NULL;
        sd_event_source_disable_unref(pass->now);
        sd_event_source_disable_unref(pass->later);
        g_free(pass);
        return NULL;
}

void pass_schedule(Pass *pass, bool claims_are_due)
{
        int r;

        if (!claims_are_due) {
                enable(pass->now, SD_EVENT_ONESHOT);
                return;
        }
        if (pass->is_waiting)
                return;
        pass->is_waiting = true;
        r = sd_event_source_set_time(pass->later, clock_now_usec() + PASS_PATIENCE_USEC);
        enable(r < 0 ? pass->now : pass->later, SD_EVENT_ONESHOT);
}
