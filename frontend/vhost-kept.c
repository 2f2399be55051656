/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/vhost-kept.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include "frontend/memory-way.h"
#include "frontend/vhost-peer.h"

#define BIT(n) (UINT64_C(1) << (n))

/* Which socket it is: no other one has that number while it is open. 0: none. */
static uint64_t socket_number(int fd)
{
        struct stat status;

        return fd >= 0 && fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode) ? status.st_ino : 0;
}

/* What a backend has of the driver's queues. */
static uint64_t queues_wanted(const VirtioDevice *device, uint16_t n_queues)
{
        uint64_t queues = 0;

        for (uint16_t queue = 0; queue < device->n_queues && queue < n_queues; queue++) {
                if (device->queues[queue].ready)
                        queues |= BIT(queue);
        }
        return queues;
}

bool vhost_kept_runs(const VhostKept *kept, const VirtioDevice *device)
{
        return kept->running == 1 && virtio_is_running(device) &&
               (kept->queues & ~queues_wanted(device, kept->n_queues)) == 0;
}

/* The former process's, for these queues. */
static bool has_eventfds(const DescriptorStore *store, uint64_t queues)
{
        for (; queues != 0; queues &= queues - 1) {
                const uint16_t queue = (uint16_t)__builtin_ctzll(queues);

                if (descriptor_store_find(store, descriptor_store_kick(queue).text) < 0)
                        return false;
        }
        return descriptor_store_find(store, STORE_CALL) >= 0;
}

const char *vhost_kept_problem(const VhostKept *kept, const VhostProgress *progress,
                               const VirtioDevice *device, const DescriptorStore *store)
{
        const int connection = descriptor_store_find(store, STORE_CONNECTION);
        const int channel = descriptor_store_find(store, STORE_CHANNEL);

        if (kept->running != 1)
                return "its rings did not run";
        if (kept->asking != 0 || kept->hearing != 0)
                return "something was under way on it";
        if (kept->n_queues == 0 || kept->n_queues > VIRTIO_QUEUES_MAX ||
            !vhost_kept_runs(kept, device))
                return "other queues run than the driver has";
        if (connection < 0)
                return "it has ended, or was not kept";
        if (socket_number(connection) != kept->connection)
                return "another one was kept";
        if (progress->holder <= 0 || vhost_peer_pid(connection) != progress->holder)
                return "it is to another process than the one that has the rings";
        if (kept->channel != 0 && socket_number(channel) != kept->channel)
                return "the backend's own channel was not kept";
        if (!has_eventfds(store, kept->queues))
                return "a kick or the call was not kept";
        return NULL;
}

void vhost_kept_settle(VhostKept *kept, const VhostProgress *progress, const VirtioDevice *device,
                       DescriptorStore *store, const LogContext *context)
{
        const char *problem = store ? vhost_kept_problem(kept, progress, device, store)
                                    : "nothing is kept of several devices";

        if (!problem) {
                log_info(context, "goes on with the backend's connection");
                return;
        }
        if (kept->running)
                log_info(context, "does not go on with the backend's connection: %s", problem);
        kept->running = 0;
        if (store)
                descriptor_store_clear(store);
}

/* Returns 0 with a client and, where the backend has one, a channel; or a negative errno. */
static int sockets_take(VhostKeeper *keeper, Loop *loop, const VhostChannelOps *channel_ops,
                        VhostNegotiation *negotiation, VhostChannel **ret_channel)
{
        _cleanup_fd_ int channel = descriptor_store_take(keeper->store, STORE_CHANNEL);
        const int connection = descriptor_store_take(keeper->store, STORE_CONNECTION);
        int r;

        r = vhost_client_new(loop, connection, negotiation->failed, negotiation->userdata,
                             &negotiation->client);
        if (r < 0 || channel < 0)
                return r;
        return vhost_channel_adopt(loop, channel_ops, negotiation->userdata, steal_fd(&channel),
                                   ret_channel);
}

static void connection_note(VhostKeeper *keeper, VhostClient *client, VhostChannel *channel)
{
        vhost_client_note(client, &keeper->kept->asking);
        keeper->kept->hearing = 0;
        if (channel)
                vhost_channel_note(channel, &keeper->kept->hearing);
}

bool vhost_keeper_adopt(VhostKeeper *keeper, Loop *loop, const VhostChannelOps *channel_ops,
                        VhostNegotiation *negotiation, VhostRings *rings,
                        VhostChannel **ret_channel)
{
        const VhostKept *kept = keeper->kept;

        if (!keeper->store)
                return false;
        if (!vhost_kept_runs(kept, rings->device)) {
                vhost_keeper_forget(keeper);
                return false;
        }
        negotiation->features = kept->features;
        negotiation->protocol_features = kept->protocol_features;
        negotiation->n_queues = kept->n_queues;
        keeper->is_stored = true;
        if (sockets_take(keeper, loop, channel_ops, negotiation, ret_channel) < 0 ||
            !vhost_negotiate_again(negotiation, rings->device->config)) {
                vhost_keeper_end(keeper, negotiation->client);
                negotiation->client = vhost_client_free(negotiation->client);
                *ret_channel = vhost_channel_free(*ret_channel);
                return false;
        }
        connection_note(keeper, negotiation->client, *ret_channel);
        vhost_rings_adopt(rings, kept->queues);
        return true;
}

void vhost_keeper_forget(VhostKeeper *keeper)
{
        keeper->kept->running = 0;
        descriptor_store_clear(keeper->store);
}

void vhost_keeper_put(VhostKeeper *keeper, const VhostNegotiation *negotiation, uint64_t queues,
                      VhostClient *client, VhostChannel *channel)
{
        VhostKept *kept = keeper->kept;

        /* From what the guest grants, a queue's memory is taken away with descriptors of ours. */
        if (!keeper->store || !keeper->store->is_on || negotiation->offer.way == MEMORY_WAY_GRANTS)
                return;
        if (!vhost_has_protocol_feature(negotiation, VHOST_USER_PROTOCOL_F_BACKEND_REQ))
                channel = NULL;
        if (!keeper->is_stored) {
                descriptor_store_put(keeper->store, STORE_CONNECTION, vhost_client_fd(client));
                if (channel)
                        descriptor_store_put(keeper->store, STORE_CHANNEL,
                                             vhost_channel_fd(channel));
                keeper->is_stored = true;
        }
        connection_note(keeper, client, channel);
        kept->features = negotiation->features;
        kept->protocol_features = negotiation->protocol_features;
        kept->n_queues = negotiation->n_queues;
        kept->queues = queues;
        kept->connection = socket_number(vhost_client_fd(client));
        kept->channel = channel ? socket_number(vhost_channel_fd(channel)) : 0;
        kept->running = 1; /* the last: with it, what is above is true */
}

void vhost_keeper_end(VhostKeeper *keeper, const VhostClient *client)
{
        if (!keeper->is_stored)
                return;
        keeper->kept->running = 0;
        if (client)
                shutdown(vhost_client_fd(client), SHUT_RDWR);
        descriptor_store_remove(keeper->store, STORE_CONNECTION);
        descriptor_store_remove(keeper->store, STORE_CHANNEL);
        keeper->is_stored = false;
}

bool vhost_keeper_is_ready(const VhostKeeper *keeper)
{
        const VhostKept *kept = keeper->kept;

        return keeper->is_stored && kept->running && !kept->asking && !kept->hearing;
}
