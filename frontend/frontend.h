/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The wiring: one device of one guest, from its register page to its backend. The parts (ioreq,
 * virtio-mmio, vhost-session, notify, hypervisor) do not know each other; this file knows them all.
 */

#include <systemd/sd-event.h>

#include "common/device-name.h"
#include "common/launch.h"
#include "common/macros.h"

typedef struct Frontend Frontend;

/*
 * Opens and binds everything that the device needs, and looks at nothing of the guest yet.
 * Returns 0 or a negative errno, which has been logged.
 */
int frontend_new(sd_event *event, const DeviceName *name, const Launch *launch,
                 Frontend **ret_frontend) _warn_unused_;
Frontend *frontend_free(Frontend *frontend);

static inline void frontend_freep(Frontend **frontend)
{
        frontend_free(*frontend);
}

/* Gives up what the Xen handles could do to other domains (see hypervisor_restrict()). */
int frontend_restrict(Frontend *frontend) _warn_unused_;

/*
 * Starts to serve the guest and to look for the backend, whose socket is in the working directory.
 * The guest's accesses wait until the backend has answered for the first time, but not longer than
 * FRONTEND_HOLD_USEC: then there is no device for the driver that looks. Tells systemd READY.
 */
int frontend_serve(Frontend *frontend) _warn_unused_;

#define FRONTEND_HOLD_USEC UINT64_C(10000000)
