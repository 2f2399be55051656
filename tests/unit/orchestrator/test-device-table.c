/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The table after any sequence of changes, against a plain list of devices that are only numbers.
 */

#include <glib.h>
#include <string.h>

#include "common/macros.h"
#include "orchestrator/device-table.h"
#include "orchestrator/metrics.h"

#define N_GUESTS  3U
#define N_DEVICES 4U /* of a guest */
#define N_STEPS   20000U

/* The other side of device.h. */
struct Device {
        DeviceName name;
        DeviceState state;
        Launch launch;
        bool is_there;
        const char *vm;
};

/* Whose the even and the odd servers are. */
static const char *const uuids[] = { "one", "other" };

static struct Device devices[N_GUESTS * N_DEVICES];

const DeviceName *device_name(const Device *device)
{
        return &device->name;
}

DeviceState device_state(const Device *device)
{
        return device->state;
}

uint32_t device_type(const Device *device G_GNUC_UNUSED)
{
        return 1;
}

const Launch *device_launch(const Device *device)
{
        return device->state == DEVICE_SEEN ? NULL : &device->launch;
}

void device_describe(const Device *device, DeviceReport *ret_report)
{
        *ret_report =
                (DeviceReport){ .domid = device->name.domid, .server = device->launch.server };
}

void device_read_counters(const Device *device G_GNUC_UNUSED, DeviceReport *report)
{
        report->counters = (Counters){ 0 };
}

void device_note_guest(Device *device, const char *vm)
{
        device->vm = vm;
}

static void on_visit(void *argument, const DeviceReport *report)
{
        unsigned int *n = argument;

        g_assert_cmpuint(report->domid, <, N_GUESTS);
        (*n)++;
}

static void check_guest(const DeviceTable *table, uint16_t domid, unsigned int *n_present)
{
        uint32_t servers[2] = { 0 };
        bool present = false;

        for (unsigned int i = 0; i < N_DEVICES; i++) {
                Device *device = &devices[domid * N_DEVICES + i];

                g_assert_true(device_table_find(table, &device->name) ==
                              (device->is_there ? device : NULL));
                if (!device->is_there)
                        continue;
                present = present || device->state != DEVICE_RELEASED;
                *n_present += device->state != DEVICE_RELEASED;
                if (device->state == DEVICE_SEEN)
                        continue;
                servers[device->launch.server % 2] |= 1U << device->launch.server;
                g_assert_true(device_table_holder(table, domid, device->launch.base, NULL) ==
                              device);
                g_assert_null(device_table_holder(table, domid, device->launch.base, device));
        }
        for (unsigned int i = 0; i < 2; i++)
                g_assert_cmpuint(device_table_servers(table, domid, uuids[i]), ==, servers[i]);
        g_assert_true(device_table_has_guest(table, domid) == present);
}

/* One guest's devices are told of it, and nobody else's. */
static void check_vm(DeviceTable *table)
{
        static const char *const vms[] = { "/vm/one", "/vm/other", NULL };

        for (uint16_t domid = 0; domid < N_GUESTS; domid++)
                device_table_note_guest(table, domid, vms[domid]);
        for (size_t i = 0; i < G_N_ELEMENTS(devices); i++) {
                g_assert_true(devices[i].vm ==
                              (devices[i].is_there ? vms[devices[i].name.domid] : NULL));
                devices[i].vm = NULL;
        }
}

static void check_table(const DeviceTable *table)
{
        unsigned int n_guests = 0, n_there = 0, n_present = 0, n_problems = 0, n_visits = 0;
        g_autofree char *expected = NULL, *found = device_table_describe(table);

        for (uint16_t domid = 0; domid < N_GUESTS; domid++) {
                unsigned int before = n_present;

                check_guest(table, domid, &n_present);
                n_guests += n_present > before;
        }
        for (size_t i = 0; i < G_N_ELEMENTS(devices); i++) {
                n_there += devices[i].is_there;
                n_problems += devices[i].is_there && devices[i].state == DEVICE_FAILED;
        }
        expected = metrics_describe(n_guests, n_present, n_problems);
        g_assert_cmpstr(found, ==, expected);
        g_assert_cmpuint(device_table_size(table), ==, n_there);
        device_table_visit(table, on_visit, &n_visits);
        g_assert_cmpuint(n_visits, ==, n_present);
}

/* Each device is gone through once. */
static void check_iteration(const DeviceTable *table)
{
        unsigned int n = 0;
        DeviceIter iter;
        Device *device;

        device_iter_init(&iter, table);
        while ((device = device_iter_next(&iter))) {
                g_assert_true(device->is_there);
                n++;
        }
        g_assert_cmpuint(n, ==, device_table_size(table));
        for (uint16_t domid = 0; domid < N_GUESTS; domid++) {
                device_iter_init_guest(&iter, table, domid);
                while ((device = device_iter_next(&iter))) {
                        g_assert_cmpuint(device->name.domid, ==, domid);
                        n--;
                }
        }
        g_assert_cmpuint(n, ==, 0);
}

static void step(DeviceTable *table, GRand *chance)
{
        Device *device = &devices[g_rand_int_range(chance, 0, G_N_ELEMENTS(devices))];

        if (!device->is_there) {
                device->is_there = true;
                device->state = (DeviceState)g_rand_int_range(chance, 0, _DEVICE_STATE_MAX);
                device_table_add(table, device);
        } else if (g_rand_int_range(chance, 0, 4) == 0) {
                device_table_remove(table, device);
                device->is_there = false;
        } else {
                device->state = (DeviceState)g_rand_int_range(chance, 0, _DEVICE_STATE_MAX);
                device_table_note_state(table, device);
        }
}

static void test_random(void)
{
        DeviceTable *table = device_table_new();
        g_autoptr(GRand) chance = g_rand_new_with_seed(1);

        for (unsigned int i = 0; i < G_N_ELEMENTS(devices); i++)
                devices[i] = (Device){
                        .name = { (uint16_t)(i / N_DEVICES), DEVICE_KIND_VIRTIO, i % N_DEVICES },
                        .launch = { .base = 0x1000 * i, .server = (uint16_t)(i % N_DEVICES) },
                };
        for (unsigned int i = 0; i < G_N_ELEMENTS(devices); i++)
                g_strlcpy(devices[i].launch.uuid, uuids[i % 2], LAUNCH_UUID_SIZE);
        for (unsigned int i = 0; i < N_STEPS; i++) {
                step(table, chance);
                check_table(table);
                check_iteration(table);
                check_vm(table);
        }
        device_table_free(table);
}

/* A device tells of its states before anybody has added it. */
static void test_not_there(void)
{
        DeviceTable *table = device_table_new();
        const Device device = { .state = DEVICE_FAILED };
        g_autofree char *text = NULL;

        device_table_note_state(table, &device);
        text = device_table_describe(table);
        g_assert_cmpstr(text, ==, "0 guests, 0 devices");
        device_table_free(table);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/device-table/random", test_random);
        g_test_add_func("/device-table/not-there", test_not_there);
        return g_test_run();
}
