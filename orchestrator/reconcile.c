/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/reconcile.h"

#include "orchestrator/clock.h"

static const char *const action_names[_ACTION_MAX] = {
        [ACTION_NONE] = "none",
        [ACTION_CLAIM] = "claim",
        [ACTION_ANSWER] = "answer",
        [ACTION_START_BACKEND] = "start-backend",
        [ACTION_START_FRONTEND] = "start-frontend",
        [ACTION_CLEAR] = "clear",
        [ACTION_STOP] = "stop",
        [ACTION_RELEASE] = "release",
        [ACTION_CLOSE] = "close",
        [ACTION_FORGET] = "forget",
};

const char *action_name(Action action)
{
        return action_names[action];
}

/* The action if its time has come, or nothing but an earlier wake-up. */
static Action when(Action action, uint64_t after, uint64_t now_usec, uint64_t *wake)
{
        if (now_usec >= after)
                return action;
        if (after < *wake)
                *wake = after;
        return ACTION_NONE;
}

/*
 * The backend first, as it takes longer; but neither waits for the other. A frontend answers the
 * guest's accesses from what it keeps, and a guest without one hangs, whether there is a backend or
 * will ever be one.
 */
static Action reconcile_start(const Observed *observed, uint64_t now_usec, uint64_t *wake)
{
        Action action = ACTION_NONE;

        if (observed->backend == UNIT_DOWN)
                action = when(ACTION_START_BACKEND, observed->backend_after, now_usec, wake);
        if (action == ACTION_NONE && observed->frontend == UNIT_DOWN)
                action = when(ACTION_START_FRONTEND, observed->frontend_after, now_usec, wake);
        if (action != ACTION_NONE)
                *wake = USEC_NEVER;
        return action;
}

static bool is_up(UnitPhase phase)
{
        return phase == UNIT_UP || phase == UNIT_STARTING;
}

/*
 * Processes of an earlier claim, which was given up while systemd did not stop them, know of
 * another server, or of none.
 */
static Action reconcile_clear(const Observed *observed)
{
        return is_up(observed->backend) || is_up(observed->frontend) ? ACTION_CLEAR : ACTION_NONE;
}

/*
 * A disk is answered when it is served, so that "xl create" fails with our reason if it cannot be.
 * But libxl gives up after ten seconds, which a busy host may need to start its units: where
 * nothing has failed the answer comes before that. The guest's accesses wait for the frontend in
 * any case.
 */
static Action reconcile_answer(const Desired *desired, const Observed *observed, uint64_t now_usec,
                               uint64_t *wake)
{
        if (observed->xenbus != XENBUS_INITIALISING)
                return ACTION_NONE;
        if (desired->answer_early)
                return ACTION_ANSWER;
        if (observed->leftover)
                return ACTION_NONE;
        if (observed->frontend == UNIT_UP)
                return ACTION_ANSWER;
        if (observed->failed || !is_up(observed->backend) || !is_up(observed->frontend))
                return ACTION_NONE;
        return when(ACTION_ANSWER, observed->answer_after, now_usec, wake);
}

static Action reconcile_serve(const Desired *desired, const Observed *observed, uint64_t now_usec,
                              uint64_t *wake)
{
        if (!observed->claimed)
                return when(ACTION_CLAIM, observed->claim_after, now_usec, wake);

        if (reconcile_answer(desired, observed, now_usec, wake) == ACTION_ANSWER)
                return ACTION_ANSWER;
        if (observed->leftover)
                return reconcile_clear(observed);

        return reconcile_start(observed, now_usec, wake);
}

static Action reconcile_end(const Desired *desired, const Observed *observed, uint64_t now_usec,
                            uint64_t *wake)
{
        const uint64_t deadline = observed->stop_deadline, after = observed->claim_after;

        if (observed->claimed) {
                if (!observed->stop_requested)
                        return ACTION_STOP;
                if (observed->backend == UNIT_DOWN && observed->frontend == UNIT_DOWN)
                        return when(ACTION_RELEASE, after, now_usec, wake);
                /* Told to stop, and yet up: the systemd that was told is not the one that runs. */
                if (observed->slice == UNIT_UP && now_usec < deadline)
                        return ACTION_STOP;
                return when(ACTION_RELEASE, after > deadline ? after : deadline, now_usec, wake);
        }
        if (reconcile_clear(observed) != ACTION_NONE)
                return ACTION_CLEAR;
        if (desired->wish == WISH_CLOSE)
                return ACTION_CLOSE;
        if (desired->wish == WISH_GONE)
                return ACTION_FORGET;
        return ACTION_NONE;
}

Action reconcile(const Desired *desired, const Observed *observed, uint64_t now_usec,
                 uint64_t *ret_wake_usec)
{
        *ret_wake_usec = USEC_NEVER;

        if (observed->stop_requested)
                return reconcile_end(desired, observed, now_usec, ret_wake_usec);

        switch (desired->wish) {
        case WISH_UNCLEAR:
                return ACTION_NONE;
        case WISH_SERVE:
                return reconcile_serve(desired, observed, now_usec, ret_wake_usec);
        case WISH_CLOSE:
        case WISH_CLOSED:
        case WISH_DEAD:
        case WISH_GONE:
                return reconcile_end(desired, observed, now_usec, ret_wake_usec);
        }
        return ACTION_NONE;
}
