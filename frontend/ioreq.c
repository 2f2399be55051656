/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/ioreq.h"

static uint64_t size_mask(uint32_t size)
{
        return size >= 8 ? UINT64_MAX : (UINT64_C(1) << (size * 8)) - 1;
}

/*
 * Only plain accesses to the range are the device's business. Xen checked none of this for us:
 * x86 string instructions come with a count and a pointer.
 */
static bool request_is_access(const IoreqServer *server, const IoRequest *request)
{
        const uint32_t size = request->size;

        return request->type == IO_REQUEST_COPY && request->count == 1 &&
               !request->data_is_pointer && (size == 1 || size == 2 || size == 4 || size == 8) &&
               request->address >= server->base &&
               request->address - server->base <= server->size - size;
}

/* Returns what a read is answered with, and whether the request is to be answered at all. */
static MmioResult request_handle(IoreqServer *server, const IoRequest *request, uint64_t *ret_data)
{
        MmioAccess access;
        MmioResult result;

        *ret_data = 0;
        if (!request_is_access(server, request)) {
                if (request->type == IO_REQUEST_INVALIDATE)
                        server->ops->invalidate(server->userdata);
                else
                        server->n_bad_requests++;
                return MMIO_DONE;
        }

        access = (MmioAccess){
                .offset = request->address - server->base,
                .size = request->size,
                .is_read = request->is_read,
                .data = request->data & size_mask(request->size),
        };
        result = server->ops->access(server->userdata, &access, ret_data);
        *ret_data &= size_mask(request->size);
        return result;
}

int ioreq_serve(IoreqServer *server)
{
        const unsigned int n_vcpus = hypervisor_n_vcpus(server->hypervisor);
        int r;

        for (unsigned int vcpu = 0; vcpu < n_vcpus; vcpu++) {
                IoRequest request;
                uint64_t data;

                if (hypervisor_request_take(server->hypervisor, vcpu, &request) == 0)
                        continue;
                if (request_handle(server, &request, &data) == MMIO_WAIT)
                        continue;
                server->n_requests++;
                r = hypervisor_request_complete(server->hypervisor, vcpu, data);
                if (r < 0)
                        return r;
                server->ops->answered(server->userdata);
        }
        return hypervisor_events_unmask(server->hypervisor);
}
