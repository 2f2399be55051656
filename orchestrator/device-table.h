/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The devices by their names, and what there is to say of all of them. What is released is history,
 * though its nodes may still be there, and is not spoken of.
 */

#include <glib.h>

#include "orchestrator/device.h"

typedef void DeviceVisitor(void *argument, const DeviceReport *report);

/* Makes the table: DeviceName → Device. It owns neither. */
GHashTable *device_table_new(void);

/* The device's place among its guest's of its type, as GuestOrder has it. */
int device_table_order(GHashTable *devices, const Device *device);

/* The guest's device, another than but, that has claimed the range; or NULL. */
Device *device_table_holder(GHashTable *devices, uint16_t domid, uint64_t base, const Device *but);

/* The IOREQ servers that the guest's devices have claimed, a bit for each number. */
uint32_t device_table_servers(GHashTable *devices, uint16_t domid);

/* Calls the visitor for each device, with what its frontend has counted. */
void device_table_visit(GHashTable *devices, DeviceVisitor *visit, void *argument);

/* Says how they are in one line. The caller frees it. */
char *device_table_describe(GHashTable *devices);

/* Says it for Prometheus, with how long claims took. The caller frees it. */
char *device_table_metrics(GHashTable *devices, const Histogram *claims);
