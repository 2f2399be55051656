/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * All that a frontend wants of the hypervisor, for one guest and one IOREQ server that somebody
 * else has claimed. hypervisor-xen.c does it on Xen; tests/sim/hypervisor-sim.c does it for the
 * simulation, with Xen's rules. Nothing else in the frontend includes a Xen header.
 */

#include <stdint.h>

#include "common/guest-memory.h"
#include "common/macros.h"
#include "frontend/notify-path.h"

typedef struct Hypervisor Hypervisor;

/* A vCPU's access to the claimed range, copied once out of the page shared with Xen. */
typedef struct IoRequest {
        uint64_t address; /* guest-physical */
        uint64_t data;    /* what is written; meaningless for reads */
        uint32_t size;    /* bytes, as the hypervisor says: not checked */
        uint32_t count;   /* repetitions: 1 but for x86 string instructions */
        uint8_t type;     /* IO_REQUEST_*, or anything: not checked */
        bool is_read;
        bool data_is_pointer; /* x86 only: data is a guest address */
} IoRequest;

/* IOREQ_TYPE_COPY and IOREQ_TYPE_INVALIDATE of xen/public/hvm/ioreq.h. */
enum {
        IO_REQUEST_COPY = 1,       /* a memory access */
        IO_REQUEST_INVALIDATE = 8, /* mappings of guest memory may be stale; sent to every server */
};

/* One page of 32-byte slots is shared with Xen, a slot for each vCPU. */
#define HYPERVISOR_VCPUS_MAX 128

/*
 * Opens the hypervisor's devices, maps the server's shared page and binds the event channel of each
 * vCPU. A server that another process served before is adopted as it stands: requests that wait
 * are found by hypervisor_request_take().
 *
 * Returns 0 or a negative errno, of which -ENODEV means that there is no such server or domain.
 */
int hypervisor_open(uint16_t domid, uint16_t server, Hypervisor **ret_hypervisor) _warn_unused_;

/* Closes all; NULL is fine. The server lives on: it belongs to the domain, not to the process. */
Hypervisor *hypervisor_close(Hypervisor *hypervisor);

static inline void hypervisor_closep(Hypervisor **hypervisor)
{
        hypervisor_close(*hypervisor);
}

/*
 * Opens a descriptor that stands for a bank of the guest's RAM, to be sent to a backend: a privcmd
 * descriptor that is restricted to this guest; another open file each time. index is the bank's
 * number. The caller owns the descriptor. To be called before hypervisor_restrict().
 */
int hypervisor_memory_open(Hypervisor *hypervisor, unsigned int index, const MemoryBank *bank,
                           int *ret_fd) _warn_unused_;

/*
 * Opens a descriptor through which pages can be mapped that the guest has granted to this domain:
 * one of gntdev. What is mapped through it may stay mapped for as long as anybody has it open. The
 * caller owns it. It takes no handle of a guest: a process that serves one cannot open any more.
 */
int hypervisor_grants_open(int *ret_fd) _warn_unused_;

/* Gives up, for ever, what these handles could do to any other domain. */
int hypervisor_restrict(Hypervisor *hypervisor) _warn_unused_;

unsigned int hypervisor_n_vcpus(const Hypervisor *hypervisor);

/* Readable while events are pending; never blocks. */
int hypervisor_event_fd(const Hypervisor *hypervisor);

/*
 * Takes the pending events. They are masked until hypervisor_events_unmask(), which is to be called
 * after all slots have been looked at, so that one wake-up serves all that came meanwhile.
 * Returns the number of events taken (0: none), or a negative errno.
 */
int hypervisor_events_take(Hypervisor *hypervisor) _warn_unused_;
int hypervisor_events_unmask(Hypervisor *hypervisor) _warn_unused_;

/*
 * Copies the request of a vCPU, if one waits. Returns 1 with a request, 0 without. A request stays
 * until it is completed, and may be taken again.
 */
int hypervisor_request_take(Hypervisor *hypervisor, unsigned int vcpu, IoRequest *ret_request);

/* Answers it; data is what a read returns, and ignored for a write. */
int hypervisor_request_complete(Hypervisor *hypervisor, unsigned int vcpu,
                                uint64_t data) _warn_unused_;

/* Raises the guest's edge-triggered interrupt. */
int hypervisor_interrupt(Hypervisor *hypervisor, uint32_t irq) _warn_unused_;

/*
 * Maps a page of the guest's RAM, at a guest-physical address that is a whole number of pages, for
 * reading and writing; to be unmapped as soon as it can be, since meanwhile it cannot become
 * another guest's. Returns 0; -EFAULT if the guest has no memory there; or another negative errno.
 */
int hypervisor_page_map(Hypervisor *hypervisor, uint64_t address, void **ret_page) _warn_unused_;
void hypervisor_page_unmap(Hypervisor *hypervisor, void *page);

/*
 * The kernel's own paths for notifications. Where the kernel has none, the probe says so and
 * binding fails; nothing else depends on them. They are for one process: whoever binds has to
 * unbind, or close the hypervisor.
 *
 * The probe is to be called once, before hypervisor_restrict().
 */
void hypervisor_notify_probe(Hypervisor *hypervisor, NotifyProbe *ret_probe);

/*
 * From now on each count on call_fd raises the guest's interrupt irq, in whose ever process it is
 * written, and is taken off: call_fd must not be read meanwhile. Unbinding returns when the last
 * interrupt has been raised. Returns 0 or a negative errno.
 */
int hypervisor_call_bind(Hypervisor *hypervisor, int call_fd, uint32_t irq) _warn_unused_;
void hypervisor_call_unbind(Hypervisor *hypervisor, int call_fd);

/*
 * From now on the guest's 32-bit writes of queue to the register QUEUE_NOTIFY of the device whose
 * registers are at base are answered by the kernel and counted on kick_fd, and never taken by
 * hypervisor_request_take(). Up to HYPERVISOR_KICKS_MAX at once. Returns 0 or a negative errno.
 */
int hypervisor_kick_bind(Hypervisor *hypervisor, uint64_t base, uint16_t queue,
                         int kick_fd) _warn_unused_;
void hypervisor_kick_unbind(Hypervisor *hypervisor, uint64_t base, uint16_t queue, int kick_fd);

#define HYPERVISOR_KICKS_MAX 64
