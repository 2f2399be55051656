/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/guest-order.h"

GuestOrder guest_order_begin(const DeviceName *name, uint32_t device_id)
{
        return (GuestOrder){ *name, device_id, name->kind == DEVICE_KIND_VIRTIO ? 0 : -1 };
}

void guest_order_count(GuestOrder *order, const DeviceName *other, uint32_t device_id)
{
        if (order->order < 0 || other->domid != order->name.domid ||
            other->kind != order->name.kind || other->devid >= order->name.devid)
                return;
        if (device_id == 0)
                order->order = -1;
        else if (device_id == order->device_id)
                order->order++;
}
