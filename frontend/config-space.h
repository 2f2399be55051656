/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The configuration space that the driver sees: what the backend gives, with what the launch file
 * says over it. Most backends of network cards, file systems and sockets give none; then it is made
 * here. Pure.
 *
 * net (virtio 1.3, section 5.1.4): a card has a link while it has a backend. A backend without a
 * space leaves the control queue to its frontend, as QEMU's do, which offer it nevertheless. So
 * CTRL_VQ, MQ and all else that takes it is offered if the backend has a space, and has as many
 * pairs of queues as that says, and the control queue behind them. Or else, if the control queue is
 * to be served here, CTRL_VQ and MQ, and RING_PACKED is not: net-control.h, local-queue.h.
 *
 * fs (section 5.11.4): one request queue, where nobody says how many; never more than the backend
 * has. vsock (section 5.10.4): the guest's address.
 */

#include "common/device-type.h"
#include "common/launch.h"
#include "frontend/vhost-negotiate.h"

/*
 * Makes of what a backend can do what the driver is offered. offer has the backend's features, as
 * far as they are passed on, its number of queues (with a control queue that is served here: that
 * one is set, and the last), and its configuration space, of size 0 if it gave none. The space and
 * the features change, so that each feature that brings a field of the space is there only with its
 * field; so does the number of a network card's queues, to those that a driver can use. config_size
 * stays at most VHOST_USER_CONFIG_MAX.
 */
void config_space_complete(const DeviceType *type, const LaunchConfig *launch, VhostOffer *offer);

/*
 * The backend is gone, and with it a network card's link. Returns whether the space is different;
 * the next backend's offer has a link again.
 */
bool config_space_disconnect(const DeviceType *type, VhostOffer *offer);
