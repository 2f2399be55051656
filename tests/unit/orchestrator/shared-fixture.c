/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "tests/unit/orchestrator/shared-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "common/device-list.h"
#include "common/macros.h"
#include "orchestrator/paths.h"
#include "tests/unit/orchestrator/folder.h"
#include "tests/unit/orchestrator/plain-services.h"

void store_write_state(Store *store, const DeviceName *name, const char *vm G_GNUC_UNUSED,
                       XenbusState from G_GNUC_UNUSED, XenbusState to)
{
        store->states[name->devid] = to;
}

void store_write_error(Store *store, const DeviceName *name, const char *vm G_GNUC_UNUSED,
                       const char *text)
{
        g_free(store->errors[name->devid]);
        store->errors[name->devid] = g_strdup(text);
}

static void *place(uint64_t base)
{
        return GUINT_TO_POINTER((base - BASE) / VIRTIO_MMIO_RANGE_SIZE + 1);
}

int claims_take(Claims *claims, uint16_t domid, uint64_t base, uint16_t *ret_server)
{
        uint16_t server = 0;

        g_assert_cmpuint(domid, ==, 5);
        while (server < IOREQ_SERVERS_MAX && claims->exists[server])
                server++;
        if (server == IOREQ_SERVERS_MAX)
                return -EUSERS;
        claims->exists[server] = true;
        g_hash_table_add(claims->ranges[server], place(base));
        *ret_server = server;
        return 0;
}

int claims_join(Claims *claims, uint16_t domid, uint16_t server, uint64_t base)
{
        g_assert_cmpuint(domid, ==, 5);
        g_assert_true(claims->exists[server]);
        g_hash_table_add(claims->ranges[server], place(base));
        return 0;
}

int claims_leave(Claims *claims, uint16_t domid, uint16_t server, uint64_t base)
{
        g_assert_cmpuint(domid, ==, 5);
        g_assert_true(claims->exists[server]);
        g_assert_true(g_hash_table_remove(claims->ranges[server], place(base)));
        return 0;
}

void claims_drop(Claims *claims, uint16_t domid, uint64_t base, uint32_t known)
{
        for (uint16_t server = 0; server < IOREQ_SERVERS_MAX; server++) {
                if (claims->exists[server] &&
                    g_hash_table_remove(claims->ranges[server], place(base)) &&
                    !(known >> server & 1))
                        claims_release(claims, domid, server);
        }
}

int claims_release(Claims *claims, uint16_t domid, uint16_t server)
{
        g_assert_cmpuint(domid, ==, 5);
        g_assert_true(claims->exists[server]);
        claims->exists[server] = false;
        g_hash_table_remove_all(claims->ranges[server]);
        return 0;
}

static void unit_destroy(void *data)
{
        Unit *unit = data;

        g_free(unit->name);
        g_free(unit);
}

Unit *unit_new(Units *all, const char *name, UnitHandler *handler, void *userdata)
{
        Unit *unit = g_hash_table_lookup(all->table, name);

        if (!unit) {
                unit = g_new0(Unit, 1);
                unit->name = g_strdup(name);
                unit->phase = UNIT_DOWN;
                g_hash_table_insert(all->table, unit->name, unit);
        }
        unit->handler = handler;
        unit->userdata = userdata;
        return unit;
}

Unit *unit_free(Unit *unit)
{
        if (unit)
                unit->handler = NULL;
        return NULL;
}

const char *unit_name(const Unit *unit)
{
        return unit->name;
}

Units units;

UnitPhase unit_phase(const Unit *unit)
{
        return units.unknown ? UNIT_UNKNOWN : unit->phase;
}

void unit_start(Unit *unit)
{
        g_assert_cmpint(unit->phase, ==, UNIT_DOWN);
        unit->n_starts++;
        unit->phase = strstr(unit->name, "backend") ? UNIT_UP : UNIT_STARTING;
}

void unit_stop(Unit *unit)
{
        unit->phase = UNIT_STOPPING;
        unit->reload = unit->reload == RELOAD_RUNNING ? RELOAD_FAILED : unit->reload;
}

void unit_reload(Unit *unit)
{
        g_assert_cmpint(unit->phase, ==, UNIT_UP);
        g_assert_cmpint(unit->reload, !=, RELOAD_RUNNING);
        unit->n_reloads++;
        unit->reload = RELOAD_RUNNING;
}

ReloadPhase unit_reload_phase(const Unit *unit)
{
        return unit->reload;
}

void units_stop_other(Units *all G_GNUC_UNUSED, const char *name)
{
        g_assert_cmpstr(name, ==, "xen-virtio-5-shared.slice");
}

bool unit_end_is_refusal(const Unit *unit)
{
        return unit->refuses;
}

char *unit_describe_end(const Unit *unit G_GNUC_UNUSED)
{
        return g_strdup("was killed");
}

Unit *unit_find(const char *name)
{
        Unit *unit = g_hash_table_lookup(units.table, name);

        g_assert_nonnull(unit);
        return unit;
}

Unit *shared_unit(void)
{
        return unit_find(SHARED_UNIT);
}

void unit_become(Unit *unit, UnitPhase phase)
{
        unit->phase = phase;
        if (unit->handler)
                unit->handler(unit->userdata);
}

static void on_problem(void *userdata G_GNUC_UNUSED, const char *problem)
{
        g_error("%s", problem);
}

static void on_enqueue(void *userdata, Device *device G_GNUC_UNUSED, bool read G_GNUC_UNUSED)
{
        Fixture *fixture = userdata;

        fixture->scheduled = true;
}

static void on_schedule(void *userdata)
{
        Fixture *fixture = userdata;

        fixture->scheduled = true;
}

void device_read(Device *device, const char *uuid, const char *state)
{
        const uint32_t devid = device_name(device)->devid;
        g_autofree char *base = g_strdup_printf("%#x", (unsigned int)BASE + devid * 0x200);
        g_autofree char *irq = g_strdup_printf("%u", 33 + devid);
        g_autofree char *vm = g_strconcat("/vm/", uuid, NULL);
        const NodeSet nodes = { .values = {
                                        [NODE_FRONTEND_ID] = (char *)"5",
                                        [NODE_STATE] = (char *)state,
                                        [NODE_BASE] = base,
                                        [NODE_IRQ] = irq,
                                        [NODE_TRANSPORT] = (char *)"mmio",
                                        [NODE_TYPE] = (char *)"virtio,device1",
                                        [NODE_DOMAIN_VM] = vm,
                                        [NODE_DOMAIN_NAME] = (char *)"g",
                                        [NODE_DOMAIN_MEMORY] = (char *)"262144",
                                } };

        device_update(device, &nodes, true);
}

void device_come(Fixture *fixture, uint32_t devid, const char *uuid)
{
        const DeviceName name = { 5, DEVICE_KIND_VIRTIO, devid };

        fixture->devices[devid] = device_new(&fixture->services, &name, 0);
        device_read(fixture->devices[devid], uuid, "1");
}

/* As the manager does it, until there is nothing to do. */
void orchestrator_pass(Fixture *fixture)
{
        unsigned int rounds = 0;

        do {
                g_assert_cmpuint(rounds++, <, 20);
                fixture->scheduled = false;
                shared_frontends_observe(fixture->services.shared);
                for (size_t i = 0; i < N_DEVICES; i++) {
                        if (fixture->devices[i])
                                g_assert_true(device_reconcile(fixture->devices[i]));
                }
                shared_frontends_reconcile(fixture->services.shared);
        } while (fixture->scheduled);
}

void orchestrator_start(Fixture *fixture)
{
        const SharedServices shared = {
                .event = fixture->services.event,
                .claims = &fixture->claims,
                .units = &units,
                .rundir = fixture->services.rundir,
                .unitdir = fixture->services.unitdir,
                .starts = &fixture->starts,
                .schedule = on_schedule,
                .userdata = fixture,
        };

        fixture->services.shared = shared_frontends_new(&shared);
}

void orchestrator_end(Fixture *fixture)
{
        for (size_t i = 0; i < N_DEVICES; i++)
                fixture->devices[i] = device_free(fixture->devices[i]);
        fixture->services.shared = shared_frontends_free(fixture->services.shared);
}

void fixture_set_up(Fixture *fixture, const void *data)
{
        fixture->root = folder_make();
        folder_put(fixture->root, DATADIR "/backends/net.conf",
                   "[Backend]\nType=net\nExecStart=/bin/true\n");
        folder_put(fixture->root, SYSCONFDIR "/backends/seed.conf",
                   "[Backend]\nType=net\nExecStart=/bin/true\nMemory=seed\n");
        folder_put(fixture->root, SYSCONFDIR "/guests/g.conf", data);
        units = (Units){ .table = g_hash_table_new_full(g_str_hash, g_str_equal, NULL,
                                                        unit_destroy) };
        for (size_t i = 0; i < IOREQ_SERVERS_MAX; i++)
                fixture->claims.ranges[i] = g_hash_table_new(NULL, NULL);
        fixture->services = plain_services_make(fixture->root);
        fixture->services.store = &fixture->store;
        fixture->services.claims = &fixture->claims;
        fixture->services.units = &units;
        fixture->services.configuration = configuration_load(fixture->root, on_problem, NULL);
        fixture->services.claim_times = &fixture->claim_times;
        fixture->services.starts = &fixture->starts;
        fixture->services.enqueue = on_enqueue;
        fixture->services.userdata = fixture;
        g_assert_cmpint(sd_event_default(&fixture->services.event), >=, 0);
        orchestrator_start(fixture);
}

void fixture_tear_down(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        orchestrator_end(fixture);
        for (size_t i = 0; i < N_DEVICES; i++)
                g_free(fixture->store.errors[i]);
        for (size_t i = 0; i < IOREQ_SERVERS_MAX; i++)
                g_hash_table_unref(fixture->claims.ranges[i]);
        g_hash_table_unref(units.table);
        sd_event_unref(fixture->services.event);
        configuration_free(fixture->services.configuration);
        plain_services_close(&fixture->services);
        folder_remove(fixture->root);
        g_free(fixture->root);
}

/* What the frontend's process says of a device. */
void frontend_say(const Fixture *fixture, unsigned int devid, const char *status)
{
        g_autofree char *file = g_strdup_printf("run/5-virtio-%u/frontend/status", devid);
        g_autofree char *path = g_build_filename(fixture->root, file, NULL);
        int fd = open(path, O_WRONLY | O_TRUNC);

        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(write(fd, status, strlen(status)), ==, (gssize)strlen(status));
        close(fd);
}

bool file_exists(const Fixture *fixture, const char *file)
{
        g_autofree char *path = g_build_filename(fixture->root, file, NULL);

        return g_file_test(path, G_FILE_TEST_EXISTS);
}

/* The devices in the list, as digits and letters. */
void assert_list(const Fixture *fixture, const char *expected)
{
        g_autofree char *path = g_build_filename(fixture->root, "run/5-shared", NULL);
        _cleanup_fd_ int fd = open(path, O_RDONLY | O_DIRECTORY);
        char found[N_DEVICES + 1] = "";
        DeviceList list;

        g_assert_cmpint(device_list_read(fd, 5, &list, NULL), ==, 0);
        for (unsigned int i = 0; i < list.n; i++)
                found[i] = "0123456789a"[list.names[i].devid];
        g_assert_cmpstr(found, ==, expected);
}

/* The states of the further devices: their initials. */
void assert_states(const Fixture *fixture, const char *expected)
{
        char found[N_DEVICES - FIRST_SHARED + 1] = "";

        for (size_t i = FIRST_SHARED; i < N_DEVICES; i++) {
                DeviceReport report;

                device_describe(fixture->devices[i], &report);
                found[i - FIRST_SHARED] = report.state[0];
        }
        g_assert_cmpstr(found, ==, expected);
}

void assert_servers(const Fixture *fixture, const char *expected)
{
        char found[IOREQ_SERVERS_MAX + 1] = "";

        for (size_t i = 0; i < IOREQ_SERVERS_MAX; i++)
                found[i] = "0123456789a"[g_hash_table_size(fixture->claims.ranges[i])];
        g_assert_cmpstr(found, ==, expected);
}

void reload_end(Fixture *fixture, ReloadPhase phase)
{
        Unit *unit = shared_unit();

        g_assert_cmpint(unit->reload, ==, RELOAD_RUNNING);
        unit->reload = phase;
        unit->handler(unit->userdata);
        orchestrator_pass(fixture);
}

/* All eleven, served. */
void devices_come(Fixture *fixture)
{
        for (uint32_t i = 0; i < N_DEVICES; i++)
                device_come(fixture, i, UUID);
        orchestrator_pass(fixture);
        for (unsigned int i = 0; i < FIRST_SHARED; i++) {
                g_autofree char *name =
                        g_strdup_printf("xen-virtio-frontend@5-virtio-%u.service", i);

                unit_become(unit_find(name), UNIT_UP);
        }
        unit_become(shared_unit(), UNIT_UP);
        for (unsigned int i = FIRST_SHARED; i < N_DEVICES; i++)
                frontend_say(fixture, i, "ready\n");
        orchestrator_pass(fixture);
        assert_states(fixture, "rrrrr");
}

void device_go(Fixture *fixture, uint32_t devid)
{
        g_autofree char *backend = g_strdup_printf("xen-virtio-backend@5-virtio-%u.service", devid);

        device_read(fixture->devices[devid], UUID, "5");
        orchestrator_pass(fixture);
        g_assert_cmpint(device_state(fixture->devices[devid]), ==, DEVICE_STOPPING);
        unit_become(unit_find(backend), UNIT_DOWN);
        orchestrator_pass(fixture);
}
