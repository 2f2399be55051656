/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/device-internal.h"

/* The guest's memory may be written to by who should not: it has no other protection then. */
static void holder_warn(Device *device)
{
        const int32_t holder = vhost_session_holder(device->session);

        if (holder == 0 || !log_limit_permit(&device->backend_limit, loop_now()))
                return;
        if (holder > 0)
                log_warning(&device->log,
                            "the backend has not let go of the guest's memory in time: the guest "
                            "goes on, the device when process %d has ended",
                            holder);
        else
                log_warning(&device->log,
                            "the backend, whose process is not known here, has not answered in "
                            "time: it may still have the guest's memory");
}

/* A guest that waits any longer takes it for a hang: better there is no device than no guest. */
static void hold_elapsed(void *userdata)
{
        Device *device = userdata;

        if (!device->answering) {
                log_error(&device->log,
                          "the backend has not answered in time: the guest sees no device");
                device->answering = true;
        } else if (device->start_held) {
                log_error(&device->log, "the backend has not started in time: the guest goes on");
                device->start_held = false;
        } else {
                holder_warn(device);
                device->hold_over = true;
        }
        device->ops->unblocked(device->userdata);
}

void device_hold_init(Device *device)
{
        loop_timer_init(&device->hold, device->loop, hold_elapsed, device);
}

void device_hold_begin(Device *device)
{
        if (!device->hold.is_on)
                loop_timer_start(&device->hold, DEVICE_HOLD_USEC);
}

void device_hold_end(Device *device)
{
        loop_timer_stop(&device->hold);
        device->hold_over = false;
}
