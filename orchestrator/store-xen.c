/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/store.h"

#include <errno.h>
#include <glib.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <xen/io/xs_wire.h>

#include "common/log.h"
#include "common/parse.h"
#include "orchestrator/clock.h"
#include "orchestrator/restart.h"
#include "orchestrator/store-path.h"
#include "orchestrator/store-task.h"

#define TOKEN_DOMAINS "domains"
#define WATCH_DOMAINS "@releaseDomain"

/* Between two tries to connect, at most: guests may be waiting for xenstored, too. */
#define RECONNECT_MAX_USEC (1 * USEC_PER_SEC)

/* Of the node "error", in bytes: xenstore's own limit is 4096 with the path. */
#define ERROR_MAX 2048

/*
 * A queue of tasks, one of which runs at a time: xenstored has one thread, a transaction that is
 * short is seldom in anybody's way, and answers come in the order of asking.
 */
struct Store {
        sd_event *event;
        const StoreOps *ops;
        void *userdata;

        XenstoreWire *wire; /* NULL: no connection */
        sd_event_source *io, *reconnect;
        Restart restart;
        bool complained;        /* of the present loss */
        unsigned int n_awaited; /* answers to what a connection starts with */

        GQueue tasks;        /* of StoreTask; the first one runs, if running */
        GHashTable *waiting; /* those that nothing of is answered: asking again changes nothing */
        bool running;
        bool unsettled; /* there are tasks, or were, and nobody was told that there are none */
        bool busy;      /* store_run() follows anyway */
};

static int store_connect(Store *store);
static void store_run(Store *store);

/* The connection's end. What was not answered will be asked again. */
static void store_disconnect(Store *store)
{
        store->io = sd_event_source_disable_unref(store->io);
        store->wire = xenstore_wire_close(store->wire);
        if (store->running)
                store_task_reset(g_queue_peek_head(&store->tasks));
        store->running = false;
        store->n_awaited = 0;
}

static int store_on_reconnect(sd_event_source *source _unused_, uint64_t usec _unused_,
                              void *userdata)
{
        return store_connect(userdata);
}

/* Tries again later. Returns 0 or the negative errno of the event loop. */
static int store_lose(Store *store, int error)
{
        uint64_t now = clock_now_usec(), next;
        int r;

        store_disconnect(store);
        if (!store->complained)
                log_error_errno(NULL, error, "no connection to xenstore: %m, trying again");
        store->complained = true;
        restart_note_failure(&store->restart, now, g_random_int());
        next = MIN(store->restart.not_before, now + RECONNECT_MAX_USEC);
        store->reconnect = sd_event_source_disable_unref(store->reconnect);
        r = sd_event_add_time(store->event, &store->reconnect, CLOCK_MONOTONIC, next, 0,
                              store_on_reconnect, store);
        if (r < 0) {
                /* Nobody would try again; and to start anew disturbs no device. */
                log_error_errno(NULL, r, "cannot set a timer: %m");
                sd_event_exit(store->event, r);
        }
        return r;
}

/* Sends what is queued, and has the loop look for what is next. */
static int store_flush(Store *store)
{
        int r;

        r = xenstore_wire_flush(store->wire);
        if (r >= 0)
                r = sd_event_source_set_io_events(store->io, r > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN);
        return r;
}

/* Watch events */

static void store_on_path(Store *store, const char *path, DeviceKind kind)
{
        DeviceName name;

        switch (store_path_parse(path, kind, &name)) {
        case STORE_PATH_DEVICE:
                /* That is our own; nothing is read from it. */
                if (!g_str_has_suffix(path, "/error"))
                        store->ops->changed(store->userdata, STORE_CHANGE_DEVICE, &name);
                break;
        case STORE_PATH_GUEST:
                store->ops->changed(store->userdata, STORE_CHANGE_GUEST, &name);
                break;
        case STORE_PATH_OTHER:
                store->ops->changed(store->userdata, STORE_CHANGE_LIST, NULL);
                break;
        }
}

static void store_on_event(void *userdata, const char *path, const char *token)
{
        Store *store = userdata;

        if (strcmp(token, TOKEN_DOMAINS) == 0)
                store->ops->changed(store->userdata, STORE_CHANGE_DOMAINS, NULL);
        for (DeviceKind kind = 0; kind < _DEVICE_KIND_MAX; kind++) {
                if (strcmp(token, device_kind_node(kind)) == 0)
                        store_on_path(store, path, kind);
        }
}

/* What a connection starts with */

/* All is listed and read again: what has changed since the last connection nobody tells. */
static void store_greet(Store *store)
{
        store->n_awaited--;
        if (store->n_awaited > 0)
                return;
        if (store->complained)
                log_info(NULL, "the connection to xenstore is there again");
        store->complained = false;
        restart_note_healthy(&store->restart, clock_now_usec());
        store->ops->changed(store->userdata, STORE_CHANGE_LIST, NULL);
}

/* Our own number. A domain that cannot read it is an old dom0. */
static int store_on_domid(void *userdata, int result, const char *text, size_t size _unused_)
{
        uint64_t domid = 0;
        Store *store = userdata;

        if (result < 0 && result != -ENOENT && result != -EACCES)
                return result;
        if (result < 0 || parse_unsigned(text, DOMID_RESERVED - 1, &domid) < 0)
                domid = 0;
        log_info(NULL, "serving the devices of domain %u", (unsigned int)domid);
        store_greet(store);
        return 0;
}

static int store_on_watch(void *userdata, int result, const char *text _unused_,
                          size_t size _unused_)
{
        if (result < 0)
                return result;
        store_greet(userdata);
        return 0;
}

static void store_watch(Store *store, const char *path, const char *token)
{
        char payload[STORE_PATH_MAX];
        int n = snprintf(payload, sizeof(payload), "%s%c%s", path, '\0', token);

        store->n_awaited++;
        xenstore_wire_request(store->wire, XS_WATCH, 0, payload, (size_t)n + 1, store_on_watch,
                              store);
}

static int store_on_io(sd_event_source *source _unused_, int fd _unused_, uint32_t events _unused_,
                       void *userdata)
{
        Store *store = userdata;
        int r;

        store->busy = true;
        r = xenstore_wire_dispatch(store->wire);
        store->busy = false;
        if (r < 0)
                return store_lose(store, r);
        store_run(store);
        return 0;
}

static int store_connect(Store *store)
{
        int r;

        r = xenstore_wire_open(store_on_event, store, &store->wire);
        if (r >= 0)
                r = sd_event_add_io(store->event, &store->io, xenstore_wire_fd(store->wire),
                                    EPOLLIN, store_on_io, store);
        if (r < 0)
                return store_lose(store, r);

        store->n_awaited++;
        xenstore_wire_request_text(store->wire, XS_READ, 0, "domid", store_on_domid, store);
        store_watch(store, WATCH_DOMAINS, TOKEN_DOMAINS);
        for (DeviceKind kind = 0; kind < _DEVICE_KIND_MAX; kind++) {
                char path[STORE_PATH_MAX];

                store_path_kind(kind, path);
                store_watch(store, path, device_kind_node(kind));
        }
        r = store_flush(store);
        return r < 0 ? store_lose(store, r) : 0;
}

/* Tasks */

/* The toolstack was faster: what it has written by now decides. */
static void store_tell_write(Store *store, const StoreTask *task, int result)
{
        if (result == -ENOENT || result == -ESTALE || result == -EAGAIN)
                store->ops->changed(store->userdata, STORE_CHANGE_DEVICE, &task->name);
        else if (result < 0)
                log_warning(NULL,
                            "cannot write to xenstore, for device %" PRIu32 " of domain %" PRIu16
                            ": %s",
                            task->name.devid, task->name.domid, strerror(-result));
}

static void store_tell(Store *store, StoreTask *task, int result)
{
        switch (task->kind) {
        case STORE_TASK_LIST:
                g_array_sort(task->names, (GCompareFunc)device_name_compare);
                store->ops->listed(store->userdata, task->name.domid,
                                   (const DeviceName *)(void *)task->names->data, task->names->len);
                break;
        case STORE_TASK_DOMAIN:
                store->ops->domain(store->userdata, task->name.domid, task->exists);
                break;
        case STORE_TASK_READ:
                if (result == -EAGAIN)
                        store_read(store, &task->name);
                else
                        store->ops->nodes(store->userdata, &task->name, &task->nodes, task->exists);
                break;
        case STORE_TASK_ERROR:
                if (result == -EAGAIN)
                        store_write_error(store, &task->name, task->vm, task->text);
                else if (result != -ENOENT)
                        store_tell_write(store, task, result);
                break;
        case STORE_TASK_STATE:
                store_tell_write(store, task, result);
                break;
        }
}

static void store_on_done(void *userdata, StoreTask *task, int result)
{
        Store *store = userdata;

        g_queue_pop_head(&store->tasks);
        store->running = false;
        if (g_hash_table_lookup(store->waiting, task) == task)
                g_hash_table_remove(store->waiting, task);
        store_tell(store, task, result);
        store_task_free(task);
}

/* Begins the next task, or says that there is none. */
static void store_run(Store *store)
{
        StoreTask *task = g_queue_peek_head(&store->tasks);
        int r;

        if (!store->wire || store->n_awaited > 0)
                return;
        if (task && !store->running) {
                store->running = true;
                store_task_begin(task, store->wire, store_on_done, store);
        }
        r = store_flush(store);
        if (r < 0) {
                store_lose(store, r);
        } else if (!task && store->unsettled) {
                store->unsettled = false;
                store->ops->settled(store->userdata);
        }
}

/* Queues the task, or leaves it to one that waits: the later order counts. Takes it over. */
static void store_push(Store *store, StoreTask *task)
{
        StoreTask *other = g_hash_table_lookup(store->waiting, task);

        if (other && !other->answered) {
                other->from = task->from;
                other->to = task->to;
                g_free(other->vm);
                other->vm = g_steal_pointer(&task->vm);
                g_free(other->text);
                other->text = g_steal_pointer(&task->text);
                store_task_free(task);
                return;
        }
        g_hash_table_replace(store->waiting, task, task);
        store->unsettled = true;
        g_queue_push_tail(&store->tasks, task);
        if (!store->busy)
                store_run(store);
}

void store_read(Store *store, const DeviceName *name)
{
        store_push(store, store_task_new(STORE_TASK_READ, name));
}

void store_list(Store *store, uint16_t domid)
{
        store_push(store, store_task_new(STORE_TASK_LIST, &(DeviceName){ .domid = domid }));
}

void store_check_domain(Store *store, uint16_t domid)
{
        store_push(store, store_task_new(STORE_TASK_DOMAIN, &(DeviceName){ .domid = domid }));
}

bool store_is_awaited(const Store *store)
{
        return store->wire && store->tasks.length > 0;
}

void store_write_state(Store *store, const DeviceName *name, const char *vm, XenbusState from,
                       XenbusState to)
{
        StoreTask *task = store_task_new(STORE_TASK_STATE, name);

        task->vm = g_strdup(vm);
        task->from = from;
        task->to = to;
        store_push(store, task);
}

void store_write_error(Store *store, const DeviceName *name, const char *vm, const char *text)
{
        StoreTask *task = store_task_new(STORE_TASK_ERROR, name);

        task->vm = g_strdup(vm);
        if (text) {
                g_autofree char *cut = g_strndup(text, ERROR_MAX);

                task->text = g_utf8_make_valid(cut, -1);
        }
        store_push(store, task);
}

void store_forget(Store *store, const DeviceName *name)
{
        GList *next;

        for (GList *i = store->tasks.head; i; i = next) {
                StoreTask *task = i->data;
                bool is_write = task->kind == STORE_TASK_STATE || task->kind == STORE_TASK_ERROR;

                next = i->next;
                if (!is_write || !device_name_equal(&task->name, name) ||
                    (store->running && i == store->tasks.head))
                        continue;
                g_hash_table_remove(store->waiting, task);
                g_queue_delete_link(&store->tasks, i);
                store_task_free(task);
        }
}

int store_open(sd_event *event, const StoreOps *ops, void *userdata, Store **ret_store)
{
        Store *store = g_new0(Store, 1);
        int r;

        store->event = sd_event_ref(event);
        store->ops = ops;
        store->userdata = userdata;
        store->waiting = g_hash_table_new(store_task_hash, store_task_equal);
        g_queue_init(&store->tasks);
        r = store_connect(store);
        if (r < 0) {
                store_close(store);
                return r;
        }

        *ret_store = store;
        return 0;
}

Store *store_close(Store *store)
{
        StoreTask *task;

        if (!store)
                return NULL;
        store_disconnect(store);
        sd_event_source_disable_unref(store->reconnect);
        while ((task = g_queue_pop_head(&store->tasks)))
                store_task_free(task);
        g_hash_table_unref(store->waiting);
        sd_event_unref(store->event);
        g_free(store);
        return NULL;
}
