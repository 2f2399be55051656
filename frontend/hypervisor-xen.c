/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/hypervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <xendevicemodel.h>
#include <xenevtchn.h>
#include <xenforeignmemory.h>
#include <xentoolcore.h>

#include <xen/hvm/dm_op.h>
#include <xen/hvm/ioreq.h>
#include <xen/memory.h>

/* include/uapi/xen/privcmd.h of Linux; the libraries restrict only their own descriptors. */
#define PRIVCMD_DEVICE         "/dev/xen/privcmd"
#define IOCTL_PRIVCMD_RESTRICT _IOC(_IOC_NONE, 'P', 6, sizeof(domid_t))

/* The ioreq page is frame 1 of the resource; frame 0 is the buffered one, which we do without. */
#define IOREQ_PAGE_FRAME 1

struct Hypervisor {
        domid_t domid;
        xendevicemodel_handle *device_model;
        xenevtchn_handle *events;
        xenforeignmemory_handle *foreign_memory;
        xenforeignmemory_resource_handle *page_resource;
        shared_iopage_t *page;
        unsigned int n_vcpus;
        evtchn_port_t ports[HYPERVISOR_VCPUS_MAX];
        evtchn_port_t masked[HYPERVISOR_VCPUS_MAX];
        size_t n_masked;
};

static int page_map(Hypervisor *hypervisor, ioservid_t server)
{
        void *page = NULL;

        hypervisor->page_resource = xenforeignmemory_map_resource(
                hypervisor->foreign_memory, hypervisor->domid, XENMEM_resource_ioreq_server, server,
                IOREQ_PAGE_FRAME, 1, &page, PROT_READ | PROT_WRITE, 0);
        if (!hypervisor->page_resource)
                return errno == ENOENT || errno == ESRCH || errno == EINVAL ? -ENODEV : -errno;
        hypervisor->page = page;
        return 0;
}

/*
 * Xen allocated an unbound port for each vCPU when the server was enabled; after the process that
 * was bound to it dies it is unbound again. Binding makes it pending here, so that no request is
 * missed; the guest's side is notified because a predecessor may have died between an answer and
 * its notification. A vCPU that has no answer looks, and goes on waiting.
 */
static int ports_bind(Hypervisor *hypervisor)
{
        unsigned int n_vcpus;

        if (xendevicemodel_nr_vcpus(hypervisor->device_model, hypervisor->domid, &n_vcpus) < 0)
                return -errno;
        if (n_vcpus > HYPERVISOR_VCPUS_MAX)
                return -E2BIG;

        for (unsigned int i = 0; i < n_vcpus; i++) {
                xenevtchn_port_or_error_t port =
                        xenevtchn_bind_interdomain(hypervisor->events, hypervisor->domid,
                                                   hypervisor->page->vcpu_ioreq[i].vp_eport);

                if (port < 0)
                        return -errno;
                hypervisor->ports[i] = (evtchn_port_t)port;
                if (xenevtchn_notify(hypervisor->events, hypervisor->ports[i]) < 0)
                        return -errno;
        }
        hypervisor->n_vcpus = n_vcpus;
        return 0;
}

int hypervisor_open(uint16_t domid, uint16_t server, Hypervisor **ret_hypervisor)
{
        _cleanup_(hypervisor_closep) Hypervisor *hypervisor = NULL;
        int flags, r;

        hypervisor = calloc(1, sizeof(*hypervisor));
        if (!hypervisor)
                return -ENOMEM;
        hypervisor->domid = domid;

        hypervisor->device_model = xendevicemodel_open(/* logger= */ NULL, 0);
        if (!hypervisor->device_model)
                return -errno;
        hypervisor->foreign_memory = xenforeignmemory_open(/* logger= */ NULL, 0);
        if (!hypervisor->foreign_memory)
                return -errno;
        hypervisor->events = xenevtchn_open(/* logger= */ NULL, 0);
        if (!hypervisor->events)
                return -errno;
        flags = fcntl(xenevtchn_fd(hypervisor->events), F_GETFL);
        if (flags < 0 || fcntl(xenevtchn_fd(hypervisor->events), F_SETFL, flags | O_NONBLOCK) < 0)
                return -errno;

        r = page_map(hypervisor, server);
        if (r < 0)
                return r;
        r = ports_bind(hypervisor);
        if (r < 0)
                return r;

        *ret_hypervisor = steal_pointer(hypervisor);
        return 0;
}

Hypervisor *hypervisor_close(Hypervisor *hypervisor)
{
        if (!hypervisor)
                return NULL;
        if (hypervisor->page_resource)
                xenforeignmemory_unmap_resource(hypervisor->foreign_memory,
                                                hypervisor->page_resource);
        if (hypervisor->events)
                xenevtchn_close(hypervisor->events);
        if (hypervisor->foreign_memory)
                xenforeignmemory_close(hypervisor->foreign_memory);
        if (hypervisor->device_model)
                xendevicemodel_close(hypervisor->device_model);
        free(hypervisor);
        return NULL;
}

int hypervisor_memory_open(Hypervisor *hypervisor, unsigned int index,
                           const MemoryBank *bank _unused_, int *ret_fd)
{
        _cleanup_fd_ int fd = open(PRIVCMD_DEVICE, O_RDWR | O_CLOEXEC);

        if (fd < 0)
                return -errno;
        if (ioctl(fd, IOCTL_PRIVCMD_RESTRICT, &hypervisor->domid) < 0)
                return -errno;
        if (fcntl(fd, F_SETSIG, (int)index + 1) < 0)
                return -errno;

        *ret_fd = steal_fd(&fd);
        return 0;
}

int hypervisor_restrict(Hypervisor *hypervisor)
{
        return xentoolcore_restrict_all(hypervisor->domid) < 0 ? -errno : 0;
}

unsigned int hypervisor_n_vcpus(const Hypervisor *hypervisor)
{
        return hypervisor->n_vcpus;
}

int hypervisor_event_fd(const Hypervisor *hypervisor)
{
        return xenevtchn_fd(hypervisor->events);
}

/*
 * The device is read and written directly (drivers/xen/evtchn.c of Linux: reading gives pending
 * ports, writing unmasks ports), because the library takes one port for each system call.
 */
int hypervisor_events_take(Hypervisor *hypervisor)
{
        ssize_t n = read(
                xenevtchn_fd(hypervisor->events), hypervisor->masked + hypervisor->n_masked,
                sizeof(hypervisor->masked) - hypervisor->n_masked * sizeof(hypervisor->masked[0]));

        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        hypervisor->n_masked += (size_t)n / sizeof(hypervisor->masked[0]);
        return (int)((size_t)n / sizeof(hypervisor->masked[0]));
}

int hypervisor_events_unmask(Hypervisor *hypervisor)
{
        const size_t size = hypervisor->n_masked * sizeof(hypervisor->masked[0]);
        ssize_t n;

        if (size == 0)
                return 0;
        hypervisor->n_masked = 0;
        n = write(xenevtchn_fd(hypervisor->events), hypervisor->masked, size);
        return n < 0 ? -errno : 0;
}

int hypervisor_request_take(Hypervisor *hypervisor, unsigned int vcpu, IoRequest *ret_request)
{
        ioreq_t *slot = &hypervisor->page->vcpu_ioreq[vcpu];
        volatile ioreq_t *shared = slot;

        /* INPROCESS: taken before and not completed, be it by this process or its predecessor. */
        if (shared->state != STATE_IOREQ_READY && shared->state != STATE_IOREQ_INPROCESS)
                return 0;
        atomic_thread_fence(memory_order_acquire);
        *ret_request = (IoRequest){
                .address = shared->addr,
                .data = shared->data,
                .size = shared->size,
                .count = shared->count,
                .type = shared->type,
                .is_read = shared->dir == IOREQ_READ,
                .data_is_pointer = shared->data_is_ptr,
        };
        shared->state = STATE_IOREQ_INPROCESS;
        return 1;
}

int hypervisor_request_complete(Hypervisor *hypervisor, unsigned int vcpu, uint64_t data)
{
        volatile ioreq_t *shared = &hypervisor->page->vcpu_ioreq[vcpu];

        if (shared->dir == IOREQ_READ)
                shared->data = data;
        /* Xen reads the data as soon as it sees the state. */
        atomic_thread_fence(memory_order_release);
        shared->state = STATE_IORESP_READY;
        return xenevtchn_notify(hypervisor->events, hypervisor->ports[vcpu]) < 0 ? -errno : 0;
}

int hypervisor_interrupt(Hypervisor *hypervisor, uint32_t irq)
{
        /* libxl describes the interrupt as edge-triggered: Xen ignores the level going down. */
        return xendevicemodel_set_irq_level(hypervisor->device_model, hypervisor->domid, irq, 1) < 0
                       ? -errno
                       : 0;
}
