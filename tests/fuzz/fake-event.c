/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "tests/fuzz/fake-event.h"

#include <glib.h>
#include <sys/epoll.h>

#include "common/macros.h"
#include "frontend/loop.h"
#include "tests/fuzz/fake-descriptor.h"

#define SOURCES_MAX 16

struct sd_event_source {
        sd_event *event;
        unsigned int place;
        int enabled;
        int fd; /* -1: it is a timer */
        uint64_t usec;
        sd_event_io_handler_t ready;
        sd_event_time_handler_t elapsed;
        void *userdata;
};

struct sd_event {
        unsigned int n_refs;
        unsigned int turn; /* who is looked at first */
        sd_event_source *sources[SOURCES_MAX];
};

/* These take the place of libsystemd's. */
int sd_event_new(sd_event **ret_event)
{
        *ret_event = g_new0(sd_event, 1);
        (*ret_event)->n_refs = 1;
        return 0;
}

sd_event *sd_event_ref(sd_event *event)
{
        event->n_refs++;
        return event;
}

sd_event *sd_event_unref(sd_event *event)
{
        if (event && --event->n_refs == 0)
                g_free(event);
        return NULL;
}

static sd_event_source *source_new(sd_event *event, void *userdata)
{
        sd_event_source *source = g_new0(sd_event_source, 1);

        while (event->sources[source->place])
                g_assert_cmpuint(++source->place, <, SOURCES_MAX);
        event->sources[source->place] = source;
        source->event = sd_event_ref(event);
        source->fd = -1;
        source->userdata = userdata;
        return source;
}

int sd_event_add_io(sd_event *event, sd_event_source **ret_source, int fd, uint32_t events,
                    sd_event_io_handler_t ready, void *userdata)
{
        sd_event_source *source = source_new(event, userdata);

        g_assert_cmpuint(events, ==, EPOLLIN);
        g_assert_true(fake_descriptor_is_fake(fd));
        source->enabled = SD_EVENT_ON;
        source->fd = fd;
        source->ready = ready;
        *ret_source = source;
        return 0;
}

int sd_event_add_time(sd_event *event, sd_event_source **ret_source, clockid_t clock, uint64_t usec,
                      uint64_t accuracy _unused_, sd_event_time_handler_t elapsed, void *userdata)
{
        sd_event_source *source = source_new(event, userdata);

        g_assert_cmpint(clock, ==, CLOCK_MONOTONIC);
        source->enabled = SD_EVENT_ONESHOT;
        source->usec = usec;
        source->elapsed = elapsed;
        *ret_source = source;
        return 0;
}

int sd_event_source_set_time(sd_event_source *source, uint64_t usec)
{
        source->usec = usec;
        return 0;
}

int sd_event_source_set_enabled(sd_event_source *source, int enabled)
{
        if (source)
                source->enabled = enabled;
        return 0;
}

int sd_event_source_get_enabled(sd_event_source *source, int *ret_enabled)
{
        if (!source)
                return 0;
        if (ret_enabled)
                *ret_enabled = source->enabled;
        return source->enabled != SD_EVENT_OFF;
}

sd_event_source *sd_event_source_disable_unref(sd_event_source *source)
{
        if (!source)
                return NULL;
        source->event->sources[source->place] = NULL;
        sd_event_unref(source->event);
        g_free(source);
        return NULL;
}

static bool source_is_due(const sd_event_source *source, uint64_t now)
{
        if (!source || source->enabled == SD_EVENT_OFF)
                return false;
        return source->fd < 0 ? source->usec <= now : fake_descriptor_is_ready(source->fd);
}

/* A handler may end its source; what it returns must not be an error, which would switch it off. */
static void source_dispatch(sd_event_source *source)
{
        if (source->enabled == SD_EVENT_ONESHOT)
                source->enabled = SD_EVENT_OFF;
        if (source->fd < 0)
                g_assert_cmpint(source->elapsed(source, source->usec, source->userdata), >=, 0);
        else
                g_assert_cmpint(source->ready(source, source->fd, EPOLLIN, source->userdata), >=,
                                0);
}

bool fake_event_run(sd_event *event)
{
        const uint64_t now = loop_now();

        for (unsigned int i = 0; i < SOURCES_MAX; i++) {
                const unsigned int place = (event->turn + i) % SOURCES_MAX;

                if (!source_is_due(event->sources[place], now))
                        continue;
                event->turn = place + 1;
                source_dispatch(event->sources[place]);
                return true;
        }
        return false;
}
