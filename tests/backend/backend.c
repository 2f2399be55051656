/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "tests/backend/backend.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* All that is implemented here. */
#define TRANSPORT_FEATURES                                                                         \
        (BIT(FEATURE_INDIRECT_DESC) | BIT(FEATURE_EVENT_IDX) | BIT(FEATURE_PROTOCOL_FEATURES) |    \
         BIT(FEATURE_VERSION_1) | BIT(FEATURE_RING_PACKED))
#define PROTOCOL_FEATURES                                                                          \
        (BIT(WIRE_PROTOCOL_MQ) | BIT(WIRE_PROTOCOL_REPLY_ACK) | BIT(WIRE_PROTOCOL_MTU) |           \
         BIT(WIRE_PROTOCOL_BACKEND_REQ) | BIT(WIRE_PROTOCOL_CONFIG) |                              \
         BIT(WIRE_PROTOCOL_BACKEND_SEND_FD) | BIT(WIRE_PROTOCOL_INFLIGHT_SHMFD) |                  \
         BIT(WIRE_PROTOCOL_RESET_DEVICE) | BIT(WIRE_PROTOCOL_CONFIGURE_MEM_SLOTS) |                \
         BIT(WIRE_PROTOCOL_STATUS) | BIT(WIRE_PROTOCOL_XEN_MMAP))

int backend_open(Backend *backend, const BackendOptions *options)
{
        uint64_t features = TRANSPORT_FEATURES;
        int r;

        *backend = (Backend){
                .options = options,
                .personality = { .ops = options->ops, .fd = -1 },
                .fd = -1,
                .channel = { .fd = -1 },
        };
        for (uint32_t i = 0; i < WIRE_QUEUES_MAX; i++)
                queue_init(&backend->queues[i], i);
        r = options->ops->open(&options->personality, &backend->personality);
        if (r < 0)
                return r;
        /* Requests keep their order unless it is taken from them. */
        if (!options->policy.shuffle && !options->ops->shuffles)
                features |= BIT(FEATURE_IN_ORDER);
        backend->offer = (LegalOffer){
                .features = (features | backend->personality.features) & options->features,
                .protocol_features = PROTOCOL_FEATURES & options->protocol_features,
                .n_queues = backend->personality.n_queues,
        };
        if (backend->personality.config_size == 0)
                backend->offer.protocol_features &= ~BIT(WIRE_PROTOCOL_CONFIG);
        return 0;
}

void backend_close(Backend *backend)
{
        backend_disconnect(backend);
        if (backend->personality.ops->close)
                backend->personality.ops->close(&backend->personality);
}

void backend_connect(Backend *backend, int fd)
{
        /* A frontend that stops in the middle of a message, or takes no reply, is given up. */
        const struct timeval patience = { .tv_sec = 2 };

        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
        backend->fd = fd;
        backend->n_connections++;
        backend->deaf = false;
        legality_begin(&backend->legality, &backend->offer);
}

void backend_disconnect(Backend *backend)
{
        backend_release(backend);
        channel_close(&backend->channel);
        fd_closep(&backend->fd);
}

bool backend_illegal(Backend *backend, const char *name, const char *broken)
{
        _cleanup_fd_ int fd = -1;

        backend->illegal = true;
        fprintf(stderr, "illegal: %s: %s\n", name, broken);
        if (backend->options->report)
                fd = open(backend->options->report, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
                          0600);
        if (fd >= 0)
                dprintf(fd, "illegal: %s: %s\n", name, broken);
        return backend->options->go_on;
}

static const Misbehaviour *misbehaviour(const Backend *backend, uint32_t request)
{
        const BackendOptions *options = backend->options;
        const uint32_t turn = backend->n_connections - 1;

        if (options->misbehave_in_turn)
                return turn < options->n_misbehaviours
                               ? misbehaviour_find(&options->misbehaviours[turn], 1, request)
                               : NULL;
        if (options->misbehave_connections > 0 &&
            backend->n_connections > options->misbehave_connections)
                return NULL;
        return misbehaviour_find(options->misbehaviours, options->n_misbehaviours, request);
}

static void flood_begin(Channel *channel, const Misbehaviour *wrong)
{
        if (!wrong || channel->fd < 0)
                return;
        if (wrong->kind == MISBEHAVE_FLOOD_CONFIG)
                channel->n_config += wrong->argument;
        if (wrong->kind == MISBEHAVE_FLOOD_UNKNOWN)
                channel->n_unknown += wrong->argument;
}

static void reply_or_not(Backend *backend, const WireHeader *header, Reply *reply, int result)
{
        const Misbehaviour *wrong = misbehaviour(backend, header->request);
        bool has_reply = result > 0;

        if (!has_reply && (header->flags & WIRE_NEED_REPLY)) {
                reply->payload.u64 = result < 0;
                reply->header.size = sizeof(uint64_t);
                has_reply = true;
        }
        if (result < 0)
                fprintf(stderr, "%s: %s\n", wire_request_name(header->request), strerror(-result));
        flood_begin(&backend->channel, wrong);
        if (!has_reply && (!wrong || wrong->kind != MISBEHAVE_CLOSE))
                return;

        switch (reply_send(backend->fd, reply, wrong)) {
        case REPLY_CLOSE:
                backend_disconnect(backend);
                break;
        case REPLY_DEAF:
                backend->deaf = true;
                break;
        case REPLY_SENT:
        default:
                break;
        }
}

bool backend_receive(Backend *backend)
{
        _cleanup_(message_close) Message message;
        Reply reply = { .fd = -1 };
        const char *broken;
        int r;

        message.n_fds = 0;
        r = backend->deaf ? 0 : message_receive(backend->fd, &message);
        if (r <= 0) {
                backend_disconnect(backend);
                return true;
        }
        broken = legality_check(&backend->legality, &message.header, &message.payload,
                                message.n_fds);
        if (broken) {
                const char *name = wire_request_name(message.header.request);

                /* What it would mean is anybody's guess. */
                backend_disconnect(backend);
                return backend_illegal(backend, name ? name : "unknown request", broken);
        }
        if (backend->options->trace)
                fprintf(stderr, "request: %s\n", wire_request_name(message.header.request));
        reply.header = (WireHeader){ message.header.request, WIRE_VERSION | WIRE_REPLY, 0 };
        r = request_handle(backend, &message, &reply);
        reply_or_not(backend, &message.header, &reply, r);
        fd_closep(&reply.fd);
        return true;
}

static void queues_serve(Backend *backend, uint64_t now_msec)
{
        for (uint32_t i = 0; i < backend->offer.n_queues; i++) {
                Queue *queue = &backend->queues[i];

                if (queue_next_due(queue) <= now_msec)
                        queue_serve(queue, &backend->personality, &backend->memory,
                                    &backend->options->policy, now_msec);
        }
}

/* What is done in one queue may be what a request in another one waits for. */
void backend_serve(Backend *backend, uint64_t now_msec)
{
        queues_serve(backend, now_msec);
        while (backend->personality.changed) {
                backend->personality.changed = false;
                for (uint32_t i = 0; i < backend->offer.n_queues; i++)
                        queue_wake(&backend->queues[i]);
                queues_serve(backend, now_msec);
        }
        if (backend->personality.config_changed) {
                backend->personality.config_changed = false;
                channel_config_changed(&backend->channel, 1);
        }
}

void backend_refresh(Backend *backend)
{
        const PersonalityOps *ops = backend->personality.ops;

        if (ops->refresh && ops->refresh(&backend->personality))
                channel_config_changed(&backend->channel, 1);
}
