/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/shared-member.h"

#include "orchestrator/shared-internal.h"

static void member_list(SharedMember *member)
{
        member->wanted = shared_frontend_change(member->shared);
        member->state = MEMBER_LISTED;
}

SharedMember *shared_member_new(SharedFrontend *shared, const DeviceName *name, uint64_t base,
                                bool is_adopted, UnitHandler *handler, void *userdata)
{
        SharedMember *member = g_new0(SharedMember, 1);

        *member = (SharedMember){
                .shared = shared,
                .name = *name,
                .base = base,
                .handler = handler,
                .userdata = userdata,
                .wanted = SHARED_FIRST_CHANGE,
        };
        g_ptr_array_add(shared->members, member);
        /* What the process does with it shows after a reload. Whoever may hear of it: it goes on.
         */
        if (is_adopted && shared_member_start(member) < 0)
                member_list(member);
        return member;
}

SharedMember *shared_member_free(SharedMember *member)
{
        if (!member)
                return NULL;
        g_ptr_array_remove(member->shared->members, member);
        member_status_close(member->status);
        g_free(member);
        return NULL;
}

bool shared_member_is_first(const SharedMember *member)
{
        return member->base == member->shared->launch.base;
}

/* Nodes that make no sense may give one range to two devices. */
static bool range_is_others(const SharedFrontend *shared, uint64_t base)
{
        for (guint i = 0; i < shared->members->len; i++) {
                const SharedMember *other = shared->members->pdata[i];

                if (other->base == base)
                        return true;
        }
        return false;
}

int shared_member_release(SharedMember *member, bool guest_lives)
{
        SharedFrontend *shared = member->shared;
        Claims *claims = shared->all->services.claims;
        const uint64_t base = member->base;
        int r = 0, end;

        shared_member_free(member);
        if (shared->members->len > 0) {
                if (guest_lives && !range_is_others(shared, base))
                        r = claims_leave(claims, shared->domid, shared->launch.server, base);
                return r;
        }
        if (guest_lives)
                r = claims_release(claims, shared->domid, shared->launch.server);
        end = shared_frontend_forget(shared);
        return r < 0 ? r : end;
}

SharedFrontend *shared_member_frontend(const SharedMember *member)
{
        return member->shared;
}

UnitPhase shared_member_phase(const SharedMember *member)
{
        const SharedFrontend *shared = member->shared;
        const UnitPhase process = unit_phase(shared->unit);
        /* A process that starts looks at the list that was written last. */
        const bool is_known = shared->known >= member->wanted ||
                              (process == UNIT_STARTING && shared->told >= member->wanted);

        if (process == UNIT_UNKNOWN)
                return UNIT_UNKNOWN;
        switch (member->state) {
        case MEMBER_OUT:
                return is_known || process == UNIT_DOWN ? UNIT_DOWN : UNIT_STOPPING;
        case MEMBER_LISTED:
                if (!is_known || process != UNIT_UP)
                        return UNIT_STARTING;
                /* An adopted one that nobody hears of is started once more. */
                return member->status ? member_status_phase(member->status) : UNIT_DOWN;
        case MEMBER_ENDED:
                return UNIT_DOWN;
        }
        return UNIT_DOWN;
}

bool shared_member_ended_with_all(const SharedMember *member)
{
        return member->state == MEMBER_ENDED;
}

char *shared_member_describe_end(const SharedMember *member)
{
        if (member->state == MEMBER_ENDED)
                return unit_describe_end(member->shared->unit);
        return g_strdup("does not serve the device");
}

int shared_member_start(SharedMember *member)
{
        const SharedServices *services = &member->shared->all->services;
        int r;

        if (!member->status) {
                r = member_status_open(services->event, services->rundir, &member->name,
                                       member->handler, member->userdata, &member->status);
                if (r < 0)
                        return r;
        }
        member_list(member);
        return 0;
}

void shared_member_stop(SharedMember *member)
{
        member->wanted = shared_frontend_change(member->shared);
        member->state = MEMBER_OUT;
}

void shared_member_note_end(SharedMember *member)
{
        if (member->state == MEMBER_LISTED)
                member->state = MEMBER_ENDED;
}

void shared_member_reset(SharedMember *member)
{
        if (member->status)
                member_status_reset(member->status);
}
