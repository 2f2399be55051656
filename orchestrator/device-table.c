/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/device-table.h"

#include "orchestrator/guest-order.h"
#include "orchestrator/metrics.h"

struct DeviceTable {
        GHashTable *guests; /* domid → Guest, with a device at least */
        /* Released ones are only in the first of these. */
        unsigned int size, n_present, n_problems, n_guests;
};

typedef struct Guest {
        GHashTable *devices; /* DeviceName → Entry */
        unsigned int n_present;
} Guest;

typedef struct Entry {
        Device *device;
        DeviceState counted; /* the state that it was counted with */
} Entry;

static guint name_hash(const void *key)
{
        const DeviceName *name = key;

        return (guint)name->kind * 31U + name->devid;
}

static gboolean name_equal(const void *a, const void *b)
{
        return device_name_equal(a, b);
}

static void guest_free(void *data)
{
        Guest *guest = data;

        g_hash_table_unref(guest->devices);
        g_free(guest);
}

DeviceTable *device_table_new(void)
{
        DeviceTable *table = g_new0(DeviceTable, 1);

        table->guests = g_hash_table_new_full(NULL, NULL, NULL, guest_free);
        return table;
}

DeviceTable *device_table_free(DeviceTable *table)
{
        if (!table)
                return NULL;
        g_hash_table_unref(table->guests);
        g_free(table);
        return NULL;
}

static Guest *find_guest(const DeviceTable *table, uint16_t domid)
{
        return g_hash_table_lookup(table->guests, GUINT_TO_POINTER(domid));
}

static Entry *find_entry(const DeviceTable *table, const DeviceName *name)
{
        const Guest *guest = find_guest(table, name->domid);

        return guest ? g_hash_table_lookup(guest->devices, name) : NULL;
}

/* Counts a device of that state in, or out. */
static void table_count(DeviceTable *table, Guest *guest, DeviceState state, bool in)
{
        const unsigned int one = in ? 1 : -1U;

        if (state == DEVICE_RELEASED)
                return;
        table->n_guests -= guest->n_present > 0;
        guest->n_present += one;
        table->n_guests += guest->n_present > 0;
        table->n_present += one;
        if (state == DEVICE_FAILED)
                table->n_problems += one;
}

Device *device_table_add(DeviceTable *table, Device *device)
{
        const DeviceName *name = device_name(device);
        Guest *guest = find_guest(table, name->domid);
        Entry *entry = g_new(Entry, 1);

        if (!guest) {
                guest = g_new0(Guest, 1);
                guest->devices = g_hash_table_new_full(name_hash, name_equal, NULL, g_free);
                g_hash_table_insert(table->guests, GUINT_TO_POINTER(name->domid), guest);
        }
        *entry = (Entry){ .device = device, .counted = device_state(device) };
        g_hash_table_insert(guest->devices, (void *)name, entry);
        table->size++;
        table_count(table, guest, entry->counted, true);
        return device;
}

void device_table_remove(DeviceTable *table, const Device *device)
{
        const DeviceName *name = device_name(device);
        Guest *guest = find_guest(table, name->domid);
        const Entry *entry = g_hash_table_lookup(guest->devices, name);

        table->size--;
        table_count(table, guest, entry->counted, false);
        g_hash_table_remove(guest->devices, name);
        if (g_hash_table_size(guest->devices) == 0)
                g_hash_table_remove(table->guests, GUINT_TO_POINTER(name->domid));
}

void device_table_note_state(DeviceTable *table, const Device *device)
{
        const DeviceName *name = device_name(device);
        Entry *entry = find_entry(table, name);
        Guest *guest;

        if (!entry)
                return;
        guest = find_guest(table, name->domid);
        table_count(table, guest, entry->counted, false);
        entry->counted = device_state(device);
        table_count(table, guest, entry->counted, true);
}

void device_table_note_guest(DeviceTable *table, uint16_t domid, const char *vm)
{
        DeviceIter iter;
        Device *device;

        device_iter_init_guest(&iter, table, domid);
        while ((device = device_iter_next(&iter)))
                device_note_guest(device, vm);
}

Device *device_table_find(const DeviceTable *table, const DeviceName *name)
{
        const Entry *entry = find_entry(table, name);

        return entry ? entry->device : NULL;
}

int device_table_compare(const void *a, const void *b)
{
        return device_name_compare(device_name(a), device_name(b));
}

unsigned int device_table_size(const DeviceTable *table)
{
        return table->size;
}

void device_iter_init(DeviceIter *iter, const DeviceTable *table)
{
        *iter = (DeviceIter){ 0 };
        g_hash_table_iter_init(&iter->guests, table->guests);
}

void device_iter_init_guest(DeviceIter *iter, const DeviceTable *table, uint16_t domid)
{
        const Guest *guest = find_guest(table, domid);

        *iter = (DeviceIter){ .one_guest = true, .begun = guest };
        if (guest)
                g_hash_table_iter_init(&iter->devices, guest->devices);
}

Device *device_iter_next(DeviceIter *iter)
{
        const Entry *entry;
        const Guest *guest;

        if (iter->begun && g_hash_table_iter_next(&iter->devices, NULL, (void **)&entry))
                return entry->device;
        iter->begun =
                !iter->one_guest && g_hash_table_iter_next(&iter->guests, NULL, (void **)&guest);
        if (!iter->begun)
                return NULL;
        g_hash_table_iter_init(&iter->devices, guest->devices);
        g_hash_table_iter_next(&iter->devices, NULL, (void **)&entry); /* none is empty */
        return entry->device;
}

int device_table_order(const DeviceTable *table, const Device *device)
{
        GuestOrder order = guest_order_begin(device_name(device), device_type(device));
        const Device *other;
        DeviceIter iter;

        device_iter_init_guest(&iter, table, device_name(device)->domid);
        while ((other = device_iter_next(&iter)))
                guest_order_count(&order, device_name(other), device_type(other));
        return order.order;
}

Device *device_table_holder(const DeviceTable *table, uint16_t domid, uint64_t base,
                            const Device *but)
{
        DeviceIter iter;
        Device *other;

        device_iter_init_guest(&iter, table, domid);
        while ((other = device_iter_next(&iter))) {
                const Launch *launch = device_launch(other);

                if (other != but && launch && launch->base == base)
                        return other;
        }
        return NULL;
}

uint32_t device_table_servers(const DeviceTable *table, uint16_t domid, const char *uuid)
{
        const Device *device;
        uint32_t servers = 0;
        DeviceIter iter;

        device_iter_init_guest(&iter, table, domid);
        while ((device = device_iter_next(&iter))) {
                const Launch *launch = device_launch(device);

                if (launch && strcmp(launch->uuid, uuid) == 0)
                        servers |= 1U << launch->server;
        }
        return servers;
}

bool device_table_has_guest(const DeviceTable *table, uint16_t domid)
{
        const Guest *guest = find_guest(table, domid);

        return guest && guest->n_present > 0;
}

void device_table_visit(const DeviceTable *table, DeviceVisitor *visit, void *argument)
{
        const Device *device;
        DeviceIter iter;

        device_iter_init(&iter, table);
        while ((device = device_iter_next(&iter))) {
                DeviceReport report;

                if (device_state(device) == DEVICE_RELEASED)
                        continue;
                device_describe(device, &report);
                device_read_counters(device, &report);
                visit(argument, &report);
        }
}

char *device_table_describe(const DeviceTable *table)
{
        return metrics_describe(table->n_guests, table->n_present, table->n_problems);
}

static void report_collect(void *argument, const DeviceReport *report)
{
        g_array_append_vals(argument, report, 1);
}

char *device_table_metrics(const DeviceTable *table, const Histogram *claims)
{
        g_autoptr(GArray) reports = g_array_new(FALSE, FALSE, sizeof(DeviceReport));

        device_table_visit(table, report_collect, reports);
        return metrics_format((const DeviceReport *)(void *)reports->data, reports->len, claims);
}
