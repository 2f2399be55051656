/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The place of a device among its guest's "virtio=" devices of its type, counted from 0: libxl
 * gives them their devids in the order of xl.cfg. Pure.
 */

#include "common/device-name.h"

typedef struct GuestOrder {
        DeviceName name; /* the device whose place is wanted */
        uint32_t device_id;
        int order; /* after all have been counted: the place, or negative if it is not known */
} GuestOrder;

/* Disks have no place: libxl does not number them in any order. */
GuestOrder guest_order_begin(const DeviceName *name, uint32_t device_id);

/*
 * Counts another device, of any guest; also the device itself. device_id is 0 if the type of the
 * other one is not known: then the place is not either, if the other one comes before.
 */
void guest_order_count(GuestOrder *order, const DeviceName *other, uint32_t device_id);
