/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What all devices of a process share: the guest, its memory, and the IOREQ server through which it
 * accesses them; and which devices these are. device.h is one device.
 */

#include "common/device-list.h"
#include "common/launch.h"
#include "common/macros.h"
#include "frontend/descriptor-store.h"
#include "frontend/device-files.h"
#include "frontend/loop.h"

typedef struct Frontend Frontend;

/* What a frontend is made of; copied, but for the event loop. */
typedef struct FrontendParts {
        Loop *loop;
        const char *instance; /* of the process */
        uint16_t domid;
        /*
         * Devices come and go, and the process is ready whatever they are. Else there is one, and
         * the process is ready when it is, and ends when it fails.
         */
        bool is_shared;
        const Launch *launch;   /* of any device: server, domain and memory are those of all */
        DescriptorStore *store; /* borrowed; not of use to several devices */
} FrontendParts;

/*
 * Opens and binds everything that the guest's devices have in common, and looks at nothing of the
 * guest yet. Returns 0 or a negative errno, which has been logged.
 */
int frontend_new(const FrontendParts *parts, Frontend **ret_frontend) _warn_unused_;
Frontend *frontend_free(Frontend *frontend);

static inline void frontend_freep(Frontend **frontend)
{
        frontend_free(*frontend);
}

/* Gives up what the Xen handles could do to other domains (see hypervisor_restrict()). */
int frontend_restrict(Frontend *frontend) _warn_unused_;

/*
 * Serves a device from now on, or from frontend_serve() on; and looks for its backend. Nothing
 * happens if it is served already, unless it has failed or its folder is another one: then it is
 * made anew. The files are taken over in any case.
 *
 * Returns 0 or a negative errno, which has been logged, and stands in STATUS_FILE. It concerns no
 * other device.
 */
int frontend_add(Frontend *frontend, const DeviceName *name, DeviceFiles *files) _warn_unused_;

/* Closes all devices that are not in the list. */
void frontend_keep(Frontend *frontend, const DeviceList *list);

/* Starts to serve the guest. Systemd is told READY, by and by. */
int frontend_serve(Frontend *frontend) _warn_unused_;

/*
 * Lets all devices go, so that the next process can go on with them, and then ends the loop with 0.
 * How long that takes is up to the backends; the loop may be ended at any time. Which devices there
 * are does not change any more. keep: as device_leave().
 */
void frontend_leave(Frontend *frontend, bool keep);
