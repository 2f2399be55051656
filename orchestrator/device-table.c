/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/device-table.h"

#include "orchestrator/guest-order.h"
#include "orchestrator/metrics.h"

static guint name_hash(const void *key)
{
        const DeviceName *name = key;

        return (name->domid * 31U + (guint)name->kind) * 31U + name->devid;
}

static gboolean name_equal(const void *a, const void *b)
{
        const DeviceName *x = a, *y = b;

        return x->domid == y->domid && x->kind == y->kind && x->devid == y->devid;
}

GHashTable *device_table_new(void)
{
        return g_hash_table_new(name_hash, name_equal);
}

int device_table_order(GHashTable *devices, const Device *device)
{
        GuestOrder order = guest_order_begin(device_name(device), device_type(device));
        GHashTableIter iter;
        Device *other;

        g_hash_table_iter_init(&iter, devices);
        while (g_hash_table_iter_next(&iter, NULL, (void **)&other))
                guest_order_count(&order, device_name(other), device_type(other));
        return order.order;
}

static bool holds(const Device *device, uint16_t domid)
{
        return device_name(device)->domid == domid && device_launch(device);
}

Device *device_table_holder(GHashTable *devices, uint16_t domid, uint64_t base, const Device *but)
{
        GHashTableIter iter;
        Device *other;

        g_hash_table_iter_init(&iter, devices);
        while (g_hash_table_iter_next(&iter, NULL, (void **)&other)) {
                if (other != but && holds(other, domid) && device_launch(other)->base == base)
                        return other;
        }
        return NULL;
}

uint32_t device_table_servers(GHashTable *devices, uint16_t domid)
{
        GHashTableIter iter;
        uint32_t servers = 0;
        Device *device;

        g_hash_table_iter_init(&iter, devices);
        while (g_hash_table_iter_next(&iter, NULL, (void **)&device)) {
                if (holds(device, domid))
                        servers |= 1U << device_launch(device)->server;
        }
        return servers;
}

/* Goes on with the next device that is not history. */
static const Device *table_next(GHashTableIter *iter)
{
        Device *device;

        while (g_hash_table_iter_next(iter, NULL, (void **)&device)) {
                if (device_state(device) != DEVICE_RELEASED)
                        return device;
        }
        return NULL;
}

void device_table_visit(GHashTable *devices, DeviceVisitor *visit, void *argument)
{
        const Device *device;
        GHashTableIter iter;

        g_hash_table_iter_init(&iter, devices);
        while ((device = table_next(&iter))) {
                DeviceReport report;

                device_describe(device, &report);
                device_read_counters(device, &report.counters);
                visit(argument, &report);
        }
}

char *device_table_describe(GHashTable *devices)
{
        g_autoptr(GHashTable) guests = g_hash_table_new(NULL, NULL);
        unsigned int n_devices = 0, n_problems = 0;
        const Device *device;
        GHashTableIter iter;

        g_hash_table_iter_init(&iter, devices);
        while ((device = table_next(&iter))) {
                n_devices++;
                n_problems += device_state(device) == DEVICE_FAILED;
                g_hash_table_add(guests, GUINT_TO_POINTER(device_name(device)->domid));
        }
        return metrics_describe(g_hash_table_size(guests), n_devices, n_problems);
}

static void report_collect(void *argument, const DeviceReport *report)
{
        g_array_append_vals(argument, report, 1);
}

char *device_table_metrics(GHashTable *devices, const Histogram *claims)
{
        g_autoptr(GArray) reports = g_array_new(FALSE, FALSE, sizeof(DeviceReport));

        device_table_visit(devices, report_collect, reports);
        return metrics_format((const DeviceReport *)(void *)reports->data, reports->len, claims);
}
