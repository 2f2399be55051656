/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/hypervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/utsname.h>

#include <xenevtchn.h>
#include <xentoolcore.h>

#include <xen/hvm/dm_op.h>
#include <xen/hvm/ioreq.h>
#include <xen/memory.h>

#include "frontend/privcmd.h"

#define GNTDEV_DEVICE "/dev/xen/gntdev"

/* The ioreq page is frame 1 of the resource; frame 0 is the buffered one, which we do without. */
#define IOREQ_PAGE_FRAME 1

/* What Linux knows of virtio-mmio: the register QUEUE_NOTIFY, and how it is written. */
#define KICK_REGISTER 0x50
#define KICK_SIZE     4

/* A write that the kernel answers. */
typedef struct Kick {
        uint64_t address;
        uint16_t queue;
} Kick;

struct Hypervisor {
        domid_t domid;
        int privcmd;
        xenevtchn_handle *events;
        shared_iopage_t *page;
        unsigned int n_vcpus;
        evtchn_port_t ports[HYPERVISOR_VCPUS_MAX];
        evtchn_port_t masked[HYPERVISOR_VCPUS_MAX];
        size_t n_masked;
        bool taken[HYPERVISOR_VCPUS_MAX]; /* a request that we alone touch until it is completed */

        Kick kicks[HYPERVISOR_KICKS_MAX];
        unsigned int n_kicks;
};

static int page_map(Hypervisor *hypervisor, ioservid_t server)
{
        void *page;
        int r = privcmd_map_frame(hypervisor->privcmd, hypervisor->domid,
                                  XENMEM_resource_ioreq_server, server, IOREQ_PAGE_FRAME, &page);

        if (r < 0)
                return r == -ENOENT || r == -ESRCH || r == -EINVAL ? -ENODEV : r;
        hypervisor->page = page;
        return 0;
}

/* Returns a number, or a negative errno. */
static int vcpus_count(const Hypervisor *hypervisor)
{
        struct xen_dm_op count = { .op = XEN_DMOP_nr_vcpus };
        int r = privcmd_dm_op(hypervisor->privcmd, hypervisor->domid, &count, sizeof(count));

        if (r < 0)
                return r;
        return count.u.nr_vcpus.vcpus <= HYPERVISOR_VCPUS_MAX ? (int)count.u.nr_vcpus.vcpus
                                                              : -E2BIG;
}

/*
 * Xen allocated an unbound port for each vCPU when the server was enabled; after the process that
 * was bound to it dies it is unbound again. Binding makes it pending here, so that no request is
 * missed; the guest's side is notified because a predecessor may have died between an answer and
 * its notification. A vCPU that has no answer looks, and goes on waiting.
 */
static int ports_bind(Hypervisor *hypervisor)
{
        const int n_vcpus = vcpus_count(hypervisor);

        if (n_vcpus < 0)
                return n_vcpus;
        for (int i = 0; i < n_vcpus; i++) {
                xenevtchn_port_or_error_t port =
                        xenevtchn_bind_interdomain(hypervisor->events, hypervisor->domid,
                                                   hypervisor->page->vcpu_ioreq[i].vp_eport);

                if (port < 0)
                        return -errno;
                hypervisor->ports[i] = (evtchn_port_t)port;
                if (xenevtchn_notify(hypervisor->events, hypervisor->ports[i]) < 0)
                        return -errno;
        }
        hypervisor->n_vcpus = (unsigned int)n_vcpus;
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
        hypervisor->privcmd = -1;

        r = privcmd_open(domid, &hypervisor->privcmd);
        if (r < 0)
                return r;
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
        if (hypervisor->page)
                munmap(hypervisor->page, HYPERVISOR_VCPUS_MAX * sizeof(ioreq_t));
        if (hypervisor->events)
                xenevtchn_close(hypervisor->events);
        fd_closep(&hypervisor->privcmd);
        free(hypervisor);
        return NULL;
}

int hypervisor_memory_open(Hypervisor *hypervisor, unsigned int index _unused_,
                           const MemoryBank *bank _unused_, int *ret_fd)
{
        return privcmd_open(hypervisor->domid, ret_fd);
}

int hypervisor_grants_open(int *ret_fd)
{
        int fd = open(GNTDEV_DEVICE, O_RDWR | O_CLOEXEC);

        if (fd < 0)
                return -errno;
        *ret_fd = fd;
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

static void request_copy(const volatile ioreq_t *shared, IoRequest *ret_request)
{
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
}

/* Whether the kernel answers this request: as drivers/xen/privcmd.c compares it. */
static bool kernel_answers(const Hypervisor *hypervisor, const IoRequest *request)
{
        if (request->type != IO_REQUEST_COPY || request->is_read || request->size != KICK_SIZE)
                return false;
        for (unsigned int i = 0; i < hypervisor->n_kicks; i++) {
                if (request->address == hypervisor->kicks[i].address + KICK_REGISTER &&
                    (uint16_t)request->data == hypervisor->kicks[i].queue)
                        return true;
        }
        return false;
}

static bool is_masked(const Hypervisor *hypervisor, evtchn_port_t port)
{
        for (size_t i = 0; i < hypervisor->n_masked; i++) {
                if (hypervisor->masked[i] == port)
                        return true;
        }
        return false;
}

/*
 * While kicks are bound, an event runs the kernel's handler and tells us, in either order. Until we
 * unmask the port, the handler runs this once, so it touches the slot for one kick at most. A
 * request that is no kick is therefore ours, if it was copied as a whole: the first copy may have
 * come from a kick that was just being answered and the request after it, the second is then the
 * latter.
 */
static bool request_find_shared(const Hypervisor *hypervisor, unsigned int vcpu,
                                IoRequest *ret_request)
{
        const volatile ioreq_t *shared = &hypervisor->page->vcpu_ioreq[vcpu];

        if (!is_masked(hypervisor, hypervisor->ports[vcpu]))
                return false;
        for (int copy = 0; copy < 2; copy++) {
                if (shared->state != STATE_IOREQ_READY)
                        return false;
                request_copy(shared, ret_request);
                if (kernel_answers(hypervisor, ret_request))
                        return false;
        }
        return true;
}

int hypervisor_request_take(Hypervisor *hypervisor, unsigned int vcpu, IoRequest *ret_request)
{
        volatile ioreq_t *shared = &hypervisor->page->vcpu_ioreq[vcpu];

        if (hypervisor->n_kicks > 0 && !hypervisor->taken[vcpu]) {
                if (!request_find_shared(hypervisor, vcpu, ret_request))
                        return 0;
        } else {
                /* INPROCESS: taken before and not completed, by this process or its predecessor. */
                if (shared->state != STATE_IOREQ_READY && shared->state != STATE_IOREQ_INPROCESS)
                        return 0;
                request_copy(shared, ret_request);
        }
        hypervisor->taken[vcpu] = true;
        shared->state = STATE_IOREQ_INPROCESS;
        return 1;
}

int hypervisor_request_complete(Hypervisor *hypervisor, unsigned int vcpu, uint64_t data)
{
        volatile ioreq_t *shared = &hypervisor->page->vcpu_ioreq[vcpu];

        hypervisor->taken[vcpu] = false;
        if (shared->dir == IOREQ_READ)
                shared->data = data;
        /* Xen reads the data as soon as it sees the state. */
        atomic_thread_fence(memory_order_release);
        shared->state = STATE_IORESP_READY;
        return xenevtchn_notify(hypervisor->events, hypervisor->ports[vcpu]) < 0 ? -errno : 0;
}

/* libxl describes the interrupt as edge-triggered: Xen ignores the level going down. */
static struct xen_dm_op raise_of(uint32_t irq)
{
        return (struct xen_dm_op){
                .op = XEN_DMOP_set_irq_level,
                .u.set_irq_level = { .irq = irq, .level = 1 },
        };
}

int hypervisor_interrupt(Hypervisor *hypervisor, uint32_t irq)
{
        struct xen_dm_op raise = raise_of(irq);

        return privcmd_dm_op(hypervisor->privcmd, hypervisor->domid, &raise, sizeof(raise));
}

int hypervisor_page_map(Hypervisor *hypervisor, uint64_t address, void **ret_page)
{
        return privcmd_map_page(hypervisor->privcmd, hypervisor->domid, address / GUEST_PAGE_SIZE,
                                ret_page);
}

void hypervisor_page_unmap(Hypervisor *hypervisor _unused_, void *page)
{
        munmap(page, GUEST_PAGE_SIZE);
}

void hypervisor_notify_probe(Hypervisor *hypervisor, NotifyProbe *ret_probe)
{
        struct utsname name;
        int r;

        *ret_probe = (NotifyProbe){ 0 };
        if (uname(&name) == 0)
                snprintf(ret_probe->release, sizeof(ret_probe->release), "%s", name.release);

        r = privcmd_irqfd(hypervisor->privcmd, &(PrivcmdIrqfd){ .flags = PRIVCMD_PROBE });
        ret_probe->irqfd = r == -EINVAL ? 0 : r;
        r = privcmd_ioeventfd(hypervisor->privcmd, &(PrivcmdIoeventfd){ .flags = PRIVCMD_PROBE });
        ret_probe->ioeventfd = r == -EINVAL ? 0 : r;
}

int hypervisor_call_bind(Hypervisor *hypervisor, int call_fd, uint32_t irq)
{
        const struct xen_dm_op raise = raise_of(irq);

        return privcmd_irqfd(hypervisor->privcmd, &(PrivcmdIrqfd){
                                                          .dm_op = (uintptr_t)&raise,
                                                          .size = sizeof(raise),
                                                          .event_fd = (uint32_t)call_fd,
                                                          .domid = hypervisor->domid,
                                                  });
}

void hypervisor_call_unbind(Hypervisor *hypervisor, int call_fd)
{
        int r = privcmd_irqfd(hypervisor->privcmd, &(PrivcmdIrqfd){
                                                           .event_fd = (uint32_t)call_fd,
                                                           .flags = PRIVCMD_DEASSIGN,
                                                           .domid = hypervisor->domid,
                                                   });

        /* It fails only for what is no eventfd. */
        (void)r;
}

static PrivcmdIoeventfd ioeventfd_of(const Hypervisor *hypervisor, uint64_t base, uint16_t queue,
                                     int kick_fd)
{
        return (PrivcmdIoeventfd){
                .ioreq = (uintptr_t)hypervisor->page,
                .ports = (uintptr_t)hypervisor->ports,
                .address = base,
                .length = KICK_SIZE,
                .event_fd = (uint32_t)kick_fd,
                .n_vcpus = hypervisor->n_vcpus,
                .queue = queue,
                .domid = hypervisor->domid,
        };
}

/*
 * Requests that wait when the first kick is bound, and whose event was heard before: the kernel
 * will not be told of them. What it finds in state INPROCESS it leaves alone.
 */
static void requests_keep(Hypervisor *hypervisor)
{
        for (unsigned int i = 0; i < hypervisor->n_vcpus; i++) {
                const volatile ioreq_t *shared = &hypervisor->page->vcpu_ioreq[i];

                if (is_masked(hypervisor, hypervisor->ports[i]) &&
                    shared->state == STATE_IOREQ_READY)
                        hypervisor->taken[i] = true;
        }
}

int hypervisor_kick_bind(Hypervisor *hypervisor, uint64_t base, uint16_t queue, int kick_fd)
{
        const PrivcmdIoeventfd ioeventfd = ioeventfd_of(hypervisor, base, queue, kick_fd);
        int r;

        if (hypervisor->n_kicks == HYPERVISOR_KICKS_MAX)
                return -ENOSPC;
        if (hypervisor->n_kicks == 0)
                requests_keep(hypervisor);
        r = privcmd_ioeventfd(hypervisor->privcmd, &ioeventfd);
        if (r < 0)
                return r;
        hypervisor->kicks[hypervisor->n_kicks++] = (Kick){ .address = base, .queue = queue };
        return 0;
}

void hypervisor_kick_unbind(Hypervisor *hypervisor, uint64_t base, uint16_t queue, int kick_fd)
{
        PrivcmdIoeventfd ioeventfd = ioeventfd_of(hypervisor, base, queue, kick_fd);
        int r;

        ioeventfd.flags = PRIVCMD_DEASSIGN;
        r = privcmd_ioeventfd(hypervisor->privcmd, &ioeventfd);
        (void)r; /* it fails only for what was not bound */
        for (unsigned int i = 0; i < hypervisor->n_kicks; i++) {
                if (hypervisor->kicks[i].address == base && hypervisor->kicks[i].queue == queue)
                        hypervisor->kicks[i--] = hypervisor->kicks[--hypervisor->n_kicks];
        }
}
