/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/vhost-session.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "frontend/retry.h"
#include "frontend/vhost-channel.h"
#include "frontend/vhost-peer.h"
#include "frontend/vhost-refusal.h"
#include "frontend/vhost-request.h"

/* Between two looks at a configuration space that changes all the time. */
#define UPDATE_USEC UINT64_C(100000)

struct VhostSession {
        Loop *loop;
        int folder; /* of the address */
        struct sockaddr_un address;
        const VhostSessionOps *ops;
        void *userdata;
        VhostProgress *progress;

        VhostSessionState state;
        Retry connecting;  /* backends are started at the same time as we are */
        bool resumed;      /* the rings go on where an earlier backend has stopped */
        bool handing_over; /* to the next process, when the backend is drained */
        VhostHolder holder;
        bool holder_told; /* that it keeps another backend away */
        VhostKeeper keeper;
        bool is_adopted; /* the connection is a former process's, and the rings run */
        VhostClient *client;
        VhostPeer peer; /* of this connection, until it is the holder */
        VhostChannel *channel;
        LoopTimer update; /* of the configuration space, when it has changed */
        uint64_t updated; /* when it was last; CLOCK_MONOTONIC, microseconds */
        VhostNegotiation negotiation;
        VhostRings rings;
};

static void session_set_state(VhostSession *session, VhostSessionState state)
{
        session->state = state;
        if (state != VHOST_SESSION_IDLE && state != VHOST_SESSION_RUNNING)
                session->keeper.kept->running = 0;
}

VhostSessionState vhost_session_state(const VhostSession *session)
{
        return session->state;
}

int32_t vhost_session_holder(const VhostSession *session)
{
        return session->progress->holder;
}

static void connection_close(VhostSession *session)
{
        vhost_keeper_end(&session->keeper, session->client);
        session->is_adopted = false;
        session->client = vhost_client_free(session->client);
        session->channel = vhost_channel_free(session->channel);
        fd_closep(&session->negotiation.channel);
        loop_timer_stop(&session->update);
        session->negotiation.client = NULL;
        vhost_rings_forget(&session->rings);
        vhost_peer_close(&session->peer);
}

/* Nothing of what the driver had is gone on with. Who had its memory may still have it. */
static void progress_forget(VhostSession *session)
{
        *session->progress = (VhostProgress){ .holder = session->progress->holder };
}

static void drain_end(VhostSession *session)
{
        session_set_state(session, VHOST_SESSION_DISCONNECTED);
        session->ops->stopped(session->userdata);
}

/* The process has ended. If it served rings until now, the end of its connection tells, too. */
static void holder_gone(void *userdata)
{
        VhostSession *session = userdata;

        if (session->state != VHOST_SESSION_DISCONNECTED &&
            session->state != VHOST_SESSION_NEGOTIATING && session->state != VHOST_SESSION_DRAINING)
                return;
        connection_close(session);
        retry_now(&session->connecting);
        drain_end(session);
}

static void session_lost(void *userdata, int error, const char *reason)
{
        VhostSession *session = userdata;

        connection_close(session);
        retry_later(&session->connecting);
        if (session->state == VHOST_SESSION_STOPPING || session->state == VHOST_SESSION_DRAINING)
                session_set_state(session, VHOST_SESSION_DRAINING);
        else
                session_set_state(session, VHOST_SESSION_DISCONNECTED);
        session->ops->lost(session->userdata, error, reason);
}

/* The backend may say so as often as it likes. */
static void config_changed(void *userdata)
{
        VhostSession *session = userdata;
        const uint64_t now = loop_now(), next = session->updated + UPDATE_USEC;

        if (!session->update.is_on)
                loop_timer_start(&session->update, next > now ? next - now : 0);
}

static void config_updated(void *userdata)
{
        VhostSession *session = userdata;

        session->ops->config_changed(session->userdata, &session->negotiation.offer);
}

static bool is_negotiated(const VhostSession *session)
{
        return session->client && session->state != VHOST_SESSION_NEGOTIATING &&
               session->state != VHOST_SESSION_DRAINING;
}

static void update_elapsed(void *userdata)
{
        VhostSession *session = userdata;

        session->updated = loop_now();
        if (is_negotiated(session))
                vhost_config_update(&session->negotiation, config_updated);
        else
                config_changed(session);
}

static void channel_refused(void *userdata, uint32_t request)
{
        VhostSession *session = userdata;

        session->ops->refused(session->userdata, request);
}

static const VhostChannelOps channel_ops = {
        .config_changed = config_changed,
        .refused = channel_refused,
};

static void negotiated(void *userdata)
{
        VhostSession *session = userdata;

        fd_closep(&session->negotiation.channel);
        vhost_holder_release(&session->holder);
        /* Only now all requests are done that were begun when the rings were stopped. */
        if (session->state == VHOST_SESSION_DRAINING && session->handing_over)
                session->progress->handed_over = 1;
        session_set_state(session, VHOST_SESSION_IDLE);
        session->ops->ready(session->userdata, &session->negotiation.offer);
}

/* Goes on where a former process was, if it can: with a connection that has been negotiated on. */
static bool connection_adopt(VhostSession *session)
{
        if (!vhost_keeper_adopt(&session->keeper, session->loop, &channel_ops,
                                &session->negotiation, &session->rings, &session->channel))
                return false;
        session->client = session->negotiation.client;
        session->is_adopted = true;
        session_set_state(session, VHOST_SESSION_IDLE);
        config_changed(session); /* perhaps, while nobody was there */
        session->ops->ready(session->userdata, &session->negotiation.offer);
        return true;
}

/* Returns 0 with a client and a channel, or a negative errno. */
static int connection_open(VhostSession *session)
{
        _cleanup_fd_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        int r;

        if (fd < 0 || fchdir(session->folder) < 0 ||
            connect(fd, (const struct sockaddr *)&session->address, sizeof(session->address)) < 0)
                return -errno;
        session->peer = vhost_peer_of(fd);
        if (!vhost_holder_admits(&session->holder, &session->peer)) {
                vhost_peer_close(&session->peer);
                return -EBUSY;
        }
        r = vhost_channel_new(session->loop, &channel_ops, session, &session->negotiation.channel,
                              &session->channel);
        if (r >= 0)
                r = vhost_client_new(session->loop, steal_fd(&fd), session_lost, session,
                                     &session->client);
        if (r < 0)
                connection_close(session);
        return r;
}

/* Another backend than the one that may use the guest's memory; not if that is just ending. */
static void attempt_refused(VhostSession *session)
{
        if (session->holder_told || !retry_is_slow(&session->connecting))
                return;
        session->holder_told = true;
        session->ops->lost(
                session->userdata, -EBUSY,
                "the process of an earlier one, which may use the guest's memory, lives");
}

/*
 * A connection may be accepted by a backend that is about to end, so the whole handshake counts as
 * the attempt, not connect() alone.
 */
static void connect_attempt(void *userdata)
{
        VhostSession *session = userdata;
        int r;

        if (connection_adopt(session))
                return;
        if (session->state == VHOST_SESSION_DRAINING && vhost_session_holder(session) == 0)
                drain_end(session);
        r = connection_open(session);
        if (r < 0) {
                retry_later(&session->connecting);
                if (r == -EBUSY)
                        attempt_refused(session);
                return;
        }
        if (session->state == VHOST_SESSION_DISCONNECTED)
                session_set_state(session, VHOST_SESSION_NEGOTIATING);
        session->negotiation.client = session->client;
        vhost_negotiate(&session->negotiation);
}

static void parts_set(VhostSession *session, const VhostSessionParts *parts)
{
        *session = (VhostSession){
                .loop = parts->loop,
                .folder = parts->folder,
                .address.sun_family = AF_UNIX,
                .ops = parts->ops,
                .userdata = parts->userdata,
                .progress = parts->progress,
                .peer = VHOST_PEER_NONE,
                .keeper = { .kept = parts->kept, .store = parts->store },
                .holder = {
                        .loop = parts->loop,
                        .pid = &parts->progress->holder,
                        .gone = holder_gone,
                        .userdata = session,
                        .peer = VHOST_PEER_NONE,
                },
                .negotiation = {
                        .type = parts->type,
                        .config = parts->config,
                        .channel = -1,
                        .grants = parts->memory->grants,
                        .memory = parts->memory->choice,
                        .done = negotiated,
                        .failed = session_lost,
                        .userdata = session,
                },
                .rings = {
                        .negotiation = &session->negotiation,
                        .memory = parts->memory,
                        .device = parts->device,
                        .kick_fds = parts->kick_fds,
                        .call_fd = parts->call_fd,
                        .progress = parts->progress,
                        .progress_file = parts->progress_file,
                        .userdata = session,
                        .grants = GRANT_SET_NONE,
                },
        };
}

int vhost_session_new(const VhostSessionParts *parts, VhostSession **ret_session)
{
        VhostSession *session;

        if (strlen(parts->socket) >= sizeof(session->address.sun_path))
                return -ENAMETOOLONG;
        session = calloc(1, sizeof(*session));
        if (!session)
                return -ENOMEM;
        parts_set(session, parts);
        strcpy(session->address.sun_path, parts->socket);
        retry_init(&session->connecting, session->loop, connect_attempt, session);
        loop_timer_init(&session->update, session->loop, update_elapsed, session);
        vhost_holder_adopt(&session->holder);
        *ret_session = session;
        return 0;
}

VhostSession *vhost_session_free(VhostSession *session)
{
        if (!session)
                return NULL;
        session->keeper.is_stored = false; /* it is the next process's */
        connection_close(session);
        vhost_holder_clear(&session->holder);
        retry_stop(&session->connecting);
        free(session);
        return NULL;
}

void vhost_session_open(VhostSession *session)
{
        retry_now(&session->connecting);
}

void vhost_session_memory_changed(VhostSession *session)
{
        session->rings.memory_known = false;
}

const char *vhost_session_refusal(const VhostSession *session)
{
        const VhostProgress *progress = session->progress;

        if (session->state == VHOST_SESSION_IDLE)
                return session->is_adopted ? NULL : vhost_refusal(&session->rings);
        if (progress->begun && progress->area_size == 0 && !progress->handed_over)
                return "the backend has not noted which of the driver's requests it has begun";
        return NULL;
}

/* From now on the next process could go on. */
static void session_run(VhostSession *session)
{
        session_set_state(session, VHOST_SESSION_RUNNING);
        vhost_keeper_put(&session->keeper, &session->negotiation, session->rings.started,
                         session->client, session->channel);
}

static void rings_started(void *userdata)
{
        VhostSession *session = userdata;

        session->is_adopted = false;
        session_run(session);
        /* Only that is a success: a backend may answer, and refuse to start, for ever. */
        retry_succeed(&session->connecting);
        session->ops->started(session->userdata, session->resumed);
}

int vhost_session_start(VhostSession *session)
{
        int r;

        session->resumed = session->progress->begun;
        session->holder_told = false;
        if (session->is_adopted) {
                rings_started(session);
                return 0;
        }
        vhost_holder_set(&session->holder, &session->peer);
        r = vhost_rings_start(&session->rings, rings_started);
        if (r < 0)
                return r;
        session_set_state(session, VHOST_SESSION_STARTING);
        return 0;
}

/* Lets the end of the connection drain the backend. */
static void rings_stopped(void *userdata)
{
        VhostSession *session = userdata;

        connection_close(session);
        session_set_state(session, VHOST_SESSION_DRAINING);
        retry_now(&session->connecting);
}

bool vhost_session_stop(VhostSession *session)
{
        progress_forget(session);
        switch (session->state) {
        case VHOST_SESSION_DISCONNECTED:
        case VHOST_SESSION_NEGOTIATING:
                if (vhost_session_holder(session) == 0)
                        return false;
                session_set_state(session, VHOST_SESSION_DRAINING);
                return true;
        case VHOST_SESSION_IDLE:
        case VHOST_SESSION_STARTING:
                if (session->state == VHOST_SESSION_IDLE && !session->is_adopted)
                        return false;
                rings_stopped(session);
                return true;
        case VHOST_SESSION_RUNNING:
                session_set_state(session, VHOST_SESSION_STOPPING);
                vhost_rings_stop(&session->rings, rings_stopped);
                return true;
        case VHOST_SESSION_STOPPING:
        case VHOST_SESSION_DRAINING:
        case VHOST_SESSION_CHANGING:
        case _VHOST_SESSION_STATE_MAX:
        default:
                return true;
        }
}

bool vhost_session_is_kept(const VhostSession *session)
{
        return vhost_keeper_is_ready(&session->keeper);
}

static void rings_handed_over(void *userdata)
{
        VhostSession *session = userdata;

        session->handing_over = !session->rings.unfinished;
        rings_stopped(session);
}

void vhost_session_hand_over(VhostSession *session)
{
        session_set_state(session, VHOST_SESSION_STOPPING);
        vhost_rings_hand_over(&session->rings, rings_handed_over);
}

static void ring_changed(void *userdata)
{
        VhostSession *session = userdata;

        session_run(session);
        session->ops->stopped(session->userdata);
}

void vhost_session_queue_forget(VhostSession *session, uint16_t queue)
{
        vhost_ring_forget(&session->rings, queue);
}

int vhost_session_queue_next(const VhostSession *session)
{
        return session->state == VHOST_SESSION_RUNNING ? vhost_ring_next(&session->rings) : -1;
}

void vhost_session_queue_start(VhostSession *session, uint16_t queue)
{
        vhost_ring_forget(&session->rings, queue); /* a former process may not have come to that */
        session_set_state(session, VHOST_SESSION_CHANGING);
        vhost_ring_start(&session->rings, queue, ring_changed);
}

void vhost_session_queue_stop(VhostSession *session, uint16_t queue)
{
        if (!vhost_ring_is_known(&session->rings, queue))
                return;
        session_set_state(session, VHOST_SESSION_CHANGING);
        vhost_ring_stop(&session->rings, queue, ring_changed);
}

void vhost_session_pairs_set(VhostSession *session, uint16_t n_pairs)
{
        session_set_state(session, VHOST_SESSION_CHANGING);
        vhost_rings_enable(&session->rings, n_pairs, ring_changed);
}

static void config_written(void *userdata, const VhostUserPayload *payload)
{
        if (payload->u64 != 0)
                config_changed(userdata);
}

void vhost_session_config_write(VhostSession *session, uint32_t offset, const void *bytes,
                                uint32_t size)
{
        if (!is_negotiated(session) ||
            !vhost_has_protocol_feature(&session->negotiation, VHOST_USER_PROTOCOL_F_CONFIG))
                return;
        memcpy(session->negotiation.offer.config + offset, bytes, size);
        vhost_set_config(session->client, offset, bytes, size, config_written, session);
}

bool vhost_session_config_read(VhostSession *session)
{
        if (!is_negotiated(session) ||
            !vhost_has_protocol_feature(&session->negotiation, VHOST_USER_PROTOCOL_F_CONFIG))
                return false;
        vhost_config_update(&session->negotiation, config_updated);
        return true;
}
