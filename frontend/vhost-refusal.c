/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/vhost-refusal.h"

#define BIT(n) (UINT64_C(1) << (n))

const char *vhost_refusal(const VhostRings *rings)
{
        const VhostOffer *offer = &rings->negotiation->offer;
        const VirtioDevice *device = rings->device;
        const VhostProgress *progress = rings->progress;
        const bool tracks = vhost_has_protocol_feature(rings->negotiation,
                                                       VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD);
        VhostUserXenRegion regions[VHOST_USER_REGIONS_MAX];

        if (device->driver_features & ~offer->features & ~BIT(VIRTIO_F_ACCESS_PLATFORM))
                return "the backend lacks features that the driver uses";
        for (uint16_t queue = 0; queue < device->n_queues; queue++) {
                if (device->queues[queue].ready && queue >= offer->n_queues)
                        return "the backend has fewer queues than the driver uses";
        }
        if (device->control_queue != offer->control_queue)
                return "the backend has other pairs of queues than the driver knows of";
        if (memory_table_make(rings->memory, offer->way, device, regions) < 0)
                return "the driver's rings are granted in too many places for a memory table";
        if (!progress->begun)
                return NULL;
        if (!progress->handed_over && (virtio_has_feature(device, VIRTIO_F_RING_PACKED) ||
                                       progress->area_size == 0 || !tracks))
                return "no backend has noted which of the driver's requests it has begun";
        if (tracks && progress->area_queues > rings->negotiation->n_queues)
                return "the backend has fewer queues than the one before";
        return NULL;
}
