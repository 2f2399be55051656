/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/frontend.h"

#include <errno.h>
#include <stdio.h>
#include <systemd/sd-daemon.h>

#include "common/log.h"
#include "frontend/device.h"
#include "frontend/hypervisor.h"
#include "frontend/ioreq.h"
#include "frontend/members.h"
#include "frontend/seeded-memory.h"

struct Frontend {
        Loop *loop;
        char instance[DEVICE_INSTANCE_MAX];
        LogContext log;
        uint16_t domid;
        bool is_shared;
        Launch launch; /* only what all devices have in common */

        Hypervisor *hypervisor;
        NotifyProbe probe;
        MemoryBank banks[MEMORY_BANKS_MAX];
        int memory_fds[MEMORY_BANKS_MAX], file_fds[MEMORY_BANKS_MAX];
        GrantSets seeded; /* for a device that is served alone */
        VhostMemory memory;
        IoreqServer ioreq;

        Members *members;
        bool is_serving;
        bool is_patient; /* accesses to ranges without a device wait; not for ever: */
        LoopTimer patience;
};

/* Nothing works without the hypervisor's interface; systemd and the orchestrator start us anew. */
static void hypervisor_failed(Frontend *frontend, int error)
{
        log_error_errno(&frontend->log, error, "the hypervisor's interface failed: %m");
        loop_exit(frontend->loop, error);
}

static void requests_serve(Frontend *frontend)
{
        int r;

        if (!frontend->is_serving)
                return;
        r = ioreq_serve(&frontend->ioreq);
        if (r < 0)
                hypervisor_failed(frontend, r);
}

/* There is news of devices, or soon will be. */
static void patience_renew(Frontend *frontend)
{
        frontend->is_patient = frontend->is_shared;
        loop_timer_stop(&frontend->patience);
}

/*
 * A range is claimed before its device gets here. A guest that waits any longer takes it for a
 * hang: better there is no device than no guest.
 */
static void patience_elapsed(void *userdata)
{
        Frontend *frontend = userdata;

        log_error(&frontend->log, "the guest waits for a device that is not served: it sees none");
        frontend->is_patient = false;
        requests_serve(frontend);
}

static MmioResult absent_access(Frontend *frontend)
{
        if (!frontend->is_patient)
                return MMIO_DONE;
        if (!frontend->patience.is_on)
                loop_timer_start(&frontend->patience, DEVICE_HOLD_USEC);
        return MMIO_WAIT;
}

static void device_ready(void *userdata)
{
        const Frontend *frontend = userdata;

        if (!frontend->is_shared)
                sd_notify(0, "READY=1");
}

static void device_unblocked(void *userdata)
{
        requests_serve(userdata);
}

static void device_failed(void *userdata, int error)
{
        Frontend *frontend = userdata;

        patience_renew(frontend);
        if (frontend->is_shared)
                return;
        /* What the guest does until this process ends is the next one's to answer. */
        frontend->is_patient = true;
        loop_exit(frontend->loop, error);
}

static void device_left(void *userdata)
{
        Frontend *frontend = userdata;

        loop_exit(frontend->loop, 0);
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

        *ret_device = members_find(frontend->members, base);
        if (*ret_device || !members_may_come(frontend->members, base))
                return MMIO_DONE;
        return absent_access(frontend);
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

        members_memory_changed(frontend->members);
}

static const IoreqOps ioreq_ops = {
        .find = device_find,
        .access = guest_accessed,
        .answered = guest_answered,
        .invalidate = memory_invalidated,
};

static void events_ready(void *userdata)
{
        Frontend *frontend = userdata;
        int r = hypervisor_events_take(frontend->hypervisor);

        if (r < 0)
                hypervisor_failed(frontend, r);
        else if (r > 0)
                requests_serve(frontend);
}

static int banks_open(Frontend *frontend, int *fds)
{
        for (unsigned int i = 0; i < frontend->memory.n_banks; i++) {
                int r = hypervisor_memory_open(frontend->hypervisor, i, &frontend->banks[i],
                                               &fds[i]);

                if (r < 0)
                        return r;
        }
        return 0;
}

/* Each bank twice, if several backends may want the one and the other: a mark is the open file's.
 */
static int ram_open(Frontend *frontend)
{
        int r = banks_open(frontend, frontend->memory_fds);

        if (r < 0 || !frontend->is_shared)
                return r;
        frontend->memory.file_fds = frontend->file_fds;
        return banks_open(frontend, frontend->file_fds);
}

static int seeded_open(Frontend *frontend)
{
        frontend->memory.sets = &frontend->seeded;
        return seeded_memory_open(frontend->domid, frontend->banks, frontend->memory.n_banks,
                                  &frontend->log, &frontend->seeded);
}

static int memory_open(Frontend *frontend)
{
        const Launch *launch = &frontend->launch;
        int n = guest_memory_banks(launch->memory_kib, frontend->banks);

        if (n < 0)
                return n;
        frontend->memory = (VhostMemory){
                .domid = frontend->domid,
                .banks = frontend->banks,
                .n_banks = (unsigned int)n,
                .fds = frontend->memory_fds,
                .file_fds = frontend->memory_fds,
        };
        if (frontend->is_shared)
                return ram_open(frontend);
        if (launch->grant_usage) /* it gets at nothing but what the guest grants */
                return 0;
        return launch->memory == MEMORY_SEED ? seeded_open(frontend) : ram_open(frontend);
}

static int server_open(Frontend *frontend)
{
        int r;

        r = hypervisor_open(frontend->domid, frontend->launch.server, &frontend->hypervisor);
        if (r < 0)
                return r;
        hypervisor_notify_probe(frontend->hypervisor, &frontend->probe);
        frontend->ioreq = (IoreqServer){
                .hypervisor = frontend->hypervisor,
                .ops = &ioreq_ops,
                .userdata = frontend,
        };
        return 0;
}

static int members_open(Frontend *frontend, DescriptorStore *store)
{
        const DeviceParts parts = {
                .loop = frontend->loop,
                .hypervisor = frontend->hypervisor,
                .probe = &frontend->probe,
                .memory = &frontend->memory,
                .store = frontend->is_shared ? NULL : store,
                .ops = &device_ops,
                .userdata = frontend,
        };

        loop_timer_init(&frontend->patience, frontend->loop, patience_elapsed, frontend);
        patience_renew(frontend);
        return members_new(&parts, &frontend->launch, &frontend->members);
}

int frontend_new(const FrontendParts *parts, Frontend **ret_frontend)
{
        _cleanup_(frontend_freep) Frontend *frontend = NULL;
        int r;

        frontend = calloc(1, sizeof(*frontend));
        if (!frontend) {
                log_error_errno(NULL, -ENOMEM, "%s: %m", parts->instance);
                return -ENOMEM;
        }
        frontend->loop = parts->loop;
        frontend->domid = parts->domid;
        frontend->is_shared = parts->is_shared;
        frontend->launch = *parts->launch;
        for (int i = 0; i < MEMORY_BANKS_MAX; i++)
                frontend->memory_fds[i] = frontend->file_fds[i] = -1;
        snprintf(frontend->instance, sizeof(frontend->instance), "%s", parts->instance);
        frontend->log = (LogContext){ .device = frontend->instance, .domid = parts->domid };

        r = server_open(frontend);
        if (r < 0) {
                log_error_errno(&frontend->log, r, "cannot take over IOREQ server %u: %m",
                                frontend->launch.server);
                return r;
        }
        r = memory_open(frontend);
        if (r < 0) {
                log_error_errno(&frontend->log, r, "cannot get at the guest's memory: %m");
                return r;
        }
        r = members_open(frontend, parts->store);
        if (r < 0) {
                log_error_errno(&frontend->log, r, "cannot prepare for devices: %m");
                return r;
        }
        *ret_frontend = steal_pointer(frontend);
        return 0;
}

Frontend *frontend_free(Frontend *frontend)
{
        if (!frontend)
                return NULL;
        if (frontend->is_serving)
                loop_unwatch(frontend->loop, hypervisor_event_fd(frontend->hypervisor));
        loop_timer_stop(&frontend->patience);
        members_free(frontend->members);
        for (int i = 0; i < MEMORY_BANKS_MAX; i++) {
                fd_closep(&frontend->memory_fds[i]);
                fd_closep(&frontend->file_fds[i]);
        }
        grant_sets_close(&frontend->seeded);
        hypervisor_close(frontend->hypervisor);
        free(frontend);
        return NULL;
}

int frontend_restrict(Frontend *frontend)
{
        return hypervisor_restrict(frontend->hypervisor);
}

int frontend_add(Frontend *frontend, const DeviceName *name, DeviceFiles *files)
{
        int r = members_add(frontend->members, name, files);

        patience_renew(frontend);
        requests_serve(frontend);
        return r;
}

void frontend_keep(Frontend *frontend, const DeviceList *list)
{
        members_keep(frontend->members, list);
        patience_renew(frontend);
        requests_serve(frontend);
}

int frontend_serve(Frontend *frontend)
{
        int r;

        r = loop_watch(frontend->loop, hypervisor_event_fd(frontend->hypervisor), events_ready,
                       frontend);
        if (r >= 0) {
                if (frontend->is_shared)
                        sd_notify(0, "READY=1");
                frontend->is_serving = true;
                /* What waited in the server before we bound its events. */
                r = ioreq_serve(&frontend->ioreq);
        }
        if (r < 0)
                hypervisor_failed(frontend, r);
        return r < 0 ? r : 0;
}

void frontend_leave(Frontend *frontend, bool keep)
{
        members_leave(frontend->members, keep);
}
