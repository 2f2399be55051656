/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/vhost-request.h"

#include <string.h>

static void u64_query(VhostClient *client, uint32_t request, VhostAnswered answered, void *userdata)
{
        const VhostQuery query = {
                .request = request,
                .kind = VHOST_ANSWER_U64,
                .answered = answered,
                .userdata = userdata,
        };

        vhost_client_query(client, &query, NULL, 0);
}

void vhost_get_features(VhostClient *client, VhostAnswered answered, void *userdata)
{
        u64_query(client, VHOST_USER_GET_FEATURES, answered, userdata);
}

void vhost_set_features(VhostClient *client, uint64_t features)
{
        vhost_client_command(client, VHOST_USER_SET_FEATURES, &features, sizeof(features), NULL, 0);
}

void vhost_get_protocol_features(VhostClient *client, VhostAnswered answered, void *userdata)
{
        u64_query(client, VHOST_USER_GET_PROTOCOL_FEATURES, answered, userdata);
}

void vhost_set_protocol_features(VhostClient *client, uint64_t features)
{
        vhost_client_command(client, VHOST_USER_SET_PROTOCOL_FEATURES, &features, sizeof(features),
                             NULL, 0);
}

void vhost_set_owner(VhostClient *client)
{
        vhost_client_command(client, VHOST_USER_SET_OWNER, NULL, 0, NULL, 0);
}

void vhost_get_queue_num(VhostClient *client, VhostAnswered answered, void *userdata)
{
        u64_query(client, VHOST_USER_GET_QUEUE_NUM, answered, userdata);
}

void vhost_get_config(VhostClient *client, uint32_t size, VhostAnswered answered, void *userdata)
{
        const VhostUserConfig config = { .offset = 0, .size = size, .flags = 0 };
        const VhostQuery query = {
                .request = VHOST_USER_GET_CONFIG,
                .kind = VHOST_ANSWER_CONFIG,
                .expected = size,
                .answered = answered,
                .userdata = userdata,
        };

        vhost_client_query(client, &query, &config, VHOST_USER_CONFIG_HEADER_SIZE + size);
}

void vhost_set_config(VhostClient *client, uint32_t offset, const void *bytes, uint32_t size,
                      VhostAnswered answered, void *userdata)
{
        /* Flags 0: written by a driver, and not by a migration. */
        VhostUserConfig config = { .offset = offset, .size = size, .flags = 0 };
        const VhostQuery query = {
                .request = VHOST_USER_SET_CONFIG,
                .kind = VHOST_ANSWER_U64,
                .answered = answered,
                .userdata = userdata,
        };

        memcpy(config.data, bytes, size);
        vhost_client_command_with(client, &query, &config, VHOST_USER_CONFIG_HEADER_SIZE + size);
}

void vhost_set_backend_channel(VhostClient *client, int fd)
{
        vhost_client_command(client, VHOST_USER_SET_BACKEND_REQ_FD, NULL, 0, &fd, 1);
}

void vhost_set_memory_table(VhostClient *client, const VhostUserXenRegion *regions, const int *fds,
                            unsigned int n_regions)
{
        VhostUserMemoryTable table = { .n_regions = n_regions };

        for (unsigned int i = 0; i < n_regions; i++)
                table.regions[i] = regions[i].region;
        vhost_client_command(client, VHOST_USER_SET_MEM_TABLE, &table,
                             offsetof(VhostUserMemoryTable, regions) +
                                     n_regions * sizeof(table.regions[0]),
                             fds, n_regions);
}

void vhost_set_xen_memory_table(VhostClient *client, const VhostUserXenRegion *regions,
                                const int *fds, unsigned int n_regions)
{
        VhostUserXenMemoryTable table = { .n_regions = n_regions };

        memcpy(table.regions, regions, n_regions * sizeof(regions[0]));
        vhost_client_command(client, VHOST_USER_SET_MEM_TABLE, &table,
                             offsetof(VhostUserXenMemoryTable, regions) +
                                     n_regions * sizeof(table.regions[0]),
                             fds, n_regions);
}

static void state_command(VhostClient *client, uint32_t request, uint32_t index, uint32_t num)
{
        const VhostUserVringState state = { index, num };

        vhost_client_command(client, request, &state, sizeof(state), NULL, 0);
}

void vhost_set_vring_num(VhostClient *client, uint32_t index, uint32_t num)
{
        state_command(client, VHOST_USER_SET_VRING_NUM, index, num);
}

void vhost_set_vring_base(VhostClient *client, uint32_t index, uint32_t base)
{
        state_command(client, VHOST_USER_SET_VRING_BASE, index, base);
}

void vhost_set_vring_enable(VhostClient *client, uint32_t index, bool enable)
{
        state_command(client, VHOST_USER_SET_VRING_ENABLE, index, enable);
}

void vhost_set_vring_address(VhostClient *client, const VhostUserVringAddress *address)
{
        vhost_client_command(client, VHOST_USER_SET_VRING_ADDR, address, sizeof(*address), NULL, 0);
}

void vhost_get_vring_base(VhostClient *client, uint32_t index, VhostAnswered answered,
                          void *userdata)
{
        const VhostUserVringState state = { index, 0 };
        const VhostQuery query = {
                .request = VHOST_USER_GET_VRING_BASE,
                .kind = VHOST_ANSWER_STATE,
                .expected = index,
                .answered = answered,
                .userdata = userdata,
        };

        vhost_client_query(client, &query, &state, sizeof(state));
}

void vhost_set_vring_kick(VhostClient *client, uint32_t index, int fd)
{
        const uint64_t payload = index;

        vhost_client_command(client, VHOST_USER_SET_VRING_KICK, &payload, sizeof(payload), &fd, 1);
}

void vhost_set_vring_call(VhostClient *client, uint32_t index, int fd)
{
        const uint64_t payload = index;

        vhost_client_command(client, VHOST_USER_SET_VRING_CALL, &payload, sizeof(payload), &fd, 1);
}

void vhost_get_inflight(VhostClient *client, uint16_t n_queues, uint16_t queue_size,
                        VhostAnswered answered, void *userdata)
{
        const VhostUserInflight inflight = { .n_queues = n_queues, .queue_size = queue_size };
        const VhostQuery query = {
                .request = VHOST_USER_GET_INFLIGHT_FD,
                .kind = VHOST_ANSWER_INFLIGHT,
                .answered = answered,
                .userdata = userdata,
        };

        vhost_client_query(client, &query, &inflight, sizeof(inflight));
}

void vhost_set_inflight(VhostClient *client, const VhostUserInflight *inflight, int fd)
{
        vhost_client_command(client, VHOST_USER_SET_INFLIGHT_FD, inflight, sizeof(*inflight), &fd,
                             1);
}

void vhost_reset_device(VhostClient *client)
{
        vhost_client_command(client, VHOST_USER_RESET_DEVICE, NULL, 0, NULL, 0);
}

void vhost_set_status(VhostClient *client, uint8_t status)
{
        const uint64_t payload = status;

        vhost_client_command(client, VHOST_USER_SET_STATUS, &payload, sizeof(payload), NULL, 0);
}

void vhost_get_status(VhostClient *client, VhostAnswered answered, void *userdata)
{
        u64_query(client, VHOST_USER_GET_STATUS, answered, userdata);
}

void vhost_net_set_mtu(VhostClient *client, uint16_t mtu, VhostAnswered answered, void *userdata)
{
        const uint64_t payload = mtu;
        const VhostQuery query = {
                .request = VHOST_USER_NET_SET_MTU,
                .kind = VHOST_ANSWER_U64,
                .answered = answered,
                .userdata = userdata,
        };

        vhost_client_command_with(client, &query, &payload, sizeof(payload));
}

/* Requests are worked off in order, so the answer to the last one stands for all. */
void vhost_barrier(VhostClient *client, VhostAnswered answered, void *userdata)
{
        vhost_get_features(client, answered, userdata);
}
