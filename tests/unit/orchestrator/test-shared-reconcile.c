/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib.h>

#include "orchestrator/clock.h"
#include "orchestrator/shared-reconcile.h"

#define NOW   UINT64_C(1000)
#define LATER UINT64_C(2000)

static const struct {
        const char *name;
        SharedObserved observed;
        SharedAction action;
        uint64_t wake; /* 0: never */
} cases[] = {
        { "nothing", { .frontend = UNIT_DOWN, .is_known = true }, SHARED_NONE, 0 },
        { "nobody knows", { .frontend = UNIT_UNKNOWN, .is_listed = true }, SHARED_NONE, 0 },
        { "the first", { .frontend = UNIT_DOWN, .is_listed = true }, SHARED_START, 0 },
        { "crashed",
          { .frontend = UNIT_DOWN, .is_listed = true, .is_known = true },
          SHARED_START,
          0 },
        { "crashed, too early",
          { .frontend = UNIT_DOWN, .is_listed = true, .start_after = LATER },
          SHARED_NONE,
          LATER },
        { "crashed, nobody wants it", { .frontend = UNIT_DOWN }, SHARED_NONE, 0 },
        { "starts", { .frontend = UNIT_STARTING, .is_listed = true }, SHARED_NONE, 0 },
        { "starts in vain", { .frontend = UNIT_STARTING }, SHARED_STOP, 0 },
        { "serves", { .frontend = UNIT_UP, .is_listed = true, .is_known = true }, SHARED_NONE, 0 },
        { "a further one", { .frontend = UNIT_UP, .is_listed = true }, SHARED_RELOAD, 0 },
        { "one at a time",
          { .frontend = UNIT_UP, .is_listed = true, .is_reloading = true },
          SHARED_NONE,
          0 },
        { "did not hear it",
          { .frontend = UNIT_UP, .is_listed = true, .reload_after = LATER },
          SHARED_NONE,
          LATER },
        { "hears it again",
          { .frontend = UNIT_UP, .is_listed = true, .reload_after = NOW },
          SHARED_RELOAD,
          0 },
        { "the last has gone", { .frontend = UNIT_UP }, SHARED_STOP, 0 },
        { "the last has gone meanwhile",
          { .frontend = UNIT_UP, .is_reloading = true },
          SHARED_STOP,
          0 },
        { "stops", { .frontend = UNIT_STOPPING }, SHARED_NONE, 0 },
        { "stops, and is wanted again",
          { .frontend = UNIT_STOPPING, .is_listed = true },
          SHARED_NONE,
          0 },
};

static void test_table(void)
{
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                uint64_t wake = 0;

                g_test_message("%s", cases[i].name);
                g_assert_cmpint(shared_reconcile(&cases[i].observed, NOW, &wake), ==,
                                cases[i].action);
                g_assert_cmpuint(wake, ==, cases[i].wake ? cases[i].wake : USEC_NEVER);
        }
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/shared-reconcile/table", test_table);
        return g_test_run();
}
