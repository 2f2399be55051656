/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* When the manager looks at its devices. */

#include <glib.h>

#include "orchestrator/pass.h"

static void on_pass(void *userdata)
{
        unsigned int *n = userdata;

        (*n)++;
}

/* Runs what is ready by now. */
static void run(sd_event *event)
{
        while (sd_event_run(event, 0) > 0)
                ;
}

typedef struct Fixture {
        sd_event *event;
        Pass *pass;
        unsigned int n;
} Fixture;

static void set_up(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        g_assert_cmpint(sd_event_new(&fixture->event), ==, 0);
        g_assert_cmpint(pass_new(fixture->event, on_pass, &fixture->n, &fixture->pass), ==, 0);
        run(fixture->event);
        g_assert_cmpuint(fixture->n, ==, 0);
}

static void tear_down(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        pass_free(fixture->pass);
        sd_event_unref(fixture->event);
}

/* However often it is asked for, it comes once. */
static void test_once(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        for (unsigned int i = 0; i < 3; i++)
                pass_schedule(fixture->pass, false);
        run(fixture->event);
        g_assert_cmpuint(fixture->n, ==, 1);
        pass_schedule(fixture->pass, false);
        run(fixture->event);
        g_assert_cmpuint(fixture->n, ==, 2);
}

/* Claims come first; when all have come it has waited long enough, and is over. */
static void test_claims(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        const uint64_t begin = clock_now_usec();

        pass_schedule(fixture->pass, true);
        run(fixture->event);
        if (clock_now_usec() - begin >= PASS_PATIENCE_USEC) {
                g_test_skip("the machine is too busy");
                return;
        }
        g_assert_cmpuint(fixture->n, ==, 0);
        pass_schedule(fixture->pass, false);
        run(fixture->event);
        g_assert_cmpuint(fixture->n, ==, 1);
        g_usleep(PASS_PATIENCE_USEC * 11 / 10);
        run(fixture->event);
        g_assert_cmpuint(fixture->n, ==, 1);
}

/* It does not wait for ever. */
static void test_patience(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        const uint64_t begin = clock_now_usec();

        pass_schedule(fixture->pass, true);
        g_usleep(PASS_PATIENCE_USEC / 2);
        pass_schedule(fixture->pass, true);
        g_assert_cmpint(sd_event_run(fixture->event, UINT64_MAX), >, 0);
        g_assert_cmpuint(fixture->n, ==, 1);
        g_assert_cmpuint(clock_now_usec() - begin, >=, PASS_PATIENCE_USEC);
}

#define ADD(path, function) g_test_add("/pass/" path, Fixture, NULL, set_up, function, tear_down)

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        ADD("once", test_once);
        ADD("claims", test_claims);
        ADD("patience", test_patience);
        return g_test_run();
}
