/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What the configuration does to devices: with xenstore, Xen and systemd in memory, and the folders
 * of devices and units in a temporary one.
 */

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>

#include "common/macros.h"
#include "orchestrator/clock.h"
#include "orchestrator/device.h"
#include "orchestrator/paths.h"
#include "orchestrator/run-state.h"
#include "tests/unit/orchestrator/device-seams.h"
#include "tests/unit/orchestrator/folder.h"
#include "tests/unit/orchestrator/plain-services.h"

typedef struct Fixture {
        char *root;
        Store store;
        Units units;
        DeviceServices services;
        Histogram claim_times;
        StartBudget starts;
        Device *devices[2]; /* a network card and a file system */
        Device *queued;     /* the last one that asked for a look */
} Fixture;

static void on_problem(void *userdata G_GNUC_UNUSED, const char *problem)
{
        g_test_message("%s", problem);
}

static void on_enqueue(void *userdata, Device *device, bool read G_GNUC_UNUSED)
{
        Fixture *fixture = userdata;

        fixture->queued = device;
}

static void put_guest(const Fixture *fixture, const char *text)
{
        folder_put(fixture->root, SYSCONFDIR "/guests/g.conf", text);
}

/* As xen-virtiod does on SIGHUP. */
static void reload(Fixture *fixture)
{
        configuration_free(fixture->services.configuration);
        fixture->services.configuration = configuration_load(fixture->root, on_problem, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(fixture->devices); i++)
                device_retry(fixture->devices[i]);
}

#define VM   "/vm/8a5d2f0e-7d11-4f6e-9a55-0123456789ab"
#define NEXT "/vm/8a5d2f0e-7d11-4f6e-9a55-0123456789ac"

/* Its nodes are read. */
static void device_show_of(Device *device, const char *vm, uint32_t devid, const char *type)
{
        g_autofree char *base = g_strdup_printf("%#x", 0x2000000 + devid * 0x200);
        const NodeSet nodes = { .values = {
                                        [NODE_FRONTEND_ID] = (char *)"5",
                                        [NODE_STATE] = (char *)"1",
                                        [NODE_BASE] = base,
                                        [NODE_IRQ] = (char *)"33",
                                        [NODE_TRANSPORT] = (char *)"mmio",
                                        [NODE_TYPE] = (char *)type,
                                        [NODE_DOMAIN_VM] = (char *)vm,
                                        [NODE_DOMAIN_NAME] = (char *)"g",
                                        [NODE_DOMAIN_MEMORY] = (char *)"262144",
                                } };

        device_update(device, &nodes, true);
}

static void device_show(Device *device, uint32_t devid, const char *type)
{
        device_show_of(device, VM, devid, type);
}

static Device *device_make(Fixture *fixture, uint32_t devid, const char *type)
{
        const DeviceName name = { 5, DEVICE_KIND_VIRTIO, devid };
        Device *device = device_new(&fixture->services, &name, 0);

        device_show(device, devid, type);
        return device;
}

static void fixture_set_up(Fixture *fixture, const void *data)
{
        fixture->root = folder_make();
        folder_put(fixture->root, DATADIR "/backends/net.conf",
                   "[Backend]\nType=net\nExecStart=/bin/true %{net.mac}\n");
        folder_put(fixture->root, DATADIR "/backends/fs.conf",
                   "[Backend]\nType=fs\nExecStart=/bin/true %{dir}\n[Options]\ndir=required\n");
        put_guest(fixture, data);
        fixture->units.list = g_ptr_array_new_with_free_func(unit_destroy);
        fixture->services = plain_services_make(fixture->root);
        fixture->services.store = &fixture->store;
        fixture->services.units = &fixture->units;
        fixture->services.configuration = configuration_load(fixture->root, on_problem, NULL);
        fixture->services.claim_times = &fixture->claim_times;
        fixture->services.starts = &fixture->starts;
        fixture->services.enqueue = on_enqueue;
        fixture->services.userdata = fixture;
        g_assert_cmpint(sd_event_default(&fixture->services.event), >=, 0);
        fixture->services.shared = shared_frontends_new(&(SharedServices){ 0 });
        fixture->devices[0] = device_make(fixture, 0, "virtio,device1");
        fixture->devices[1] = device_make(fixture, 1, "virtio,device1a");
        for (size_t i = 0; i < G_N_ELEMENTS(fixture->devices); i++)
                g_assert_true(device_reconcile(fixture->devices[i]));
}

static void fixture_tear_down(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        for (size_t i = 0; i < G_N_ELEMENTS(fixture->devices); i++) {
                device_free(fixture->devices[i]);
                g_free(fixture->store.errors[i]);
        }
        shared_frontends_free(fixture->services.shared);
        sd_event_unref(fixture->services.event);
        configuration_free(fixture->services.configuration);
        g_ptr_array_unref(fixture->units.list);
        plain_services_close(&fixture->services);
        folder_remove(fixture->root);
        g_free(fixture->root);
}

static Unit *unit_find(const Fixture *fixture, const char *role, unsigned int devid)
{
        g_autofree char *name = g_strdup_printf("xen-virtio-%s@5-virtio-%u.service", role, devid);

        for (unsigned int i = 0; i < fixture->units.list->len; i++) {
                Unit *unit = fixture->units.list->pdata[i];

                if (strcmp(unit->name, name) == 0)
                        return unit;
        }
        g_assert_not_reached();
}

static Unit *backend(const Fixture *fixture, unsigned int devid)
{
        return unit_find(fixture, "backend", devid);
}

static Unit *frontend(const Fixture *fixture, unsigned int devid)
{
        return unit_find(fixture, "frontend", devid);
}

/* The command that the backend's drop-in has. */
static char *command(const Fixture *fixture, unsigned int devid)
{
        g_autofree char *folder =
                g_strdup_printf("units/xen-virtio-backend@5-virtio-%u.service.d", devid);
        g_autofree char *path = g_build_filename(fixture->root, folder, "50-device.conf", NULL);
        g_autofree char *text = NULL;
        char *start;

        g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
        start = strstr(text, "ExecStart=:");
        return g_strndup(start + strlen("ExecStart=:"),
                         strcspn(start + strlen("ExecStart=:"), "\n"));
}

/* Whether the launch file, which the frontend reads, has the line. */
static bool launch_has(const Fixture *fixture, const char *instance, const char *line)
{
        g_autofree char *path = g_build_filename(fixture->root, "run", instance, "launch", NULL);
        g_autofree char *text = NULL;

        g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
        return strstr(text, line) != NULL;
}

static void assert_error(const Fixture *fixture, unsigned int devid, const char *expected)
{
        g_autofree char *whole = g_strconcat(fixture->root, expected, NULL);

        g_assert_cmpstr(fixture->store.errors[devid], ==, whole);
}

/* A mistake is in the error node, and costs one device; a reload tries it again at once. */
static void test_mistake(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        g_autofree char *started = NULL;

        g_assert_cmpint(device_state(fixture->devices[0]), ==, DEVICE_READY);
        g_assert_cmpuint(backend(fixture, 0)->n_starts, ==, 1);
        g_assert_null(fixture->store.errors[0]);
        g_assert_cmpint(device_state(fixture->devices[1]), ==, DEVICE_FAILED);
        g_assert_cmpuint(backend(fixture, 1)->n_starts, ==, 0);
        assert_error(fixture, 1,
                     SYSCONFDIR "/guests/g.conf:4:1: dirr: unknown key, also for the backend fs");

        /* Not before its time, though the file is right by now. */
        put_guest(fixture, "[fs]\ndir=/srv\n");
        g_assert_true(device_reconcile(fixture->devices[1]));
        g_assert_cmpuint(backend(fixture, 1)->n_starts, ==, 0);

        reload(fixture);
        g_assert_true(fixture->queued == fixture->devices[1]);
        g_assert_true(device_reconcile(fixture->devices[1]));
        g_assert_cmpuint(backend(fixture, 1)->n_starts, ==, 1);
        unit_end(frontend(fixture, 1));
        g_assert_true(device_reconcile(fixture->devices[1]));
        g_assert_true(device_reconcile(fixture->devices[1]));
        g_assert_cmpint(device_state(fixture->devices[1]), ==, DEVICE_READY);
        g_assert_null(fixture->store.errors[1]);
        started = command(fixture, 1);
        g_assert_cmpstr(started, ==, "\"/bin/true\" \"/srv\"");
}

/* What runs keeps what it was started with, whatever the files say later; the next start does not.
 */
static void test_reload(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        g_autofree char *before = command(fixture, 0), *after = NULL, *next = NULL;

        g_assert_true(launch_has(fixture, "5-virtio-0", "\nNET_MAC=02:00:00:00:00:01\n"));
        put_guest(fixture, "[net]\nmac=02:00:00:00:00:02\n");
        folder_put(fixture->root, DATADIR "/backends/net.conf",
                   "[Backend]\nType=net\nExecStart=/bin/true new %{net.mac}\n");
        reload(fixture);
        g_assert_null(fixture->queued);
        g_assert_true(device_reconcile(fixture->devices[0]));
        g_assert_cmpuint(backend(fixture, 0)->n_starts, ==, 1);
        after = command(fixture, 0);
        g_assert_cmpstr(before, ==, "\"/bin/true\" \"02:00:00:00:00:01\"");
        g_assert_cmpstr(after, ==, before);

        unit_end(backend(fixture, 0));
        g_assert_true(device_reconcile(fixture->devices[0]));
        g_assert_cmpint(device_state(fixture->devices[0]), ==, DEVICE_FAILED);
        device_retry(fixture->devices[0]);
        g_assert_true(device_reconcile(fixture->devices[0]));
        g_assert_cmpuint(backend(fixture, 0)->n_starts, ==, 2);
        next = command(fixture, 0);
        g_assert_true(launch_has(fixture, "5-virtio-0", "\nNET_MAC=02:00:00:00:00:01\n"));
        g_assert_cmpstr(next, ==, "\"/bin/true\" \"new\" \"02:00:00:00:00:02\"");
}

static bool is_outdated(const Fixture *fixture)
{
        DeviceReport report;

        device_describe(fixture->devices[0], &report);
        return report.outdated;
}

/* A guest file that is mended before the backend has answered counts for the frontend, too. */
static void test_mended(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        Device *device = fixture->devices[0];

        g_assert_cmpint(device_state(device), ==, DEVICE_FAILED);
        g_assert_false(launch_has(fixture, "5-virtio-0", "\nNET_MAC="));
        g_assert_cmpint(unit_phase(frontend(fixture, 0)), ==, UNIT_UP);

        put_guest(fixture, "[net]\nmac=02:00:00:00:00:07\n");
        reload(fixture);
        g_assert_true(device_reconcile(device));
        g_assert_true(launch_has(fixture, "5-virtio-0", "\nNET_MAC=02:00:00:00:00:07\n"));
        g_assert_cmpint(unit_phase(frontend(fixture, 0)), ==, UNIT_STOPPING);
        unit_end(frontend(fixture, 0));
        g_assert_true(device_reconcile(device));
        g_assert_true(device_reconcile(device));
        g_assert_cmpint(device_state(device), ==, DEVICE_READY);
        g_assert_cmpuint(frontend(fixture, 0)->n_starts, ==, 2);
}

/* Only what the backend would be started with counts, and until it is. */
static void test_outdated(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        reload(fixture);
        g_assert_false(is_outdated(fixture));
        put_guest(fixture, "[net]\nmac=02:00:00:00:00:02\n");
        g_assert_false(is_outdated(fixture));
        reload(fixture);
        g_assert_true(is_outdated(fixture));
        put_guest(fixture, "[net]\nmac=02:00:00:00:00:01\n");
        reload(fixture);
        g_assert_false(is_outdated(fixture));
        put_guest(fixture, "[net]\nmac=nonsense\n");
        reload(fixture);
        g_assert_true(is_outdated(fixture));

        put_guest(fixture, "[net]\nmac=02:00:00:00:00:02\n");
        unit_end(backend(fixture, 0));
        g_assert_true(device_reconcile(fixture->devices[0]));
        device_retry(fixture->devices[0]);
        g_assert_true(device_reconcile(fixture->devices[0]));
        g_assert_false(is_outdated(fixture));
}

/* What has failed waits until all devices together have failed less; nothing else does. */
static void test_budget(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        Device *device = fixture->devices[0];
        DeviceReport report;

        unit_end(backend(fixture, 0));
        g_assert_true(device_reconcile(device));
        g_usleep(130 * USEC_PER_MSEC);
        fixture->starts.full_usec = clock_now_usec() + 3600 * USEC_PER_SEC;
        g_assert_true(device_reconcile(device));
        g_assert_cmpuint(backend(fixture, 0)->n_starts, ==, 1);
        device_describe(device, &report);
        g_assert_cmpuint(report.retry_msec, >, 3500 * 1000);

        device_retry(device);
        g_assert_true(device_reconcile(device));
        g_assert_cmpuint(backend(fixture, 0)->n_starts, ==, 2);
}

/* A type that only the guest's file told stays, also when the file does not tell it any more. */
static void test_type_stays(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        Device *device = fixture->devices[0];

        device_show(device, 0, "virtio,device");
        g_assert_true(device_reconcile(device));
        g_assert_cmpint(device_state(device), ==, DEVICE_READY);
        g_assert_cmpuint(device_type(device), ==, 1);
        g_assert_null(fixture->store.errors[0]);
}

/* An end that was ordered is no failure, and what comes next is as the configuration is by then. */
static void test_restart(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        Device *device = fixture->devices[0];
        g_autofree char *next = NULL;
        DeviceReport report;

        put_guest(fixture, "[net]\nmac=02:00:00:00:00:02\n");
        reload(fixture);
        g_assert_cmpint(device_restart(device, true, false), ==, 0);
        g_assert_true(fixture->queued == device);
        g_assert_cmpint(unit_phase(backend(fixture, 0)), ==, UNIT_STOPPING);
        g_assert_true(device_reconcile(device));
        g_assert_cmpuint(backend(fixture, 0)->n_starts, ==, 1);

        unit_end(backend(fixture, 0));
        g_assert_true(device_reconcile(device));
        g_assert_cmpuint(backend(fixture, 0)->n_starts, ==, 2);
        g_assert_true(device_reconcile(device));
        g_assert_cmpint(device_state(device), ==, DEVICE_READY);
        next = command(fixture, 0);
        g_assert_cmpstr(next, ==, "\"/bin/true\" \"02:00:00:00:00:02\"");
        device_describe(device, &report);
        g_assert_cmpstr(report.type, ==, "net");
        g_assert_cmpuint(report.backend_restarts, ==, 1);
        g_assert_cmpuint(report.frontend_restarts, ==, 0);
        g_assert_cmpstr(report.problem, ==, NULL);
}

/*
 * A guest that was gone when it was to be claimed: the next one with its number does not wait for
 * that, nor was it seen as early.
 */
static void test_next_guest(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        const uint64_t minute = 60 * USEC_PER_SEC;
        const DeviceName name = { 5, DEVICE_KIND_VIRTIO, 0 };
        Device *device = device_new(&fixture->services, &name, clock_now_usec() - 10 * minute);
        const uint64_t sum = fixture->claim_times.sum_usec;

        /* The fixture has one of that name. */
        run_state_remove(fixture->services.rundir, "5-virtio-0");
        claims_take_result = -ESRCH;
        device_show(device, 0, "virtio,device1");
        claims_take_result = 0;
        g_assert_cmpint(device_state(device), ==, DEVICE_FAILED);

        device_show_of(device, NEXT, 0, "virtio,device1");
        g_assert_cmpint(device_state(device), ==, DEVICE_CLAIMED);
        g_assert_cmpuint(fixture->claim_times.sum_usec - sum, <, minute);
        g_assert_true(launch_has(fixture, "5-virtio-0", strrchr(NEXT, '/') + 1));
        device_free(device);
}

#define ADD(path, function, guest)                                                                 \
        g_test_add(path, Fixture, guest, fixture_set_up, function, fixture_tear_down)

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        ADD("/device/mistake", test_mistake, "[net]\nmac=02:00:00:00:00:01\n[fs]\ndirr=/srv\n");
        ADD("/device/reload", test_reload, "[net]\nmac=02:00:00:00:00:01\n[fs]\ndir=/srv\n");
        ADD("/device/type-stays", test_type_stays, "[net]\nmac=02:00:00:00:00:01\n");
        ADD("/device/restart", test_restart, "[net]\nmac=02:00:00:00:00:01\n[fs]\ndir=/srv\n");
        ADD("/device/outdated", test_outdated, "[net]\nmac=02:00:00:00:00:01\n");
        ADD("/device/budget", test_budget, "[net]\nmac=02:00:00:00:00:01\n[fs]\ndir=/srv\n");
        ADD("/device/next-guest", test_next_guest, "[net]\nmac=02:00:00:00:00:01\n");
        ADD("/device/mended", test_mended, "[net]\nmac=none\n");
        return g_test_run();
}
