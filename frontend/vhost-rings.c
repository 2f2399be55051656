/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/vhost-rings.h"

#include <errno.h>
#include <fcntl.h>

#include "frontend/net-control.h"
#include "frontend/vhost-request.h"

#define BIT(n) (UINT64_C(1) << (n))

/*
 * Where a new ring begins: at its first entry. A packed ring's positions have their wrap counter in
 * the top bit (vhost-user.rst, "Vring descriptor indices"), and that begins with 1.
 */
#define BASE_SPLIT      UINT32_C(0)
#define BASE_PACKED     UINT32_C(0x80008000)
#define POSITION_PACKED UINT32_C(0x7fff)

/* VIRTIO_NET_F_MTU (virtio 1.3, section 5.1.3). */
#define NET_F_MTU 3

/* The driver's status when its features are known. */
#define STATUS_CHOSEN (VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER | VIRTIO_STATUS_FEATURES_OK)

static bool tracks_requests(const VhostRings *rings)
{
        return vhost_has_protocol_feature(rings->negotiation, VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD);
}

static bool enables_rings(const VhostRings *rings)
{
        return vhost_has_feature(rings->negotiation, VHOST_USER_F_PROTOCOL_FEATURES);
}

/* The driver may have queues beyond these, in which nothing ever happens. */
static uint16_t queues_served(const VhostRings *rings)
{
        const uint16_t backends = rings->negotiation->n_queues;
        const uint16_t all = net_control_backend_queues(rings->device);

        return backends < all ? backends : all;
}

int vhost_ring_next(const VhostRings *rings)
{
        for (uint16_t queue = 0; queue < queues_served(rings); queue++) {
                if (rings->device->queues[queue].ready && !(rings->started & BIT(queue)))
                        return queue;
        }
        return -1;
}

/* Tells the backend how far the driver is, as far as it concerns the backend. */
static void status_send(const VhostRings *rings, uint8_t status)
{
        if (vhost_has_protocol_feature(rings->negotiation, VHOST_USER_PROTOCOL_F_STATUS))
                vhost_set_status(rings->negotiation->client, status);
}

/* What a region is mapped from: all that the guest grants from one, else each bank from its own. */
static int region_fd(const VhostRings *rings, unsigned int region)
{
        switch (rings->negotiation->offer.way) {
        case MEMORY_WAY_GRANTS:
                return rings->grants.fds[0];
        case MEMORY_WAY_SEEDED:
                return rings->grants.fds[region];
        case MEMORY_WAY_FILE:
                return rings->memory->file_fds[region];
        case MEMORY_WAY_FOREIGN:
        case _MEMORY_WAY_MAX:
        default:
                return rings->memory->fds[region];
        }
}

/*
 * What is to be mapped as a file bears a mark (common/guest-memory.h), and nothing else does. It
 * belongs to the open file, and so to whoever gets the descriptor next.
 */
static int region_mark(int fd, MemoryWay way, int region)
{
        return fcntl(fd, F_SETSIG, way == MEMORY_WAY_FILE ? region + 1 : 0) < 0 ? -errno : 0;
}

/*
 * Returns 0, or a negative errno, of which -E2BIG means that the backend cannot be told of that
 * many regions.
 */
static int memory_send(VhostRings *rings)
{
        const VhostMemory *memory = rings->memory;
        const MemoryWay way = rings->negotiation->offer.way;
        VhostClient *client = rings->negotiation->client;
        VhostUserXenRegion regions[VHOST_USER_REGIONS_MAX];
        int fds[VHOST_USER_REGIONS_MAX];
        int n = memory_table_make(memory, way, rings->device, regions);

        if (n < 0)
                return n;
        for (int i = 0; i < n; i++) {
                int r;

                fds[i] = region_fd(rings, (unsigned int)i);
                r = region_mark(fds[i], way, i);
                if (r < 0)
                        return r;
        }
        if (memory_way_is_xen_mmap(way))
                vhost_set_xen_memory_table(client, regions, fds, (unsigned int)n);
        else
                vhost_set_memory_table(client, regions, fds, (unsigned int)n);
        /* Which pages are granted changes with each start. */
        rings->memory_known = way != MEMORY_WAY_GRANTS;
        return 0;
}

/* Takes a set of descriptors for this connection. Returns 0 or -EMFILE. */
static int grants_take(VhostRings *rings)
{
        GrantSets *sets = rings->memory->sets;

        if (!sets || rings->grants.fds[0] >= 0)
                return 0;
        if (sets->n == 0)
                return -EMFILE;
        rings->grants = sets->sets[--sets->n];
        return 0;
}

void vhost_rings_adopt(VhostRings *rings, uint64_t queues)
{
        rings->memory_known = true;
        rings->started = queues;
}

void vhost_rings_forget(VhostRings *rings)
{
        rings->memory_known = false;
        rings->started = 0;
        grant_set_close(&rings->grants);
}

static uint32_t base_new(const VhostRings *rings)
{
        return virtio_has_feature(rings->device, VIRTIO_F_RING_PACKED) ? BASE_PACKED : BASE_SPLIT;
}

/* A new ring has no area yet, or an empty one: 0. Packed rings go on only if handed over. */
static uint32_t ring_base(const VhostRings *rings, uint16_t queue)
{
        if (rings->handed_over)
                return rings->progress->bases[queue];
        if (virtio_has_feature(rings->device, VIRTIO_F_RING_PACKED))
                return BASE_PACKED;
        return vhost_inflight_used_index(rings->progress, rings->progress_file, queue);
}

/*
 * A backend takes a ring as started when it gets the kick descriptor, so all else comes before;
 * some want the call descriptor before that.
 */
static void ring_send(VhostRings *rings, uint16_t index, uint32_t base)
{
        VhostClient *client = rings->negotiation->client;
        const VirtioQueue *queue = &rings->device->queues[index];
        const VhostUserVringAddress address = {
                .index = index,
                .descriptor_area = queue->descriptor_area,
                .driver_area = queue->driver_area,
                .device_area = queue->device_area,
        };

        /* Before the backend can begin, since either of us may die at any moment. */
        rings->progress->begun = 1;
        rings->progress->handed_over = 0;
        vhost_set_vring_base(client, index, base);
        vhost_set_vring_address(client, &address);
        vhost_set_vring_call(client, index, rings->call_fd);
        vhost_set_vring_kick(client, index, rings->kick_fds[index]);
        if (enables_rings(rings))
                vhost_set_vring_enable(client, index,
                                       net_control_enables(rings->device->n_pairs, index));
}

static void ring_next(VhostRings *rings);

static void ring_started(void *userdata, const VhostUserPayload *payload _unused_)
{
        VhostRings *rings = userdata;

        rings->started |= BIT(rings->queue);
        ring_next(rings);
}

/* Starts one ring after the other. */
static void ring_next(VhostRings *rings)
{
        const int queue = vhost_ring_next(rings);

        if (queue < 0) {
                status_send(rings, STATUS_CHOSEN | VIRTIO_STATUS_DRIVER_OK);
                rings->done(rings->userdata);
                return;
        }
        rings->queue = (uint16_t)queue;
        ring_send(rings, rings->queue, ring_base(rings, rings->queue));
        vhost_barrier(rings->negotiation->client, ring_started, rings);
}

static void start_prepared(void *userdata, const VhostUserPayload *payload _unused_)
{
        ring_next(userdata);
}

static void area_send(VhostRings *rings)
{
        const VhostUserInflight area = vhost_inflight_describe(rings->progress);

        vhost_set_inflight(rings->negotiation->client, &area, rings->progress_file);
        vhost_barrier(rings->negotiation->client, start_prepared, rings);
}

static void area_answered(void *userdata, const VhostUserPayload *payload)
{
        VhostRings *rings = userdata;
        const VhostNegotiation *negotiation = rings->negotiation;
        _cleanup_fd_ int descriptor = vhost_client_take_descriptor(negotiation->client);
        int r;

        r = vhost_inflight_adopt(rings->progress, rings->progress_file, &payload->inflight,
                                 descriptor, queues_served(rings), rings->device->queue_size_max);
        if (r < 0) {
                negotiation->failed(negotiation->userdata, r,
                                    r == -EINVAL || r == -EBADF
                                            ? "the backend's area for requests is not usable"
                                            : "cannot keep the backend's area for requests");
                return;
        }
        area_send(rings);
}

/* Features are sent at DRIVER_OK, since a driver may start over until then; it has FEATURES_OK. */
static void status_answered(void *userdata, const VhostUserPayload *payload)
{
        const VhostNegotiation *negotiation = ((VhostRings *)userdata)->negotiation;

        if (!(payload->u64 & VIRTIO_STATUS_FEATURES_OK))
                negotiation->failed(negotiation->userdata, -EACCES,
                                    "the backend does not accept the features that the driver "
                                    "chose");
}

static void mtu_answered(void *userdata, const VhostUserPayload *payload)
{
        const VhostNegotiation *negotiation = ((VhostRings *)userdata)->negotiation;

        if (payload->u64 != 0)
                negotiation->failed(negotiation->userdata, -EACCES,
                                    "the backend does not accept the configured MTU");
}

/*
 * What the driver chose of what the backend has: the rest is between the driver and us, as is
 * ACCESS_PLATFORM in any case.
 */
static void features_send(VhostRings *rings)
{
        const VhostNegotiation *negotiation = rings->negotiation;
        const uint64_t chosen = rings->device->driver_features & negotiation->features &
                                ~BIT(VIRTIO_F_ACCESS_PLATFORM);
        const uint16_t mtu = negotiation->config->net_mtu;

        /* Without this bit the backend would enable all rings at once. */
        vhost_set_features(negotiation->client,
                           chosen | (negotiation->features & BIT(VHOST_USER_F_PROTOCOL_FEATURES)));
        status_send(rings, STATUS_CHOSEN);
        if (vhost_has_protocol_feature(negotiation, VHOST_USER_PROTOCOL_F_STATUS))
                vhost_get_status(negotiation->client, status_answered, rings);
        if (mtu > 0 && (chosen & BIT(NET_F_MTU)) &&
            vhost_has_protocol_feature(negotiation, VHOST_USER_PROTOCOL_F_NET_MTU))
                vhost_net_set_mtu(negotiation->client, mtu, mtu_answered, rings);
}

static void area_prepare(VhostRings *rings)
{
        VhostClient *client = rings->negotiation->client;

        if (!tracks_requests(rings)) {
                /* What an earlier backend has noted says nothing of what this one does. */
                vhost_inflight_drop(rings->progress);
                vhost_barrier(client, start_prepared, rings);
        } else if (rings->progress->area_size > 0) {
                area_send(rings);
        } else {
                vhost_get_inflight(client, queues_served(rings), rings->device->queue_size_max,
                                   area_answered, rings);
        }
}

int vhost_rings_start(VhostRings *rings, VhostRingsDone done)
{
        VhostClient *client = rings->negotiation->client;
        const VirtioDevice *device = rings->device;
        int r = grants_take(rings);

        if (r < 0)
                return r;
        rings->done = done;
        rings->handed_over = rings->progress->handed_over;
        features_send(rings);
        if (!rings->memory_known) {
                r = memory_send(rings);
                if (r < 0)
                        return r;
        }
        /* Before the area: some backends make a queue, and look for its part, at its first word. */
        for (uint16_t i = 0; i < queues_served(rings); i++) {
                if (device->queues[i].ready)
                        vhost_set_vring_num(client, i, device->queues[i].size);
        }
        area_prepare(rings);
        return 0;
}

static void ring_disable(VhostRings *rings, uint16_t queue)
{
        if (enables_rings(rings))
                vhost_set_vring_enable(rings->negotiation->client, queue, false);
}

static void order_done(void *userdata, const VhostUserPayload *payload _unused_)
{
        VhostRings *rings = userdata;

        rings->done(rings->userdata);
}

/* All rings are stopped. A backend that keeps something for the driver has to forget it. */
static void device_reset(VhostRings *rings)
{
        if (vhost_has_protocol_feature(rings->negotiation, VHOST_USER_PROTOCOL_F_RESET_DEVICE))
                vhost_reset_device(rings->negotiation->client);
        status_send(rings, 0);
        vhost_barrier(rings->negotiation->client, order_done, rings);
}

static void stop_next(VhostRings *rings);

/*
 * What a split ring's backend has given back stands in the ring itself. Of a packed ring it is the
 * upper half, which moves on if requests are finished later: nobody would know how far.
 */
static void base_keep(VhostRings *rings, uint16_t queue, uint32_t base)
{
        const bool packed = virtio_has_feature(rings->device, VIRTIO_F_RING_PACKED);

        rings->progress->bases[queue] = packed ? base : (uint16_t)base;
        if (packed && (base >> 16 != (base & UINT16_MAX) ||
                       (base & POSITION_PACKED) >= rings->device->queues[queue].size))
                rings->unfinished = true;
}

static void ring_stopped(void *userdata, const VhostUserPayload *payload)
{
        VhostRings *rings = userdata;

        if (rings->handing_over)
                base_keep(rings, rings->queue, payload->state.num);
        rings->started &= ~BIT(rings->queue);
        stop_next(rings);
}

/* Stops one ring after the other. */
static void stop_next(VhostRings *rings)
{
        if (rings->started == 0) {
                if (rings->handing_over)
                        vhost_barrier(rings->negotiation->client, order_done, rings);
                else
                        device_reset(rings);
                return;
        }
        rings->queue = (uint16_t)__builtin_ctzll(rings->started);
        ring_disable(rings, rings->queue);
        vhost_get_vring_base(rings->negotiation->client, rings->queue, ring_stopped, rings);
        /*
         * libvhost-user takes the descriptor away when it stops the ring. Without one it fails at
         * the first request that it finishes after that, and loses the others; the barrier tells.
         */
        if (rings->handing_over)
                vhost_set_vring_call(rings->negotiation->client, rings->queue, rings->call_fd);
}

void vhost_rings_stop(VhostRings *rings, VhostRingsDone done)
{
        rings->done = done;
        rings->handing_over = false;
        stop_next(rings);
}

void vhost_rings_hand_over(VhostRings *rings, VhostRingsDone done)
{
        rings->done = done;
        rings->handing_over = true;
        rings->unfinished = false;
        stop_next(rings);
}

void vhost_rings_enable(VhostRings *rings, uint16_t n_pairs, VhostRingsDone done)
{
        VhostClient *client = rings->negotiation->client;

        rings->done = done;
        for (uint64_t queues = rings->started; queues != 0; queues &= queues - 1) {
                const uint16_t queue = (uint16_t)__builtin_ctzll(queues);
                const bool enable = net_control_enables(n_pairs, queue);

                if (enable != net_control_enables(rings->device->n_pairs, queue))
                        vhost_set_vring_enable(client, queue, enable);
        }
        vhost_barrier(client, order_done, rings);
}

/* Of packed rings nothing is noted. */
void vhost_ring_forget(VhostRings *rings, uint16_t queue)
{
        if (!virtio_has_feature(rings->device, VIRTIO_F_RING_PACKED))
                vhost_inflight_clear(rings->progress, rings->progress_file, queue);
        rings->progress->bases[queue] = base_new(rings);
}

static void single_started(void *userdata, const VhostUserPayload *payload _unused_)
{
        VhostRings *rings = userdata;

        rings->started |= BIT(rings->queue);
        rings->done(rings->userdata);
}

/* The driver takes back what it has granted: until then the backend has to unmap the ring. */
static void single_stopped(void *userdata, const VhostUserPayload *payload _unused_)
{
        VhostRings *rings = userdata;
        const VhostNegotiation *negotiation = rings->negotiation;
        int r;

        rings->started &= ~BIT(rings->queue);
        if (negotiation->offer.way != MEMORY_WAY_GRANTS) {
                rings->done(rings->userdata);
                return;
        }
        r = memory_send(rings);
        if (r < 0)
                negotiation->failed(negotiation->userdata, r,
                                    "the rings that are left lie in too "
                                    "many places for a memory table");
        else
                vhost_barrier(negotiation->client, order_done, rings);
}

/* What is granted may be in its table for each queue that was ready when that was sent. */
bool vhost_ring_is_known(const VhostRings *rings, uint16_t queue)
{
        return (rings->started & BIT(queue)) || rings->negotiation->offer.way == MEMORY_WAY_GRANTS;
}

void vhost_ring_start(VhostRings *rings, uint16_t queue, VhostRingsDone done)
{
        VhostClient *client = rings->negotiation->client;

        rings->done = done;
        rings->queue = queue;
        vhost_set_vring_num(client, queue, rings->device->queues[queue].size);
        ring_send(rings, queue, base_new(rings));
        vhost_barrier(client, single_started, rings);
}

void vhost_ring_stop(VhostRings *rings, uint16_t queue, VhostRingsDone done)
{
        VhostClient *client = rings->negotiation->client;

        rings->done = done;
        rings->queue = queue;
        if (rings->started & BIT(queue)) {
                ring_disable(rings, queue);
                vhost_get_vring_base(client, queue, single_stopped, rings);
        } else {
                vhost_barrier(client, single_stopped, rings);
        }
}
