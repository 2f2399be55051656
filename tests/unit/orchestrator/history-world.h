/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * All that is around the manager, in memory and with a time of its own: xenstore, Xen, systemd and
 * /run. It implements store.h, claim.h, units.h, run-state.h, claim-intent.h, what of dropin.h
 * touches files, and the event loop as far as the manager needs it.
 *
 * It knows the truth, so it knows what harms: each effect on a device that is healthy is a failure
 * of the history, and world.harm says which.
 */

#include <stdbool.h>
#include <stdint.h>

#include "common/device-name.h"
#include "orchestrator/spec.h"
#include "orchestrator/units.h"

#define N_GUESTS    2U
#define N_DEVICES   3U /* of each: two of virtio=, and a disk */
#define N_SERVERS   8U
#define FIRST_DOMID 5U

/* What xenstore has of a device, and what became of it. */
typedef struct Nodes {
        XenbusState state;       /* XENBUS_UNKNOWN: nothing is there */
        bool complete, sensible; /* else a node is missing, or says nonsense */
        bool error;
        uint32_t life; /* another one each time the toolstack makes them */
} Nodes;

/* A unit, as systemd sees it. */
typedef struct Process {
        UnitPhase phase;  /* never UNIT_UNKNOWN */
        uint32_t life;    /* of the nodes, at the time of the claim */
        uint32_t up_life; /* likewise, when it was up the last time */
        bool told;        /* systemd has sent a signal since the phase has changed */
} Process;

typedef struct Place {
        Nodes nodes;
        XenbusState told;     /* what the orchestrator has last heard of the nodes' state */
        uint32_t told_guest;  /* and whose they were */
        uint64_t asked_usec;  /* when it heard of XENBUS_INITIALISING */
        bool refused;         /* what it has last had to say is an error */
        Process processes[2]; /* backend and frontend */
        bool dropin;
        bool record; /* in /run, with server */
        uint16_t server;
        uint32_t record_guest, record_life; /* what it was claimed for */
        bool intent;
} Place;

typedef struct Server {
        bool exists;
        bool recorded;       /* it was written down; else its maker may take it back */
        unsigned int device; /* whose range it has */
        uint32_t life;
} Server;

typedef struct Guest {
        bool alive;
        uint32_t number; /* another one for each domain: the UUID */
        Server servers[N_SERVERS];
        Place places[N_DEVICES];
} Guest;

typedef struct World {
        Guest guests[N_GUESTS];
        uint64_t random;
        bool faults;       /* calls may fail, starts and deliveries too */
        bool verbose;      /* tell everything on standard error */
        bool dead;         /* the orchestrator was killed: what it still does has no effect */
        unsigned int fuse; /* effects until it is; 0: it is not */
        char harm[256];
        uint64_t n_effects;
} World;

extern World world;

/* Another history, from its seed. */
void world_reset(uint64_t seed);

/* A number below n, from the history's seed. */
unsigned int world_random(unsigned int n);
bool world_chance(unsigned int percent);

void world_tell(const char *format, ...) _printf_(1, 2);

/* The device's name and the other way round. */
DeviceName world_name(unsigned int guest, unsigned int device);

/* Starts the orchestrator, and ends it, in order or not. */
void world_start(void);
void world_stop(void);
void world_kill(void);

/* xenstore says that something has changed: a device's nodes, a guest's folder, all, or domains. */
void world_event(unsigned int guest, unsigned int device);
void world_event_guest(unsigned int guest);
void world_event_list(void);
void world_event_domains(void);

/* The connection to xenstore, or to systemd, is lost; is there again. */
void world_set_store(bool connected);
void world_set_systemd(bool connected);

/* Whether xenstored has nothing to say and nothing to answer. */
bool world_store_is_quiet(void);

/* The next thing that xenstored, systemd or the loop has to do. Each returns whether there was any.
 */
bool world_step_store(void);
bool world_step_systemd(void);
bool world_step_loop(void);

/* The time of the next timer comes. */
bool world_step_time(void);

/* A process ends by itself, or is ended by hand. */
void world_end_process(Process *process);

/* Whether the device should be served by now, and whether it is, in all parts. */
bool world_should_serve(unsigned int guest, unsigned int device);
bool world_serves(unsigned int guest, unsigned int device);

/* Whether nothing of it is left. */
bool world_is_clean(unsigned int guest, unsigned int device);
