/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The frontend of a device: a process of its own, or a part of the one that devices share. */

#include "orchestrator/device-internal.h"

#include <string.h>

#include "orchestrator/clock.h"

static void device_on_member(void *userdata)
{
        device_enqueue(userdata, false);
}

static void frontend_join(Device *device, SharedFrontend *shared, uint64_t base, bool is_adopted)
{
        device->member = shared_member_new(shared, &device->name, base, is_adopted,
                                           device_on_member, device);
        device->frontend_phase = device_frontend_phase(device);
}

void device_frontend_join(Device *device, SharedFrontend *shared, uint64_t base)
{
        frontend_join(device, shared, base, false);
}

void device_frontend_adopt(Device *device)
{
        SharedFrontend *shared =
                shared_frontends_find(device->services->shared, device->name.domid);

        if (shared && shared_frontend_server(shared) == device->launch.server &&
            shared_frontend_fits(shared, &device->launch))
                frontend_join(device, shared, device->launch.base, true);
}

UnitPhase device_frontend_phase(const Device *device)
{
        const UnitPhase own = unit_phase(device->frontend);

        /* A device that shares has none of its own, but an earlier claim may have left one. */
        if (!device->member || (device->leftover && own != UNIT_DOWN))
                return own;
        return shared_member_phase(device->member);
}

void device_frontend_observe(Device *device)
{
        Restart *restart = &device->frontend_restart;
        const SharedMember *member = device->member;
        g_autofree char *end = NULL;

        if (!device_follow_phase(device, device_frontend_phase(device), &device->frontend_phase,
                                 restart))
                return;
        if (!member)
                restart_note_end(restart, unit_end_is_refusal(device->frontend), clock_now_usec(),
                                 g_random_int());
        else if (!shared_member_ended_with_all(member))
                restart_note_failure(restart, clock_now_usec(), g_random_int());
        end = member ? shared_member_describe_end(member) : unit_describe_end(device->frontend);
        device_note_end(device, "frontend", end,
                        member ? shared_frontend_unit(shared_member_frontend(member))
                               : unit_name(device->frontend));
}

void device_frontend_start(Device *device)
{
        g_autofree char *text = NULL;
        int r;

        if (!start_budget_permit(device->services->starts, &device->frontend_restart,
                                 clock_now_usec()))
                return;
        if (!device->member) {
                unit_start(device->frontend);
                return;
        }
        r = shared_member_start(device->member);
        if (r >= 0)
                return;
        restart_note_failure(&device->frontend_restart, clock_now_usec(), g_random_int());
        text = g_strdup_printf("cannot open the device's folder: %s", strerror(-r));
        device_fail(device, r, text);
}

void device_frontend_restart(Device *device, bool alone)
{
        if (device->member) {
                restart_forget(&device->frontend_restart);
                shared_frontend_restart(shared_member_frontend(device->member));
        } else if (alone && unit_phase(device->frontend) == UNIT_UP) {
                /* systemd keeps the backend's connection then, with which that may end. */
                restart_forget(&device->frontend_restart);
                unit_start(device->frontend);
        } else {
                /* If the backend ends, too, it is to have let go of the rings before. */
                device_unit_restart(device->frontend, &device->frontend_restart);
        }
}

uint32_t device_frontend_restarts(const Device *device)
{
        const SharedMember *member = device->member;

        return device->frontend_restart.n_ends +
               (member ? shared_frontend_restarts(shared_member_frontend(member)) : 0);
}

const char *device_frontend_instance(const Device *device)
{
        const SharedMember *member = device->member;

        return member ? shared_frontend_instance(shared_member_frontend(member)) : device->instance;
}
