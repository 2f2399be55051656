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
#define N_DEVICES   3U        /* of each: two of virtio=, and a disk */
#define SHARED      N_DEVICES /* the place of the frontend that the guest's devices share */
#define N_PLACES    (N_DEVICES + 1)
#define N_SERVERS   8U
#define FIRST_DOMID 5U

/* What xenstore has of a device, and what became of it. */
typedef struct Nodes {
        XenbusState state;       /* XENBUS_UNKNOWN: nothing is there */
        bool complete, sensible; /* else a node is missing, or says nonsense */
        bool error;
        uint32_t life; /* another one each time the toolstack makes them */
} Nodes;

/* A device that a process serves. */
typedef struct Part {
        uint32_t folder; /* that it has open; 0: it does not serve the device */
        uint32_t life;   /* of the nodes, at the time of the claim */
} Part;

/* A unit, as systemd sees it. */
typedef struct Process {
        UnitPhase phase;       /* never UNIT_UNKNOWN */
        Part parts[N_DEVICES]; /* its own one, or those in the list */
        bool told;             /* systemd has sent a signal since the phase has changed */

        /* Of a shared one: what it was started for, and how its last reload is. */
        uint16_t server;
        uint32_t guest;
        ReloadPhase reload;
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
        uint32_t answered_life;             /* the last one that a frontend has answered for */
        bool intent;
        uint32_t intent_guest;

        uint32_t folder;    /* another one each time it is made */
        UnitPhase status;   /* what a shared frontend says in it, as MemberStatus has it */
        unsigned int first; /* of a shared one: whose launch file it has */
        unsigned int list;  /* of a shared one: what it is to serve, a bit each */
} Place;

typedef struct Server {
        bool exists;
        bool is_others;            /* of an emulator that is none of ours */
        bool is_spared;            /* emptied, but known of the domain that had the number before */
        unsigned int ranges;       /* whose it has, a bit for each device */
        unsigned int recorded;     /* likewise, written down; else their maker may take them back */
        uint32_t lives[N_DEVICES]; /* of the nodes, at the time of the claim */
} Server;

typedef struct Guest {
        bool alive;
        uint32_t number; /* another one for each domain: the UUID */
        uint32_t known;  /* the one that this orchestrator has last heard of */
        Server servers[N_SERVERS];
        Place places[N_PLACES];
} Guest;

typedef struct World {
        Guest guests[N_GUESTS];
        uint64_t random;
        bool faults;           /* calls may fail, starts and deliveries too */
        bool verbose;          /* tell everything on standard error */
        bool dead;             /* the orchestrator was killed: what it still does has no effect */
        unsigned int fuse;     /* effects until it is; 0: it is not */
        unsigned int reserved; /* servers, as the configuration has it */
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

/* The guest's shared frontend cannot serve the device any more. */
void world_fail_part(unsigned int guest, unsigned int device);

/* Whether the device should be served by now, and whether it is, in all parts. */
bool world_should_serve(unsigned int guest, unsigned int device);
bool world_serves(unsigned int guest, unsigned int device);

/* Whether nothing of it is left, the shared frontend included, and no server without a device. */
bool world_is_clean(unsigned int guest, unsigned int device);
bool world_has_stray_server(unsigned int guest);

/* Whether the shared frontend has something open of a device that is gone. */
bool world_has_stray_part(unsigned int guest);

/* Whether the devices of a guest share a frontend. */
bool world_shares(unsigned int guest);
