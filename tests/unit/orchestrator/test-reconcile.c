/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib.h>

#include "orchestrator/clock.h"
#include "orchestrator/reconcile.h"

#define NOW 1000U

/* Short names, so that a case is a line. */
#define SERVE   WISH_SERVE
#define UNCLEAR WISH_UNCLEAR
#define CLOSE   WISH_CLOSE
#define CLOSED  WISH_CLOSED
#define DEAD    WISH_DEAD
#define GONE    WISH_GONE
#define UNKNOWN UNIT_UNKNOWN
#define DOWN    UNIT_DOWN
#define START   UNIT_STARTING
#define UP      UNIT_UP
#define STOP    UNIT_STOPPING
#define INIT    XENBUS_INITIALISING
#define WAIT    XENBUS_INIT_WAIT

typedef struct Case {
        const char *what;
        Wish wish;
        bool early;
        bool claimed;
        XenbusState xenbus;
        UnitPhase backend, frontend, slice;
        bool stopping;
        uint64_t deadline, claim_after, backend_after, frontend_after;
        Action action;
        uint64_t wake; /* 0 stands for never */
        bool leftover;
} Case;

/* clang-format off */
static const Case cases[] = {
        /* Coming */
        { "a new device is claimed before anything",
          SERVE, 0, 0, INIT, DOWN, DOWN, DOWN, 0, 0, 0, 0, 0, ACTION_CLAIM, 0, 0 },
        { "even while systemd does not answer",
          SERVE, 0, 0, INIT, UNKNOWN, UNKNOWN, UNKNOWN, 0, 0, 0, 0, 0, ACTION_CLAIM, 0, 0 },
        { "and whatever the state node says, if nobody holds it",
          SERVE, 0, 0, WAIT, UP, UP, UP, 0, 0, 0, 0, 0, ACTION_CLAIM, 0, 0 },
        { "a claim that failed waits",
          SERVE, 0, 0, INIT, DOWN, DOWN, DOWN, 0, 0, NOW + 1, 0, 0, ACTION_NONE, NOW + 1, 0 },
        { "until its time",
          SERVE, 0, 0, INIT, DOWN, DOWN, DOWN, 0, 0, NOW, 0, 0, ACTION_CLAIM, 0, 0 },
        { "virtio= is answered when it is claimed",
          SERVE, 1, 1, INIT, DOWN, DOWN, DOWN, 0, 0, 0, 0, 0, ACTION_ANSWER, 0, 0 },
        { "even if its backend has failed",
          SERVE, 1, 1, INIT, DOWN, DOWN, DOWN, 0, 0, 0, NOW + 9, 0, ACTION_ANSWER, 0, 0 },
        { "a disk is not",
          SERVE, 0, 1, INIT, DOWN, DOWN, DOWN, 0, 0, 0, 0, 0, ACTION_START_BACKEND, 0, 0 },
        { "then the frontend, without waiting for the backend",
          SERVE, 0, 1, INIT, START, DOWN, DOWN, 0, 0, 0, 0, 0, ACTION_START_FRONTEND, 0, 0 },
        { "or with it",
          SERVE, 0, 1, INIT, UP, DOWN, UP, 0, 0, 0, 0, 0, ACTION_START_FRONTEND, 0, 0 },
        { "while they start there is nothing to do",
          SERVE, 0, 1, INIT, UP, START, UP, 0, 0, 0, 0, 0, ACTION_NONE, 0, 0 },
        { "a disk is answered when the frontend is up",
          SERVE, 0, 1, INIT, UP, UP, UP, 0, 0, 0, 0, 0, ACTION_ANSWER, 0, 0 },
        { "once",
          SERVE, 0, 1, WAIT, UP, UP, UP, 0, 0, 0, 0, 0, ACTION_NONE, 0, 0 },
        { "states of the guest's own driver are left alone",
          SERVE, 0, 1, XENBUS_CONNECTED, UP, UP, UP, 0, 0, 0, 0, 0, ACTION_NONE, 0, 0 },

        /* Failing */
        { "a dead backend is started",
          SERVE, 0, 1, WAIT, DOWN, UP, UP, 0, 0, 0, NOW, 0, ACTION_START_BACKEND, 0, 0 },
        { "not too soon",
          SERVE, 0, 1, WAIT, DOWN, UP, UP, 0, 0, 0, NOW + 5, 0, ACTION_NONE, NOW + 5, 0 },
        { "a dead frontend is started",
          SERVE, 0, 1, WAIT, UP, DOWN, UP, 0, 0, 0, 0, NOW - 1, ACTION_START_FRONTEND, 0, 0 },
        { "not too soon",
          SERVE, 0, 1, WAIT, UP, DOWN, UP, 0, 0, 0, 0, NOW + 7, ACTION_NONE, NOW + 7, 0 },
        { "without a backend too: the guest waits for its frontend",
          SERVE, 0, 1, WAIT, DOWN, DOWN, UP, 0, 0, 0, NOW + 5, 0, ACTION_START_FRONTEND, 0, 0 },
        { "and while one stops",
          SERVE, 0, 1, WAIT, STOP, DOWN, UP, 0, 0, 0, 0, 0, ACTION_START_FRONTEND, 0, 0 },
        { "of two that wait, the first to come counts",
          SERVE, 0, 1, WAIT, DOWN, DOWN, UP, 0, 0, 0, NOW + 5, NOW + 7, ACTION_NONE, NOW + 5, 0 },
        { "whichever it is",
          SERVE, 0, 1, WAIT, DOWN, DOWN, UP, 0, 0, 0, NOW + 7, NOW + 5, ACTION_NONE, NOW + 5, 0 },
        { "a unit that stops is waited for",
          SERVE, 0, 1, WAIT, UP, STOP, UP, 0, 0, 0, 0, 0, ACTION_NONE, 0, 0 },
        { "both down: the backend first",
          SERVE, 0, 1, WAIT, DOWN, DOWN, DOWN, 0, 0, 0, 0, 0, ACTION_START_BACKEND, 0, 0 },
        { "nothing is started while systemd does not answer",
          SERVE, 0, 1, WAIT, UNKNOWN, UNKNOWN, UNKNOWN, 0, 0, 0, 0, 0, ACTION_NONE, 0, 0 },

        /* Left over */
        { "processes of an earlier claim end first",
          SERVE, 0, 1, WAIT, UP, UP, UP, 0, 0, 0, 0, 0, ACTION_CLEAR, 0, 1 },
        { "whichever it is",
          SERVE, 0, 1, WAIT, DOWN, START, UP, 0, 0, 0, 0, 0, ACTION_CLEAR, 0, 1 },
        { "and nothing is started before",
          SERVE, 0, 1, WAIT, DOWN, STOP, UP, 0, 0, 0, 0, 0, ACTION_NONE, 0, 1 },
        { "they do not make a disk ready",
          SERVE, 0, 1, INIT, STOP, UP, UP, 0, 0, 0, 0, 0, ACTION_CLEAR, 0, 1 },
        { "and do not keep virtio= waiting",
          SERVE, 1, 1, INIT, UP, UP, UP, 0, 0, 0, 0, 0, ACTION_ANSWER, 0, 1 },
        { "without a claim they end, too",
          CLOSED, 0, 0, XENBUS_CLOSED, UP, DOWN, UP, 0, 0, 0, 0, 0, ACTION_CLEAR, 0, 0 },
        { "before the device is forgotten",
          GONE, 0, 0, XENBUS_UNKNOWN, DOWN, UP, UP, 0, 0, 0, 0, 0, ACTION_CLEAR, 0, 0 },

        /* Unclear */
        { "nodes that make no sense start nothing",
          UNCLEAR, 0, 0, INIT, DOWN, DOWN, DOWN, 0, 0, 0, 0, 0, ACTION_NONE, 0, 0 },
        { "nor do they end anything",
          UNCLEAR, 0, 1, INIT, UP, UP, UP, 0, 0, 0, 0, 0, ACTION_NONE, 0, 0 },

        /* Going */
        { "closing stops the units first",
          CLOSE, 0, 1, XENBUS_CLOSING, UP, UP, UP, 0, 0, 0, 0, 0, ACTION_STOP, 0, 0 },
        { "also units that are down, which may not be the last word",
          CLOSE, 0, 1, XENBUS_CLOSING, DOWN, DOWN, DOWN, 0, 0, 0, 0, 0, ACTION_STOP, 0, 0 },
        { "also if systemd does not answer",
          CLOSE, 0, 1, XENBUS_CLOSING, UNKNOWN, UNKNOWN, UNKNOWN, 0, 0, 0, 0, 0, ACTION_STOP, 0, 0 },
        { "it waits for that",
          CLOSE, 0, 1, XENBUS_CLOSING, STOP, STOP, STOP, 1, NOW + 3, 0, 0, 0, ACTION_NONE, NOW + 3, 0 },
        { "for both of them",
          CLOSE, 0, 1, XENBUS_CLOSING, STOP, DOWN, STOP, 1, NOW + 3, 0, 0, 0, ACTION_NONE, NOW + 3, 0 },
        { "for both of them",
          CLOSE, 0, 1, XENBUS_CLOSING, DOWN, START, STOP, 1, NOW + 3, 0, 0, 0, ACTION_NONE, NOW + 3, 0 },
        { "and then gives the range back, while the empty slice goes",
          CLOSE, 0, 1, XENBUS_CLOSING, DOWN, DOWN, STOP, 1, NOW + 3, 0, 0, 0, ACTION_RELEASE, 0, 0 },
        { "but does not wait for ever",
          CLOSE, 0, 1, XENBUS_CLOSING, STOP, STOP, STOP, 1, NOW, 0, 0, 0, ACTION_RELEASE, 0, 0 },
        { "not even for a systemd that does not answer",
          CLOSE, 0, 1, XENBUS_CLOSING, UNKNOWN, UNKNOWN, UNKNOWN, 1, NOW, 0, 0, 0, ACTION_RELEASE, 0, 0 },
        { "what could not be given back waits",
          CLOSE, 0, 1, XENBUS_CLOSING, DOWN, DOWN, DOWN, 1, NOW, NOW + 2, 0, 0, ACTION_NONE, NOW + 2, 0 },
        { "whatever systemd says",
          CLOSE, 0, 1, XENBUS_CLOSING, STOP, STOP, STOP, 1, NOW, NOW + 2, 0, 0, ACTION_NONE, NOW + 2, 0 },
        { "a systemd that starts anew is told again",
          CLOSE, 0, 1, XENBUS_CLOSING, UP, UP, UP, 1, NOW + 3, 0, 0, 0, ACTION_STOP, 0, 0 },
        { "but not for ever",
          CLOSE, 0, 1, XENBUS_CLOSING, UP, UP, UP, 1, NOW, 0, 0, 0, ACTION_RELEASE, 0, 0 },
        { "state 6 comes when nothing is held any more",
          CLOSE, 0, 0, XENBUS_CLOSING, DOWN, DOWN, DOWN, 0, 0, 0, 0, 0, ACTION_CLOSE, 0, 0 },
        { "the node stays until the toolstack removes it",
          CLOSED, 0, 0, XENBUS_CLOSED, DOWN, DOWN, DOWN, 0, 0, 0, 0, 0, ACTION_NONE, 0, 0 },
        { "something that is closed and still held ends too",
          CLOSED, 0, 1, XENBUS_CLOSED, UP, UP, UP, 0, 0, 0, 0, 0, ACTION_STOP, 0, 0 },
        { "a dead domain ends its device",
          DEAD, 0, 1, WAIT, UP, UP, UP, 0, 0, 0, 0, 0, ACTION_STOP, 0, 0 },
        { "and no state is written for it",
          DEAD, 0, 0, WAIT, DOWN, DOWN, DOWN, 0, 0, 0, 0, 0, ACTION_NONE, 0, 0 },
        { "nodes that are gone end their device",
          GONE, 0, 1, XENBUS_UNKNOWN, UP, UP, UP, 0, 0, 0, 0, 0, ACTION_STOP, 0, 0 },
        { "which is then forgotten",
          GONE, 0, 0, XENBUS_UNKNOWN, DOWN, DOWN, DOWN, 0, 0, 0, 0, 0, ACTION_FORGET, 0, 0 },
        { "there is no way back from stopping",
          SERVE, 0, 1, INIT, UP, STOP, STOP, 1, NOW + 3, 0, 0, 0, ACTION_NONE, NOW + 3, 0 },
        { "but through the end",
          SERVE, 0, 1, INIT, DOWN, DOWN, DOWN, 1, NOW + 3, 0, 0, 0, ACTION_RELEASE, 0, 0 },
        { "not even if the nodes make no sense by then",
          UNCLEAR, 0, 1, INIT, DOWN, DOWN, DOWN, 1, NOW + 3, 0, 0, 0, ACTION_RELEASE, 0, 0 },
};
/* clang-format on */

static Action run_case(const Case *c, uint64_t *ret_wake)
{
        Desired desired = { .wish = c->wish, .answer_early = c->early };
        Observed observed = {
                .claimed = c->claimed,
                .xenbus = c->xenbus,
                .backend = c->backend,
                .frontend = c->frontend,
                .slice = c->slice,
                .leftover = c->leftover,
                .answer_after = USEC_NEVER,
                .stop_requested = c->stopping,
                .stop_deadline = c->deadline,
                .claim_after = c->claim_after,
                .backend_after = c->backend_after,
                .frontend_after = c->frontend_after,
        };

        return reconcile(&desired, &observed, NOW, ret_wake);
}

static void test_table(void)
{
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                const Case *c = &cases[i];
                uint64_t wake;

                g_test_message("%zu: %s", i, c->what);
                g_assert_cmpstr(action_name(run_case(c, &wake)), ==, action_name(c->action));
                g_assert_cmpuint(wake, ==, c->wake ? c->wake : USEC_NEVER);
        }
}

/* A disk that is claimed, while its toolstack waits for state 2. */
static const struct {
        const char *what;
        UnitPhase backend, frontend;
        bool leftover, failed;
        uint64_t answer_after, frontend_after;
        Action action;
        uint64_t wake; /* 0 stands for never */
} answers[] = {
        { "it waits for the units that start, but not for ever", UP, START, 0, 0, NOW + 8, 0,
          ACTION_NONE, NOW + 8 },
        { "whichever of them takes its time", UP, START, 0, 0, NOW, 0, ACTION_ANSWER, 0 },
        { "or both", START, START, 0, 0, NOW - 1, 0, ACTION_ANSWER, 0 },
        { "not if something has failed", START, START, 0, 1, NOW, 0, ACTION_NONE, 0 },
        { "nor if something has yet to be started", UP, DOWN, 0, 0, NOW, NOW + 9, ACTION_NONE,
          NOW + 9 },
        { "nor if something ends", STOP, START, 0, 0, NOW, 0, ACTION_NONE, 0 },
        { "nor for processes of an earlier claim", START, START, 1, 0, NOW, 0, ACTION_CLEAR, 0 },
        { "nor while systemd does not answer", UNKNOWN, UNKNOWN, 0, 0, NOW, 0, ACTION_NONE, 0 },
        { "what is up is answered at once", UP, UP, 0, 0, NOW + 8, 0, ACTION_ANSWER, 0 },
        { "also if something had failed before", UP, UP, 0, 1, NOW + 8, 0, ACTION_ANSWER, 0 },
};

static void test_answers(void)
{
        for (size_t i = 0; i < G_N_ELEMENTS(answers); i++) {
                const Desired desired = { .wish = WISH_SERVE };
                const Observed observed = {
                        .claimed = true,
                        .xenbus = XENBUS_INITIALISING,
                        .backend = answers[i].backend,
                        .frontend = answers[i].frontend,
                        .leftover = answers[i].leftover,
                        .failed = answers[i].failed,
                        .answer_after = answers[i].answer_after,
                        .frontend_after = answers[i].frontend_after,
                };
                uint64_t wake;

                g_test_message("%zu: %s", i, answers[i].what);
                g_assert_cmpstr(action_name(reconcile(&desired, &observed, NOW, &wake)), ==,
                                action_name(answers[i].action));
                g_assert_cmpuint(wake, ==, answers[i].wake ? answers[i].wake : USEC_NEVER);
        }
}

/* What must never happen, whatever the state. */
static void check_invariants(const Case *c)
{
        uint64_t wake;
        Action action = run_case(c, &wake);

        if (action == ACTION_CLAIM)
                g_assert_true(c->wish == WISH_SERVE && !c->claimed && !c->stopping);
        if (action == ACTION_START_BACKEND || action == ACTION_START_FRONTEND)
                g_assert_true(c->wish == WISH_SERVE && c->claimed && !c->stopping);
        /* A guest hangs without its frontend: nothing but the frontend's own back-off keeps it. */
        if (c->wish == WISH_SERVE && c->claimed && !c->stopping && c->frontend == UNIT_DOWN &&
            NOW >= c->frontend_after && !c->leftover)
                g_assert_cmpint(action, !=, ACTION_NONE);
        if (action == ACTION_ANSWER)
                g_assert_true(c->claimed && c->xenbus == XENBUS_INITIALISING &&
                              (c->early || (c->frontend == UNIT_UP && !c->leftover)));
        if (action == ACTION_RELEASE)
                g_assert_true(c->claimed && c->stopping &&
                              ((c->backend == UNIT_DOWN && c->frontend == UNIT_DOWN) ||
                               NOW >= c->deadline));
        if (action == ACTION_CLOSE || action == ACTION_FORGET)
                g_assert_false(c->claimed);
        if (c->wish == WISH_SERVE && !c->stopping)
                g_assert_true(action != ACTION_STOP && action != ACTION_RELEASE);
        if (action != ACTION_NONE)
                g_assert_cmpuint(wake, ==, USEC_NEVER);
        else
                g_assert_cmpuint(wake, >, NOW);
}

static void test_invariants(void)
{
        for (unsigned int i = 0; i < 400000; i++) {
                Case c = {
                        .wish = (Wish)g_test_rand_int_range(0, WISH_GONE + 1),
                        .early = g_test_rand_bit(),
                        .claimed = g_test_rand_bit(),
                        .xenbus = (XenbusState)g_test_rand_int_range(0, XENBUS_CLOSED + 1),
                        .backend = (UnitPhase)g_test_rand_int_range(0, UNIT_STOPPING + 1),
                        .frontend = (UnitPhase)g_test_rand_int_range(0, UNIT_STOPPING + 1),
                        .slice = (UnitPhase)g_test_rand_int_range(0, UNIT_STOPPING + 1),
                        .leftover = g_test_rand_bit(),
                        .stopping = g_test_rand_bit(),
                        .deadline = NOW + (uint64_t)g_test_rand_int_range(-2, 3),
                        .claim_after = NOW + (uint64_t)g_test_rand_int_range(-2, 3),
                        .backend_after = NOW + (uint64_t)g_test_rand_int_range(-2, 3),
                        .frontend_after = NOW + (uint64_t)g_test_rand_int_range(-2, 3),
                };

                check_invariants(&c);
        }
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/reconcile/table", test_table);
        g_test_add_func("/reconcile/answers", test_answers);
        g_test_add_func("/reconcile/invariants", test_invariants);
        return g_test_run();
}
