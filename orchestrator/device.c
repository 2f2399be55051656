/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/device-internal.h"

#include <errno.h>
#include <string.h>

#include "common/device-id.h"
#include "orchestrator/clock.h"

/* Actions in one go; a device needs four to come and four to go. */
#define ACTIONS_MAX 16

/* Less than the ten seconds after which libxl takes a disk's creation for failed. */
#define ANSWER_USEC (8 * USEC_PER_SEC)

/* Device.error before the nodes have been read: an earlier orchestrator may have written it. */
#define ERROR_UNKNOWN ""

LogContext device_context(const Device *device)
{
        return (LogContext){
                .device = device->instance,
                .domain = device->spec ? device->spec->domain : NULL,
                .type = device_id_name(device_type(device)),
                .domid = device->name.domid,
        };
}

void device_set_state(Device *device, DeviceState state)
{
        if (device->state == state)
                return;
        device_log(device, LOG_DEBUG, NULL, 0, "%s -> %s", device_state_name(device->state),
                   device_state_name(state));
        device->state = state;
        device->services->changed(device->services->userdata, device);
}

void device_enqueue(Device *device, bool read)
{
        device->services->enqueue(device->services->userdata, device, read);
}

void device_introduce(Device *device)
{
        if (!device->introduced)
                device_log(device, LOG_INFO, LOG_ID_DEVICE_SEEN, 0, "seen in xenstore");
        device->introduced = true;
}

double device_msec_since_seen(const Device *device)
{
        return (double)(clock_now_usec() - device->seen_usec) / (double)USEC_PER_MSEC;
}

/* Puts the text into the node "error", if it does not say so already; NULL removes it. */
void device_write_error(Device *device, const char *text)
{
        if (g_strcmp0(device->error, text) == 0)
                return;
        store_write_error(device->services->store, &device->name, device->vm, text);
        g_free(device->error);
        device->error = g_strdup(text);
}

void device_fail(Device *device, int error, const char *text)
{
        device_log(device, LOG_ERR, LOG_ID_DEVICE_FAILED, error, "%s", text);
        device_write_error(device, text);
        device_set_state(device, DEVICE_FAILED);
}

bool device_follow_phase(const Device *device, UnitPhase now, UnitPhase *phase, Restart *restart)
{
        const UnitPhase before = *phase;

        *phase = now;
        if (now == UNIT_UP && before != UNIT_UP)
                restart_note_healthy(restart, clock_now_usec());
        return device->claimed && !device->stop_requested && !device->leftover &&
               now == UNIT_DOWN && before != UNIT_DOWN && before != UNIT_UNKNOWN &&
               !restart_take_order(restart);
}

void device_note_end(Device *device, const char *role, const char *end, const char *unit)
{
        g_autofree char *text = g_strdup_printf("the %s %s, see journalctl -u %s", role, end, unit);

        device_fail(device, 0, text);
}

static void device_observe_backend(Device *device)
{
        g_autofree char *end = NULL;

        if (!device_follow_phase(device, unit_phase(device->backend), &device->backend_phase,
                                 &device->backend_restart))
                return;
        restart_note_end(&device->backend_restart, unit_end_is_refusal(device->backend),
                         clock_now_usec(), g_random_int());
        end = unit_describe_end(device->backend);
        device_note_end(device, "backend", end, unit_name(device->backend));
}

void device_observe(Device *device)
{
        /* The backend first: its end explains the frontend's. */
        device_observe_backend(device);
        device_frontend_observe(device);
        if (device->frontend_phase == UNIT_DOWN && device->backend_phase == UNIT_DOWN)
                device_claim_settle(device);

        if (!device->claimed || device->leftover || device->stop_requested ||
            device->frontend_phase != UNIT_UP || device->backend_phase != UNIT_UP)
                return;
        if (!device->answered)
                device_log(device, LOG_INFO, LOG_ID_DEVICE_READY, 0,
                           "ready, %.1f ms after the node was seen",
                           device_msec_since_seen(device));
        else if (device->state == DEVICE_FAILED)
                device_log(device, LOG_INFO, LOG_ID_DEVICE_READY, 0, "ready again");
        device->answered = true;
        device_write_error(device, NULL);
        device_set_state(device, DEVICE_READY);
}

static void device_on_unit(void *userdata)
{
        device_enqueue(userdata, false);
}

static Device *device_make(const DeviceServices *services, const DeviceName *name)
{
        char frontend[DEVICE_UNIT_MAX], backend[DEVICE_UNIT_MAX], slice[DEVICE_UNIT_MAX];
        Device *device = g_new0(Device, 1);

        device->services = services;
        device->name = *name;
        device->domain_exists = true;
        device->error = g_strdup(ERROR_UNKNOWN);
        device_name_instance(name, device->instance);
        device_name_frontend_unit(name, frontend);
        device_name_backend_unit(name, backend);
        device_name_slice(name, slice);
        device->frontend = unit_new(services->units, frontend, device_on_unit, device);
        device->backend = unit_new(services->units, backend, device_on_unit, device);
        device->slice = unit_new(services->units, slice, device_on_unit, device);
        device->frontend_phase = unit_phase(device->frontend);
        device->backend_phase = unit_phase(device->backend);
        return device;
}

Device *device_new(const DeviceServices *services, const DeviceName *name, uint64_t seen_usec)
{
        Device *device = device_make(services, name);

        device->seen_usec = seen_usec;
        return device;
}

Device *device_adopt(const DeviceServices *services, const DeviceName *name, const Launch *launch)
{
        Device *device = device_make(services, name);

        device->seen_usec = clock_now_usec();
        device->introduced = true;
        device->claimed = true;
        device->answered = true;
        device->launch = *launch;
        device_frontend_adopt(device);
        device_set_state(device, DEVICE_CLAIMED);
        device_log(device, LOG_INFO, LOG_ID_DEVICE_ADOPTED, 0,
                   "adopted with MMIO range %#" PRIx64 " and IOREQ server %u", launch->base,
                   (unsigned int)launch->server);
        return device;
}

Device *device_free(Device *device)
{
        if (!device)
                return NULL;
        sd_event_source_disable_unref(device->timer);
        shared_member_free(device->member);
        unit_free(device->frontend);
        unit_free(device->backend);
        unit_free(device->slice);
        device_spec_free(device->spec);
        g_free(device->vm);
        g_free(device->error);
        g_free(device);
        return NULL;
}

const DeviceName *device_name(const Device *device)
{
        return &device->name;
}

DeviceState device_state(const Device *device)
{
        return device->state;
}

const char *device_instance(const Device *device)
{
        return device->instance;
}

const Launch *device_launch(const Device *device)
{
        return device->claimed ? &device->launch : NULL;
}

void device_expect_leftover(Device *device)
{
        device->leftover = true;
        if (device->member)
                shared_member_stop(device->member);
}

uint32_t device_type(const Device *device)
{
        return device->spec ? device->spec->device_id : device->launch.device_id;
}

void device_retry(Device *device)
{
        device_compare_backend(device);
        if (device->state != DEVICE_FAILED)
                return;
        restart_forget(&device->backend_restart);
        device_enqueue(device, false);
}

/* Whether the claim is in the domain that has the number now. */
bool device_claim_is_current(const Device *device)
{
        return device->domain_exists && device->vm &&
               g_str_has_suffix(device->vm, device->launch.uuid);
}

/* Nodes that make no sense: said, though not without end, and never held against a device that is
 * served. */
static void device_refuse(Device *device, const char *text)
{
        if (device->claimed) {
                if (log_limit_permit(&device->refusals, clock_now_usec()))
                        device_log(device, LOG_WARNING, LOG_ID_NODES_REFUSED, 0, "%s, ignoring",
                                   text);
                return;
        }
        device->wish = WISH_UNCLEAR;
        if (g_strcmp0(device->error, text) == 0)
                return;
        device_log(device, LOG_ERR, LOG_ID_NODES_REFUSED, -EINVAL, "%s", text);
        device_write_error(device, text);
        device_set_state(device, DEVICE_FAILED);
}

static void device_read_nodes(Device *device, const NodeSet *nodes)
{
        const XenbusState before = device->xenbus;
        g_autofree char *message = NULL;
        DeviceSpec *spec;

        if (xenbus_state_parse(nodes->values[NODE_STATE], &device->xenbus) < 0) {
                device_refuse(device, "state: the node is missing, or not a state of xenbus");
                return;
        }
        if (device->xenbus == XENBUS_INITIALISING && before != XENBUS_INITIALISING) {
                device->asked_usec = clock_now_usec();
                /* Nodes made anew under the same name are seen now, not when the first ones were.
                 */
                if (device->introduced)
                        device->seen_usec = device->asked_usec;
        }
        /* The toolstack waits for an answer to these whatever the other nodes say. */
        if (device->xenbus == XENBUS_CLOSING || device->xenbus == XENBUS_CLOSED) {
                device->wish = device->xenbus == XENBUS_CLOSING ? WISH_CLOSE : WISH_CLOSED;
                return;
        }
        if (device_spec_parse(&device->name, nodes, &spec, &message) < 0) {
                device_refuse(device, message);
                return;
        }
        /* What runs keeps its type, whatever has become of the guest's file. */
        if (spec->device_id == 0 && device->claimed)
                spec->device_id = device->launch.device_id;
        if (configuration_find_type(device->services->configuration, spec, &message) < 0) {
                device_spec_free(spec);
                device_refuse(device, message);
                return;
        }
        device_spec_free(device->spec);
        device->spec = spec;
        device->wish = WISH_SERVE;
}

/* Whatever the nodes say, they do not ask for what was claimed for another guest. */
static bool device_is_outlived(const Device *device)
{
        return device->claimed && device->vm && !device_claim_is_current(device);
}

static Action device_decide(Device *device, uint64_t *ret_wake_usec)
{
        Desired desired = {
                .wish = device_is_outlived(device) ? WISH_DEAD : device->wish,
                .answer_early = device->name.kind == DEVICE_KIND_VIRTIO,
        };
        Observed observed = {
                .claimed = device->claimed,
                .xenbus = device->xenbus,
                .backend = unit_phase(device->backend),
                .frontend = device_frontend_phase(device),
                .slice = unit_phase(device->slice),
                .leftover = device->leftover,
                .failed = device->error,
                .answer_after = device->asked_usec + ANSWER_USEC,
                .stop_requested = device->stop_requested,
                .stop_deadline = device->stop_deadline,
                .claim_after = device->claim_restart.not_before,
                .backend_after = device->backend_restart.not_before,
                .frontend_after = device->frontend_restart.not_before,
        };

        return reconcile(&desired, &observed, clock_now_usec(), ret_wake_usec);
}

void device_note_guest(Device *device, const char *vm)
{
        if (g_strcmp0(device->vm, vm) == 0)
                return;
        g_free(device->vm);
        device->vm = g_strdup(vm);
        if (g_strcmp0(device->error, ERROR_UNKNOWN) == 0)
                return;
        /* What was known of the nodes, and how the claim went, was of other ones. */
        g_free(device->error);
        device->error = g_strdup(ERROR_UNKNOWN);
        device->xenbus = XENBUS_UNKNOWN;
        device->claim_restart = (Restart){ 0 };
        device_enqueue(device, true);
}

void device_update(Device *device, const NodeSet *nodes, bool domain_exists)
{
        uint64_t wake;

        device->domain_exists = domain_exists;
        device_note_guest(device, nodes->values[NODE_DOMAIN_VM]);
        if (device->claimed && device_claim_is_current(device))
                device->confirmed = true;
        if (g_strcmp0(device->error, ERROR_UNKNOWN) == 0) {
                g_free(device->error);
                device->error = g_strdup(nodes->values[NODE_ERROR]);
        }
        if (!node_set_has_device(nodes)) {
                device->xenbus = XENBUS_UNKNOWN;
                device->wish = WISH_GONE;
        } else if (!domain_exists) {
                device->wish = WISH_DEAD;
        } else {
                device_read_nodes(device, nodes);
        }
        if (device_decide(device, &wake) == ACTION_CLAIM)
                device_execute(device, ACTION_CLAIM);
        else
                device_introduce(device);
}

static int device_on_timer(sd_event_source *source _unused_, uint64_t usec _unused_, void *userdata)
{
        device_enqueue(userdata, false);
        return 0;
}

static void device_set_timer(Device *device, uint64_t wake_usec)
{
        int r;

        device->timer = sd_event_source_disable_unref(device->timer);
        if (wake_usec == USEC_NEVER)
                return;
        r = sd_event_add_time(device->services->event, &device->timer, CLOCK_MONOTONIC, wake_usec,
                              USEC_PER_MSEC, device_on_timer, device);
        if (r < 0) {
                /* Nobody would look at the device again; and to start anew disturbs no device. */
                device_log(device, LOG_ERR, NULL, r, "cannot set a timer: %m");
                sd_event_exit(device->services->event, r);
        }
}

void device_unit_restart(Unit *unit, Restart *restart)
{
        restart_forget(restart);
        if (unit_phase(unit) == UNIT_DOWN)
                return;
        unit_stop(unit);
        if (unit_phase(unit) == UNIT_STOPPING)
                restart_note_order(restart);
}

int device_restart(Device *device, bool backend, bool frontend)
{
        if (device->stop_requested || (device->wish != WISH_SERVE && device->wish != WISH_UNCLEAR))
                return -EBUSY;
        if (unit_phase(device->backend) == UNIT_UNKNOWN)
                return -ENOTCONN;
        device_log(device, LOG_NOTICE, NULL, 0, "is started anew, as asked: %s%s%s",
                   backend ? "backend" : "", backend && frontend ? " and " : "",
                   frontend ? "frontend" : "");
        restart_forget(&device->claim_restart);
        if (device->claimed) {
                if (backend)
                        device_unit_restart(device->backend, &device->backend_restart);
                if (frontend)
                        device_frontend_restart(device, !backend);
                device_set_state(device, DEVICE_CLAIMED);
        }
        device_enqueue(device, true);
        return 0;
}

bool device_reconcile(Device *device)
{
        uint64_t wake = USEC_NEVER;

        device_observe(device);
        for (unsigned int i = 0; i < ACTIONS_MAX; i++) {
                Action action = device_decide(device, &wake);

                if (action == ACTION_FORGET)
                        return false;
                if (action == ACTION_NONE)
                        break;
                device_log(device, LOG_DEBUG, NULL, 0, "%s", action_name(action));
                /* The nodes may be those of a guest that is gone: what they say now is claimed. */
                if (action == ACTION_CLAIM) {
                        device_enqueue(device, true);
                        break;
                }
                device_execute(device, action);
                device_observe(device);
        }
        device_set_timer(device, wake);
        return true;
}
