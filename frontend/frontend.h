/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What all devices of a process share: the guest, its memory, and the IOREQ server through which it
 * accesses them. device.h is one device.
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
 * Tells systemd READY when the backend has answered.
 */
int frontend_serve(Frontend *frontend) _warn_unused_;

/*
 * Lets the device go, so that the next process can go on with it, and then ends the loop with 0.
 * How long that takes is up to the backend; the loop may be ended at any time.
 */
void frontend_leave(Frontend *frontend);
