/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A network card's control queue, where it is served here and not by the backend (virtio 1.3,
 * section 5.1.6.5): which queue it is, which queues are then a backend's, and what its commands
 * mean. How many pairs of queues the driver has in use is all that can be told. Pure.
 */

#include "frontend/virtio.h"

/* Section 5.1.3. */
#define NET_F_CTRL_VQ 17
#define NET_F_MQ      22

/* Beside a control queue: one of packets for the driver, and one of the driver's. */
#define NET_QUEUES_PER_PAIR 2

/* The answer to a command, virtio_net_ack. */
#define NET_CONTROL_OK  UINT8_C(0)
#define NET_CONTROL_ERR UINT8_C(1)

/*
 * The queue whose commands are served here, by the features that the driver chose, or 0: section
 * 5.1.2 has it behind all pairs only if MQ is one of them, else behind the first.
 */
uint16_t net_control_queue(const VirtioDevice *device);

/* How many queues may be a backend's, the first ones: all, if no control queue is served here. */
uint16_t net_control_backend_queues(const VirtioDevice *device);

/* Whether a queue of a backend's is enabled while the driver has so many pairs in use; 0: all. */
bool net_control_enables(uint16_t n_pairs, uint16_t queue);

/*
 * How many pairs the driver wants to have in use, by a command of size bytes in all, of which the
 * first four are there if there are as many; or 0: the answer is NET_CONTROL_ERR.
 */
uint16_t net_control_pairs(const VirtioDevice *device, const uint8_t *command, uint64_t size);
