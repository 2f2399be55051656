/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* xenstore as store.h has it: questions are answered in order, as it was when they were looked at.
 */

#include <errno.h>
#include <glib.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "orchestrator/clock.h"
#include "orchestrator/store.h"
#include "tests/unit/orchestrator/history-seams.h"

typedef struct Event {
        StoreChange change;
        DeviceName name;
} Event;

typedef enum TaskKind {
        TASK_READ,
        TASK_LIST,
        TASK_DOMAIN,
        TASK_STATE,
        TASK_ERROR,
} TaskKind;

typedef struct Task {
        TaskKind kind;
        DeviceName name;
        XenbusState from, to;
        bool error;
        uint32_t guest; /* which of them it is written for; 0: none */

        /* What it has found, if it has looked. */
        bool looked, exists;
        Nodes nodes;
        uint32_t number;
} Task;

/* How long a toolstack's disk may keep it waiting if nothing has failed. */
#define PATIENCE_USEC (8 * USEC_PER_SEC)

#define EVENTS_MAX 64U
#define TASKS_MAX  128U

struct Store {
        const StoreOps *ops;
        void *userdata;
        bool is_open, connected, unsettled;
        Event events[EVENTS_MAX];
        Task tasks[TASKS_MAX];
        unsigned int n_events, n_tasks;
};

static struct Store store_truth;

int store_open(sd_event *event _unused_, const StoreOps *ops, void *userdata, Store **ret_store)
{
        Store *store = &store_truth;

        store->ops = ops;
        store->userdata = userdata;
        store->is_open = true;
        store->n_events = store->n_tasks = 0;
        if (store->connected)
                world_event_list();
        *ret_store = store;
        return 0;
}

Store *store_close(Store *store)
{
        if (store)
                store->is_open = false;
        return NULL;
}

void store_forget_all(void)
{
        memset(&store_truth, 0, sizeof(store_truth));
        store_truth.connected = true;
}

/* Events */

static void event_add(Event event)
{
        Store *store = &store_truth;

        /* xenstored would not lose any either. */
        if (store->n_events == EVENTS_MAX) {
                store->n_events--;
                event.change = STORE_CHANGE_LIST;
        }
        store->events[store->n_events++] = event;
}

/* One may come twice. */
static void event_push(StoreChange change, const DeviceName *name)
{
        const Event event = { change, name ? *name : (DeviceName){ 0 } };

        if (!store_truth.connected || !store_truth.is_open)
                return;
        event_add(event);
        if (world.faults && world_chance(10))
                event_add(event);
}

void world_event(unsigned int guest, unsigned int device)
{
        const DeviceName name = world_name(guest, device);

        event_push(STORE_CHANGE_DEVICE, &name);
}

void world_event_guest(unsigned int guest)
{
        event_push(STORE_CHANGE_GUEST, &(DeviceName){ .domid = (uint16_t)(FIRST_DOMID + guest) });
}

void world_event_list(void)
{
        event_push(STORE_CHANGE_LIST, NULL);
}

void world_event_domains(void)
{
        event_push(STORE_CHANGE_DOMAINS, NULL);
}

void world_set_store(bool connected)
{
        Store *store = &store_truth;

        if (store->connected == connected)
                return;
        world_tell("xenstore %s", connected ? "is there" : "is lost");
        store->connected = connected;
        store->n_events = 0;
        for (unsigned int i = 0; i < store->n_tasks; i++)
                store->tasks[i].looked = false;
        if (connected)
                world_event_list();
}

/* Any of them may come first, and in the end all have come. */
static void event_deliver(Store *store)
{
        unsigned int i = world.faults ? world_random(store->n_events) : 0;
        Event event = store->events[i];

        store->n_events--;
        memmove(&store->events[i], &store->events[i + 1],
                (store->n_events - i) * sizeof(store->events[0]));
        world_tell("event %d for %u", (int)event.change, event.name.domid);
        store->ops->changed(store->userdata, event.change, &event.name);
}

/* Tasks */

static void task_push(Store *store, Task task)
{
        for (unsigned int i = 0; i < store->n_tasks; i++) {
                Task *other = &store->tasks[i];

                if (other->kind == task.kind && device_name_equal(&other->name, &task.name) &&
                    !other->looked) {
                        *other = task;
                        return;
                }
        }
        if (store->n_tasks == TASKS_MAX)
                g_error("too many tasks");
        store->unsettled = true;
        store->tasks[store->n_tasks++] = task;
}

void store_read(Store *store, const DeviceName *name)
{
        task_push(store, (Task){ .kind = TASK_READ, .name = *name });
}

void store_list(Store *store, uint16_t domid)
{
        task_push(store, (Task){ .kind = TASK_LIST, .name.domid = domid });
}

void store_check_domain(Store *store, uint16_t domid)
{
        task_push(store, (Task){ .kind = TASK_DOMAIN, .name.domid = domid });
}

bool store_is_awaited(const Store *store)
{
        return store->connected && store->n_tasks > 0;
}

static Place *task_place(const Task *task, Guest **ret_guest, unsigned int *ret_device)
{
        *ret_guest = &world.guests[task->name.domid - FIRST_DOMID];
        *ret_device = task->name.kind == DEVICE_KIND_DISK ? N_DEVICES - 1 : task->name.devid;
        return &(*ret_guest)->places[*ret_device];
}

/* A toolstack may be told that its disk is there if it is, or if nothing says that it will not. */
static bool may_answer(const Place *place)
{
        return place->answered_life == place->record_life ||
               (!place->refused && clock_now_usec() >= place->asked_usec + PATIENCE_USEC);
}

static uint32_t guest_of(const char *vm)
{
        uint32_t number = 0;

        if (vm)
                sscanf(vm, "/vm/%8" SCNx32, &number);
        return number;
}

void store_write_state(Store *store, const DeviceName *name, const char *vm, XenbusState from,
                       XenbusState to)
{
        const Task task = {
                .kind = TASK_STATE, .name = *name, .from = from, .to = to, .guest = guest_of(vm)
        };
        unsigned int device;
        Guest *guest;
        const Place *place = task_place(&task, &guest, &device);

        if (to == XENBUS_INIT_WAIT && name->kind == DEVICE_KIND_DISK && !may_answer(place))
                world_blame("state 2 of", name->domid - FIRST_DOMID, device);
        task_push(store, task);
}

void store_write_error(Store *store, const DeviceName *name, const char *vm, const char *text)
{
        const Task task = {
                .kind = TASK_ERROR, .name = *name, .error = text != NULL, .guest = guest_of(vm)
        };
        unsigned int device;
        Guest *guest;

        task_place(&task, &guest, &device)->refused = task.error;
        task_push(store, task);
}

void store_forget(Store *store, const DeviceName *name)
{
        unsigned int n = 0;

        for (unsigned int i = 0; i < store->n_tasks; i++) {
                const Task *task = &store->tasks[i];

                if (task->looked || (task->kind != TASK_STATE && task->kind != TASK_ERROR) ||
                    !device_name_equal(&task->name, name))
                        store->tasks[n++] = *task;
        }
        store->n_tasks = n;
}

static void set(NodeSet *nodes, Node node, const char *text)
{
        nodes->values[node] = strdup(text);
}

void world_uuid(uint32_t number, char *ret_uuid, size_t size)
{
        g_snprintf(ret_uuid, size, "%08" PRIx32 "-7d11-4f6e-9a55-0123456789ab", number);
}

static void nodes_fill(const Task *task, unsigned int device, NodeSet *nodes)
{
        char text[64] = "/vm/";

        if (task->exists) {
                world_uuid(task->number, text + 4, sizeof(text) - 4);
                set(nodes, NODE_DOMAIN_VM, text);
                set(nodes, NODE_DOMAIN_NAME, "guest");
                set(nodes, NODE_DOMAIN_MEMORY, "262144");
        }
        if (task->nodes.state == XENBUS_UNKNOWN)
                return;
        g_snprintf(text, sizeof(text), "%u", (unsigned int)task->nodes.state);
        set(nodes, NODE_STATE, text);
        g_snprintf(text, sizeof(text), "%u", (unsigned int)task->name.domid);
        set(nodes, NODE_FRONTEND_ID, text);
        g_snprintf(text, sizeof(text), "%#" PRIx64, world_base(device));
        set(nodes, NODE_BASE, text);
        if (task->nodes.complete)
                set(nodes, NODE_IRQ, task->nodes.sensible ? "33" : "nonsense");
        if (task->nodes.error)
                set(nodes, NODE_ERROR, "a problem");
        set(nodes, NODE_TRANSPORT, "mmio");
        set(nodes, NODE_GRANT_USAGE, "0");
        if (task->name.kind == DEVICE_KIND_VIRTIO) {
                set(nodes, NODE_TYPE, "virtio,device4");
                return;
        }
        set(nodes, NODE_TYPE, "standalone");
        set(nodes, NODE_SPECIFICATION, "virtio");
        set(nodes, NODE_PARAMS, "/dev/null");
        set(nodes, NODE_MODE, "w");
        set(nodes, NODE_DEVICE_TYPE, "disk");
        set(nodes, NODE_DEV, "xvda");
}

static void list_tell(Store *store, const Task *task)
{
        DeviceName names[N_GUESTS * N_DEVICES];
        size_t n = 0;

        for (unsigned int guest = 0; guest < N_GUESTS; guest++) {
                for (unsigned int device = 0; device < N_DEVICES; device++) {
                        const DeviceName name = world_name(guest, device);

                        if (world.guests[guest].places[device].nodes.state != XENBUS_UNKNOWN &&
                            (task->name.domid == STORE_ALL_GUESTS ||
                             task->name.domid == name.domid))
                                names[n++] = name;
                }
        }
        store->ops->listed(store->userdata, task->name.domid, names, n);
}

/* Writes for the guest that it is meant for, if that one is still there. */
static void task_write(Task *task, Guest *guest, unsigned int device)
{
        const unsigned int index = task->name.domid - FIRST_DOMID;
        Place *place = &guest->places[device];

        task->exists = task->guest == (guest->alive ? guest->number : 0) &&
                       place->nodes.state != XENBUS_UNKNOWN;
        if (task->kind == TASK_STATE)
                task->exists = task->exists && place->nodes.state == task->from;
        if (!task->exists ||
            !world_acts(task->kind == TASK_STATE ? "state" : "error", index, device))
                return;
        if (task->kind == TASK_ERROR) {
                place->nodes.error = task->error;
                return;
        }
        if (task->to == XENBUS_INIT_WAIT && world_count_servers(index, device) == 0)
                world_blame("state 2 before the claim of", index, device);
        place->nodes.state = task->to;
        world_event(index, device);
}

/* Takes what it finds, or changes what it is to change. */
static void task_look(Task *task)
{
        const bool is_of_device = task->kind != TASK_LIST && task->kind != TASK_DOMAIN;
        unsigned int device;
        Place *place = NULL;
        Guest *guest = NULL;

        task->looked = true;
        if (task->kind == TASK_LIST)
                return;
        place = task_place(task, &guest, &device);
        task->exists = guest->alive;
        task->number = guest->number;
        if (is_of_device)
                task->nodes = place->nodes;
        if (task->kind == TASK_STATE || task->kind == TASK_ERROR)
                task_write(task, guest, device);
}

static void read_tell(Store *store, const Task *task)
{
        NodeSet nodes = { 0 };
        unsigned int device;
        Guest *guest;
        Place *place;

        place = task_place(task, &guest, &device);
        if (task->nodes.state == XENBUS_INITIALISING &&
            (place->told != XENBUS_INITIALISING || place->told_guest != task->number))
                place->asked_usec = clock_now_usec();
        place->told = task->nodes.state;
        place->told_guest = guest->known = task->number;
        place->refused = place->refused && task->nodes.error;
        nodes_fill(task, device, &nodes);
        store->ops->nodes(store->userdata, &task->name, &nodes, task->exists);
        node_set_clear(&nodes);
}

static void task_tell(Store *store)
{
        Task task = store->tasks[0];

        store->n_tasks--;
        memmove(&store->tasks[0], &store->tasks[1], store->n_tasks * sizeof(task));
        world_tell("answer %d for %u", (int)task.kind, task.name.domid);
        switch (task.kind) {
        case TASK_READ:
                read_tell(store, &task);
                break;
        case TASK_LIST:
                list_tell(store, &task);
                break;
        case TASK_DOMAIN:
                store->ops->domain(store->userdata, task.name.domid, task.exists);
                break;
        case TASK_STATE:
        case TASK_ERROR:
                if (!task.exists && (task.kind == TASK_STATE || task.nodes.state))
                        store->ops->changed(store->userdata, STORE_CHANGE_DEVICE, &task.name);
                break;
        }
        if (store->n_tasks > 0 || !store->unsettled)
                return;
        store->unsettled = false;
        store->ops->settled(store->userdata);
}

bool world_store_is_quiet(void)
{
        const Store *store = &store_truth;

        return store->connected && store->n_events == 0 && store->n_tasks == 0;
}

/* An event that came before an answer is told before it. */
bool world_step_store(void)
{
        Store *store = &store_truth;

        if (!store->is_open || !store->connected || (store->n_events == 0 && store->n_tasks == 0))
                return false;
        if (store->n_events > 0 && (store->n_tasks == 0 || world_chance(50)))
                event_deliver(store);
        else if (!store->tasks[0].looked)
                task_look(&store->tasks[0]);
        else
                task_tell(store);
        return true;
}
