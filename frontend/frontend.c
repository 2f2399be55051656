/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/frontend.h"

#include <errno.h>
#include <sys/epoll.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#include "common/device-type.h"
#include "common/log.h"
#include "frontend/hypervisor.h"
#include "frontend/ioreq.h"
#include "frontend/notify.h"
#include "frontend/vhost-session.h"
#include "frontend/virtio-mmio.h"

#define NO_QUEUE (-1)

struct Frontend {
        sd_event *event;
        char instance[DEVICE_INSTANCE_MAX];
        LogContext log;
        Launch launch;
        const DeviceType *type;

        Hypervisor *hypervisor;
        MemoryBank banks[MEMORY_BANKS_MAX];
        int memory_fds[MEMORY_BANKS_MAX];
        VhostMemory memory;
        IoreqServer ioreq;
        sd_event_source *io;
        sd_event_source *hold;

        VirtioMmio mmio;
        Notify *notify;
        VhostSession *session;
        VhostOffer offer; /* the latest; the driver sees it from its next reset on */

        bool answering;      /* the driver's accesses are answered, no longer held */
        bool ready;          /* the backend has answered at least once */
        bool start_wanted;   /* the driver said DRIVER_OK while the backend was away */
        bool rings_running;  /* from our start on, until the driver resets or the backend is lost */
        bool request_logged; /* the first request since the start has been */
        int kick_pending;    /* queue to be kicked once the access is answered, or NO_QUEUE */
        LogLimit driver_limit, backend_limit;
};

static uint64_t frontend_now(const Frontend *frontend)
{
        uint64_t now = 0;

        sd_event_now(frontend->event, CLOCK_MONOTONIC, &now);
        return now;
}

/* Nothing works without the hypervisor's interface; systemd and the orchestrator start us anew. */
static void hypervisor_failed(Frontend *frontend, int error)
{
        log_error_errno(&frontend->log, error, "the hypervisor's interface failed: %m");
        sd_event_exit(frontend->event, error);
}

static void requests_serve(Frontend *frontend)
{
        int r = ioreq_serve(&frontend->ioreq);

        if (r < 0)
                hypervisor_failed(frontend, r);
}

static void interrupt_send(Frontend *frontend)
{
        int r = hypervisor_interrupt(frontend->hypervisor, frontend->launch.irq);

        if (r < 0)
                hypervisor_failed(frontend, r);
}

/* The device cannot go on until the driver resets it; a driver that is up is told. */
static void device_break(Frontend *frontend)
{
        virtio_break(&frontend->mmio.device);
        if (frontend->mmio.device.status & VIRTIO_STATUS_DRIVER_OK)
                interrupt_send(frontend);
}

/* While a driver uses what was offered before, something else cannot take its place. */
static void offer_apply(Frontend *frontend)
{
        VirtioDevice *device = &frontend->mmio.device;
        const VhostOffer *offer = &frontend->offer;

        if (device->status != 0) {
                if (device->driver_features & ~offer->features & ~(UINT64_C(1) << 32))
                        device_break(frontend);
                return;
        }
        virtio_offer(device, offer->features, offer->n_queues, frontend->type->queue_size,
                     offer->config, offer->config_size);
        device->device_id = frontend->launch.device_id;
}

static void session_start(Frontend *frontend)
{
        frontend->start_wanted = false;
        frontend->rings_running = true;
        frontend->request_logged = false;
        vhost_session_start(frontend->session, &frontend->mmio.device,
                            notify_kick_fds(frontend->notify), notify_call_fd(frontend->notify));
}

static void session_ready(void *userdata, const VhostOffer *offer)
{
        Frontend *frontend = userdata;
        int r;

        frontend->offer = *offer;
        r = notify_prepare(frontend->notify, offer->n_queues);
        if (r < 0) {
                log_error_errno(&frontend->log, r, "cannot make eventfds: %m");
                sd_event_exit(frontend->event, r);
                return;
        }
        offer_apply(frontend);
        if (log_limit_permit(&frontend->backend_limit, frontend_now(frontend)))
                log_full(LOG_INFO, &frontend->log, LOG_ID_BACKEND_ANSWERED, 0,
                         "the backend answered: %u queues, features %#llx", offer->n_queues,
                         (unsigned long long)offer->features);
        if (!frontend->ready) {
                frontend->ready = true;
                sd_notify(0, "READY=1\nSTATUS=Serving the guest");
        }
        frontend->answering = true;
        if (frontend->start_wanted && virtio_is_running(&frontend->mmio.device))
                session_start(frontend);
        requests_serve(frontend);
}

static void session_started(void *userdata)
{
        Frontend *frontend = userdata;
        const VirtioDevice *device = &frontend->mmio.device;

        if (log_limit_permit(&frontend->driver_limit, frontend_now(frontend)))
                log_full(LOG_INFO, &frontend->log, LOG_ID_DRIVER_READY, 0,
                         "the driver is up, features %#llx",
                         (unsigned long long)device->driver_features);
        /* What the driver put into the rings before they ran had no kick that anybody heard. */
        for (uint16_t queue = 0; queue < device->n_queues; queue++) {
                if (device->queues[queue].ready)
                        notify_kick(frontend->notify, queue);
        }
        requests_serve(frontend);
}

static void session_stopped(void *userdata)
{
        Frontend *frontend = userdata;

        offer_apply(frontend);
        requests_serve(frontend);
}

static void session_lost(void *userdata, int error, const char *reason)
{
        Frontend *frontend = userdata;

        if (log_limit_permit(&frontend->backend_limit, frontend_now(frontend)))
                log_error_errno(&frontend->log, error, "lost the backend: %s", reason);
        if (frontend->rings_running && virtio_is_running(&frontend->mmio.device))
                device_break(frontend);
        frontend->rings_running = false;
        requests_serve(frontend);
}

static const VhostSessionOps session_ops = {
        .ready = session_ready,
        .started = session_started,
        .stopped = session_stopped,
        .lost = session_lost,
};

/* The backend has used buffers. */
static void backend_called(void *userdata)
{
        Frontend *frontend = userdata;

        if (!virtio_is_running(&frontend->mmio.device))
                return;
        virtio_interrupt_raise(&frontend->mmio.device, VIRTIO_INTERRUPT_QUEUE);
        interrupt_send(frontend);
}

static void driver_reset(Frontend *frontend)
{
        frontend->start_wanted = false;
        frontend->rings_running = false;
        if (vhost_session_state(frontend->session) == VHOST_SESSION_RUNNING)
                vhost_session_stop(frontend->session);
        else
                offer_apply(frontend);
}

static void driver_notified(Frontend *frontend, uint16_t queue)
{
        /* While the backend is away the kick is lost; each ring is kicked once when it starts. */
        if (vhost_session_state(frontend->session) != VHOST_SESSION_RUNNING)
                return;
        frontend->kick_pending = queue;
        if (!frontend->request_logged) {
                frontend->request_logged = true;
                if (log_limit_permit(&frontend->driver_limit, frontend_now(frontend)))
                        log_full(LOG_INFO, &frontend->log, LOG_ID_FIRST_REQUEST, 0,
                                 "the guest's first request");
        }
}

static void event_handle(Frontend *frontend, VirtioEvent event)
{
        switch (event.type) {
        case VIRTIO_EVENT_NOTIFY:
                driver_notified(frontend, event.queue);
                break;
        case VIRTIO_EVENT_START:
                if (vhost_session_state(frontend->session) == VHOST_SESSION_IDLE)
                        session_start(frontend);
                else
                        frontend->start_wanted = true;
                break;
        case VIRTIO_EVENT_RESET:
                driver_reset(frontend);
                break;
        case VIRTIO_EVENT_QUEUE_STOP:
                if (vhost_session_state(frontend->session) == VHOST_SESSION_RUNNING)
                        vhost_session_queue_stop(frontend->session, event.queue);
                break;
        case VIRTIO_EVENT_BROKEN:
                if (log_limit_permit(&frontend->driver_limit, frontend_now(frontend)))
                        log_warning(&frontend->log, "the driver set up the device wrongly");
                if (frontend->mmio.device.status & VIRTIO_STATUS_DRIVER_OK)
                        interrupt_send(frontend);
                break;
        case VIRTIO_EVENT_QUEUE_START:
        case VIRTIO_EVENT_CONFIG_WRITE:
        case VIRTIO_EVENT_NONE:
        default:
                break;
        }
}

/*
 * Reads are answered from what is known. A write that takes the backend some time is carried out
 * once; it waits, and so do other vCPUs' writes, and is then repeated, which changes nothing more.
 */
static MmioResult driver_access(void *userdata, const MmioAccess *access, uint64_t *ret_data)
{
        Frontend *frontend = userdata;

        if (!frontend->answering)
                return MMIO_WAIT;
        if (access->is_read) {
                *ret_data = virtio_mmio_read(&frontend->mmio, access->offset, access->size);
                return MMIO_DONE;
        }
        if (vhost_session_is_busy(frontend->session))
                return MMIO_WAIT;
        event_handle(frontend, virtio_mmio_write(&frontend->mmio, access->offset, access->size,
                                                 access->data));
        return vhost_session_is_busy(frontend->session) ? MMIO_WAIT : MMIO_DONE;
}

static void driver_answered(void *userdata)
{
        Frontend *frontend = userdata;

        if (frontend->kick_pending == NO_QUEUE)
                return;
        notify_kick(frontend->notify, (uint16_t)frontend->kick_pending);
        frontend->kick_pending = NO_QUEUE;
}

static void memory_invalidated(void *userdata)
{
        Frontend *frontend = userdata;

        vhost_session_memory_changed(frontend->session);
}

static const IoreqOps ioreq_ops = {
        .access = driver_access,
        .answered = driver_answered,
        .invalidate = memory_invalidated,
};

static int events_ready(sd_event_source *source _unused_, int fd _unused_, uint32_t events _unused_,
                        void *userdata)
{
        Frontend *frontend = userdata;
        int r = hypervisor_events_take(frontend->hypervisor);

        if (r < 0)
                hypervisor_failed(frontend, r);
        else if (r > 0)
                requests_serve(frontend);
        return 0;
}

/* A guest that waits any longer takes it for a hang: better there is no device than no guest. */
static int hold_elapsed(sd_event_source *source _unused_, uint64_t usec _unused_, void *userdata)
{
        Frontend *frontend = userdata;

        if (frontend->answering)
                return 0;
        log_error(&frontend->log, "the backend has not answered in time: the guest sees no device");
        frontend->answering = true;
        requests_serve(frontend);
        return 0;
}

static int memory_open(Frontend *frontend)
{
        int n = guest_memory_banks(frontend->launch.memory_kib, frontend->banks);

        if (n < 0)
                return n;
        for (int i = 0; i < n; i++) {
                int r = hypervisor_memory_open(frontend->hypervisor, (unsigned int)i,
                                               &frontend->banks[i], &frontend->memory_fds[i]);

                if (r < 0)
                        return r;
                frontend->mmio.device.banks[i] = frontend->banks[i];
        }
        frontend->mmio.device.n_banks = (uint32_t)n;
        frontend->memory = (VhostMemory){
                .banks = frontend->banks,
                .fds = frontend->memory_fds,
                .n_banks = (unsigned int)n,
        };
        return 0;
}

static int parts_open(Frontend *frontend, const DeviceName *name)
{
        int r;

        r = hypervisor_open(name->domid, frontend->launch.server, &frontend->hypervisor);
        if (r < 0)
                return r;
        r = memory_open(frontend);
        if (r < 0)
                return r;
        r = notify_new(frontend->event, backend_called, frontend, &frontend->notify);
        if (r < 0)
                return r;
        r = vhost_session_new(frontend->event, BACKEND_SOCKET, frontend->type, &frontend->memory,
                              &session_ops, frontend, &frontend->session);
        if (r < 0)
                return r;
        r = sd_event_add_io(frontend->event, &frontend->io,
                            hypervisor_event_fd(frontend->hypervisor), EPOLLIN, events_ready,
                            frontend);
        if (r < 0)
                return r;
        return sd_event_source_set_enabled(frontend->io, SD_EVENT_OFF);
}

int frontend_new(sd_event *event, const DeviceName *name, const Launch *launch,
                 Frontend **ret_frontend)
{
        _cleanup_(frontend_freep) Frontend *frontend = NULL;
        int r;

        frontend = calloc(1, sizeof(*frontend));
        if (!frontend)
                return -ENOMEM;
        frontend->event = sd_event_ref(event);
        frontend->launch = *launch;
        frontend->type = device_type_find(launch->device_id);
        frontend->kick_pending = NO_QUEUE;
        for (int i = 0; i < MEMORY_BANKS_MAX; i++)
                frontend->memory_fds[i] = -1;
        device_name_instance(name, frontend->instance);
        frontend->log = (LogContext){ .device = frontend->instance, .domid = name->domid };

        r = parts_open(frontend, name);
        if (r < 0) {
                log_error_errno(&frontend->log, r, "cannot take over IOREQ server %u: %m",
                                launch->server);
                return r;
        }
        frontend->ioreq = (IoreqServer){
                .hypervisor = frontend->hypervisor,
                .base = launch->base,
                .size = VIRTIO_MMIO_RANGE_SIZE,
                .ops = &ioreq_ops,
                .userdata = frontend,
        };
        *ret_frontend = steal_pointer(frontend);
        return 0;
}

Frontend *frontend_free(Frontend *frontend)
{
        if (!frontend)
                return NULL;
        sd_event_source_disable_unref(frontend->io);
        sd_event_source_disable_unref(frontend->hold);
        vhost_session_free(frontend->session);
        notify_free(frontend->notify);
        for (int i = 0; i < MEMORY_BANKS_MAX; i++)
                fd_closep(&frontend->memory_fds[i]);
        hypervisor_close(frontend->hypervisor);
        sd_event_unref(frontend->event);
        free(frontend);
        return NULL;
}

int frontend_restrict(Frontend *frontend)
{
        return hypervisor_restrict(frontend->hypervisor);
}

int frontend_serve(Frontend *frontend)
{
        int r;

        r = sd_event_add_time_relative(frontend->event, &frontend->hold, CLOCK_MONOTONIC,
                                       FRONTEND_HOLD_USEC, 0, hold_elapsed, frontend);
        if (r < 0)
                return r;
        r = sd_event_source_set_enabled(frontend->io, SD_EVENT_ON);
        if (r < 0)
                return r;
        vhost_session_open(frontend->session);
        /* What waited in the server before we bound its events. */
        return ioreq_serve(&frontend->ioreq);
}
