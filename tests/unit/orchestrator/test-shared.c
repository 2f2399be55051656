/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* More devices than IOREQ servers: which one each gets, and the process that serves several. */

#include <glib.h>
#include <string.h>

#include "orchestrator/restart.h"
#include "tests/unit/orchestrator/shared-fixture.h"

/* All are claimed before anything is started; the first ones alone, and one server is left. */
static void test_come(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        DeviceReport report;

        for (uint32_t i = 0; i < N_DEVICES; i++) {
                device_come(fixture, i, UUID);
                g_assert_cmpint(device_state(fixture->devices[i]), ==, DEVICE_CLAIMED);
        }
        assert_servers(fixture, "11111150");
        g_assert_cmpuint(shared_unit()->n_starts, ==, 0);

        orchestrator_pass(fixture);
        g_assert_cmpuint(shared_unit()->n_starts, ==, 1);
        assert_list(fixture, "6789a");
        g_assert_true(file_exists(fixture, "units/" SHARED_UNIT ".d/50-device.conf"));
        g_assert_true(file_exists(fixture, "run/5-shared/frontend"));
        assert_states(fixture, "ccccc");

        /* Each is ready when its own backend has answered. */
        unit_become(shared_unit(), UNIT_UP);
        frontend_say(fixture, 7, "ready\n");
        orchestrator_pass(fixture);
        assert_states(fixture, "crccc");
        g_assert_cmpuint(shared_unit()->n_reloads, ==, 0);
        device_describe(fixture->devices[7], &report);
        g_assert_cmpstr(report.frontend, ==, "5-shared");
        g_assert_cmpuint(report.server, ==, SHARED_SERVER);
        device_describe(fixture->devices[0], &report);
        g_assert_cmpstr(report.frontend, ==, "5-virtio-0");
}

/* One that comes later is handed over to the process that runs. */
static void test_further(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        for (uint32_t i = 0; i < N_DEVICES - 1; i++)
                device_come(fixture, i, UUID);
        orchestrator_pass(fixture);
        unit_become(shared_unit(), UNIT_UP);
        orchestrator_pass(fixture);
        device_come(fixture, N_DEVICES - 1, UUID);
        assert_servers(fixture, "11111150");
        orchestrator_pass(fixture);
        assert_list(fixture, "6789a");
        g_assert_cmpuint(shared_unit()->n_reloads, ==, 1);
        /* Nothing that is said before that is over counts. */
        frontend_say(fixture, N_DEVICES - 1, "ready\n");
        orchestrator_pass(fixture);
        assert_states(fixture, "ccccc");
        reload_end(fixture, RELOAD_DONE);
        assert_states(fixture, "ccccr");
        g_assert_cmpuint(shared_unit()->n_starts, ==, 1);
}

/* One that comes while the process starts, which may take long, has its backend at once. */
static void test_further_while_it_starts(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        g_autofree char *backend =
                g_strdup_printf("xen-virtio-backend@5-virtio-%u.service", N_DEVICES - 1U);

        for (uint32_t i = 0; i < N_DEVICES - 1; i++)
                device_come(fixture, i, UUID);
        orchestrator_pass(fixture);
        g_assert_cmpint(shared_unit()->phase, ==, UNIT_STARTING);
        device_come(fixture, N_DEVICES - 1, UUID);
        orchestrator_pass(fixture);
        g_assert_cmpuint(unit_find(backend)->n_starts, ==, 1);
        /* Whether it has seen this list, nobody knows. */
        unit_become(shared_unit(), UNIT_UP);
        orchestrator_pass(fixture);
        g_assert_cmpuint(shared_unit()->n_reloads, ==, 1);
        assert_list(fixture, "6789a");
}

/* A range is given back when the process has heard that it is over. */
static void test_go(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        devices_come(fixture);
        device_go(fixture, 8);
        assert_list(fixture, "679a");
        assert_servers(fixture, "11111150");
        g_assert_cmpint(device_state(fixture->devices[8]), ==, DEVICE_STOPPING);
        reload_end(fixture, RELOAD_DONE);
        assert_servers(fixture, "11111140");
        g_assert_cmpint(device_state(fixture->devices[8]), ==, DEVICE_RELEASED);
        g_assert_cmpint(fixture->store.states[8], ==, XENBUS_CLOSED);
        g_assert_false(file_exists(fixture, "run/5-virtio-8"));

        /* A device alone does not matter to it. */
        device_go(fixture, 0);
        unit_become(unit_find("xen-virtio-frontend@5-virtio-0.service"), UNIT_DOWN);
        orchestrator_pass(fixture);
        assert_servers(fixture, "01111140");
        g_assert_cmpuint(shared_unit()->n_reloads, ==, 1);

        /* Three at once are one reload; the last one ends the process instead. */
        device_read(fixture->devices[6], UUID, "5");
        device_read(fixture->devices[7], UUID, "5");
        device_read(fixture->devices[9], UUID, "5");
        orchestrator_pass(fixture);
        assert_list(fixture, "a");
        unit_become(unit_find("xen-virtio-backend@5-virtio-6.service"), UNIT_DOWN);
        unit_become(unit_find("xen-virtio-backend@5-virtio-7.service"), UNIT_DOWN);
        unit_become(unit_find("xen-virtio-backend@5-virtio-9.service"), UNIT_DOWN);
        reload_end(fixture, RELOAD_DONE);
        g_assert_cmpuint(shared_unit()->n_reloads, ==, 2);
        assert_servers(fixture, "01111110");
        device_go(fixture, 10);
        g_assert_cmpint(shared_unit()->phase, ==, UNIT_STOPPING);
        assert_servers(fixture, "01111110");
        unit_become(shared_unit(), UNIT_DOWN);
        orchestrator_pass(fixture);
        assert_servers(fixture, "01111100");
        g_assert_false(fixture->claims.exists[SHARED_SERVER]);
        g_assert_false(file_exists(fixture, "run/5-shared"));
        g_assert_false(file_exists(fixture, "units/" SHARED_UNIT ".d"));
        g_assert_null(shared_frontends_find(fixture->services.shared, 5));
        g_assert_cmpuint(shared_unit()->n_starts, ==, 1);
}

/* One that comes while the process ends gets the next process. */
static void test_come_while_it_ends(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        for (uint32_t i = 0; i <= FIRST_SHARED; i++)
                device_come(fixture, i, UUID);
        orchestrator_pass(fixture);
        unit_become(shared_unit(), UNIT_UP);
        orchestrator_pass(fixture);
        device_go(fixture, FIRST_SHARED);
        g_assert_cmpint(shared_unit()->phase, ==, UNIT_STOPPING);
        device_come(fixture, FIRST_SHARED + 1, UUID);
        assert_servers(fixture, "11111120");
        orchestrator_pass(fixture);
        g_assert_cmpuint(shared_unit()->n_starts, ==, 1);
        unit_become(shared_unit(), UNIT_DOWN);
        orchestrator_pass(fixture);
        assert_servers(fixture, "11111110");
        g_assert_cmpuint(shared_unit()->n_starts, ==, 2);
        assert_list(fixture, "7");
}

/* The process is started again as one; no backend is touched, and no device counts it as its own.
 */
static void test_crash(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        DeviceReport report;

        devices_come(fixture);
        unit_become(shared_unit(), UNIT_DOWN);
        orchestrator_pass(fixture);
        assert_states(fixture, "fffff");
        g_assert_cmpstr(fixture->store.errors[6], ==,
                        "the frontend was killed, see journalctl -u " SHARED_UNIT);
        g_assert_cmpint(device_state(fixture->devices[0]), ==, DEVICE_READY);
        g_assert_cmpuint(shared_unit()->n_starts, ==, 1); /* not before its time */

        g_usleep(RESTART_DELAY_MIN_USEC * 3 / 2);
        orchestrator_pass(fixture);
        g_assert_cmpuint(shared_unit()->n_starts, ==, 2);
        assert_list(fixture, "6789a");
        unit_become(shared_unit(), UNIT_UP);
        orchestrator_pass(fixture);
        assert_states(fixture, "fffff"); /* what the former one has said is void */
        for (unsigned int i = FIRST_SHARED; i < N_DEVICES; i++)
                frontend_say(fixture, i, "ready\n");
        orchestrator_pass(fixture);
        assert_states(fixture, "rrrrr");
        g_assert_cmpuint(shared_unit()->n_reloads, ==, 0);
        g_assert_null(fixture->store.errors[6]);
        device_describe(fixture->devices[6], &report);
        g_assert_cmpuint(report.frontend_restarts, ==, 1);
        g_assert_cmpuint(report.backend_restarts, ==, 0);
        g_assert_cmpuint(unit_find("xen-virtio-backend@5-virtio-6.service")->n_starts, ==, 1);
}

/* Its end says that the next one will be the same: it is tried as seldom as may be, or when asked.
 */
static void test_refusal(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        devices_come(fixture);
        shared_unit()->refuses = true;
        unit_become(shared_unit(), UNIT_DOWN);
        orchestrator_pass(fixture);
        g_usleep(RESTART_DELAY_MIN_USEC * 3 / 2);
        orchestrator_pass(fixture);
        g_assert_cmpuint(shared_unit()->n_starts, ==, 1);
        assert_states(fixture, "fffff");
        g_assert_cmpint(device_restart(fixture->devices[6], false, true), ==, 0);
        orchestrator_pass(fixture);
        g_assert_cmpuint(shared_unit()->n_starts, ==, 2);
}

/* What fails everywhere leaves it no start. */
static void test_start_budget(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        devices_come(fixture);
        fixture->starts.full_usec = clock_now_usec() + 3600 * USEC_PER_SEC;
        unit_become(shared_unit(), UNIT_DOWN);
        orchestrator_pass(fixture);
        g_usleep(RESTART_DELAY_MIN_USEC * 3 / 2);
        orchestrator_pass(fixture);
        g_assert_cmpuint(shared_unit()->n_starts, ==, 1);
        g_assert_cmpint(device_restart(fixture->devices[6], false, true), ==, 0);
        orchestrator_pass(fixture);
        g_assert_cmpuint(shared_unit()->n_starts, ==, 2);
}

/* A device that fails by itself has its own time of the next try, and is that device's alone. */
static void test_one_fails(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        devices_come(fixture);
        frontend_say(fixture, 9, "failed\n");
        orchestrator_pass(fixture);
        assert_states(fixture, "rrrfr");
        g_assert_cmpuint(shared_unit()->n_reloads, ==, 0);
        g_usleep(RESTART_DELAY_MIN_USEC * 3 / 2);
        orchestrator_pass(fixture);
        g_assert_cmpuint(shared_unit()->n_reloads, ==, 1);
        frontend_say(fixture, 9, "ready\n");
        reload_end(fixture, RELOAD_DONE);
        assert_states(fixture, "rrrrr");

        /* So has its backend. */
        unit_become(unit_find("xen-virtio-backend@5-virtio-9.service"), UNIT_DOWN);
        orchestrator_pass(fixture);
        assert_states(fixture, "rrrfr");
        g_usleep(RESTART_DELAY_MIN_USEC * 3 / 2);
        orchestrator_pass(fixture);
        assert_states(fixture, "rrrrr");
        g_assert_cmpuint(shared_unit()->n_starts, ==, 1);
        g_assert_cmpuint(shared_unit()->n_reloads, ==, 1);
}

/* A reload that was not heard is made again. */
static void test_reload_fails(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        devices_come(fixture);
        device_go(fixture, 8);
        reload_end(fixture, RELOAD_FAILED);
        g_assert_cmpuint(shared_unit()->n_reloads, ==, 1);
        g_assert_cmpint(device_state(fixture->devices[8]), ==, DEVICE_STOPPING);
        g_usleep(RESTART_DELAY_MIN_USEC * 3 / 2);
        orchestrator_pass(fixture);
        g_assert_cmpuint(shared_unit()->n_reloads, ==, 2);
        reload_end(fixture, RELOAD_DONE);
        g_assert_cmpint(device_state(fixture->devices[8]), ==, DEVICE_RELEASED);
}

/* xen-virtioctl restart --frontend: all of them hand over, and none has failed. */
static void test_restart(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        DeviceReport report;

        devices_come(fixture);
        g_assert_cmpint(device_restart(fixture->devices[7], false, true), ==, 0);
        g_assert_cmpint(shared_unit()->phase, ==, UNIT_STOPPING);
        orchestrator_pass(fixture);
        unit_become(shared_unit(), UNIT_DOWN);
        orchestrator_pass(fixture);
        g_assert_cmpuint(shared_unit()->n_starts, ==, 2);
        assert_states(fixture, "rcrrr");
        unit_become(shared_unit(), UNIT_UP);
        for (unsigned int i = FIRST_SHARED; i < N_DEVICES; i++)
                frontend_say(fixture, i, "ready\n");
        orchestrator_pass(fixture);
        assert_states(fixture, "rrrrr");
        device_describe(fixture->devices[7], &report);
        g_assert_cmpuint(report.frontend_restarts, ==, 1);
}

/* Seeded memory is for one device: it gets the server that is left, and then there is none. */
static void test_seed(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        for (uint32_t i = 0; i < N_DEVICES; i++)
                device_come(fixture, i, UUID);
        assert_servers(fixture, "11111131");
        g_assert_cmpint(device_state(fixture->devices[8]), ==, DEVICE_CLAIMED);
        g_assert_cmpint(device_state(fixture->devices[9]), ==, DEVICE_FAILED);
        g_assert_cmpstr(fixture->store.errors[9], ==,
                        "the guest has as many IOREQ servers as Xen allows");
        orchestrator_pass(fixture);
        assert_list(fixture, "67a");
}

#define ADD(path, function, guest)                                                                 \
        g_test_add("/shared/" path, Fixture, guest, fixture_set_up, function, fixture_tear_down)

int main(int argc, char **argv)
{
        static const char plain[] = "[net]\nBackend=net\n";

        g_test_init(&argc, &argv, NULL);
        ADD("come", test_come, plain);
        ADD("further", test_further, plain);
        ADD("further-while-it-starts", test_further_while_it_starts, plain);
        ADD("go", test_go, plain);
        ADD("come-while-it-ends", test_come_while_it_ends, plain);
        ADD("crash", test_crash, plain);
        ADD("refusal", test_refusal, plain);
        ADD("start-budget", test_start_budget, plain);
        ADD("one-fails", test_one_fails, plain);
        ADD("reload-fails", test_reload_fails, plain);
        ADD("restart", test_restart, plain);
        ADD("seed", test_seed,
            "[net]\nBackend=net\n[virtio-8]\nBackend=seed\n[virtio-9]\nBackend=seed\n");
        return g_test_run();
}
