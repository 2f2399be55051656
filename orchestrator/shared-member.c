/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/shared-member.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/inotify.h>

#include "common/log.h"
#include "common/small-file.h"
#include "orchestrator/run-state.h"
#include "orchestrator/shared-internal.h"

#define STATUS_SIZE 16

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
                .status = -1,
        };
        g_ptr_array_add(shared->members, member);
        /* What the process does with it shows after a reload. */
        if (is_adopted && shared_member_start(member) < 0)
                shared_member_stop(member);
        return member;
}

SharedMember *shared_member_free(SharedMember *member)
{
        if (!member)
                return NULL;
        g_ptr_array_remove(member->shared->members, member);
        sd_event_source_disable_unref(member->watch);
        fd_closep(&member->status);
        g_free(member);
        return NULL;
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

/* What the frontend says of the device; "" if it has nothing to say yet. */
static void status_read(const SharedMember *member, char ret_status[STATUS_SIZE])
{
        ssize_t size = small_file_read(member->status, ret_status, STATUS_SIZE - 1);

        ret_status[size > 0 ? size : 0] = '\0';
        g_strchomp(ret_status);
}

static UnitPhase phase_by_status(const SharedMember *member)
{
        char status[STATUS_SIZE];

        status_read(member, status);
        if (strcmp(status, STATUS_READY) == 0)
                return UNIT_UP;
        return strcmp(status, STATUS_FAILED) == 0 ? UNIT_DOWN : UNIT_STARTING;
}

UnitPhase shared_member_phase(const SharedMember *member)
{
        const SharedFrontend *shared = member->shared;
        const UnitPhase process = unit_phase(shared->unit);
        const bool is_known = shared->known >= member->wanted;

        if (process == UNIT_UNKNOWN)
                return UNIT_UNKNOWN;
        switch (member->state) {
        case MEMBER_OUT:
                return is_known || process == UNIT_DOWN ? UNIT_DOWN : UNIT_STOPPING;
        case MEMBER_LISTED:
                return is_known && process == UNIT_UP ? phase_by_status(member) : UNIT_STARTING;
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

static int status_changed(sd_event_source *source _unused_,
                          const struct inotify_event *event _unused_, void *userdata)
{
        const SharedMember *member = userdata;

        member->handler(member->userdata);
        return 0;
}

static int status_open(SharedMember *member)
{
        const SharedServices *services = &member->shared->all->services;
        char instance[DEVICE_INSTANCE_MAX];
        _cleanup_fd_ int folder = -1, fd = -1;
        int r;

        device_name_instance(&member->name, instance);
        folder = run_state_open(services->rundir, instance);
        if (folder < 0)
                return folder;
        fd = openat(folder, FRONTEND_FOLDER "/" STATUS_FILE,
                    O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return -errno;
        r = sd_event_add_inotify_fd(services->event, &member->watch, fd, IN_MODIFY, status_changed,
                                    member);
        if (r < 0)
                return r;
        member->status = steal_fd(&fd);
        return 0;
}

int shared_member_start(SharedMember *member)
{
        int r;

        if (member->status < 0) {
                r = status_open(member);
                if (r < 0)
                        return r;
        }
        member->wanted = shared_frontend_change(member->shared);
        member->state = MEMBER_LISTED;
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
        int r = ftruncate(member->status, 0);

        (void)r; /* what was not opened says nothing */
}
