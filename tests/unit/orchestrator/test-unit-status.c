/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib.h>
#include <signal.h>

#include "orchestrator/unit-status.h"

static void test_phases(void)
{
        g_assert_cmpint(unit_phase_parse("active"), ==, UNIT_UP);
        g_assert_cmpint(unit_phase_parse("reloading"), ==, UNIT_UP);
        g_assert_cmpint(unit_phase_parse("activating"), ==, UNIT_STARTING);
        g_assert_cmpint(unit_phase_parse("deactivating"), ==, UNIT_STOPPING);
        g_assert_cmpint(unit_phase_parse("inactive"), ==, UNIT_DOWN);
        g_assert_cmpint(unit_phase_parse("failed"), ==, UNIT_DOWN);
        g_assert_cmpint(unit_phase_parse(""), ==, UNIT_DOWN);
}

static void test_lingers(void)
{
        g_assert_true(unit_status_lingers("auto-restart"));
        g_assert_false(unit_status_lingers("auto-restart-queued"));
        g_assert_false(unit_status_lingers("start"));
        g_assert_false(unit_status_lingers(""));
}

static const struct {
        UnitStatus status;
        const char *text;
} descriptions[] = {
        { { .result = "exit-code", .exit_code = CLD_EXITED, .exit_status = 1 },
          "exited with status 1" },
        { { .result = "success", .exit_code = CLD_EXITED, .exit_status = 0 },
          "exited with status 0" },
        { { .result = "signal", .exit_code = CLD_KILLED, .exit_status = SIGKILL },
          "was killed by signal 9 (KILL)" },
        { { .result = "core-dump", .exit_code = CLD_DUMPED, .exit_status = SIGSEGV },
          "was killed by signal 11 (SEGV)" },
        { { .result = "signal", .exit_code = CLD_KILLED, .exit_status = 1000 },
          "was killed by signal 1000 (?)" },
        { { .result = "timeout", .exit_code = CLD_KILLED, .exit_status = SIGTERM },
          "did not become ready in time" },
        { { .result = "resources" }, "could not be started (resources)" },
        { { .refusal = (char *)"Unit x.service not found." },
          "could not be started: Unit x.service not found." },
        { { .result = "success" }, "ended" },
        { { 0 }, "ended" },
};

static void test_descriptions(void)
{
        for (size_t i = 0; i < G_N_ELEMENTS(descriptions); i++) {
                g_autofree char *text = unit_status_describe(&descriptions[i].status);

                g_assert_cmpstr(text, ==, descriptions[i].text);
        }
}

static void test_refusals(void)
{
        UnitStatus status = { .result = "exit-code", .exit_code = CLD_EXITED };

        for (status.exit_status = 0; status.exit_status < 256; status.exit_status++)
                g_assert_cmpint(unit_status_is_refusal(&status), ==,
                                status.exit_status == 64 || status.exit_status == 78);
        status.exit_status = 64;
        status.exit_code = CLD_KILLED;
        g_assert_false(unit_status_is_refusal(&status));
        status.exit_code = CLD_EXITED;
        status.refusal = (char *)"no such unit";
        g_assert_false(unit_status_is_refusal(&status));
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/unit-status/phases", test_phases);
        g_test_add_func("/unit-status/lingers", test_lingers);
        g_test_add_func("/unit-status/descriptions", test_descriptions);
        g_test_add_func("/unit-status/refusals", test_refusals);
        return g_test_run();
}
