/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/loop.h"

#include <errno.h>
#include <glib.h>
#include <sys/eventfd.h>

#define MSEC UINT64_C(1000)

/* A descriptor that is readable until somebody reads it, and a timer; and how often they ran. */
typedef struct Spring {
        Loop *loop;
        int fd;
        unsigned int n, last; /* at the last time it is done with the loop */
        struct Spring *other;
        LoopTimer timer;
        uint64_t due;
} Spring;

static void spring_served(void *userdata)
{
        Spring *spring = userdata;

        if (++spring->n == spring->last)
                loop_exit(spring->loop, 7);
}

static void spring_init(Spring *spring, Loop *loop, unsigned int last)
{
        *spring = (Spring){ .loop = loop, .fd = eventfd(1, EFD_CLOEXEC), .last = last };
        g_assert_cmpint(spring->fd, >=, 0);
        loop_timer_init(&spring->timer, loop, spring_served, spring);
}

static void run(Loop *loop, int expected)
{
        int code = -1;

        g_assert_cmpint(loop_run(loop, &code), ==, 0);
        g_assert_cmpint(code, ==, expected);
}

static void test_watch(void)
{
        _cleanup_(loop_freep) Loop *loop = NULL;
        Spring spring;

        g_assert_cmpint(loop_new(&loop), ==, 0);
        g_assert_cmpint(loop_turn(loop, false), ==, 0);
        spring_init(&spring, loop, 1000);
        g_assert_cmpint(loop_watch(loop, spring.fd, spring_served, &spring), ==, 0);
        g_assert_cmpint(loop_turn(loop, false), ==, 1);
        g_assert_cmpuint(spring.n, ==, 1);
        run(loop, 7);
        g_assert_cmpuint(spring.n, ==, 1000);
        fd_closep(&spring.fd);
}

/* One that is to end does not begin; and nobody is served any more after the end. */
static void test_exit(void)
{
        _cleanup_(loop_freep) Loop *loop = NULL;
        Spring first, second;

        g_assert_cmpint(loop_new(&loop), ==, 0);
        spring_init(&first, loop, 1);
        spring_init(&second, loop, 0);
        g_assert_cmpint(loop_watch(loop, first.fd, spring_served, &first), ==, 0);
        g_assert_cmpint(loop_watch(loop, second.fd, spring_served, &second), ==, 0);
        loop_timer_start(&second.timer, 0);
        run(loop, 7);
        g_assert_cmpuint(first.n, ==, 1);
        g_assert_cmpuint(second.n, ==, 0);
        loop_exit(loop, -EIO);
        run(loop, -EIO);
        g_assert_cmpuint(first.n + second.n, ==, 1);
        loop_timer_stop(&second.timer);
        fd_closep(&first.fd);
        fd_closep(&second.fd);
}

static void timer_elapsed(void *userdata)
{
        Spring *spring = userdata;

        g_assert_cmpuint(loop_now(), >=, spring->due);
        g_assert_false(spring->timer.is_on);
        spring_served(spring);
}

/* Never early, and each once, whatever else is due; those of the same time in the order of their
 * starts. */
static void test_timers(void)
{
        static const uint64_t times[] = { 300 * MSEC, 0, 100 * MSEC, 0, 200 * MSEC };
        static const unsigned int order[] = { 1, 3, 2, 4, 0 };
        _cleanup_(loop_freep) Loop *loop = NULL;
        Spring springs[G_N_ELEMENTS(times)];
        unsigned int done = 0;

        g_assert_cmpint(loop_new(&loop), ==, 0);
        for (unsigned int i = 0; i < G_N_ELEMENTS(times); i++) {
                springs[i] = (Spring){ .loop = loop };
                loop_timer_init(&springs[i].timer, loop, timer_elapsed, &springs[i]);
                springs[i].due = loop_now() + times[i];
                loop_timer_start(&springs[i].timer, times[i]);
                g_assert_true(springs[i].timer.is_on);
        }
        while (done < G_N_ELEMENTS(order)) {
                g_assert_cmpint(loop_turn(loop, true), >=, 0);
                if (springs[order[done]].n == 0)
                        continue;
                for (unsigned int i = 0; i < G_N_ELEMENTS(order); i++)
                        g_assert_cmpuint(springs[order[i]].n, ==, i <= done);
                done++;
        }
        g_assert_cmpint(loop_turn(loop, false), ==, 0);
}

static void test_timer_is_set_again(void)
{
        _cleanup_(loop_freep) Loop *loop = NULL;
        Spring first, second;
        LoopTimer unused = { 0 };

        loop_timer_stop(&unused);
        g_assert_cmpint(loop_new(&loop), ==, 0);
        spring_init(&first, loop, 0);
        spring_init(&second, loop, 1);
        loop_timer_start(&second.timer, 3600000 * MSEC);
        loop_timer_start(&first.timer, 0);
        loop_timer_start(&first.timer, 7200000 * MSEC);
        g_assert_cmpint(loop_turn(loop, false), ==, 0);
        loop_timer_start(&second.timer, 0);
        run(loop, 7);
        g_assert_cmpuint(first.n, ==, 0);
        g_assert_true(first.timer.is_on);
        loop_timer_stop(&first.timer);
        loop_timer_stop(&first.timer); /* harmless */
        g_assert_false(first.timer.is_on);
        fd_closep(&first.fd);
        fd_closep(&second.fd);
}

/* There is always something to read; timers have their turns. */
static void test_flood_of_watches(void)
{
        _cleanup_(loop_freep) Loop *loop = NULL;
        Spring spring, timed;

        g_assert_cmpint(loop_new(&loop), ==, 0);
        spring_init(&spring, loop, 0);
        spring_init(&timed, loop, 1);
        loop_timer_start(&timed.timer, 50 * MSEC);
        g_assert_cmpint(loop_watch(loop, spring.fd, spring_served, &spring), ==, 0);
        run(loop, 7);
        g_assert_cmpuint(spring.n, >, 1);
        fd_closep(&spring.fd);
        fd_closep(&timed.fd);
}

static void timer_again(void *userdata)
{
        Spring *spring = userdata;

        spring->n++;
        loop_timer_start(&spring->timer, 0);
}

/* There is always a timer that has elapsed, or more than one; descriptors have their turns. */
static void test_flood_of_timers(void)
{
        _cleanup_(loop_freep) Loop *loop = NULL;
        Spring floods[2], spring;

        g_assert_cmpint(loop_new(&loop), ==, 0);
        for (int i = 0; i < 2; i++) {
                floods[i] = (Spring){ .loop = loop };
                loop_timer_init(&floods[i].timer, loop, timer_again, &floods[i]);
                loop_timer_start(&floods[i].timer, 0);
        }
        spring_init(&spring, loop, 100);
        g_assert_cmpint(loop_watch(loop, spring.fd, spring_served, &spring), ==, 0);
        run(loop, 7);
        for (int i = 0; i < 2; i++) {
                g_assert_cmpuint(floods[i].n, >=, 49);
                g_assert_cmpuint(floods[i].n, <=, 50);
                loop_timer_stop(&floods[i].timer);
        }
        fd_closep(&spring.fd);
}

static void other_silenced(void *userdata)
{
        Spring *spring = userdata;

        loop_watch_enable(spring->loop, spring->other->fd, false);
        spring_served(spring);
}

static void other_removed(void *userdata)
{
        Spring *spring = userdata;

        loop_unwatch(spring->loop, spring->other->fd);
        loop_unwatch(spring->loop, spring->other->fd); /* harmless */
        spring_served(spring);
}

/* Both are ready; the second one is not run any more when the first one has been. */
static void test_changes_meanwhile(void)
{
        for (int way = 0; way < 2; way++) {
                _cleanup_(loop_freep) Loop *loop = NULL;
                Spring first, second;

                g_assert_cmpint(loop_new(&loop), ==, 0);
                spring_init(&first, loop, 3);
                spring_init(&second, loop, 0);
                first.other = &second;
                g_assert_cmpint(loop_watch(loop, first.fd,
                                           way == 0 ? other_silenced : other_removed, &first),
                                ==, 0);
                g_assert_cmpint(loop_watch(loop, second.fd, spring_served, &second), ==, 0);
                run(loop, 7);
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
        spring_init(&spring, loop, 1);
        g_assert_cmpint(loop_watch(loop, spring.fd, spring_served, &spring), ==, 0);
        loop_watch_enable(loop, spring.fd, false);
        g_assert_cmpint(loop_turn(loop, false), ==, 0);
        loop_watch_enable(loop, spring.fd, true);
        loop_watch_enable(loop, 9999, true); /* not watched: nothing */
        run(loop, 7);
        fd_closep(&spring.fd);
}

/* Those that are left are used again. */
static void test_places(void)
{
        _cleanup_(loop_freep) Loop *loop = NULL;
        Spring spring;

        g_assert_cmpint(loop_new(&loop), ==, 0);
        spring_init(&spring, loop, 1);
        for (int i = 0; i < LOOP_WATCHES_MAX; i++)
                g_assert_cmpint(loop_watch(loop, 1000 + i, spring_served, &spring), ==, 0);
        g_assert_cmpint(loop_watch(loop, spring.fd, spring_served, &spring), ==, -ENOSPC);
        for (int i = 0; i < LOOP_WATCHES_MAX; i++)
                loop_unwatch(loop, 1000 + i);
        g_assert_cmpint(loop_watch(loop, spring.fd, spring_served, &spring), ==, 0);
        run(loop, 7);
        fd_closep(&spring.fd);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/loop/watch", test_watch);
        g_test_add_func("/loop/exit", test_exit);
        g_test_add_func("/loop/timers", test_timers);
        g_test_add_func("/loop/timer-is-set-again", test_timer_is_set_again);
        g_test_add_func("/loop/flood-of-watches", test_flood_of_watches);
        g_test_add_func("/loop/flood-of-timers", test_flood_of_timers);
        g_test_add_func("/loop/changes-meanwhile", test_changes_meanwhile);
        g_test_add_func("/loop/enable", test_enable);
        g_test_add_func("/loop/places", test_places);
        return g_test_run();
}
