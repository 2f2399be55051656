/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The inside of a device: device.c has its life and the backend's side, device-driver.c the
 * driver's, device-hold.c how long one waits for the other, device-control.c a network card's
 * control queue. Nothing else includes this.
 */

#include "common/counters.h"
#include "common/device-type.h"
#include "common/log.h"
#include "frontend/device-files.h"
#include "frontend/device-state.h"
#include "frontend/device.h"
#include "frontend/kernel-notify.h"
#include "frontend/notify.h"
#include "frontend/start-limit.h"
#include "frontend/vhost-session.h"
#include "frontend/virtio-mmio.h"

struct Device {
        Loop *loop;
        Hypervisor *hypervisor;
        VhostMemory memory;
        DescriptorStore *store;
        const DeviceOps *ops;
        void *userdata;
        char instance[DEVICE_INSTANCE_MAX];
        LogContext log;
        Launch launch;
        const DeviceType *type;

        DeviceFiles files;
        DeviceState *state;
        CountersFile *counters;
        VirtioMmio *mmio; /* in the state */
        Notify *notify;
        KernelNotify kernel_notify;
        VhostSession *session;
        VhostOffer offer; /* the latest; the driver sees it from its next reset on */
        LoopTimer hold, quieten;
        LoopTimer start;   /* of rings, when it is put off */
        LoopTimer control; /* the next one of many commands */
        StartLimit start_limit;

        bool answering;       /* the driver's accesses are answered, no longer held */
        bool selecting;       /* the configuration space waits for what the driver has selected */
        bool start_held;      /* the driver's DRIVER_OK waits until the rings have started */
        bool hold_over;       /* what the driver takes back waits no longer for the backend */
        bool leaving;         /* the process is going to end: nobody is kicked any more */
        bool keeping;         /* and the next one gets its descriptors */
        bool quiet;           /* and has not been for some time */
        bool ready;           /* the backend has answered at least once */
        bool request_logged;  /* the first request since the driver's start has been */
        uint64_t kicks;       /* bit n: queue n is to be kicked once the access is answered */
        uint64_t looked_usec; /* when the access began, of one that is timed */
        LogLimit driver_limit, backend_limit;
};

/* Interrupts the guest. If that is not possible the device has failed. */
void device_interrupt(Device *device);

/* Lets the driver see the latest offer, if it uses none; else looks whether it can go on. */
void device_offer_apply(Device *device);

/* Starts the rings, or goes on with them, where the driver wants that and the backend can. */
void device_rings_start(Device *device);

/* The same of a queue that the driver makes ready while the others run. */
void device_queue_start(Device *device);

/*
 * Whether a driver that starts its device, or a queue, over and over has its backend left in peace
 * for now: then the above are called again when it is time, and nobody waits for that.
 */
bool device_start_put_off(Device *device, unsigned int messages);

/* What its queues that are ready cost (start-limit.h). */
unsigned int device_start_messages(const Device *device);

/*
 * Serves the next command of a network card's control queue, if it is served here, there is one,
 * and it can be carried out now; others follow by themselves. To be called when any of that may
 * have changed.
 */
void device_control_init(Device *device);
void device_control_serve(Device *device);

/* Says, of a card that was to have several pairs of queues, if it has but one. */
void device_control_explain(const Device *device);

/*
 * The driver waits for the backend, but no longer than DEVICE_HOLD_USEC from the first time that
 * this is called; until what it waits for has happened.
 */
void device_hold_init(Device *device);
void device_hold_begin(Device *device);
void device_hold_end(Device *device);
