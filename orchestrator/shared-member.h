/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A device that a shared frontend serves: its part of the process, in terms of units. */

#include "common/device-name.h"
#include "orchestrator/shared-frontend.h"

typedef struct SharedMember SharedMember;

/*
 * A device whose range at base is the shared server's. is_adopted: the process may serve it by now.
 * The handler is called after anything about it may have changed, as a unit's.
 */
SharedMember *shared_member_new(SharedFrontend *shared, const DeviceName *name, uint64_t base,
                                bool is_adopted, UnitHandler *handler, void *userdata);

/* Only the record: the device goes on. */
SharedMember *shared_member_free(SharedMember *member);

/* Whether the server was made for this device, and not for one that came before it. */
bool shared_member_is_first(const SharedMember *member);

/*
 * The device is over, and the process does not serve it any more: takes its range from the server,
 * or destroys the server and what else there is if it was the last one. Frees the member.
 * guest_lives: else the number is another guest's by now, whose servers are left alone.
 *
 * Returns 0 or the negative errno of what failed.
 */
int shared_member_release(SharedMember *member, bool guest_lives);

SharedFrontend *shared_member_frontend(const SharedMember *member);

/*
 * UNIT_UP if its backend has answered; UNIT_DOWN if it is not served (any more), or has failed, by
 * itself or with the process; UNIT_STARTING also if the process waits for the time of its next try.
 */
UnitPhase shared_member_phase(const SharedMember *member);

/* Whether it is down because the process has ended, whose restarts are delayed for all. */
bool shared_member_ended_with_all(const SharedMember *member);

/* Why it is down, as unit_describe_end() says it. The caller frees it. */
char *shared_member_describe_end(const SharedMember *member);

/*
 * Orders that the device is served, or is not; the phase changes at once. A start returns 0, or a
 * negative errno if nobody could tell what comes of it; then nothing is ordered.
 */
int shared_member_start(SharedMember *member) _warn_unused_;
void shared_member_stop(SharedMember *member);
