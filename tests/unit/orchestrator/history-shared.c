/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The frontends that serve several devices: what they do with their lists, and say of each device.
 */

#include <errno.h>
#include <glib.h>

#include "orchestrator/member-status.h"
#include "tests/unit/orchestrator/history-seams.h"

/* inotify: what was written is told some time later, once. */
struct MemberStatus {
        unsigned int guest, device;
        uint32_t folder; /* the file outlives its folder */
        UnitHandler *changed;
        void *userdata;
        bool is_due;
};

#define STATUSES_MAX (N_GUESTS * N_DEVICES)

static MemberStatus *statuses[STATUSES_MAX];
static unsigned int n_statuses;

static Place *status_place(const MemberStatus *status)
{
        Place *place = &world.guests[status->guest].places[status->device];

        return place->folder == status->folder ? place : NULL;
}

int member_status_open(sd_event *event _unused_, int rundir _unused_, const DeviceName *name,
                       UnitHandler *changed, void *userdata, MemberStatus **ret_status)
{
        char instance[DEVICE_INSTANCE_MAX];
        unsigned int guest, device;
        MemberStatus *status;

        device_name_instance(name, instance);
        if (!world_find(instance, &guest, &device) || n_statuses == STATUSES_MAX)
                g_error("%s: status?", instance);
        if (!world.guests[guest].places[device].record)
                return -ENOENT;
        if (world.faults && world_chance(3))
                return -EMFILE;
        status = g_new(MemberStatus, 1);
        *status = (MemberStatus){
                .guest = guest,
                .device = device,
                .folder = world.guests[guest].places[device].folder,
                .changed = changed,
                .userdata = userdata,
        };
        statuses[n_statuses++] = status;
        *ret_status = status;
        return 0;
}

MemberStatus *member_status_close(MemberStatus *status)
{
        for (unsigned int i = 0; status && i < n_statuses; i++) {
                if (statuses[i] == status)
                        statuses[i] = statuses[--n_statuses];
        }
        g_free(status);
        return NULL;
}

UnitPhase member_status_phase(const MemberStatus *status)
{
        const Place *place = status_place(status);

        return place ? place->status : UNIT_STARTING;
}

void member_status_reset(MemberStatus *status)
{
        Place *place = status_place(status);

        if (place && world_acts("status", status->guest, status->device))
                place->status = UNIT_STARTING;
}

static void place_say(unsigned int guest, unsigned int device, UnitPhase phase)
{
        Place *place = &world.guests[guest].places[device];

        world_tell("the shared frontend says %d of %u-%u", (int)phase, guest, device);
        place->status = phase;
        if (phase == UNIT_UP)
                place->answered_life = place->record_life;
        for (unsigned int i = 0; i < n_statuses; i++)
                statuses[i]->is_due |= status_place(statuses[i]) == place;
}

bool world_step_status(void)
{
        for (unsigned int i = 0; i < n_statuses; i++) {
                if (!statuses[i]->is_due)
                        continue;
                statuses[i]->is_due = false;
                statuses[i]->changed(statuses[i]->userdata);
                return true;
        }
        return false;
}

/* The process knows its server and its guest from the start; a device has to have the same. */
static void part_open(unsigned int guest, unsigned int device)
{
        const Place *place = &world.guests[guest].places[device];
        Process *process = &world.guests[guest].places[SHARED].processes[1];
        Part *part = &process->parts[device];

        if (!place->record || (part->folder == place->folder && place->status != UNIT_DOWN))
                return;
        *part = (Part){ 0 };
        if (place->server == process->server && place->record_guest == process->guest) {
                *part = (Part){ place->folder, place->record_life };
                place_say(guest, device, UNIT_STARTING);
        } else {
                place_say(guest, device, UNIT_DOWN);
        }
}

void shared_look(unsigned int guest)
{
        Place *shared = &world.guests[guest].places[SHARED];

        world_tell("the shared frontend of %u looks at its list", guest);
        for (unsigned int device = 0; device < N_DEVICES; device++) {
                if (shared->list >> device & 1)
                        part_open(guest, device);
                else
                        shared->processes[1].parts[device] = (Part){ 0 };
        }
}

static bool is_served(unsigned int guest, unsigned int device)
{
        const Place *place = &world.guests[guest].places[device];
        const Process *process = &world.guests[guest].places[SHARED].processes[1];

        return process->phase == UNIT_UP && place->folder &&
               process->parts[device].folder == place->folder;
}

void world_fail_part(unsigned int guest, unsigned int device)
{
        if (is_served(guest, device))
                place_say(guest, device, UNIT_DOWN);
}

bool world_has_stray_part(unsigned int guest)
{
        const Guest *all = &world.guests[guest];

        for (unsigned int device = 0; device < N_DEVICES; device++) {
                const uint32_t folder = all->places[SHARED].processes[1].parts[device].folder;

                if (folder && folder != all->places[device].folder)
                        return true;
        }
        return false;
}

bool shared_step(void)
{
        for (unsigned int guest = 0; guest < N_GUESTS; guest++) {
                for (unsigned int device = 0; device < N_DEVICES; device++) {
                        const Place *place = &world.guests[guest].places[device];

                        if (!is_served(guest, device) || place->status != UNIT_STARTING ||
                            place->processes[0].phase != UNIT_UP)
                                continue;
                        place_say(guest, device,
                                  world.faults && world_chance(10) ? UNIT_DOWN : UNIT_UP);
                        return true;
                }
        }
        return false;
}
