/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/frontend.h"

#include <errno.h>
#include <sys/epoll.h>
#include <systemd/sd-daemon.h>

#include "common/log.h"
#include "frontend/device.h"
#include "frontend/hypervisor.h"
#include "frontend/ioreq.h"
#include "frontend/seeded-memory.h"

struct Frontend {
        sd_event *event;
        char instance[DEVICE_INSTANCE_MAX];
        LogContext log;

        Hypervisor *hypervisor;
        MemoryBank banks[MEMORY_BANKS_MAX];
        int memory_fds[MEMORY_BANKS_MAX];
        GrantSets grants;
        VhostMemory memory;
        IoreqServer ioreq;
        sd_event_source *io;
        uint64_t base; /* of the device's registers */
        Device *device;
};

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

static void device_ready(void *userdata _unused_)
{
        sd_notify(0, "READY=1");
}

static void device_unblocked(void *userdata)
{
        requests_serve(userdata);
}

static void device_failed(void *userdata, int error)
{
        Frontend *frontend = userdata;

        sd_event_exit(frontend->event, error);
}

static void device_left(void *userdata)
{
        Frontend *frontend = userdata;

        sd_event_exit(frontend->event, 0);
}

static const DeviceOps device_ops = {
        .ready = device_ready,
        .unblocked = device_unblocked,
        .left = device_left,
        .failed = device_failed,
};

static MmioResult device_find(void *userdata, uint64_t base, void **ret_device)
{
        Frontend *frontend = userdata;

        *ret_device = base == frontend->base ? frontend->device : NULL;
        return MMIO_DONE;
}

static MmioResult guest_accessed(void *device, const MmioAccess *access, uint64_t *ret_data)
{
        return device_access(device, access, ret_data);
}

static void guest_answered(void *device)
{
        device_answered(device);
}

static void memory_invalidated(void *userdata)
{
        Frontend *frontend = userdata;

        device_memory_changed(frontend->device);
}

static const IoreqOps ioreq_ops = {
        .find = device_find,
        .access = guest_accessed,
        .answered = guest_answered,
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

static int banks_open(Frontend *frontend, const Launch *launch)
{
        int n = guest_memory_banks(launch->memory_kib, frontend->banks);

        if (n < 0)
                return n;
        if (launch->memory == MEMORY_SEED) {
                int r = seeded_memory_open(frontend->log.domid, frontend->banks, (unsigned int)n,
                                           &frontend->log, &frontend->grants);

                return r < 0 ? r : n;
        }
        for (int i = 0; i < n; i++) {
                int r = hypervisor_memory_open(frontend->hypervisor, (unsigned int)i,
                                               &frontend->banks[i], &frontend->memory_fds[i]);

                if (r < 0)
                        return r;
        }
        return n;
}

/* Of the guest's memory nothing can be mapped then but what it grants. */
static int grants_open(Frontend *frontend)
{
        GrantSets *grants = &frontend->grants;

        frontend->banks[0] = (MemoryBank){ GUEST_GRANTS_BASE, GUEST_GRANTS_SIZE };
        while (grants->n < GRANT_SETS_MAX) {
                GrantSet set = GRANT_SET_NONE;
                int r = hypervisor_grants_open(frontend->hypervisor, &set.fds[0]);

                if (r < 0)
                        return r;
                grants->sets[grants->n++] = set;
        }
        return 1;
}

static int memory_open(Frontend *frontend, uint16_t domid, const Launch *launch)
{
        int n = launch->grant_usage ? grants_open(frontend) : banks_open(frontend, launch);

        if (n < 0)
                return n;
        frontend->memory = (VhostMemory){
                .domid = domid,
                .banks = frontend->banks,
                .n_banks = (unsigned int)n,
                .fds = frontend->memory_fds,
                .grants = launch->grant_usage,
                .choice = launch->memory,
                .sets = frontend->grants.n > 0 ? &frontend->grants : NULL,
        };
        return 0;
}

static int server_open(Frontend *frontend, const DeviceName *name, const Launch *launch)
{
        int r;

        r = hypervisor_open(name->domid, launch->server, &frontend->hypervisor);
        if (r < 0)
                return r;
        frontend->base = launch->base;
        frontend->ioreq = (IoreqServer){
                .hypervisor = frontend->hypervisor,
                .ops = &ioreq_ops,
                .userdata = frontend,
        };
        r = sd_event_add_io(frontend->event, &frontend->io,
                            hypervisor_event_fd(frontend->hypervisor), EPOLLIN, events_ready,
                            frontend);
        if (r < 0)
                return r;
        return sd_event_source_set_enabled(frontend->io, SD_EVENT_OFF);
}

static int device_open(Frontend *frontend, const DeviceName *name, const Launch *launch)
{
        const DeviceParts parts = {
                .event = frontend->event,
                .hypervisor = frontend->hypervisor,
                .memory = &frontend->memory,
                .name = name,
                .launch = launch,
                .ops = &device_ops,
                .userdata = frontend,
        };

        return device_new(&parts, &frontend->device);
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
        for (int i = 0; i < MEMORY_BANKS_MAX; i++)
                frontend->memory_fds[i] = -1;
        device_name_instance(name, frontend->instance);
        frontend->log = (LogContext){ .device = frontend->instance, .domid = name->domid };

        r = server_open(frontend, name, launch);
        if (r < 0) {
                log_error_errno(&frontend->log, r, "cannot take over IOREQ server %u: %m",
                                launch->server);
                return r;
        }
        r = memory_open(frontend, name->domid, launch);
        if (r < 0) {
                log_error_errno(&frontend->log, r, "cannot get at the guest's memory: %m");
                return r;
        }
        r = device_open(frontend, name, launch);
        if (r < 0) {
                log_error_errno(&frontend->log, r, "cannot make the device: %m");
                return r;
        }
        *ret_frontend = steal_pointer(frontend);
        return 0;
}

Frontend *frontend_free(Frontend *frontend)
{
        if (!frontend)
                return NULL;
        sd_event_source_disable_unref(frontend->io);
        device_free(frontend->device);
        for (int i = 0; i < MEMORY_BANKS_MAX; i++)
                fd_closep(&frontend->memory_fds[i]);
        grant_sets_close(&frontend->grants);
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

        r = device_serve(frontend->device);
        if (r < 0)
                return r;
        r = sd_event_source_set_enabled(frontend->io, SD_EVENT_ON);
        if (r < 0)
                return r;
        /* What waited in the server before we bound its events. */
        return ioreq_serve(&frontend->ioreq);
}

void frontend_leave(Frontend *frontend)
{
        device_leave(frontend->device);
}
