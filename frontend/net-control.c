/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/net-control.h"

/* Section 5.1.6.5.6: class, command, and a 16-bit little-endian number of pairs. */
#define CLASS_MQ        4
#define MQ_PAIRS_SET    0
#define PAIRS_SET_BYTES 4

/* Without MQ there is one pair, and what is behind it. */
static uint16_t queues_before_control(const VirtioDevice *device)
{
        return virtio_has_feature(device, NET_F_MQ) ? device->control_queue : NET_QUEUES_PER_PAIR;
}

uint16_t net_control_queue(const VirtioDevice *device)
{
        if (device->control_queue == 0 || !virtio_has_feature(device, NET_F_CTRL_VQ))
                return 0;
        return queues_before_control(device);
}

uint16_t net_control_backend_queues(const VirtioDevice *device)
{
        return device->control_queue == 0 ? device->n_queues : queues_before_control(device);
}

bool net_control_enables(uint16_t n_pairs, uint16_t queue)
{
        return n_pairs == 0 || queue < n_pairs * NET_QUEUES_PER_PAIR;
}

uint16_t net_control_pairs(const VirtioDevice *device, const uint8_t *command, uint64_t size)
{
        uint16_t n_pairs;

        if (!virtio_has_feature(device, NET_F_MQ) || size != PAIRS_SET_BYTES ||
            command[0] != CLASS_MQ || command[1] != MQ_PAIRS_SET)
                return 0;
        n_pairs = (uint16_t)(command[2] | command[3] << 8);
        return n_pairs <= device->control_queue / NET_QUEUES_PER_PAIR ? n_pairs : 0;
}
