/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/ioreq.h"

#include "common/launch.h"

static uint64_t size_mask(uint32_t size)
{
        return size >= 8 ? UINT64_MAX : (UINT64_C(1) << (size * 8)) - 1;
}

/*
 * Only plain accesses to one device's range are any device's business. Xen checked none of this for
 * us: x86 string instructions come with a count and a pointer.
 */
static bool request_is_access(const IoRequest *request)
{
        const uint32_t size = request->size;

        return request->type == IO_REQUEST_COPY && request->count == 1 &&
               !request->data_is_pointer && (size == 1 || size == 2 || size == 4 || size == 8) &&
               request->address % VIRTIO_MMIO_RANGE_SIZE <= VIRTIO_MMIO_RANGE_SIZE - size;
}

static MmioResult access_handle(IoreqServer *server, const IoRequest *request, void **ret_device,
                                uint64_t *ret_data)
{
        const MmioAccess access = {
                .offset = request->address % VIRTIO_MMIO_RANGE_SIZE,
                .size = request->size,
                .is_read = request->is_read,
                .data = request->data & size_mask(request->size),
        };
        MmioResult result;

        result = server->ops->find(server->userdata, request->address - access.offset, ret_device);
        if (!*ret_device) {
                server->n_bad_requests += result != MMIO_WAIT;
                return result;
        }
        result = server->ops->access(*ret_device, &access, ret_data);
        *ret_data &= size_mask(request->size);
        return result;
}

/*
 * Says what a read is answered with, whether the request is to be answered at all, and which device
 * it was for, or NULL.
 */
static MmioResult request_handle(IoreqServer *server, const IoRequest *request, void **ret_device,
                                 uint64_t *ret_data)
{
        *ret_device = NULL;
        *ret_data = 0;
        if (request_is_access(request))
                return access_handle(server, request, ret_device, ret_data);
        if (request->type == IO_REQUEST_INVALIDATE) {
                server->ops->invalidate(server->userdata);
                return MMIO_DONE;
        }
        server->n_bad_requests++;
        return MMIO_DONE;
}

int ioreq_serve(IoreqServer *server)
{
        const unsigned int n_vcpus = hypervisor_n_vcpus(server->hypervisor);
        int r;

        for (unsigned int vcpu = 0; vcpu < n_vcpus; vcpu++) {
                IoRequest request;
                void *device;
                uint64_t data;

                if (hypervisor_request_take(server->hypervisor, vcpu, &request) == 0)
                        continue;
                if (request_handle(server, &request, &device, &data) == MMIO_WAIT)
                        continue;
                server->n_requests++;
                r = hypervisor_request_complete(server->hypervisor, vcpu, data);
                if (r < 0)
                        return r;
                if (device)
                        server->ops->answered(device);
        }
        return hypervisor_events_unmask(server->hypervisor);
}
