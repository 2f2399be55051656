/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What shared-frontend.c and shared-member.c share, and nobody else sees. */

#include "common/device-list.h"
#include "orchestrator/member-status.h"
#include "orchestrator/restart.h"
#include "orchestrator/shared-frontend.h"
#include "orchestrator/shared-member.h"

/* That there is a list at all: a process that is there by then is a former one's, or unknown. */
#define SHARED_FIRST_CHANGE 1U

struct SharedFrontends {
        SharedServices services;
        GHashTable *table; /* domid → SharedFrontend */
};

struct SharedFrontend {
        SharedFrontends *all;
        uint16_t domid;
        char instance[DEVICE_INSTANCE_MAX];
        Launch launch; /* what all members have in common */
        Unit *unit;
        GPtrArray *members; /* in the order in which they came; not owned */
        sd_event_source *timer;

        /*
         * Each change of what is wanted has a number. The process was told by its start, or by a
         * reload, and knows when that is over.
         */
        uint64_t wanted, told, known;

        UnitPhase phase; /* when last looked at */
        bool is_reloading;
        bool is_ending; /* told to, for want of devices */
        Restart restart, reload_restart;
};

typedef enum MemberState {
        MEMBER_OUT,
        MEMBER_LISTED,
        MEMBER_ENDED, /* it was listed, and has ended with the process */
} MemberState;

struct SharedMember {
        SharedFrontend *shared;
        DeviceName name;
        uint64_t base;
        UnitHandler *handler;
        void *userdata;

        MemberState state;
        uint64_t wanted;      /* the number of its last change */
        MemberStatus *status; /* NULL: not needed yet */
};

/* Something that is wanted has changed; returns the number of the change. */
uint64_t shared_frontend_change(SharedFrontend *shared);

/* Forgets one that has no member, and removes what it has left. Returns 0 or a negative errno. */
int shared_frontend_forget(SharedFrontend *shared);

/* The process has ended by itself. */
void shared_member_note_end(SharedMember *member);

/* The process is going to be started: what another one has said is void. */
void shared_member_reset(SharedMember *member);
