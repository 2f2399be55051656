/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The devices by their guests and names, and what there is to say of all of them. What is released
 * is history, though its nodes may still be there, and is not spoken of. What concerns one device
 * costs as much as its guest has devices, however many there are in all.
 */

#include <glib.h>

#include "orchestrator/device.h"

typedef struct DeviceTable DeviceTable;

typedef void DeviceVisitor(void *argument, const DeviceReport *report);

/* Makes a table, which does not own the devices. */
DeviceTable *device_table_new(void);
DeviceTable *device_table_free(DeviceTable *table);

/* Adds a device whose name is not in the table, and returns it; takes one out, before it is freed.
 */
Device *device_table_add(DeviceTable *table, Device *device);
void device_table_remove(DeviceTable *table, const Device *device);

/* To be called after each change of a device's state. Nothing happens if it is not in the table. */
void device_table_note_state(DeviceTable *table, const Device *device);

/* device_note_guest() for all devices of the guest: what one of them has learned holds for all. */
void device_table_note_guest(DeviceTable *table, uint16_t domid, const char *vm);

/* The device of that name, or NULL. */
Device *device_table_find(const DeviceTable *table, const DeviceName *name);
unsigned int device_table_size(const DeviceTable *table);

/* Sorts devices by their names, as g_list_sort() wants it. */
int device_table_compare(const void *a, const void *b);

/* Goes through the devices, in no order. Nothing may be added or removed meanwhile. */
typedef struct DeviceIter {
        GHashTableIter guests, devices;
        bool one_guest, begun;
} DeviceIter;

void device_iter_init(DeviceIter *iter, const DeviceTable *table);
void device_iter_init_guest(DeviceIter *iter, const DeviceTable *table, uint16_t domid);

/* The next one, or NULL. */
Device *device_iter_next(DeviceIter *iter);

/* The device's place among its guest's of its type, as GuestOrder has it. */
int device_table_order(const DeviceTable *table, const Device *device);

/* The guest's device, another than but, that has claimed the range; or NULL. */
Device *device_table_holder(const DeviceTable *table, uint16_t domid, uint64_t base,
                            const Device *but);

/*
 * The IOREQ servers that the guest's devices have claimed, a bit for each number; not those that
 * had gone with a domain that had the number before.
 */
uint32_t device_table_servers(const DeviceTable *table, uint16_t domid, const char *uuid);

/* Whether the guest has a device that is not released. */
bool device_table_has_guest(const DeviceTable *table, uint16_t domid);

/* Calls the visitor for each device, with what its frontend has counted. */
void device_table_visit(const DeviceTable *table, DeviceVisitor *visit, void *argument);

/* Says how they are in one line. The caller frees it. */
char *device_table_describe(const DeviceTable *table);

/* Says it for Prometheus, with how long claims took. The caller frees it. */
char *device_table_metrics(const DeviceTable *table, const Histogram *claims);
