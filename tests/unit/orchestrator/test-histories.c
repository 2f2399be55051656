/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Random histories of a host: guests and their devices come and go, processes end, calls fail,
 * events come twice or in another order, connections are lost, and the orchestrator is killed
 * between any two of its effects. Nothing of that may harm a device that is healthy; and when it is
 * over, all is as it should be.
 *
 *     test-histories [COUNT [SEED]]
 *
 * COUNT histories from SEED on; one alone, with COUNT 1, is told step by step.
 */

#include <glib.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/fuzz/fake-clock.h"
#include "tests/unit/orchestrator/history-seams.h"

#define STEPS_MAX  400U
#define SETTLE_MAX 20000U
#define ROUNDS_MAX 400U /* of timers: back-offs of a minute, and of three seconds */

static uint32_t life;

/* What a toolstack does. */

static void guest_create(unsigned int index)
{
        const unsigned int n_others = world_chance(50) ? 0 : world_random(N_SERVERS);
        Guest *guest = &world.guests[index];

        world_tell("guest %u is built, with %u servers of others", index, n_others);
        guest->alive = true;
        guest->number = ++life;
        for (unsigned int i = 0; i < n_others; i++)
                guest->servers[i] = (Server){ .exists = true, .is_others = true };
}

static void nodes_create(unsigned int guest, unsigned int device, bool complete)
{
        Place *place = &world.guests[guest].places[device];

        world_tell("nodes of %u-%u%s", guest, device, complete ? "" : ", half of them");
        place->nodes = (Nodes){ XENBUS_INITIALISING, complete, true, false, ++life };
        place->refused = false;
        world_event(guest, device);
}

static void nodes_remove(unsigned int guest, unsigned int device)
{
        world_tell("no nodes of %u-%u", guest, device);
        world.guests[guest].places[device].nodes = (Nodes){ 0 };
        if (world_chance(50))
                world_event(guest, device);
        else
                world_event_guest(guest);
}

/* Its servers end with it. */
static void guest_die(unsigned int index)
{
        Guest *guest = &world.guests[index];

        world_tell("guest %u dies", index);
        guest->alive = false;
        for (unsigned int i = 0; i < N_SERVERS; i++)
                guest->servers[i].exists = false;
        world_event_domains();
}

static void guest_change(unsigned int index)
{
        Guest *guest = &world.guests[index];

        if (!guest->alive) {
                for (unsigned int device = 0; device < N_DEVICES; device++) {
                        if (guest->places[device].nodes.state != XENBUS_UNKNOWN)
                                nodes_remove(index, device);
                }
                guest_create(index);
        } else if (world_chance(15)) {
                guest_die(index);
        }
}

static void nodes_change(unsigned int guest, unsigned int device)
{
        Nodes *nodes = &world.guests[guest].places[device].nodes;

        if (!world.guests[guest].alive) {
                if (nodes->state != XENBUS_UNKNOWN && world_chance(50))
                        nodes_remove(guest, device);
        } else if (nodes->state == XENBUS_UNKNOWN) {
                nodes_create(guest, device, world_chance(80));
        } else if (nodes->state == XENBUS_CLOSED || nodes->state == XENBUS_CLOSING) {
                /* It has waited long enough, or for what it wanted. */
                if (nodes->state == XENBUS_CLOSED || world_chance(20))
                        nodes_remove(guest, device);
        } else if (!nodes->complete) {
                nodes->complete = true;
                world_event(guest, device);
        } else if (world_chance(30)) {
                nodes->sensible = !nodes->sensible;
                world_event(guest, device);
        } else if (world_chance(40)) {
                world_tell("%u-%u is to close", guest, device);
                nodes->state = XENBUS_CLOSING;
                world_event(guest, device);
        } else {
                world_event(guest, device);
        }
}

/* Something happens that nobody has asked for. */
static void world_happen(void)
{
        const unsigned int guest = world_random(N_GUESTS), device = world_random(N_DEVICES);
        const unsigned int place = world_random(N_PLACES);

        switch (world_random(17)) {
        case 0:
                guest_change(guest);
                break;
        case 1:
        case 2:
                world_end_process(&world.guests[guest].places[place].processes[world_random(2)]);
                break;
        case 3:
                world_set_store(world_chance(50));
                break;
        case 4:
                world_set_systemd(world_chance(60));
                break;
        case 5:
                world_kill();
                world_start();
                break;
        case 6:
                world.fuse = 1 + world_random(12);
                break;
        case 7:
                world_step_time();
                break;
        case 8:
                fake_clock_advance(world_random(5000000));
                break;
        case 9:
                world_fail_part(guest, device);
                break;
        default:
                nodes_change(guest, device);
                break;
        }
}

static bool world_step(void)
{
        bool stepped;

        switch (world_random(3)) {
        case 0:
                stepped = world_step_store() || world_step_systemd() || world_step_loop();
                break;
        case 1:
                stepped = world_step_systemd() || world_step_loop() || world_step_store();
                break;
        default:
                stepped = world_step_loop() || world_step_store() || world_step_systemd();
                break;
        }
        if (world.dead) {
                world_kill();
                world_start();
        }
        return stepped;
}

/* The toolstack makes good what it has left half done. */
static void toolstack_settle(void)
{
        for (unsigned int guest = 0; guest < N_GUESTS; guest++) {
                for (unsigned int device = 0; device < N_DEVICES; device++) {
                        Nodes *nodes = &world.guests[guest].places[device].nodes;

                        if (nodes->state == XENBUS_UNKNOWN || (nodes->complete && nodes->sensible))
                                continue;
                        nodes->complete = nodes->sensible = true;
                        world_event(guest, device);
                }
        }
}

/* All goes well from now on: how is it when nothing happens any more? */
static bool world_settle(void)
{
        world.faults = false;
        world.fuse = 0;
        world_set_store(true);
        world_set_systemd(true);
        toolstack_settle();
        for (unsigned int round = 0; round < ROUNDS_MAX; round++) {
                for (unsigned int step = 0; world_step(); step++) {
                        if (step == SETTLE_MAX)
                                return false;
                }
                if (!world_step_time())
                        return true;
        }
        return false;
}

static void blame(const char *what, unsigned int guest, unsigned int device)
{
        const Place *place = &world.guests[guest].places[device];

        world_tell("%u-%u: state %d, error %d, units %d and %d, record %d of guest %u, server %u, "
                   "note %d, drop-in %d",
                   guest, device, (int)place->nodes.state, place->nodes.error,
                   (int)place->processes[0].phase, (int)place->processes[1].phase, place->record,
                   place->record_guest, place->server, place->intent, place->dropin);
        if (world.harm[0] == '\0')
                g_snprintf(world.harm, sizeof(world.harm), "%u-%u %s", guest, device, what);
}

static void world_check(void)
{
        for (unsigned int guest = 0; guest < N_GUESTS; guest++) {
                for (unsigned int device = 0; device < N_DEVICES; device++) {
                        if (world_should_serve(guest, device)) {
                                if (!world_serves(guest, device))
                                        blame("is not served in the end", guest, device);
                        } else if (!world_is_clean(guest, device)) {
                                blame("is not gone in the end", guest, device);
                        }
                }
                if (!world_shares(guest) && !world_is_clean(guest, SHARED))
                        blame("is not gone in the end, and nothing is shared", guest, SHARED);
                if (world_has_stray_part(guest))
                        blame("has a device that is gone in a process", guest, SHARED);
                if (world_has_stray_server(guest))
                        blame("has a server without a device", guest, SHARED);
        }
}

/* Returns whether all went well. */
static bool history_run(uint64_t seed)
{
        world_reset(seed);
        fake_clock_reset();
        store_forget_all();
        g_random_set_seed((guint32)seed);
        world.faults = true;
        world.reserved = world_random(N_SERVERS);
        world_set_systemd(true);
        world_start();
        for (unsigned int i = 0, n = 20 + world_random(STEPS_MAX); i < n; i++) {
                if (world_chance(30) || !world_step())
                        world_happen();
        }
        if (!world_settle() && world.harm[0] == '\0')
                g_strlcpy(world.harm, "it never comes to rest", sizeof(world.harm));
        world_check();
        world_stop();
        world_set_systemd(false);
        return world.harm[0] == '\0';
}

int main(int argc, char **argv)
{
        const uint64_t n = argc > 1 ? g_ascii_strtoull(argv[1], NULL, 10) : 8000;
        const uint64_t first = argc > 2 ? g_ascii_strtoull(argv[2], NULL, 10) : 1;

        world.verbose = n == 1;
        for (uint64_t seed = first; seed < first + n; seed++) {
                if (history_run(seed))
                        continue;
                fprintf(stderr, "history %" PRIu64 ": %s; see it with: %s 1 %" PRIu64 "\n", seed,
                        world.harm, argv[0], seed);
                return EXIT_FAILURE;
        }
        printf("%" PRIu64 " histories, %" PRIu64 " effects\n", n, world.n_effects);
        return EXIT_SUCCESS;
}
