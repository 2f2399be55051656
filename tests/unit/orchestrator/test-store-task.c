/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is written to xenstore is for one guest: its number may be another's at any moment. */

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "orchestrator/store-task.h"

/* Numbers of the protocol, on purpose not taken from the headers that the code takes them from. */
#define READ  "2"
#define START "6"
#define END   "7"
#define WRITE "11"
#define RM    "13"

#define FOLDER "backend/virtio/5/1"
#define OURS   "/vm/8a5d2f0e-7d11-4f6e-9a55-000000000001"
#define NEXT   "/vm/8a5d2f0e-7d11-4f6e-9a55-000000000002"

typedef struct Request {
        char *text; /* "TYPE TRANSACTION PAYLOAD", a zero byte within the payload as "=" */
        XenstoreAnswer *answer;
        void *userdata;
} Request;

/* The test is the wire, and the daemon behind it: requests wait until they are answered. */
static GQueue requests = G_QUEUE_INIT;

typedef struct Fixture {
        StoreTask *task;
        bool is_done;
        int result;
} Fixture;

void xenstore_wire_request(XenstoreWire *wire G_GNUC_UNUSED, uint32_t type, uint32_t transaction,
                           const void *payload, size_t size, XenstoreAnswer *answer, void *userdata)
{
        g_autofree char *shown = g_malloc0(size + 1);
        Request *request = g_new(Request, 1);

        memcpy(shown, payload, size);
        for (size_t i = 0; i + 1 < size; i++)
                shown[i] = shown[i] == '\0' ? '=' : shown[i];
        *request = (Request){ g_strdup_printf("%u %u %s", type, transaction, shown), answer,
                              userdata };
        g_queue_push_tail(&requests, request);
}

void xenstore_wire_request_text(XenstoreWire *wire, uint32_t type, uint32_t transaction,
                                const char *text, XenstoreAnswer *answer, void *userdata)
{
        xenstore_wire_request(wire, type, transaction, text, strlen(text) + 1, answer, userdata);
}

/* Answers the request that came first, which has to be this one. */
static void answer(const char *expected, int result, const char *text)
{
        Request *request = g_queue_pop_head(&requests);

        g_assert_nonnull(request);
        g_assert_cmpstr(request->text, ==, expected);
        g_assert_cmpint(request->answer(request->userdata, result, text, strlen(text)), ==, 0);
        g_free(request->text);
        g_free(request);
}

static void on_done(void *userdata, StoreTask *task, int result)
{
        Fixture *fixture = userdata;

        g_assert_true(task == fixture->task && !fixture->is_done);
        fixture->is_done = true;
        fixture->result = result;
}

static void set_up(Fixture *fixture, const void *data)
{
        const DeviceName name = { 5, DEVICE_KIND_VIRTIO, 1 };
        const StoreTaskKind *kind = data;

        fixture->task = store_task_new(*kind, &name);
        fixture->task->vm = g_strdup(OURS);
        fixture->task->from = XENBUS_INITIALISING;
        fixture->task->to = XENBUS_INIT_WAIT;
        fixture->task->text = *kind == STORE_TASK_ERROR ? g_strdup("broken") : NULL;
        store_task_begin(fixture->task, NULL, on_done, fixture);
}

static void tear_down(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        g_assert_true(g_queue_is_empty(&requests));
        store_task_free(fixture->task);
}

/* The transaction has begun, and has seen whose number it is, and the state of the device. */
static void look(int result, const char *vm, const char *state)
{
        answer(START " 0 ", 0, "7");
        answer(READ " 7 /local/domain/5/vm", result, vm);
        answer(READ " 7 " FOLDER "/state", 0, state);
}

static void check_done(const Fixture *fixture, int result)
{
        g_assert_true(fixture->is_done);
        g_assert_cmpint(fixture->result, ==, result);
}

/* Nothing is written, and the transaction is given up. */
static void check_stale(const Fixture *fixture)
{
        answer(END " 7 F", 0, "OK");
        check_done(fixture, -ESTALE);
}

static void write_state(int end)
{
        look(0, OURS, "1");
        answer(WRITE " 7 " FOLDER "/state=2", 0, "OK");
        answer(END " 7 T", end, "OK");
}

static void test_state(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        write_state(0);
        check_done(fixture, 0);
}

/* Its nodes look just the same. */
static void test_next_guest(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        look(0, NEXT, "1");
        check_stale(fixture);
}

static void test_no_guest(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        look(-ENOENT, "", "1");
        check_stale(fixture);
}

/* It comes after we have looked: xenstored refuses the transaction, and the next look sees it. */
static void test_next_guest_meanwhile(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        write_state(-EAGAIN);
        g_assert_false(fixture->is_done);
        look(0, NEXT, "1");
        check_stale(fixture);
}

static void test_toolstack_was_faster(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        look(0, OURS, "5");
        check_stale(fixture);
}

static void test_error(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        look(0, OURS, "2");
        answer(WRITE " 7 " FOLDER "/error=broken", 0, "OK");
        answer(END " 7 T", 0, "OK");
        check_done(fixture, 0);
}

/* A node that is to go may as well not be there. */
static void test_no_error(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        g_clear_pointer(&fixture->task->text, g_free);
        look(0, OURS, "2");
        answer(RM " 7 " FOLDER "/error", -ENOENT, "");
        answer(END " 7 T", 0, "OK");
        check_done(fixture, 0);
}

/* A domain without a node that says who it is. */
static void test_nobody(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        g_clear_pointer(&fixture->task->vm, g_free);
        look(-ENOENT, "", "1");
        answer(WRITE " 7 " FOLDER "/state=2", 0, "OK");
        answer(END " 7 T", 0, "OK");
        check_done(fixture, 0);
}

int main(int argc, char *argv[])
{
        static const StoreTaskKind state = STORE_TASK_STATE, error = STORE_TASK_ERROR;
        static const struct {
                const char *path;
                const StoreTaskKind *kind;
                void (*run)(Fixture *fixture, const void *data);
        } tests[] = {
                { "/store-task/state", &state, test_state },
                { "/store-task/next-guest", &state, test_next_guest },
                { "/store-task/no-guest", &state, test_no_guest },
                { "/store-task/next-guest-meanwhile", &state, test_next_guest_meanwhile },
                { "/store-task/toolstack-was-faster", &state, test_toolstack_was_faster },
                { "/store-task/nobody", &state, test_nobody },
                { "/store-task/error", &error, test_error },
                { "/store-task/error-of-next-guest", &error, test_next_guest },
                { "/store-task/no-error", &error, test_no_error },
        };

        g_test_init(&argc, &argv, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
                g_test_add(tests[i].path, Fixture, tests[i].kind, set_up, tests[i].run, tear_down);
        return g_test_run();
}
