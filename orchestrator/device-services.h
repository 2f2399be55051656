/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What devices work with: the connections to Xen, xenstore and systemd, folders, configuration. */

#include <systemd/sd-event.h>

#include "orchestrator/claim.h"
#include "orchestrator/configuration.h"
#include "orchestrator/histogram.h"
#include "orchestrator/shared-frontend.h"
#include "orchestrator/start-budget.h"
#include "orchestrator/store.h"
#include "orchestrator/units.h"

typedef struct Device Device;

typedef struct DeviceServices {
        sd_event *event;
        Store *store;
        Claims *claims;
        Units *units;
        SharedFrontends *shared;
        Configuration *configuration; /* another one after a reload */
        int rundir;                   /* RUN_DIRECTORY */
        int unitdir;                  /* DROPIN_UNIT_DIRECTORY */
        Histogram *claim_times;
        StartBudget *starts;

        /* Asks for device_reconcile(), after device_update() if the nodes have to be read again. */
        void (*enqueue)(void *userdata, Device *device, bool read);

        /* The device's place among its guest's of its type, as for guest_file_find(). */
        int (*order)(void *userdata, const Device *device);

        /* The instance of another device of the guest that has the range; NULL: none has. */
        const char *(*holder)(void *userdata, const Device *device, uint64_t base);

        /* Told of each new state. */
        void (*changed)(void *userdata, const Device *device);
        void *userdata;
} DeviceServices;

/*
 * Opens all of it but what the caller puts in: event, the functions and what they get. Says by
 * itself what it cannot do. store_ops are told what xenstore has to say, schedule is as
 * SharedServices has it; both get userdata.
 *
 * Returns 0 or a negative errno. device_services_close() is to be called in either case.
 */
int device_services_open(DeviceServices *services, const StoreOps *store_ops,
                         void (*schedule)(void *userdata)) _warn_unused_;

/* After all devices have been freed. */
void device_services_close(DeviceServices *services);

/* Reads the configuration again. */
void device_services_reload(DeviceServices *services);
