/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * One device: what is wanted of it, what is known of it, and the hands that do what reconcile()
 * decides.
 *
 * SEEN      Its nodes are there.
 *           Operations: the nodes are read; the range is claimed at once, unless they make no
 * sense. Caveats: if the claim fails it is tried again; until then a guest's access kills it.
 * CLAIMED   An IOREQ server holds its range, and the launch file says so.
 *           Operations: the units are started. A guest that asks waits.
 * READY     The frontend answers the guest.
 * FAILED    Something ended that should not have, or could not be started. The node "error" and
 *           the journal say what.
 *           Operations: tried again, later and later, as long as the guest lives. The claim stays.
 * STOPPING  The toolstack, or the guest's end, asks for the end.
 *           Caveats: there is no way back; if the nodes say otherwise by then, it starts anew
 * after. RELEASED  Nothing of it is left but this record, until the nodes go as well.
 */

#include <stdbool.h>
#include <stdint.h>

#include "common/device-name.h"
#include "common/launch.h"
#include "orchestrator/device-report.h"
#include "orchestrator/device-services.h"
#include "orchestrator/node-set.h"
#include "orchestrator/reconcile.h"

typedef enum DeviceState {
        DEVICE_SEEN,
        DEVICE_CLAIMED,
        DEVICE_READY,
        DEVICE_FAILED,
        DEVICE_STOPPING,
        DEVICE_RELEASED,
        _DEVICE_STATE_MAX,
} DeviceState;

/* A device whose nodes were seen at seen_usec. The services outlive it. */
Device *device_new(const DeviceServices *services, const DeviceName *name, uint64_t seen_usec);

/* A device that an earlier orchestrator has claimed; its nodes are yet to be read. */
Device *device_adopt(const DeviceServices *services, const DeviceName *name, const Launch *launch);

/* Only the record: what it stands for goes on. */
Device *device_free(Device *device);

const DeviceName *device_name(const Device *device);
DeviceState device_state(const Device *device);

const char *device_instance(const Device *device);

/* What is claimed for it; NULL: nothing. */
const Launch *device_launch(const Device *device);

/* An adopted device, whose units may be of an earlier claim. */
void device_expect_leftover(Device *device);

/* Its virtio device id; 0 if its nodes have never made sense. */
uint32_t device_type(const Device *device);

/* The configuration has changed: what could not be started is tried at once. */
void device_retry(Device *device);

/*
 * How the device is, for people; the texts live as long as the device stays as it is. The counters
 * are left out: device_read_counters() fetches them from the frontend's file, if it has one, with
 * the problem that only they tell of.
 */
void device_describe(const Device *device, DeviceReport *ret_report);
void device_read_counters(const Device *device, DeviceReport *report);

/*
 * Takes over the node "vm" of the domain that has the number now, by which another guest is known;
 * NULL: it has none. What the nodes said counts no longer, and they are read again.
 */
void device_note_guest(Device *device, const char *vm);

/*
 * Takes over the nodes, and whether the domain lives. Then claims the range if the nodes ask for
 * it: that has no time to wait for anything else.
 */
void device_update(Device *device, const NodeSet *nodes, bool domain_exists);

/*
 * Has the backend, the frontend or both started anew, also if they wait for the time of their next
 * try; reconcile() finds them down and starts them in its order. Returns 0; -EBUSY if the device is
 * ending; -ENOTCONN if systemd cannot be told.
 */
int device_restart(Device *device, bool backend, bool frontend) _warn_unused_;

/* Does what there is to do. Returns false if the device is history and should be freed. */
bool device_reconcile(Device *device);
