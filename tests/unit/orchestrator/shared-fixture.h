/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A guest with more devices than Xen has IOREQ servers: Xen, xenstore and systemd in memory, and
 * the folders in a temporary one.
 */

#include <glib.h>

#include "common/launch.h"
#include "orchestrator/device.h"
#include "orchestrator/placement.h"

#define N_DEVICES     11
#define FIRST_SHARED  6 /* with one server reserved */
#define SHARED_SERVER 6
#define SHARED_UNIT   "xen-virtio-frontend@5-shared.service"
#define BASE          UINT64_C(0x2000000)
#define UUID          "8a5d2f0e-7d11-4f6e-9a55-0123456789ab"

/* The other side of store.h: what devices have written, by devid. */
struct Store {
        char *errors[N_DEVICES];
        XenbusState states[N_DEVICES];
};

/* The other side of claim.h, with the rules of xen/common/ioreq.c. */
struct Claims {
        bool exists[IOREQ_SERVERS_MAX];
        GHashTable *ranges[IOREQ_SERVERS_MAX]; /* of base addresses, by the device's place */
};

/* The other side of units.h. Frontends become ready when the test says so, backends at once. */
struct Unit {
        char *name;
        UnitPhase phase;
        ReloadPhase reload;
        unsigned int n_starts, n_reloads;
        bool refuses; /* it ends because something of it is wrong */
        UnitHandler *handler;
        void *userdata;
};

struct Units {
        GHashTable *table; /* name → Unit; a unit outlives whoever looks after it */
        bool unknown;
};

typedef struct Fixture {
        char *root;
        Store store;
        Claims claims;
        DeviceServices services;
        Histogram claim_times;
        StartBudget starts;
        Device *devices[N_DEVICES];
        bool scheduled;
} Fixture;

extern Units units;

/* As g_test_add() has them; data is the guest file. */
void fixture_set_up(Fixture *fixture, const void *data);
void fixture_tear_down(Fixture *fixture, const void *data);

/* The unit of that name, and that of the shared frontend. */
Unit *unit_find(const char *name);
Unit *shared_unit(void);

/* systemd tells of another phase. */
void unit_become(Unit *unit, UnitPhase phase);

/* Without and with the devices' records. */
void orchestrator_start(Fixture *fixture);
void orchestrator_end(Fixture *fixture);

/* As the manager does it, until there is nothing to do. */
void orchestrator_pass(Fixture *fixture);

/* The nodes of a device appear; or are another way. */
void device_come(Fixture *fixture, uint32_t devid, const char *uuid);
void device_read(Device *device, const char *uuid, const char *state);

/* All eleven come, and are served. */
void devices_come(Fixture *fixture);

/* The toolstack asks for a device's end, and its backend has ended. */
void device_go(Fixture *fixture, uint32_t devid);

/* What the frontend's process says of a device. */
void frontend_say(const Fixture *fixture, unsigned int devid, const char *status);

/* A reload is over. */
void reload_end(Fixture *fixture, ReloadPhase phase);

bool file_exists(const Fixture *fixture, const char *file);

/* The devices in the list of the shared frontend, as digits and letters. */
void assert_list(const Fixture *fixture, const char *expected);

/* The states of the further devices: their initials. */
void assert_states(const Fixture *fixture, const char *expected);

/* How many ranges each of the eight servers has. */
void assert_servers(const Fixture *fixture, const char *expected);
