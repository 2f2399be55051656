/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Xen as claim.h has it: the servers of each guest, with the ranges that each of them has. */

#include <errno.h>

#include "orchestrator/claim.h"
#include "tests/unit/orchestrator/history-seams.h"

unsigned int world_count_servers(unsigned int guest, unsigned int device)
{
        unsigned int n = 0;

        for (unsigned int i = 0; i < N_SERVERS; i++) {
                const Server *server = &world.guests[guest].servers[i];

                n += server->exists && server->ranges >> device & 1;
        }
        return n;
}

bool world_has_stray_server(unsigned int guest)
{
        for (unsigned int i = 0; i < N_SERVERS; i++) {
                const Server *server = &world.guests[guest].servers[i];

                if (server->exists && server->ranges == 0 && !server->is_others &&
                    !server->is_spared)
                        return true;
        }
        return false;
}

/* Before the hypercall; returns 0 if it can succeed. */
static int claim_begin(const char *what, unsigned int guest, unsigned int device)
{
        if (!world_acts(what, guest, device))
                return -EIO;
        if (!world.guests[guest].alive)
                return -ESRCH;
        return world.faults && world_chance(5) ? -EPERM : 0;
}

/* Xen cannot be told which guest is meant, only its number; but who knows it is to know better. */
static void others_blame(unsigned int guest, const Server *server, const char *what)
{
        if (server->is_others && world.guests[guest].known == world.guests[guest].number)
                world_blame(what, guest, SHARED);
}

static void range_map(unsigned int guest, unsigned int number, unsigned int device)
{
        Server *server = &world.guests[guest].servers[number];

        if (world_count_servers(guest, device) > 0)
                world_blame("two servers for", guest, device);
        server->ranges |= 1U << device;
        server->recorded &= ~(1U << device);
        server->lives[device] = world.guests[guest].places[device].nodes.life;
}

static void range_unmap(Server *server, unsigned int device)
{
        server->ranges &= ~(1U << device);
        server->recorded &= ~(1U << device);
}

static void server_destroy(unsigned int guest, Server *server)
{
        others_blame(guest, server, "end of another's server of");
        for (unsigned int device = 0; device < N_DEVICES; device++) {
                if (server->ranges & server->recorded & 1U << device)
                        world_harm(guest, device, server->lives[device], "release");
        }
        *server = (Server){ 0 };
}

/* Whether the guest has a shared server for one more of its devices. */
static bool has_shared(const Guest *guest)
{
        const Place *shared = &guest->places[SHARED];

        return shared->record && shared->record_guest == guest->number &&
               guest->servers[shared->server].exists;
}

int claims_take(Claims *claims _unused_, uint16_t domid, uint64_t base, uint16_t *ret_server)
{
        const unsigned int index = domid - FIRST_DOMID, device = world_device_at(base);
        Guest *guest = &world.guests[index];
        int r = claim_begin("take", index, device);

        if (r < 0)
                return r;
        if (has_shared(guest))
                world_blame("a server for one that should share:", index, device);
        for (uint16_t i = 0; i < N_SERVERS; i++) {
                if (guest->servers[i].exists)
                        continue;
                guest->servers[i] = (Server){ .exists = true };
                range_map(index, i, device);
                *ret_server = i;
                return 0;
        }
        return -EUSERS;
}

int claims_join(Claims *claims _unused_, uint16_t domid, uint16_t number, uint64_t base)
{
        const unsigned int index = domid - FIRST_DOMID, device = world_device_at(base);
        const Server *server = &world.guests[index].servers[number];
        int r = claim_begin("join", index, device);

        if (r < 0)
                return r;
        if (!server->exists)
                return -ENOENT;
        others_blame(index, server, "another's server for a device of");
        if (!(server->ranges >> device & 1))
                range_map(index, number, device);
        return 0;
}

int claims_leave(Claims *claims _unused_, uint16_t domid, uint16_t number, uint64_t base)
{
        const unsigned int index = domid - FIRST_DOMID, device = world_device_at(base);
        Server *server = &world.guests[index].servers[number];

        if (!world_acts("leave", index, device) || !server->exists)
                return 0;
        if (server->ranges & server->recorded & 1U << device)
                world_harm(index, device, server->lives[device], "leave");
        range_unmap(server, device);
        return 0;
}

int claims_release(Claims *claims _unused_, uint16_t domid, uint16_t number)
{
        const unsigned int index = domid - FIRST_DOMID;
        Server *server = &world.guests[index].servers[number];

        if (world_acts("release", index, number) && server->exists)
                server_destroy(index, server);
        return 0;
}

/* A range that nobody wrote down is nobody's yet: no harm, whoever it was for. */
void claims_drop(Claims *claims _unused_, uint16_t domid, uint64_t base, uint32_t known)
{
        const unsigned int index = domid - FIRST_DOMID, device = world_device_at(base);
        const Place *place = &world.guests[index].places[device];

        if (!world_acts("drop", index, device))
                return;
        for (unsigned int i = 0; i < N_SERVERS; i++) {
                Server *server = &world.guests[index].servers[i];

                if (!server->exists || !(server->ranges >> device & 1))
                        continue;
                if (place->record && place->server == i)
                        world_blame("drop of what is written down for", index, device);
                range_unmap(server, device);
                if (!(known >> i & 1))
                        server_destroy(index, server);
                /* A record of a domain that had the number before: it is left, empty. */
                else if (server->ranges == 0)
                        server->is_spared = true;
        }
}
