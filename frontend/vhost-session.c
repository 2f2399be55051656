/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/vhost-session.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "frontend/vhost-request.h"

#define BIT(n) (UINT64_C(1) << (n))

/* Between attempts to connect: backends are started at the same time as we are. */
#define RETRY_MIN_USEC UINT64_C(5000)
#define RETRY_MAX_USEC UINT64_C(500000)

/*
 * Transport features of virtio 1.3 section 6 that are passed between driver and backend untouched:
 * INDIRECT_DESC, EVENT_IDX, VERSION_1, IN_ORDER, ORDER_PLATFORM. Bits 24 and up that are not here
 * belong to a transport or to vhost-user itself.
 */
#define DEVICE_FEATURES    (BIT(24) - 1)
#define TRANSPORT_FEATURES (BIT(28) | BIT(29) | BIT(VIRTIO_F_VERSION_1) | BIT(35) | BIT(36))

/* What is implemented here, and nothing else, is acknowledged. */
#define PROTOCOL_FEATURES                                                                          \
        (BIT(VHOST_USER_PROTOCOL_F_MQ) | BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK) |                    \
         BIT(VHOST_USER_PROTOCOL_F_CONFIG))

struct VhostSession {
        sd_event *event;
        struct sockaddr_un address;
        const DeviceType *type;
        const VhostMemory *memory;
        const VhostSessionOps *ops;
        void *userdata;

        VhostSessionState state;
        sd_event_source *retry;
        uint64_t retry_usec;
        uint64_t drain_deadline; /* CLOCK_MONOTONIC, microseconds */
        VhostClient *client;
        uint64_t backend_features;
        uint64_t protocol_features;
        VhostOffer offer;
        bool memory_known; /* to this connection's backend */

        /* While starting, running and stopping. */
        const VirtioDevice *device;
        const int *kick_fds;
        int call_fd;
        uint16_t queue;   /* the one that is being started or stopped */
        uint64_t started; /* bit n: the backend has queue n */
};

static void negotiation_begin(VhostSession *session);

static void session_set_state(VhostSession *session, VhostSessionState state)
{
        session->state = state;
}

VhostSessionState vhost_session_state(const VhostSession *session)
{
        return session->state;
}

bool vhost_session_is_busy(const VhostSession *session)
{
        return session->state == VHOST_SESSION_STARTING ||
               session->state == VHOST_SESSION_STOPPING || session->state == VHOST_SESSION_DRAINING;
}

static void retry_schedule(VhostSession *session)
{
        sd_event_source_set_time_relative(session->retry, session->retry_usec);
        sd_event_source_set_enabled(session->retry, SD_EVENT_ONESHOT);
        session->retry_usec *= 2;
        if (session->retry_usec > RETRY_MAX_USEC)
                session->retry_usec = RETRY_MAX_USEC;
}

static void connection_close(VhostSession *session)
{
        session->client = vhost_client_free(session->client);
        session->memory_known = false;
        session->started = 0;
}

static void session_lost(void *userdata, int error, const char *reason)
{
        VhostSession *session = userdata;

        connection_close(session);
        session_set_state(session, VHOST_SESSION_DISCONNECTED);
        retry_schedule(session);
        session->ops->lost(session->userdata, error, reason);
}

/* Returns 0 with a client, or a negative errno. */
static int connection_open(VhostSession *session)
{
        _cleanup_fd_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        if (fd < 0 ||
            connect(fd, (const struct sockaddr *)&session->address, sizeof(session->address)) < 0)
                return -errno;
        return vhost_client_new(session->event, steal_fd(&fd), session_lost, session,
                                &session->client);
}

/*
 * The rings are stopped and the connection is closed. That nobody serves the socket says that the
 * backend is gone; any other failure says nothing, and is tried again until the time is up.
 */
static void drain_retry(VhostSession *session, int error)
{
        uint64_t now = 0;

        sd_event_now(session->event, CLOCK_MONOTONIC, &now);
        if (error != -ENOENT && error != -ECONNREFUSED && now < session->drain_deadline)
                return;
        session_set_state(session, VHOST_SESSION_DISCONNECTED);
        session->ops->stopped(session->userdata);
}

/*
 * A connection may be accepted by a backend that is about to end, so the whole handshake counts as
 * the attempt, not connect() alone.
 */
static int connect_attempt(sd_event_source *source _unused_, uint64_t usec _unused_, void *userdata)
{
        VhostSession *session = userdata;
        int r = connection_open(session);

        if (r < 0) {
                retry_schedule(session);
                if (session->state == VHOST_SESSION_DRAINING)
                        drain_retry(session, r);
                return 0;
        }
        if (session->state == VHOST_SESSION_DISCONNECTED)
                session_set_state(session, VHOST_SESSION_NEGOTIATING);
        negotiation_begin(session);
        return 0;
}

/* What is offered to the driver of what the backend has. */
static uint64_t offer_features(const VhostSession *session)
{
        return session->backend_features & (DEVICE_FEATURES | TRANSPORT_FEATURES) &
               ~session->type->features_mask;
}

static void negotiation_end(VhostSession *session)
{
        session->retry_usec = RETRY_MIN_USEC;
        session_set_state(session, VHOST_SESSION_IDLE);
        session->ops->ready(session->userdata, &session->offer);
}

static void config_answered(void *userdata, const VhostUserPayload *payload)
{
        VhostSession *session = userdata;

        session->offer.config_size = payload->config.size;
        memcpy(session->offer.config, payload->config.data, payload->config.size);
        negotiation_end(session);
}

static void config_query(VhostSession *session)
{
        if ((session->protocol_features & BIT(VHOST_USER_PROTOCOL_F_CONFIG)) &&
            session->type->config_size > 0)
                vhost_get_config(session->client, session->type->config_size, config_answered,
                                 session);
        else
                negotiation_end(session);
}

static void queue_num_answered(void *userdata, const VhostUserPayload *payload)
{
        VhostSession *session = userdata;

        if (payload->u64 == 0) {
                session_lost(session, -EPROTO, "the backend has no queues");
                return;
        }
        session->offer.n_queues =
                (uint16_t)(payload->u64 < VIRTIO_QUEUES_MAX ? payload->u64 : VIRTIO_QUEUES_MAX);
        config_query(session);
}

static void protocol_features_answered(void *userdata, const VhostUserPayload *payload)
{
        VhostSession *session = userdata;

        session->protocol_features = payload->u64 & PROTOCOL_FEATURES;
        vhost_set_protocol_features(session->client, session->protocol_features);
        if (session->protocol_features & BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK))
                vhost_client_use_acks(session->client);
        vhost_set_owner(session->client);
        if (session->protocol_features & BIT(VHOST_USER_PROTOCOL_F_MQ))
                vhost_get_queue_num(session->client, queue_num_answered, session);
        else
                config_query(session);
}

static void features_answered(void *userdata, const VhostUserPayload *payload)
{
        VhostSession *session = userdata;

        session->backend_features = payload->u64;
        if (!(session->backend_features & BIT(VIRTIO_F_VERSION_1))) {
                session_lost(session, -EPROTO, "the backend does not offer VIRTIO_F_VERSION_1");
                return;
        }
        session->offer = (VhostOffer){
                .features = offer_features(session),
                .n_queues = session->type->n_queues,
        };
        session->protocol_features = 0;
        if (session->backend_features & BIT(VHOST_USER_F_PROTOCOL_FEATURES)) {
                vhost_get_protocol_features(session->client, protocol_features_answered, session);
                return;
        }
        vhost_set_owner(session->client);
        config_query(session);
}

static void negotiation_begin(VhostSession *session)
{
        vhost_get_features(session->client, features_answered, session);
}

int vhost_session_new(sd_event *event, const char *socket, const DeviceType *type,
                      const VhostMemory *memory, const VhostSessionOps *ops, void *userdata,
                      VhostSession **ret_session)
{
        VhostSession *session;
        int r;

        session = calloc(1, sizeof(*session));
        if (!session)
                return -ENOMEM;
        *session = (VhostSession){
                .event = sd_event_ref(event),
                .address.sun_family = AF_UNIX,
                .type = type,
                .memory = memory,
                .ops = ops,
                .userdata = userdata,
                .retry_usec = RETRY_MIN_USEC,
        };

        r = strlen(socket) < sizeof(session->address.sun_path) ? 0 : -ENAMETOOLONG;
        if (r == 0) {
                strcpy(session->address.sun_path, socket);
                r = sd_event_add_time(event, &session->retry, CLOCK_MONOTONIC, 0, 1000,
                                      connect_attempt, session);
        }
        if (r >= 0)
                r = sd_event_source_set_enabled(session->retry, SD_EVENT_OFF);
        if (r < 0) {
                vhost_session_free(session);
                return r;
        }
        *ret_session = session;
        return 0;
}

VhostSession *vhost_session_free(VhostSession *session)
{
        if (!session)
                return NULL;
        vhost_client_free(session->client);
        sd_event_source_disable_unref(session->retry);
        sd_event_unref(session->event);
        free(session);
        return NULL;
}

void vhost_session_open(VhostSession *session)
{
        sd_event_source_set_time(session->retry, 0);
        sd_event_source_set_enabled(session->retry, SD_EVENT_ONESHOT);
}

void vhost_session_memory_changed(VhostSession *session)
{
        session->memory_known = false;
}

static void memory_send(VhostSession *session)
{
        const VhostMemory *memory = session->memory;
        VhostUserRegion regions[MEMORY_BANKS_MAX] = { 0 };

        /* The user address is only a key for ring addresses: the guest address serves. */
        for (unsigned int i = 0; i < memory->n_banks; i++)
                regions[i] = (VhostUserRegion){
                        .guest_address = memory->banks[i].base,
                        .size = memory->banks[i].size,
                        .user_address = memory->banks[i].base,
                        .mmap_offset = 0,
                };
        vhost_set_memory_table(session->client, regions, memory->fds, memory->n_banks);
        session->memory_known = true;
}

/* The first queue from "from" on that is ready; n_queues if none is. */
static uint16_t queue_next_ready(const VirtioDevice *device, uint16_t from)
{
        while (from < device->n_queues && !device->queues[from].ready)
                from++;
        return from;
}

static void queue_start(VhostSession *session);

static void queue_started(void *userdata, const VhostUserPayload *payload _unused_)
{
        VhostSession *session = userdata;

        session->started |= BIT(session->queue);
        session->queue = queue_next_ready(session->device, (uint16_t)(session->queue + 1));
        queue_start(session);
}

/*
 * Starts one ring after the other. A backend takes a ring as started when it gets the kick
 * descriptor, so all else comes before; some want the call descriptor before that.
 */
static void queue_start(VhostSession *session)
{
        const uint16_t index = session->queue;
        const VirtioQueue *queue;
        VhostUserVringAddress address;

        if (index >= session->device->n_queues) {
                session_set_state(session, VHOST_SESSION_RUNNING);
                session->ops->started(session->userdata);
                return;
        }

        queue = &session->device->queues[index];
        address = (VhostUserVringAddress){
                .index = index,
                .descriptor_area = queue->descriptor_area,
                .driver_area = queue->driver_area,
                .device_area = queue->device_area,
        };
        vhost_set_vring_num(session->client, index, queue->size);
        /* The driver made the ring anew. */
        vhost_set_vring_base(session->client, index, 0);
        vhost_set_vring_address(session->client, &address);
        vhost_set_vring_call(session->client, index, session->call_fd);
        vhost_set_vring_kick(session->client, index, session->kick_fds[index]);
        if (session->backend_features & BIT(VHOST_USER_F_PROTOCOL_FEATURES))
                vhost_set_vring_enable(session->client, index, true);
        vhost_barrier(session->client, queue_started, session);
}

static void start_prepared(void *userdata, const VhostUserPayload *payload _unused_)
{
        VhostSession *session = userdata;

        session->queue = queue_next_ready(session->device, 0);
        queue_start(session);
}

void vhost_session_start(VhostSession *session, const VirtioDevice *device, const int *kick_fds,
                         int call_fd)
{
        uint64_t features = device->driver_features & ~BIT(VIRTIO_F_ACCESS_PLATFORM);

        session->device = device;
        session->kick_fds = kick_fds;
        session->call_fd = call_fd;
        session_set_state(session, VHOST_SESSION_STARTING);

        /* Without this bit the backend would enable all rings at once. */
        features |= session->backend_features & BIT(VHOST_USER_F_PROTOCOL_FEATURES);
        vhost_set_features(session->client, features);
        if (!session->memory_known)
                memory_send(session);
        vhost_barrier(session->client, start_prepared, session);
}

static void queue_stop(VhostSession *session);

static void queue_stopped(void *userdata, const VhostUserPayload *payload _unused_)
{
        VhostSession *session = userdata;

        session->started &= ~BIT(session->queue);
        queue_stop(session);
}

static void drain_begin(VhostSession *session)
{
        connection_close(session);
        session_set_state(session, VHOST_SESSION_DRAINING);
        sd_event_now(session->event, CLOCK_MONOTONIC, &session->drain_deadline);
        session->drain_deadline += VHOST_ANSWER_TIMEOUT_USEC;
        vhost_session_open(session);
}

/* Stops one ring after the other, and then lets the end of the connection drain the backend. */
static void queue_stop(VhostSession *session)
{
        if (session->started == 0) {
                drain_begin(session);
                return;
        }
        session->queue = (uint16_t)__builtin_ctzll(session->started);
        if (session->backend_features & BIT(VHOST_USER_F_PROTOCOL_FEATURES))
                vhost_set_vring_enable(session->client, session->queue, false);
        vhost_get_vring_base(session->client, session->queue, queue_stopped, session);
}

void vhost_session_stop(VhostSession *session)
{
        session_set_state(session, VHOST_SESSION_STOPPING);
        queue_stop(session);
}

static void single_queue_stopped(void *userdata, const VhostUserPayload *payload _unused_)
{
        VhostSession *session = userdata;

        session->started &= ~BIT(session->queue);
        session_set_state(session, VHOST_SESSION_RUNNING);
        session->ops->stopped(session->userdata);
}

void vhost_session_queue_stop(VhostSession *session, uint16_t queue)
{
        session_set_state(session, VHOST_SESSION_STOPPING);
        session->queue = queue;
        if (session->backend_features & BIT(VHOST_USER_F_PROTOCOL_FEATURES))
                vhost_set_vring_enable(session->client, queue, false);
        vhost_get_vring_base(session->client, queue, single_queue_stopped, session);
}
