/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What each message asks for. All have been found legal. */

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/backend/backend.h"

static int u64_reply(Reply *reply, uint64_t value)
{
        reply->payload.u64 = value;
        reply->header.size = sizeof(value);
        return 1;
}

static bool has_xen_regions(const Backend *backend)
{
        return legality_has_protocol(&backend->legality, WIRE_PROTOCOL_XEN_MMAP);
}

static int rings_reopen(Backend *backend)
{
        for (uint32_t i = 0; i < backend->offer.n_queues; i++) {
                Queue *queue = &backend->queues[i];
                int r;

                if (!queue->started)
                        continue;
                r = ring_open(&queue->ring, &backend->memory, &queue->address, queue->size,
                              backend->features, queue->base);
                queue->broken = r < 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Rings that run go on in the new table, where they left off. */
static int table_set(Backend *backend, Message *message)
{
        WireRegion regions[WIRE_REGIONS_MAX];
        const uint32_t n = wire_table_read(&message->payload, has_xen_regions(backend), regions);
        int r = 0;

        for (uint32_t i = 0; i < backend->offer.n_queues; i++) {
                Queue *queue = &backend->queues[i];

                if (!queue->started)
                        continue;
                queue->base = ring_base(&queue->ring);
                queue->broken = true; /* until there is memory again */
                ring_close(&queue->ring);
        }
        memory_clear(&backend->memory);
        for (uint32_t i = 0; i < n && r == 0; i++)
                r = memory_add(&backend->memory, &regions[i], message_take_fd(message, i));
        return r < 0 ? r : rings_reopen(backend);
}

static int slot_change(Backend *backend, Message *message)
{
        WireRegion region;

        wire_slot_read(&message->payload, has_xen_regions(backend), &region);
        if (message->header.request == WIRE_ADD_MEM_REG)
                return memory_add(&backend->memory, &region, message_take_fd(message, 0));
        memory_remove(&backend->memory, &region);
        return 0;
}

static void inflight_unmap(Backend *backend)
{
        if (backend->inflight_area)
                munmap(backend->inflight_area, backend->inflight_size);
        backend->inflight_area = NULL;
        for (uint32_t i = 0; i < WIRE_QUEUES_MAX; i++)
                backend->queues[i].inflight = NULL;
}

static int inflight_map(Backend *backend, const WireInflight *inflight, int fd)
{
        const size_t bytes = inflight_queue_bytes(inflight->queue_size);
        uint8_t *area;

        inflight_unmap(backend);
        if (inflight->mmap_size < bytes * inflight->n_queues)
                return -EINVAL;
        area = mmap(NULL, inflight->mmap_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
                    (off_t)inflight->mmap_offset);
        if (area == MAP_FAILED)
                return -errno;
        backend->inflight_area = area;
        backend->inflight_size = inflight->mmap_size;
        for (uint16_t i = 0; i < inflight->n_queues; i++) {
                backend->queues[i].inflight = (InflightQueue *)(void *)(area + i * bytes);
                backend->queues[i].inflight_size = inflight->queue_size;
        }
        return 0;
}

static int inflight_make(Backend *backend, const WireInflight *wanted, Reply *reply)
{
        WireInflight inflight = {
                .mmap_size = inflight_queue_bytes(wanted->queue_size) * wanted->n_queues,
                .n_queues = wanted->n_queues,
                .queue_size = wanted->queue_size,
        };
        _cleanup_fd_ int fd = memfd_create("inflight", MFD_CLOEXEC);
        int r;

        if (fd < 0 || ftruncate(fd, (off_t)inflight.mmap_size) < 0)
                return -errno;
        r = inflight_map(backend, &inflight, fd);
        if (r < 0)
                return r;
        reply->payload.inflight = inflight;
        reply->header.size = sizeof(inflight);
        reply->fd = steal_fd(&fd);
        return 1;
}

static int config_get(const Backend *backend, const WireConfig *wanted, Reply *reply)
{
        const Personality *personality = &backend->personality;

        /* "uses zero length of payload to indicate an error" */
        reply->header.size = 0;
        if (wanted->offset + wanted->size > personality->config_size)
                return 1;
        reply->payload.config = (WireConfig){ .offset = wanted->offset, .size = wanted->size };
        memcpy(reply->payload.config.data, personality->config + wanted->offset, wanted->size);
        reply->header.size = (uint32_t)WIRE_CONFIG_HEADER_SIZE + wanted->size;
        return 1;
}

static int config_set(Personality *personality, const WireConfig *config)
{
        if (!personality->ops->config_write)
                return -EPERM;
        return personality->ops->config_write(personality, config->offset, config->data,
                                              config->size);
}

void backend_release(Backend *backend)
{
        for (uint32_t i = 0; i < WIRE_QUEUES_MAX; i++)
                queue_clear(&backend->queues[i]);
        inflight_unmap(backend);
        memory_clear(&backend->memory);
        backend->features = 0;
        backend->status = 0;
}

static int device_reset(Backend *backend)
{
        for (uint32_t i = 0; i < backend->offer.n_queues; i++) {
                queue_stop(&backend->queues[i], &backend->personality, &backend->memory);
                queue_clear(&backend->queues[i]);
        }
        inflight_unmap(backend);
        backend->features = 0;
        backend->status = 0;
        return 0;
}

/* "must enable all rings immediately" where they cannot be enabled one by one. */
static int features_set(Backend *backend, uint64_t features)
{
        backend->features = features;
        if (!(features & BIT(FEATURE_PROTOCOL_FEATURES))) {
                for (uint32_t i = 0; i < backend->offer.n_queues; i++)
                        backend->queues[i].enabled = true;
        }
        return 0;
}

static int ring_kick_set(Backend *backend, Queue *queue, Message *message)
{
        fd_closep(&queue->kick_fd);
        queue->kick_fd = message_take_fd(message, 0);
        return queue->started ? 0 : queue_start(queue, &backend->memory, backend->features);
}

static int ring_handle(Backend *backend, Message *message, Reply *reply)
{
        const WireState *state = &message->payload.state;
        Queue *queue = &backend->queues[message->payload.u64 & WIRE_VRING_INDEX_MASK];

        switch (message->header.request) {
        case WIRE_SET_VRING_NUM:
                queue->size = (uint16_t)state->num;
                return 0;
        case WIRE_SET_VRING_BASE:
                queue->base = state->num;
                return 0;
        case WIRE_SET_VRING_ADDR:
                queue->address = message->payload.address;
                return 0;
        case WIRE_SET_VRING_ENABLE:
                queue->enabled = state->num != 0;
                queue->again = true;
                return 0;
        case WIRE_SET_VRING_KICK:
                return ring_kick_set(backend, queue, message);
        case WIRE_SET_VRING_CALL:
                fd_closep(&queue->call_fd);
                queue->call_fd = message_take_fd(message, 0);
                return 0;
        case WIRE_SET_VRING_ERR:
                fd_closep(&queue->error_fd);
                queue->error_fd = message_take_fd(message, 0);
                return 0;
        default: /* WIRE_GET_VRING_BASE */
                reply->payload.state = (WireState){
                        .index = state->index,
                        .num = queue_stop(queue, &backend->personality, &backend->memory),
                };
                reply->header.size = sizeof(WireState);
                return 1;
        }
}

static int channel_set(Backend *backend, Message *message)
{
        const Legality *legality = &backend->legality;

        channel_close(&backend->channel);
        backend->channel.fd = message_take_fd(message, 0);
        backend->channel.wants_ack = legality_has_protocol(legality, WIRE_PROTOCOL_REPLY_ACK);
        backend->channel.carries_fds =
                legality_has_protocol(legality, WIRE_PROTOCOL_BACKEND_SEND_FD);
        return 0;
}

int request_handle(Backend *backend, Message *message, Reply *reply)
{
        const WirePayload *payload = &message->payload;
        Personality *personality = &backend->personality;

        switch (message->header.request) {
        case WIRE_GET_FEATURES:
                return u64_reply(reply, backend->offer.features);
        case WIRE_SET_FEATURES:
                return features_set(backend, payload->u64);
        case WIRE_GET_PROTOCOL_FEATURES:
                return u64_reply(reply, backend->offer.protocol_features);
        case WIRE_GET_QUEUE_NUM:
                return u64_reply(reply, backend->offer.n_queues /
                                                (personality->ops->counts_pairs ? 2 : 1));
        case WIRE_GET_MAX_MEM_SLOTS:
                return u64_reply(reply, WIRE_SLOTS_MAX);
        case WIRE_SET_OWNER:
        case WIRE_SET_PROTOCOL_FEATURES: /* legality.h has them */
        case WIRE_NET_SET_MTU:
                return 0;
        case WIRE_SET_MEM_TABLE:
                return table_set(backend, message);
        case WIRE_ADD_MEM_REG:
        case WIRE_REM_MEM_REG:
                return slot_change(backend, message);
        case WIRE_SET_BACKEND_REQ_FD:
                return channel_set(backend, message);
        case WIRE_GET_CONFIG:
                return config_get(backend, &payload->config, reply);
        case WIRE_SET_CONFIG:
                return config_set(personality, &payload->config);
        case WIRE_GET_INFLIGHT_FD:
                return inflight_make(backend, &payload->inflight, reply);
        case WIRE_SET_INFLIGHT_FD:
                return inflight_map(backend, &payload->inflight, message->fds[0]);
        case WIRE_RESET_DEVICE:
                return device_reset(backend);
        case WIRE_SET_STATUS:
                backend->status = (uint8_t)payload->u64;
                return 0;
        case WIRE_GET_STATUS:
                return u64_reply(reply, backend->status);
        default:
                return ring_handle(backend, message, reply);
        }
}
