/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "tests/unit/orchestrator/history-world.h"

#include <errno.h>
#include <glib.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "orchestrator/claim-intent.h"
#include "orchestrator/dropin.h"
#include "orchestrator/run-state.h"
#include "tests/unit/orchestrator/history-seams.h"

World world;

void world_reset(uint64_t seed)
{
        const bool verbose = world.verbose;
        const uint64_t n_effects = world.n_effects;

        world = (World){ .random = seed, .verbose = verbose, .n_effects = n_effects };
        for (unsigned int guest = 0; guest < N_GUESTS; guest++) {
                for (unsigned int device = 0; device < N_PLACES; device++) {
                        Place *place = &world.guests[guest].places[device];

                        place->processes[0].phase = place->processes[1].phase = UNIT_DOWN;
                }
        }
}

/* splitmix64 */
unsigned int world_random(unsigned int n)
{
        uint64_t z = (world.random += UINT64_C(0x9e3779b97f4a7c15));

        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        return (unsigned int)((z ^ (z >> 31)) % n);
}

bool world_chance(unsigned int percent)
{
        return world_random(100) < percent;
}

void world_tell(const char *format, ...)
{
        va_list args;

        if (!world.verbose)
                return;
        va_start(args, format);
        vfprintf(stderr, format, args);
        va_end(args);
        fputc('\n', stderr);
}

DeviceName world_name(unsigned int guest, unsigned int device)
{
        const bool is_disk = device == N_DEVICES - 1;

        return (DeviceName){ (uint16_t)(FIRST_DOMID + guest),
                             is_disk ? DEVICE_KIND_DISK : DEVICE_KIND_VIRTIO,
                             is_disk ? 51712 : device };
}

uint64_t world_base(unsigned int device)
{
        return UINT64_C(0x2000000) + device * VIRTIO_MMIO_RANGE_SIZE;
}

unsigned int world_device_at(uint64_t base)
{
        return (unsigned int)((base - UINT64_C(0x2000000)) / VIRTIO_MMIO_RANGE_SIZE);
}

bool world_find(const char *instance, unsigned int *ret_guest, unsigned int *ret_device)
{
        uint16_t domid;
        DeviceName name;

        if (device_name_parse_shared(instance, &domid) >= 0) {
                *ret_guest = domid - FIRST_DOMID;
                *ret_device = SHARED;
                return true;
        }
        if (device_name_parse(instance, &name) < 0)
                return false;
        *ret_guest = name.domid - FIRST_DOMID;
        *ret_device = name.kind == DEVICE_KIND_DISK ? N_DEVICES - 1 : name.devid;
        return true;
}

bool world_acts(const char *what, unsigned int guest, unsigned int device)
{
        const char *dead;

        if (world.fuse > 0 && --world.fuse == 0)
                world.dead = true;
        dead = world.dead ? ", but it is dead" : "";
        world_tell("  %s %u-%u%s", what, guest, device, dead);
        world.n_effects++;
        return !world.dead;
}

static bool is_healthy(unsigned int guest, unsigned int device, uint32_t life)
{
        const Nodes *nodes = &world.guests[guest].places[device].nodes;

        return world.guests[guest].alive && nodes->life == life &&
               nodes->state >= XENBUS_INITIALISING && nodes->state <= XENBUS_CONNECTED;
}

void world_blame(const char *what, unsigned int guest, unsigned int device)
{
        world_tell("WRONG: %s %u-%u", what, guest, device);
        if (world.harm[0] == '\0')
                g_snprintf(world.harm, sizeof(world.harm), "%s %u-%u", what, guest, device);
}

void world_harm(unsigned int guest, unsigned int device, uint32_t life, const char *what)
{
        char text[64];

        g_snprintf(text, sizeof(text), "%s of healthy device", what);
        if (is_healthy(guest, device, life))
                world_blame(text, guest, device);
}

/* Files */

static Place *place_of(const char *instance, const char *what, bool *ret_acts)
{
        unsigned int guest, device;

        if (!world_find(instance, &guest, &device))
                g_error("%s: %s?", what, instance);
        *ret_acts = world_acts(what, guest, device);
        return &world.guests[guest].places[device];
}

int run_state_open(int rundir _unused_, const char *instance _unused_)
{
        return -ENOENT;
}

int run_state_is_claimed(int rundir _unused_, const char *instance)
{
        unsigned int guest, device;

        return world_find(instance, &guest, &device) && world.guests[guest].places[device].record;
}

int run_state_create(int rundir _unused_, const char *instance, const Launch *launch)
{
        static uint32_t folders;
        unsigned int guest, device;
        Server *server;
        Place *place;
        bool acts;

        place = place_of(instance, "record", &acts);
        if (!acts || (world.faults && world_chance(3)))
                return -ENOSPC;
        if (!place->record)
                place->folder = ++folders;
        place->record = true;
        place->server = launch->server;
        place->first = world_device_at(launch->base);
        sscanf(launch->uuid, "%8" SCNx32, &place->record_guest);
        if (!world_find(instance, &guest, &device) || device == SHARED)
                return 0;
        server = &world.guests[guest].servers[launch->server];
        server->recorded |= 1U << device;
        place->record_life = server->lives[device];
        return 0;
}

int run_state_write_list(int rundir _unused_, const char *instance, const DeviceList *list)
{
        unsigned int guest, device;
        Place *shared;
        bool acts;

        shared = place_of(instance, "list", &acts);
        if (!acts || (world.faults && world_chance(3)))
                return -ENOSPC;
        world_find(instance, &guest, &device);
        shared->list = 0;
        for (device = 0; device < N_DEVICES; device++) {
                const DeviceName name = world_name(guest, device);
                const Part *part = &shared->processes[1].parts[device];

                if (device_list_has(list, &name))
                        shared->list |= 1U << device;
                else if (part->folder)
                        world_harm(guest, device, part->life, "end");
        }
        return 0;
}

void run_state_remove_socket(int rundir _unused_, const char *instance _unused_)
{
}

int run_state_remove(int rundir _unused_, const char *instance)
{
        unsigned int guest, device;
        Place *place;

        if (!world_find(instance, &guest, &device) || !world_acts("forget", guest, device))
                return 0;
        place = &world.guests[guest].places[device];
        place->record = false;
        place->folder = 0;
        place->status = UNIT_STARTING;
        place->list = 0;
        return 0;
}

static void world_instance_of(unsigned int guest, unsigned int device,
                              char ret_instance[DEVICE_INSTANCE_MAX])
{
        const DeviceName name = world_name(guest, device);

        if (device == SHARED)
                device_name_shared((uint16_t)(FIRST_DOMID + guest), ret_instance);
        else
                device_name_instance(&name, ret_instance);
}

/* What makes a record, or an orchestrator's successor knows by it. */
static void record_read(unsigned int guest, unsigned int device, Launch *ret_launch)
{
        const Place *place = &world.guests[guest].places[device];

        *ret_launch = (Launch){
                .server = place->server,
                .base = world_base(device == SHARED ? place->first : device),
                .irq = 33,
                .device_id = 2,
                .memory_kib = 262144,
        };
        world_uuid(place->record_guest, ret_launch->uuid, sizeof(ret_launch->uuid));
}

int run_state_list(int rundir _unused_, RunStateFound *found, void *userdata)
{
        for (unsigned int guest = 0; guest < N_GUESTS; guest++) {
                for (unsigned int device = 0; device < N_PLACES; device++) {
                        char instance[DEVICE_INSTANCE_MAX];
                        Launch launch;

                        if (!world.guests[guest].places[device].record)
                                continue;
                        world_instance_of(guest, device, instance);
                        record_read(guest, device, &launch);
                        found(userdata, instance, &launch);
                }
        }
        return 0;
}

int claim_intent_begin(int rundir _unused_, uint16_t domid, uint64_t base, const char *uuid)
{
        const unsigned int guest = domid - FIRST_DOMID, device = world_device_at(base);

        Place *place = &world.guests[guest].places[device];

        /* Before a release only a full /run keeps it away, and only a kill as well would harm. */
        if (!world_acts("intend", guest, device) ||
            (world.faults && !place->record && world_chance(2)))
                return -ENOSPC;
        place->intent = true;
        sscanf(uuid, "%8" SCNx32, &place->intent_guest);
        return 0;
}

void claim_intent_end(int rundir _unused_, uint16_t domid, uint64_t base)
{
        const unsigned int guest = domid - FIRST_DOMID, device = world_device_at(base);

        if (world_acts("intend no more", guest, device))
                world.guests[guest].places[device].intent = false;
}

int claim_intent_list(int rundir _unused_, ClaimIntentFound *found, void *userdata)
{
        for (unsigned int guest = 0; guest < N_GUESTS; guest++) {
                for (unsigned int device = 0; device < N_DEVICES; device++) {
                        const Place *place = &world.guests[guest].places[device];
                        char uuid[LAUNCH_UUID_SIZE];

                        world_uuid(place->intent_guest, uuid, sizeof(uuid));
                        if (place->intent)
                                found(userdata, (uint16_t)(FIRST_DOMID + guest), world_base(device),
                                      uuid);
                }
        }
        return 0;
}

int dropin_write(int dirfd _unused_, const char *unit, const char *text _unused_)
{
        bool acts;
        Place *place = place_of(world_instance(unit), "drop-in", &acts);

        if (!acts || (world.faults && world_chance(3)))
                return -ENOSPC;
        place->dropin = true;
        return 0;
}

bool dropin_has(int dirfd _unused_, const char *unit, const char *text _unused_)
{
        unsigned int guest, device;

        return world_find(world_instance(unit), &guest, &device) &&
               world.guests[guest].places[device].dropin;
}

int dropin_remove(int dirfd _unused_, const char *unit)
{
        bool acts;
        Place *place = place_of(world_instance(unit), "no drop-in", &acts);

        if (acts)
                place->dropin = false;
        return 0;
}

/* How it should end */

bool world_should_serve(unsigned int guest, unsigned int device)
{
        const Nodes *nodes = &world.guests[guest].places[device].nodes;

        return is_healthy(guest, device, nodes->life) && nodes->complete && nodes->sensible;
}

bool world_shares(unsigned int guest)
{
        const Guest *all = &world.guests[guest];
        const Place *shared = &all->places[SHARED];

        for (unsigned int device = 0; device < N_DEVICES; device++) {
                if (shared->record && all->places[device].record &&
                    all->places[device].server == shared->server)
                        return true;
        }
        return false;
}

/* Exactly one process does, and it is the right one. */
static bool is_answered(const Guest *guest, unsigned int device)
{
        const Place *place = &guest->places[device], *shared = &guest->places[SHARED];
        const Process *alone = &place->processes[1], *common = &shared->processes[1];
        const bool is_part = common->phase == UNIT_UP &&
                             common->parts[device].folder == place->folder &&
                             place->status == UNIT_UP && common->server == place->server;

        if (shared->record && shared->server == place->server)
                return alone->phase == UNIT_DOWN && is_part;
        return alone->phase == UNIT_UP && common->parts[device].folder == 0 &&
               guest->servers[place->server].ranges == 1U << device;
}

bool world_serves(unsigned int guest, unsigned int device)
{
        const Guest *all = &world.guests[guest];
        const Place *place = &all->places[device];
        const Server *server = &all->servers[place->server];

        return place->record && !place->intent && server->exists && !server->is_others &&
               server->ranges >> device & 1 && world_count_servers(guest, device) == 1 &&
               place->record_guest == all->number && place->processes[0].phase == UNIT_UP &&
               is_answered(all, device) && place->nodes.state == XENBUS_INIT_WAIT &&
               !place->nodes.error;
}

bool world_is_clean(unsigned int guest, unsigned int device)
{
        const Place *place = &world.guests[guest].places[device];

        return !place->record && !place->intent && !place->dropin &&
               (device == SHARED || world_count_servers(guest, device) == 0) &&
               place->processes[0].phase == UNIT_DOWN && place->processes[1].phase == UNIT_DOWN &&
               (place->nodes.state != XENBUS_CLOSING || !world.guests[guest].alive);
}
