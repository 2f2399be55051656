/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>

#include "common/device-id.h"
#include "frontend/config-space.h"
#include "frontend/device-internal.h"
#include "frontend/net-control.h"

/* Most requests that a backend has begun when it is kicked for the last time end in that time. */
#define QUIET_USEC UINT64_C(50000)

static void requests_serve(Device *device)
{
        device->ops->unblocked(device->userdata);
}

static void device_fail(Device *device, int error)
{
        device_files_set_status(&device->files, STATUS_FAILED);
        device->ops->failed(device->userdata, error);
}

void device_interrupt(Device *device)
{
        int r = hypervisor_interrupt(device->hypervisor, device->launch.irq);

        if (r < 0) {
                log_error_errno(&device->log, r, "cannot interrupt the guest: %m");
                device_fail(device, r);
                return;
        }
        device->counters->counters.interrupts++;
}

/* The device cannot go on until the driver resets it; a driver that is up is told. */
static void device_break(Device *device, const char *reason)
{
        if (log_limit_permit(&device->backend_limit, loop_now()))
                log_error(&device->log, "the driver has to reset the device: %s", reason);
        virtio_break(&device->mmio->device);
        if (device->mmio->device.status & VIRTIO_STATUS_DRIVER_OK)
                device_interrupt(device);
}

/* While a driver uses what was offered before, something else cannot take its place. */
void device_offer_apply(Device *device)
{
        VirtioDevice *virtio = &device->mmio->device;
        const VhostOffer *offer = &device->offer;

        if (!device->ready)
                return;
        if (virtio->status == 0) {
                virtio_offer(virtio, offer->features, offer->n_queues, device->type->queue_size,
                             offer->config, offer->config_size);
                if (offer->control_queue > 0)
                        virtio_control_queue_set(virtio, offer->control_queue);
                virtio->device_id = device->launch.device_id;
                virtio_config_set_writable(virtio, device->type->writable_size > 0);
                return;
        }
        if (virtio->driver_features & ~offer->features & ~(UINT64_C(1) << VIRTIO_F_VERSION_1))
                device_break(device, "the backend lacks features that the driver uses");
        else if (virtio_config_change(virtio, offer->config, offer->config_size))
                device_interrupt(device);
}

void device_rings_start(Device *device)
{
        const char *refusal;
        int r;

        if (device->leaving || !virtio_is_running(&device->mmio->device) ||
            vhost_session_state(device->session) != VHOST_SESSION_IDLE)
                return;
        refusal = vhost_session_refusal(device->session);
        if (refusal) {
                device_break(device, refusal);
                return;
        }
        /* Where an earlier backend has begun, it is not the driver's doing. */
        if (!device->state->progress.begun &&
            device_start_put_off(device, device_start_messages(device)))
                return;
        r = vhost_session_start(device->session);
        if (r < 0) {
                log_info(&device->log,
                         "no descriptor for grants is left: the next process or reload has more");
                device_fail(device, r);
        }
}

void device_queue_start(Device *device)
{
        const int queue = vhost_session_queue_next(device->session);

        if (queue < 0 || device->leaving || !virtio_is_running(&device->mmio->device) ||
            device_start_put_off(device, START_LIMIT_QUEUE))
                return;
        vhost_session_queue_start(device->session, (uint16_t)queue);
        /* For what it holds already. A kick that comes too early is not lost. */
        notify_kick(device->notify, (uint16_t)queue);
}

static void start_due(void *userdata)
{
        device_rings_start(userdata);
        device_queue_start(userdata);
        device_control_serve(userdata);
}

/* What has been begun is finished first. */
static void leave_go_on(Device *device)
{
        if (!device->leaving)
                return;
        switch (vhost_session_state(device->session)) {
        case VHOST_SESSION_STARTING:
        case VHOST_SESSION_CHANGING:
        case VHOST_SESSION_STOPPING:
        case VHOST_SESSION_DRAINING:
                return;
        case VHOST_SESSION_RUNNING:
                if (device->keeping && vhost_session_is_kept(device->session))
                        break;
                if (device->quiet)
                        vhost_session_hand_over(device->session);
                return;
        case VHOST_SESSION_DISCONNECTED:
        case VHOST_SESSION_NEGOTIATING:
        case VHOST_SESSION_IDLE:
        case _VHOST_SESSION_STATE_MAX:
        default:
                break;
        }
        device->ops->left(device->userdata);
}

static void quiet_elapsed(void *userdata)
{
        Device *device = userdata;

        device->quiet = true;
        leave_go_on(device);
}

void device_leave(Device *device, bool keep)
{
        if (device->leaving)
                return;
        device->leaving = true;
        device->keeping = keep;
        kernel_notify_stop(&device->kernel_notify);
        loop_timer_start(&device->quieten, QUIET_USEC);
        leave_go_on(device);
}

static void session_ready(void *userdata, const VhostOffer *offer)
{
        Device *device = userdata;
        int r;

        device->offer = *offer;
        r = notify_prepare(device->notify,
                           offer->control_queue > 0 ? offer->control_queue : offer->n_queues);
        if (r < 0) {
                log_error_errno(&device->log, r, "cannot make eventfds: %m");
                device_fail(device, r);
                return;
        }
        if (log_limit_permit(&device->backend_limit, loop_now()))
                log_full(LOG_INFO, &device->log, LOG_ID_BACKEND_ANSWERED, 0,
                         "the backend answered: %u queues, features %#llx; guest memory: %s",
                         offer->n_queues, (unsigned long long)offer->features,
                         memory_way_describe(offer->way));
        if (!device->ready) {
                r = device_files_set_status(&device->files, STATUS_READY);
                if (r < 0) {
                        log_error_errno(&device->log, r, "cannot say that the device is ready: %m");
                        device_fail(device, r);
                        return;
                }
                device->ready = true;
                device_control_explain(device);
                device->ops->ready(device->userdata);
        }
        device_offer_apply(device);
        device->answering = true;
        device_hold_end(device);
        device_rings_start(device);
        requests_serve(device);
        leave_go_on(device);
}

static void session_started(void *userdata, bool resumed)
{
        Device *device = userdata;
        VirtioDevice *virtio = &device->mmio->device;

        device->start_held = false;
        device->counters->counters.waiting = 0;
        device_hold_end(device);
        if (resumed) {
                if (log_limit_permit(&device->backend_limit, loop_now()))
                        log_info(&device->log, "the backend goes on with the rings");
        } else if (log_limit_permit(&device->driver_limit, loop_now())) {
                log_full(LOG_INFO, &device->log, LOG_ID_DRIVER_READY, 0,
                         "the driver is up, features %#llx",
                         (unsigned long long)virtio->driver_features);
        }
        kernel_notify_start(&device->kernel_notify);
        /* What the driver put into the rings before they ran had no kick that anybody heard. */
        for (uint16_t queue = 0; queue < net_control_backend_queues(virtio); queue++) {
                if (virtio->queues[queue].ready)
                        notify_kick(device->notify, queue);
        }
        /* What an earlier backend gave back may have had no call that anybody heard. */
        if (resumed) {
                virtio_interrupt_raise(virtio, VIRTIO_INTERRUPT_QUEUE);
                device_interrupt(device);
        }
        device_queue_start(device);
        device_control_serve(device);
        requests_serve(device);
        leave_go_on(device);
}

static void session_stopped(void *userdata)
{
        Device *device = userdata;

        device_hold_end(device);
        device_offer_apply(device);
        device_queue_start(device);
        device_control_serve(device);
        requests_serve(device);
        leave_go_on(device);
}

static void session_config_changed(void *userdata, const VhostOffer *offer)
{
        Device *device = userdata;

        device->offer = *offer;
        device_offer_apply(device);
        if (!device->selecting)
                return;
        device->selecting = false;
        requests_serve(device);
}

static void session_refused(void *userdata, uint32_t request)
{
        Device *device = userdata;

        if (log_limit_permit(&device->backend_limit, loop_now()))
                log_warning(&device->log, "refused request %u of the backend", request);
}

/* The rings go on with the next backend, if it can know where. Until then kicks mean nothing. */
static void session_lost(void *userdata, int error, const char *reason)
{
        Device *device = userdata;
        const char *refusal = vhost_session_refusal(device->session);

        if (device->start_held)
                device_hold_end(device);
        device->start_held = device->selecting = false;
        device->counters->counters.losses++;
        device->counters->counters.waiting = virtio_is_running(&device->mmio->device);
        kernel_notify_stop(&device->kernel_notify);
        if (log_limit_permit(&device->backend_limit, loop_now()))
                log_error_errno(&device->log, error, "lost the backend: %s", reason);
        /* Linux waits for the answer to a command without an end, and cannot even reset then. */
        device_control_serve(device);
        if ((refusal || error == -EACCES) && virtio_is_running(&device->mmio->device))
                device_break(device, refusal ? refusal : reason);
        if (config_space_disconnect(device->type, &device->offer))
                device_offer_apply(device);
        requests_serve(device);
        leave_go_on(device);
}

static const VhostSessionOps session_ops = {
        .ready = session_ready,
        .started = session_started,
        .stopped = session_stopped,
        .config_changed = session_config_changed,
        .refused = session_refused,
        .lost = session_lost,
};

/* The backend has used buffers, which concerns nobody but the guest. */
static void backend_called(void *userdata)
{
        Device *device = userdata;

        if (!virtio_is_running(&device->mmio->device))
                return;
        virtio_interrupt_raise(&device->mmio->device, VIRTIO_INTERRUPT_QUEUE);
        device_interrupt(device);
}

void device_memory_changed(Device *device)
{
        vhost_session_memory_changed(device->session);
}

/* Of the guest's memory nothing can be mapped then but what it grants. */
static VhostMemory grants_memory(Device *device, const VhostMemory *ram)
{
        static const MemoryBank bank = { GUEST_GRANTS_BASE, GUEST_GRANTS_SIZE };

        return (VhostMemory){
                .domid = ram->domid,
                .banks = &bank,
                .n_banks = 1,
                .fds = ram->fds,
                .grants = true,
                .sets = &device->files.grants,
        };
}

/* Returns 0 or a negative errno. */
static int state_open(Device *device)
{
        const int *fds = device->files.fds;
        int r = device_state_map(fds[DEVICE_FILE_STATE], fds[DEVICE_FILE_INFLIGHT], &device->launch,
                                 device->memory.banks, device->memory.n_banks, &device->log,
                                 &device->state);

        if (r < 0)
                return r;
        device->mmio = &device->state->mmio;
        vhost_kept_settle(&device->state->kept, &device->state->progress, &device->mmio->device,
                          device->store, &device->log);
        virtio_interrupts_unseen(&device->mmio->device, false); /* the former process's */
        /* Of a device that is known, the driver need not wait for the backend. */
        device->answering = r > 0 && device->mmio->device.device_id != 0;
        return 0;
}

static int counters_begin(Device *device)
{
        int r = counters_map(device->files.fds[DEVICE_FILE_COUNTERS], &device->counters);

        if (r < 0)
                return r;
        device->driver_limit.total = &device->counters->counters.dropped_lines;
        device->backend_limit.total = &device->counters->counters.dropped_lines;
        return 0;
}

static int parts_open(Device *device, const NotifyProbe *probe)
{
        VhostSessionParts session = {
                .loop = device->loop,
                .folder = device->files.fds[DEVICE_FILE_FOLDER],
                .socket = BACKEND_SOCKET,
                .type = device->type,
                .config = &device->launch.config,
                .memory = &device->memory,
                .ops = &session_ops,
                .userdata = device,
        };
        int r;

        r = state_open(device);
        if (r < 0)
                return r;
        r = counters_begin(device);
        if (r < 0)
                return r;
        r = notify_new(device->loop, device->store, backend_called, device, &device->notify);
        if (r < 0)
                return r;
        device->kernel_notify = (KernelNotify){
                .hypervisor = device->hypervisor,
                .notify = device->notify,
                .device = &device->mmio->device,
                .log = &device->log,
                .base = device->launch.base,
                .irq = device->launch.irq,
        };
        kernel_notify_choose(&device->kernel_notify, probe);
        session.device = &device->mmio->device;
        session.kick_fds = notify_kick_fds(device->notify);
        session.call_fd = notify_call_fd(device->notify);
        session.progress = &device->state->progress;
        session.kept = &device->state->kept;
        session.store = device->store;
        session.progress_file = device->files.fds[DEVICE_FILE_INFLIGHT];
        return vhost_session_new(&session, &device->session);
}

int device_new(const DeviceParts *parts, DeviceFiles *files, Device **ret_device)
{
        Device *device;
        int r;

        device = calloc(1, sizeof(*device));
        if (!device)
                return -ENOMEM;
        *device = (Device){
                .loop = parts->loop,
                .hypervisor = parts->hypervisor,
                .memory = *parts->memory,
                .store = parts->store,
                .ops = parts->ops,
                .userdata = parts->userdata,
                .launch = *parts->launch,
                .type = device_type_find(parts->launch->device_id),
                .files = device_files_steal(files),
        };
        if (device->launch.grant_usage)
                device->memory = grants_memory(device, parts->memory);
        device->memory.choice = device->launch.memory;
        device_name_instance(parts->name, device->instance);
        device->log = (LogContext){
                .device = device->instance,
                .domain = device->launch.domain[0] != '\0' ? device->launch.domain : NULL,
                .type = device_id_name(device->launch.device_id),
                .domid = parts->name->domid,
        };

        device_hold_init(device);
        device_control_init(device);
        loop_timer_init(&device->quieten, device->loop, quiet_elapsed, device);
        loop_timer_init(&device->start, device->loop, start_due, device);
        r = device_files_set_status(&device->files, "");
        if (r >= 0)
                r = parts_open(device, parts->probe);
        if (r < 0) {
                *files = device_files_steal(&device->files);
                device_free(device);
                return r;
        }
        fd_closep(&device->files.fds[DEVICE_FILE_LAUNCH]); /* it was read, */
        fd_closep(&device->files.fds[DEVICE_FILE_STATE]);  /* and these were mapped */
        fd_closep(&device->files.fds[DEVICE_FILE_COUNTERS]);
        *ret_device = device;
        return 0;
}

Device *device_free(Device *device)
{
        if (!device)
                return NULL;
        loop_timer_stop(&device->hold);
        loop_timer_stop(&device->quieten);
        loop_timer_stop(&device->start);
        loop_timer_stop(&device->control);
        kernel_notify_stop(&device->kernel_notify);
        vhost_session_free(device->session);
        notify_free(device->notify);
        device_state_unmap(device->state);
        counters_unmap(device->counters);
        device_files_close(&device->files);
        free(device);
        return NULL;
}

const DeviceFiles *device_files(const Device *device)
{
        return &device->files;
}
