/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What shared frontends meet: the work of an earlier orchestrator, guest or process. */

#include <glib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "orchestrator/restart.h"
#include "orchestrator/run-state.h"
#include "tests/unit/orchestrator/folder.h"
#include "tests/unit/orchestrator/shared-fixture.h"

#define OTHER "11111111-7d11-4f6e-9a55-0123456789ab"

static void on_found_shared(void *userdata, const char *instance, const Launch *launch)
{
        Fixture *fixture = userdata;

        if (strcmp(instance, "5-shared") == 0)
                shared_frontends_adopt(fixture->services.shared, 5, launch);
}

static void on_found(void *userdata, const char *instance, const Launch *launch)
{
        Fixture *fixture = userdata;
        DeviceName name;

        if (device_name_parse(instance, &name) >= 0)
                fixture->devices[name.devid] = device_adopt(&fixture->services, &name, launch);
}

/* Another orchestrator takes over; systemd has not told it anything yet. */
static void take_over(Fixture *fixture)
{
        orchestrator_end(fixture);
        orchestrator_start(fixture);
        units.unknown = true;
        g_assert_cmpint(run_state_list(fixture->services.rundir, on_found_shared, fixture), ==, 0);
        g_assert_cmpint(run_state_list(fixture->services.rundir, on_found, fixture), ==, 0);
        shared_frontends_sweep(fixture->services.shared);
        orchestrator_pass(fixture);
        units.unknown = false;
}

/* The nodes are as they were. */
static void devices_read(Fixture *fixture)
{
        for (uint32_t i = 0; i < N_DEVICES; i++)
                device_read(fixture->devices[i], UUID, "4");
}

/* The next orchestrator finds all of it under /run, and starts nothing. */
static void test_adopt(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        devices_come(fixture);
        take_over(fixture);
        for (uint32_t i = 0; i < N_DEVICES; i++)
                device_read(fixture->devices[i], UUID, i == 9 ? "5" : "4");
        orchestrator_pass(fixture);
        g_assert_cmpuint(shared_unit()->n_starts, ==, 1);
        g_assert_cmpuint(shared_unit()->n_reloads, ==, 1);
        assert_list(fixture, "678a");
        /* Adopted, but not yet known to be served no more. */
        unit_become(unit_find("xen-virtio-backend@5-virtio-9.service"), UNIT_DOWN);
        orchestrator_pass(fixture);
        g_assert_cmpint(device_state(fixture->devices[9]), ==, DEVICE_STOPPING);
        reload_end(fixture, RELOAD_DONE);
        assert_states(fixture, "rrrrr");
        assert_servers(fixture, "11111140");
        g_assert_cmpuint(shared_unit()->n_starts, ==, 1);
}

/* It crashed while nobody looked. */
static void test_adopt_crashed(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        devices_come(fixture);
        shared_unit()->phase = UNIT_DOWN;
        take_over(fixture);
        devices_read(fixture);
        orchestrator_pass(fixture);
        g_assert_cmpuint(shared_unit()->n_starts, ==, 2);
        assert_list(fixture, "6789a");
}

/*
 * The orchestrator was killed between the server's record and the device's: the next one knows of
 * no device, so that the server goes with the range that was not taken, and there is another one.
 */
static void test_adopt_half(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        for (uint32_t i = 0; i <= FIRST_SHARED; i++)
                device_come(fixture, i, UUID);
        g_assert_cmpint(run_state_remove(fixture->services.rundir, "5-virtio-6"), ==, 0);
        take_over(fixture);
        g_assert_false(file_exists(fixture, "run/5-shared"));
        claims_release(&fixture->claims, 5, SHARED_SERVER);
        for (uint32_t i = 0; i < FIRST_SHARED; i++)
                device_read(fixture->devices[i], UUID, "4");
        device_come(fixture, FIRST_SHARED, UUID);
        assert_servers(fixture, "11111110");
        orchestrator_pass(fixture);
        assert_list(fixture, "6");
}

/*
 * It was killed before it had seen the processes of an earlier claim down: the device is not served
 * before the process, which may have the earlier one, has heard that it is over.
 */
static void test_adopt_unsettled(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        devices_come(fixture);
        take_over(fixture);
        device_expect_leftover(fixture->devices[9]);
        devices_read(fixture);
        unit_become(unit_find("xen-virtio-backend@5-virtio-9.service"), UNIT_DOWN);
        orchestrator_pass(fixture);
        assert_list(fixture, "678a");
        reload_end(fixture, RELOAD_DONE);
        assert_list(fixture, "6789a");
        g_assert_cmpuint(shared_unit()->n_starts, ==, 1);
}

/* A device that nobody can hear of is served on, and heard of later. */
static void test_adopt_unheard(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        g_autofree char *path = NULL;

        devices_come(fixture);
        path = g_build_filename(fixture->root, "run/5-virtio-9/frontend/status", NULL);
        g_assert_cmpint(unlink(path), ==, 0);
        g_assert_cmpint(mkdir(path, 0700), ==, 0);
        take_over(fixture);
        devices_read(fixture);
        orchestrator_pass(fixture);
        assert_list(fixture, "6789a");
        reload_end(fixture, RELOAD_DONE);
        assert_states(fixture, "rrrfr");

        g_assert_cmpint(rmdir(path), ==, 0);
        g_usleep(RESTART_DELAY_MIN_USEC * 3 / 2);
        orchestrator_pass(fixture);
        frontend_say(fixture, 9, "ready\n");
        reload_end(fixture, RELOAD_DONE);
        assert_states(fixture, "rrrrr");
        assert_list(fixture, "6789a");
        g_assert_cmpuint(shared_unit()->n_starts, ==, 1);
}

/* A process that is there before the first device is none of this guest's. */
static void test_former_process(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        for (uint32_t i = 0; i < N_DEVICES; i++)
                device_come(fixture, i, UUID);
        shared_unit()->phase = UNIT_UP;
        orchestrator_pass(fixture);
        g_assert_cmpint(shared_unit()->phase, ==, UNIT_STOPPING);
        unit_become(shared_unit(), UNIT_DOWN);
        orchestrator_pass(fixture);
        g_assert_cmpuint(shared_unit()->n_starts, ==, 1);
        assert_list(fixture, "6789a");
}

/* Nor is a process that the device had alone, before it shared one. */
static void test_former_own_process(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        Unit *own;

        for (uint32_t i = 0; i < N_DEVICES; i++)
                device_come(fixture, i, UUID);
        own = unit_find("xen-virtio-frontend@5-virtio-8.service");
        own->phase = UNIT_UP;
        orchestrator_pass(fixture);
        g_assert_cmpint(own->phase, ==, UNIT_STOPPING);
        assert_list(fixture, "679a");
        unit_become(own, UNIT_DOWN);
        unit_become(shared_unit(), UNIT_UP);
        orchestrator_pass(fixture);
        assert_list(fixture, "6789a");
}

/* The number is another domain's by now: its devices have nothing to do with what is ending. */
static void test_another_guest(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        devices_come(fixture);
        orchestrator_end(fixture);
        orchestrator_start(fixture);
        g_assert_cmpint(run_state_list(fixture->services.rundir, on_found_shared, fixture), ==, 0);
        /* Its servers went with it. */
        for (uint16_t i = 0; i <= SHARED_SERVER; i++)
                claims_release(&fixture->claims, 5, i);
        for (uint32_t i = 0; i < N_DEVICES; i++) {
                g_autofree char *instance = g_strdup_printf("5-virtio-%u", i);

                g_assert_cmpint(run_state_remove(fixture->services.rundir, instance), ==, 0);
                device_come(fixture, i, OTHER);
        }
        /* But what they are to share is still in the way, and none of them gets it alone. */
        assert_servers(fixture, "11111100");
        assert_states(fixture, "fffff");
        g_assert_cmpstr(fixture->store.errors[FIRST_SHARED], ==,
                        "the devices of the domain that had this number are still ending");

        shared_frontends_sweep(fixture->services.shared);
        g_usleep(RESTART_DELAY_MIN_USEC * 3 / 2);
        for (uint32_t i = 0; i < N_DEVICES; i++)
                device_read(fixture->devices[i], OTHER, "1");
        assert_servers(fixture, "11111150");
        assert_states(fixture, "ccccc");
}

/* A device has joined a server of that number in the next guest, where it is somebody else's. */
static void test_another_server(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        for (uint32_t i = 0; i < N_DEVICES - 1; i++)
                device_come(fixture, i, UUID);
        orchestrator_pass(fixture);
        unit_become(shared_unit(), UNIT_UP);
        orchestrator_pass(fixture);
        device_come(fixture, N_DEVICES - 1, UUID);
        assert_servers(fixture, "11111150");
        device_read(fixture->devices[N_DEVICES - 1], OTHER, "5");
        orchestrator_pass(fixture);
        reload_end(fixture, RELOAD_DONE);
        assert_servers(fixture, "11111140");
        g_assert_cmpint(device_state(fixture->devices[N_DEVICES - 1]), ==, DEVICE_RELEASED);
        g_assert_true(fixture->claims.exists[SHARED_SERVER]);
}

/* There is no room for the record of what they are to share: none of them gets it alone. */
static void test_no_record(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        g_autofree char *path = g_build_filename(fixture->root, "run/5-shared", NULL);

        folder_put(fixture->root, "run/5-shared", "");
        for (uint32_t i = 0; i <= FIRST_SHARED; i++)
                device_come(fixture, i, UUID);
        assert_servers(fixture, "11111100");
        g_assert_cmpint(device_state(fixture->devices[FIRST_SHARED]), ==, DEVICE_FAILED);
        g_assert_false(file_exists(fixture, "run/5-virtio-6"));

        g_assert_cmpint(unlink(path), ==, 0);
        g_usleep(RESTART_DELAY_MIN_USEC * 3 / 2);
        device_read(fixture->devices[FIRST_SHARED], UUID, "1");
        device_come(fixture, FIRST_SHARED + 1, UUID);
        assert_servers(fixture, "11111120");
}

#define ADD(path, function)                                                                        \
        g_test_add("/shared-leftover/" path, Fixture, "[net]\nBackend=net\n", fixture_set_up,      \
                   function, fixture_tear_down)

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        ADD("adopt", test_adopt);
        ADD("adopt-crashed", test_adopt_crashed);
        ADD("adopt-half", test_adopt_half);
        ADD("adopt-unsettled", test_adopt_unsettled);
        ADD("adopt-unheard", test_adopt_unheard);
        ADD("former-process", test_former_process);
        ADD("former-own-process", test_former_own_process);
        ADD("another-guest", test_another_guest);
        ADD("another-server", test_another_server);
        ADD("no-record", test_no_record);
        return g_test_run();
}
