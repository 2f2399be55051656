/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/claim.h"

#include <errno.h>
#include <glib.h>
#include <sys/mman.h>
#include <xen/hvm/dm_op.h>
#include <xen/memory.h>
#include <xendevicemodel.h>
#include <xenforeignmemory.h>

#include "common/launch.h"
#include "orchestrator/placement.h"

/* The resource's frame with the synchronous requests (XENMEM_resource_ioreq_server_frame_ioreq). */
#define IOREQ_FRAME XENMEM_resource_ioreq_server_frame_ioreq(0)

#define RANGE_IS_MMIO 1

/*
 * HVM_IOREQSRV_BUFIOREQ_OFF, which the headers keep to Xen's own tools. Buffered requests are for
 * addresses below 1 MiB only, and Arm has none.
 */
#define BUFIOREQ_OFF 0

struct Claims {
        xendevicemodel_handle *model;
        xenforeignmemory_handle *memory;
};

int claims_open(Claims **ret_claims)
{
        Claims *claims = g_new0(Claims, 1);
        int error;

        claims->model = xendevicemodel_open(NULL, 0);
        if (claims->model)
                claims->memory = xenforeignmemory_open(NULL, 0);
        if (!claims->memory) {
                error = errno;
                claims_close(claims);
                return -error;
        }

        *ret_claims = claims;
        return 0;
}

Claims *claims_close(Claims *claims)
{
        if (!claims)
                return NULL;
        if (claims->memory)
                xenforeignmemory_close(claims->memory);
        if (claims->model)
                xendevicemodel_close(claims->model);
        g_free(claims);
        return NULL;
}

/*
 * Makes Xen allocate the page that requests pass through, by mapping it. Enabling the server writes
 * the event channels' ports into that page, and only if it is there (ioreq_server_get_frame() and
 * ioreq_server_enable() in xen/common/ioreq.c). The page stays when the mapping goes.
 */
static int allocate_page(Claims *claims, uint16_t domid, uint16_t server)
{
        xenforeignmemory_resource_handle *resource;
        void *page = NULL;

        resource = xenforeignmemory_map_resource(claims->memory, domid,
                                                 XENMEM_resource_ioreq_server, server, IOREQ_FRAME,
                                                 1, &page, PROT_READ | PROT_WRITE, 0);
        if (!resource)
                return -errno;
        return xenforeignmemory_unmap_resource(claims->memory, resource) < 0 ? -errno : 0;
}

static int map_range(Claims *claims, uint16_t domid, uint16_t server, uint64_t base)
{
        const uint64_t last = base + VIRTIO_MMIO_RANGE_SIZE - 1;
        int r = xendevicemodel_map_io_range_to_ioreq_server(claims->model, domid, server,
                                                            RANGE_IS_MMIO, base, last);

        return r < 0 ? -errno : 0;
}

static int enable(Claims *claims, uint16_t domid, uint64_t base, uint16_t server)
{
        int r;

        r = allocate_page(claims, domid, server);
        if (r < 0)
                return r;
        if (xendevicemodel_set_ioreq_server_state(claims->model, domid, server, 1) < 0)
                return -errno;
        return map_range(claims, domid, server, base);
}

/* No domain has this number, which Xen says only if it knows the operation, and we may ask. */
int claims_probe(Claims *claims)
{
        if (xendevicemodel_destroy_ioreq_server(claims->model, DOMID_INVALID, 0) == 0 ||
            errno == ESRCH)
                return 0;
        return -errno;
}

int claims_take(Claims *claims, uint16_t domid, uint64_t base, uint16_t *ret_server)
{
        ioservid_t server;
        int r;

        if (xendevicemodel_create_ioreq_server(claims->model, domid, BUFIOREQ_OFF, &server) < 0)
                return errno == ENOSPC ? -EUSERS : -errno;
        r = enable(claims, domid, base, server);
        if (r < 0) {
                xendevicemodel_destroy_ioreq_server(claims->model, domid, server);
                return r;
        }

        *ret_server = server;
        return 0;
}

int claims_join(Claims *claims, uint16_t domid, uint16_t server, uint64_t base)
{
        int r = map_range(claims, domid, server, base);

        return r == -EEXIST ? 0 : r;
}

int claims_leave(Claims *claims, uint16_t domid, uint16_t server, uint64_t base)
{
        const uint64_t last = base + VIRTIO_MMIO_RANGE_SIZE - 1;

        if (xendevicemodel_unmap_io_range_from_ioreq_server(claims->model, domid, server,
                                                            RANGE_IS_MMIO, base, last) < 0 &&
            errno != ENOENT && errno != ESRCH)
                return -errno;
        return 0;
}

void claims_drop(Claims *claims, uint16_t domid, uint64_t base, uint32_t known)
{
        const uint64_t last = base + VIRTIO_MMIO_RANGE_SIZE - 1;

        for (uint16_t server = 0; server < IOREQ_SERVERS_MAX; server++) {
                if (xendevicemodel_unmap_io_range_from_ioreq_server(
                            claims->model, domid, server, RANGE_IS_MMIO, base, last) == 0 &&
                    !(known >> server & 1))
                        claims_release(claims, domid, server);
        }
}

int claims_release(Claims *claims, uint16_t domid, uint16_t server)
{
        if (xendevicemodel_destroy_ioreq_server(claims->model, domid, server) < 0 &&
            errno != ENOENT && errno != ESRCH)
                return -errno;
        return 0;
}
