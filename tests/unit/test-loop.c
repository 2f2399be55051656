/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/loop.h"

#include <errno.h>
#include <glib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#define MSEC UINT64_C(1000)

/* A descriptor that is readable until somebody reads it; and how often it was served. */
typedef struct Spring {
        Loop *loop;
        int fd;
        unsigned int n, last; /* at the last time it is done with the loop */
        struct Spring *other;
        sd_event_source *timer;
        uint64_t started;
} Spring;

static Spring spring_new(Loop *loop, unsigned int last)
{
        const Spring spring = { .loop = loop, .fd = eventfd(1, EFD_CLOEXEC), .last = last };

        g_assert_cmpint(spring.fd, >=, 0);
        return spring;
}

static bool spring_served(void *userdata)
{
        Spring *spring = userdata;

        if (++spring->n != spring->last)
                return false;
        sd_event_exit(loop_event(spring->loop), 7);
        return true;
}

static int spring_dispatched(sd_event_source *source _unused_, int fd _unused_,
                             uint32_t events _unused_, void *userdata)
{
        Spring *spring = userdata;

        spring->n++;
        return 0;
}

static int timer_elapsed(sd_event_source *source, uint64_t usec _unused_, void *userdata)
{
        Spring *spring = userdata;

        g_assert_cmpuint(loop_now(), >=, spring->started);
        spring->started = 0;
        return sd_event_exit(sd_event_source_get_event(source), 0);
}

/* What concerns sd-event not at all costs no turn of it. */
static void test_short_way(void)
{
        _cleanup_(loop_freep) Loop *loop = NULL;
        uint64_t turns;
        Spring spring;

        g_assert_cmpint(loop_new(&loop), ==, 0);
        spring = spring_new(loop, 1000);
        g_assert_cmpint(loop_watch(loop, spring.fd, spring_served, &spring), ==, 0);
        g_assert_cmpint(loop_run(loop), ==, 7);
        g_assert_cmpuint(spring.n, ==, 1000);
        g_assert_cmpint(sd_event_get_iteration(loop_event(loop), &turns), ==, 0);
        g_assert_cmpuint(turns, <=, 2);
        fd_closep(&spring.fd);
}

static bool timer_wanted(void *userdata)
{
        Spring *spring = userdata;

        /* Long after sd-event has looked at the clock. */
        if (loop_now() < spring->started + 30 * MSEC)
                return false;
        loop_unwatch(spring->loop, spring->fd);
        loop_timer_start(spring->timer, 10 * MSEC);
        spring->started = loop_now() + 10 * MSEC;
        return true;
}

/* What sets a timer says so; and the timer counts from then on. */
static void test_turn(void)
{
        _cleanup_(loop_freep) Loop *loop = NULL;
        Spring spring;

        g_assert_cmpint(loop_new(&loop), ==, 0);
        spring = spring_new(loop, 0);
        spring.started = loop_now();
        g_assert_cmpint(loop_timer_new(loop, timer_elapsed, &spring, &spring.timer), ==, 0);
        g_assert_cmpint(loop_watch(loop, spring.fd, timer_wanted, &spring), ==, 0);
        g_assert_cmpint(loop_run(loop), ==, 0);
        g_assert_cmpuint(spring.started, ==, 0);
        sd_event_source_disable_unref(spring.timer);
        fd_closep(&spring.fd);
}

/* There is always something on the short way; sd-event has its turns. */
static void test_flood_of_watches(void)
{
        _cleanup_(loop_freep) Loop *loop = NULL;
        Spring spring;

        g_assert_cmpint(loop_new(&loop), ==, 0);
        spring = spring_new(loop, 0);
        g_assert_cmpint(loop_timer_new(loop, timer_elapsed, &spring, &spring.timer), ==, 0);
        loop_timer_start(spring.timer, 50 * MSEC);
        g_assert_cmpint(loop_watch(loop, spring.fd, spring_served, &spring), ==, 0);
        g_assert_cmpint(loop_run(loop), ==, 0);
        g_assert_cmpuint(spring.n, >, 1);
        sd_event_source_disable_unref(spring.timer);
        fd_closep(&spring.fd);
}

/* sd-event always has something that is pending, even at the end of its turn. */
static void test_flood_of_sources(void)
{
        _cleanup_(loop_freep) Loop *loop = NULL;
        Spring floods[2], spring;

        g_assert_cmpint(loop_new(&loop), ==, 0);
        for (int i = 0; i < 2; i++) {
                floods[i] = spring_new(loop, 0);
                g_assert_cmpint(sd_event_add_io(loop_event(loop), NULL, floods[i].fd, EPOLLIN,
                                                spring_dispatched, &floods[i]),
                                >=, 0);
        }
        spring = spring_new(loop, 100);
        g_assert_cmpint(loop_watch(loop, spring.fd, spring_served, &spring), ==, 0);
        g_assert_cmpint(loop_run(loop), ==, 7);
        for (int i = 0; i < 2; i++) {
                g_assert_cmpuint(floods[i].n, >=, 40);
                g_assert_cmpuint(floods[i].n, <=, 60);
                fd_closep(&floods[i].fd);
        }
        fd_closep(&spring.fd);
}

static bool other_silenced(void *userdata)
{
        Spring *spring = userdata;

        loop_watch_enable(spring->loop, spring->other->fd, false);
        return spring_served(spring);
}

static bool other_removed(void *userdata)
{
        Spring *spring = userdata;

        loop_unwatch(spring->loop, spring->other->fd);
        loop_unwatch(spring->loop, spring->other->fd); /* harmless */
        return spring_served(spring);
}

/* Both are ready; the second one is not run any more when the first one has been. */
static void test_changes_meanwhile(void)
{
        for (int way = 0; way < 2; way++) {
                _cleanup_(loop_freep) Loop *loop = NULL;
                Spring first, second;

                g_assert_cmpint(loop_new(&loop), ==, 0);
                first = spring_new(loop, 3);
                second = spring_new(loop, 0);
                first.other = &second;
                g_assert_cmpint(loop_watch(loop, first.fd,
                                           way == 0 ? other_silenced : other_removed, &first),
                                ==, 0);
                g_assert_cmpint(loop_watch(loop, second.fd, spring_served, &second), ==, 0);
                g_assert_cmpint(loop_run(loop), ==, 7);
                g_assert_cmpuint(second.n, ==, 0);
                fd_closep(&first.fd);
                fd_closep(&second.fd);
        }
}

static void test_enable(void)
{
        _cleanup_(loop_freep) Loop *loop = NULL;
        Spring spring;

        g_assert_cmpint(loop_new(&loop), ==, 0);
        spring = spring_new(loop, 1);
        g_assert_cmpint(loop_watch(loop, spring.fd, spring_served, &spring), ==, 0);
        loop_watch_enable(loop, spring.fd, false);
        loop_watch_enable(loop, spring.fd, true);
        loop_watch_enable(loop, 9999, true); /* not watched: nothing */
        g_assert_cmpint(loop_run(loop), ==, 7);
        fd_closep(&spring.fd);
}

/* One place is sd-event's. Those that are left are used again. */
static void test_places(void)
{
        _cleanup_(loop_freep) Loop *loop = NULL;
        Spring spring;

        g_assert_cmpint(loop_new(&loop), ==, 0);
        spring = spring_new(loop, 1);
        for (int i = 1; i < LOOP_WATCHES_MAX; i++)
                g_assert_cmpint(loop_watch(loop, 1000 + i, spring_served, &spring), ==, 0);
        g_assert_cmpint(loop_watch(loop, spring.fd, spring_served, &spring), ==, -ENOSPC);
        for (int i = 1; i < LOOP_WATCHES_MAX; i++)
                loop_unwatch(loop, 1000 + i);
        g_assert_cmpint(loop_watch(loop, spring.fd, spring_served, &spring), ==, 0);
        g_assert_cmpint(loop_run(loop), ==, 7);
        fd_closep(&spring.fd);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/loop/short-way", test_short_way);
        g_test_add_func("/loop/turn", test_turn);
        g_test_add_func("/loop/flood-of-watches", test_flood_of_watches);
        g_test_add_func("/loop/flood-of-sources", test_flood_of_sources);
        g_test_add_func("/loop/changes-meanwhile", test_changes_meanwhile);
        g_test_add_func("/loop/enable", test_enable);
        g_test_add_func("/loop/places", test_places);
        return g_test_run();
}
