/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A function for each vhost-user request. Each is sent at once; those with an "answered" function
 * call it, with the userdata given here, when the answer has come.
 */

#include "frontend/vhost-client.h"

void vhost_get_features(VhostClient *client, VhostAnswered answered, void *userdata);
void vhost_set_features(VhostClient *client, uint64_t features);
void vhost_get_protocol_features(VhostClient *client, VhostAnswered answered, void *userdata);
void vhost_set_protocol_features(VhostClient *client, uint64_t features);
void vhost_set_owner(VhostClient *client);
void vhost_get_queue_num(VhostClient *client, VhostAnswered answered, void *userdata);

/* Reads size bytes (not 0) of the configuration space from its start. */
void vhost_get_config(VhostClient *client, uint32_t size, VhostAnswered answered, void *userdata);

/*
 * The driver has written size bytes (at most VHOST_USER_CONFIG_MAX) at an offset of the
 * configuration space. The answer is a number, 0 if the backend has taken them, where it
 * acknowledges requests; else there is none, and answered is not called.
 */
void vhost_set_config(VhostClient *client, uint32_t offset, const void *bytes, uint32_t size,
                      VhostAnswered answered, void *userdata);

/* Hands over the backend's end of its own channel (borrowed). */
void vhost_set_backend_channel(VhostClient *client, int fd);

/*
 * One borrowed descriptor for each region, in order; at most VHOST_USER_REGIONS_MAX. A region's Xen
 * part is sent if XEN_MMAP was agreed on, by the second function, and has no meaning else.
 */
void vhost_set_memory_table(VhostClient *client, const VhostUserXenRegion *regions, const int *fds,
                            unsigned int n_regions);
void vhost_set_xen_memory_table(VhostClient *client, const VhostUserXenRegion *regions,
                                const int *fds, unsigned int n_regions);

void vhost_set_vring_num(VhostClient *client, uint32_t index, uint32_t num);
void vhost_set_vring_address(VhostClient *client, const VhostUserVringAddress *address);
void vhost_set_vring_base(VhostClient *client, uint32_t index, uint32_t base);
void vhost_get_vring_base(VhostClient *client, uint32_t index, VhostAnswered answered,
                          void *userdata);
void vhost_set_vring_kick(VhostClient *client, uint32_t index, int fd);
void vhost_set_vring_call(VhostClient *client, uint32_t index, int fd);
void vhost_set_vring_enable(VhostClient *client, uint32_t index, bool enable);

/*
 * Asks for an area for so many queues of so many descriptors, and hands over one (vhost-user.rst,
 * "Inflight I/O tracking"). The answer brings one descriptor: vhost_client_take_descriptor().
 */
void vhost_get_inflight(VhostClient *client, uint16_t n_queues, uint16_t queue_size,
                        VhostAnswered answered, void *userdata);
void vhost_set_inflight(VhostClient *client, const VhostUserInflight *inflight, int fd);

/*
 * Makes the device what it was after SET_OWNER; tells it the driver's status (virtio 1.3, section
 * 2.1); asks for it: a backend that does not accept the driver's features has cleared FEATURES_OK.
 */
void vhost_reset_device(VhostClient *client);
void vhost_set_status(VhostClient *client, uint8_t status);
void vhost_get_status(VhostClient *client, VhostAnswered answered, void *userdata);

/*
 * The largest packet that the driver was told of, 68 to 65535 bytes, after the driver has chosen
 * VIRTIO_NET_F_MTU. The answer is that of vhost_set_config().
 */
void vhost_net_set_mtu(VhostClient *client, uint16_t mtu, VhostAnswered answered, void *userdata);

/* Calls answered, with a payload that means nothing, when all sent so far has been worked off. */
void vhost_barrier(VhostClient *client, VhostAnswered answered, void *userdata);
