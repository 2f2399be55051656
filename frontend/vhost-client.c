/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/vhost-client.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "frontend/loop.h"

struct VhostClient {
        Loop *loop;
        int fd;
        LoopTimer timer;
        VhostFailed failed;
        void *userdata;
        bool acks;
        bool dead; /* failed is going to be called, or has been */
        int error;
        const char *reason;
        VhostQuery waiting[VHOST_WAITING_MAX]; /* a ring: the oldest is at waiting[first] */
        uint64_t timeouts[VHOST_WAITING_MAX];  /* of each, microseconds */
        unsigned int first, n_waiting;
        bool mapping;    /* for the next answer the backend maps memory first */
        size_t received; /* bytes of the answer that is being read */
        VhostUserHeader header;
        VhostUserPayload payload;
        int descriptor;  /* that came with it, or -1 */
        bool *freed;     /* set by vhost_client_free() while a function of ours is on the stack */
        uint8_t *asking; /* NULL: nobody wants to know */
};

/* Fails the connection; reported from the loop, where the caller is not in the middle of things. */
static void client_fail(VhostClient *client, int error, const char *reason)
{
        if (client->dead)
                return;
        client->dead = true;
        client->error = error;
        client->reason = reason;
        loop_unwatch(client->loop, client->fd);
        loop_timer_start(&client->timer, 0);
}

/* A backend works off one request after the other, so the time runs for the oldest only. */
static void timer_update(VhostClient *client)
{
        if (client->dead)
                return;
        if (client->n_waiting == 0) {
                loop_timer_stop(&client->timer);
                return;
        }
        loop_timer_start(&client->timer, client->timeouts[client->first]);
}

static void timer_elapsed(void *userdata)
{
        VhostClient *client = userdata;

        if (!client->dead) {
                client->dead = true;
                client->error = -ETIMEDOUT;
                client->reason = "the backend did not answer in time";
                loop_unwatch(client->loop, client->fd);
        }
        client->failed(client->userdata, client->error, client->reason);
}

static void waiting_push(VhostClient *client, const VhostQuery *query)
{
        unsigned int place = (client->first + client->n_waiting) % VHOST_WAITING_MAX;

        if (client->n_waiting == VHOST_WAITING_MAX) {
                client_fail(client, -ENOBUFS, "too many requests wait for the backend");
                return;
        }
        client->waiting[place] = *query;
        client->timeouts[place] = client->mapping || query->request == VHOST_USER_SET_MEM_TABLE
                                          ? VHOST_MEMORY_TIMEOUT_USEC
                                          : VHOST_ANSWER_TIMEOUT_USEC;
        client->mapping = false;
        client->n_waiting++;
        if (client->n_waiting == 1)
                timer_update(client);
}

static void asking_note(const VhostClient *client, bool asking)
{
        if (client->asking)
                *client->asking = asking;
}

/* Sends one message, whole. A backend that does not read what fits into the socket is stuck. */
static void message_send(VhostClient *client, uint32_t request, bool need_reply,
                         const void *payload, size_t size, const int *fds, unsigned int n_fds)
{
        VhostUserHeader header = {
                .request = request,
                .flags = VHOST_USER_VERSION | (need_reply ? VHOST_USER_NEED_REPLY : 0),
                .size = (uint32_t)size,
        };
        struct iovec iov[] = { { &header, sizeof(header) }, { (void *)payload, size } };
        union {
                struct cmsghdr align;
                char space[CMSG_SPACE(VHOST_USER_REGIONS_MAX * sizeof(int))];
        } control = { 0 };
        struct msghdr message = { .msg_iov = iov, .msg_iovlen = ARRAY_SIZE(iov) };
        ssize_t n;

        if (client->dead)
                return;
        if (n_fds > 0) {
                message.msg_control = &control;
                message.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
                control.align.cmsg_level = SOL_SOCKET;
                control.align.cmsg_type = SCM_RIGHTS;
                control.align.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
                memcpy(CMSG_DATA(&control.align), fds, n_fds * sizeof(int));
        }

        asking_note(client, true);
        n = sendmsg(client->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0)
                client_fail(client, -errno,
                            errno == EAGAIN ? "the backend does not read its requests"
                                            : "the backend closed the connection");
        else if ((size_t)n != sizeof(header) + size)
                client_fail(client, -EAGAIN, "the backend does not read its requests");
}

void vhost_client_command(VhostClient *client, uint32_t request, const void *payload, size_t size,
                          const int *fds, unsigned int n_fds)
{
        message_send(client, request, client->acks, payload, size, fds, n_fds);
        if (client->acks)
                waiting_push(client, &(VhostQuery){ .request = request, .kind = VHOST_ANSWER_ACK });
        else if (request == VHOST_USER_SET_MEM_TABLE)
                client->mapping = true;
        asking_note(client, client->n_waiting > 0);
}

void vhost_client_command_with(VhostClient *client, const VhostQuery *query, const void *payload,
                               size_t size)
{
        message_send(client, query->request, client->acks, payload, size, NULL, 0);
        if (client->acks)
                waiting_push(client, query);
        asking_note(client, client->n_waiting > 0);
}

void vhost_client_query(VhostClient *client, const VhostQuery *query, const void *payload,
                        size_t size)
{
        message_send(client, query->request, false, payload, size, NULL, 0);
        waiting_push(client, query);
}

static uint32_t answer_size(const VhostQuery *query)
{
        switch (query->kind) {
        case VHOST_ANSWER_STATE:
                return sizeof(VhostUserVringState);
        case VHOST_ANSWER_CONFIG:
                return (uint32_t)(VHOST_USER_CONFIG_HEADER_SIZE + query->expected);
        case VHOST_ANSWER_INFLIGHT:
                return sizeof(VhostUserInflight);
        case VHOST_ANSWER_ACK:
        case VHOST_ANSWER_U64:
        default:
                return sizeof(uint64_t);
        }
}

/* NULL, or the rule that the header of an answer breaks. */
static const char *header_check(const VhostUserHeader *header, const VhostQuery *query)
{
        if (!query)
                return "the backend answered what nobody asked";
        if (header->request != query->request)
                return "the backend answered another request than the one asked";
        if (header->flags != (VHOST_USER_VERSION | VHOST_USER_REPLY))
                return "the backend's answer has wrong flags";
        if (header->size != answer_size(query))
                return query->kind == VHOST_ANSWER_CONFIG && header->size == 0
                               ? "the backend refused to give its configuration space"
                               : "the backend's answer has a wrong size";
        return NULL;
}

static const char *payload_check(const VhostUserPayload *payload, const VhostQuery *query)
{
        switch (query->kind) {
        case VHOST_ANSWER_ACK:
                return payload->u64 != 0 ? "the backend refused a request" : NULL;
        case VHOST_ANSWER_STATE:
                return payload->state.index != query->expected
                               ? "the backend answered for another queue"
                               : NULL;
        case VHOST_ANSWER_CONFIG:
                return payload->config.size != query->expected || payload->config.offset != 0
                               ? "the backend answered for another part of the configuration space"
                               : NULL;
        case VHOST_ANSWER_INFLIGHT:
        case VHOST_ANSWER_U64:
        default:
                return NULL;
        }
}

/* The descriptors that belong to an answer: all, and no others. */
static const char *descriptor_check(const VhostClient *client, const VhostQuery *query)
{
        if (query->kind == VHOST_ANSWER_INFLIGHT && client->descriptor < 0)
                return "the backend sent no descriptor where one belongs";
        return NULL;
}

/* The answer is complete. Returns whether the client still exists after its function was called. */
static bool answer_deliver(VhostClient *client)
{
        const VhostQuery query = client->waiting[client->first];
        VhostUserPayload payload = client->payload;
        bool freed = false;

        client->first = (client->first + 1) % VHOST_WAITING_MAX;
        client->n_waiting--;
        client->received = 0;
        asking_note(client, client->n_waiting > 0);
        timer_update(client);

        if (query.answered) {
                client->freed = &freed;
                query.answered(query.userdata, query.kind == VHOST_ANSWER_ACK ? NULL : &payload);
        }
        if (freed)
                return false;
        client->freed = NULL;
        fd_closep(&client->descriptor);
        return !client->dead;
}

/*
 * Goes on receiving a part of the answer, which begins at its byte "start". Room is given for the
 * one descriptor that may come, and for none where none belongs: the kernel drops any other, and
 * MSG_CTRUNC tells.
 *
 * Returns 1 if that part is complete, 0 if more has to come, or a negative errno.
 */
static int part_receive(VhostClient *client, void *part, size_t start, size_t size)
{
        const VhostQuery *query = client->n_waiting > 0 ? &client->waiting[client->first] : NULL;
        const bool room = query && query->kind == VHOST_ANSWER_INFLIGHT && client->descriptor < 0;
        const size_t done = client->received - start;
        union {
                struct cmsghdr align;
                char space[CMSG_SPACE(sizeof(int))];
        } control;
        struct iovec iov = { (char *)part + done, size - done };
        struct msghdr message = {
                .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = &control,
                /* Not CMSG_SPACE(): into its padding a second descriptor would fit. */
                .msg_controllen = room ? CMSG_LEN(sizeof(int)) : 0,
        };
        ssize_t n = recvmsg(client->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        if (message.msg_controllen >= CMSG_LEN(sizeof(int)) &&
            control.align.cmsg_type == SCM_RIGHTS)
                memcpy(&client->descriptor, CMSG_DATA(&control.align), sizeof(int));
        if (n == 0)
                return -ECONNRESET;
        if (message.msg_flags & MSG_CTRUNC)
                return -EBADMSG;
        client->received += (size_t)n;
        return client->received == start + size;
}

static void receive_fail(VhostClient *client, int error)
{
        client_fail(client, error,
                    error == -EBADMSG ? "the backend sent descriptors where none belong"
                                      : "the backend closed the connection");
}

/* Reads one answer. Returns whether there may be another one. */
static bool answer_receive(VhostClient *client)
{
        const VhostQuery *query = client->n_waiting > 0 ? &client->waiting[client->first] : NULL;
        const char *reason;
        int r;

        if (client->received < sizeof(client->header)) {
                r = part_receive(client, &client->header, 0, sizeof(client->header));
                if (r < 0)
                        receive_fail(client, r);
                if (r <= 0)
                        return false;
                reason = header_check(&client->header, query);
                if (reason) {
                        client_fail(client, -EPROTO, reason);
                        return false;
                }
        }

        /* header_check() saw to it that the payload is of the size that the request asks for. */
        r = part_receive(client, &client->payload, sizeof(client->header), client->header.size);
        if (r < 0)
                receive_fail(client, r);
        if (r <= 0)
                return false;
        reason = payload_check(&client->payload, query);
        if (!reason)
                reason = descriptor_check(client, query);
        if (reason) {
                client_fail(client, -EPROTO, reason);
                return false;
        }
        return answer_deliver(client);
}

static void socket_ready(void *userdata)
{
        /* No more answers are taken than were asked for, so this ends. */
        while (answer_receive(userdata))
                ;
}

int vhost_client_new(Loop *loop, int fd, VhostFailed failed, void *userdata,
                     VhostClient **ret_client)
{
        VhostClient *client = calloc(1, sizeof(*client));
        int r;

        if (!client) {
                close(fd);
                return -ENOMEM;
        }
        client->loop = loop;
        client->fd = fd;
        client->descriptor = -1;
        client->failed = failed;
        client->userdata = userdata;

        loop_timer_init(&client->timer, loop, timer_elapsed, client);
        r = loop_watch(loop, fd, socket_ready, client);
        if (r < 0) {
                vhost_client_free(client);
                return r;
        }
        *ret_client = client;
        return 0;
}

VhostClient *vhost_client_free(VhostClient *client)
{
        if (!client)
                return NULL;
        if (client->freed)
                *client->freed = true;
        loop_unwatch(client->loop, client->fd);
        loop_timer_stop(&client->timer);
        close(client->fd);
        fd_closep(&client->descriptor);
        free(client);
        return NULL;
}

void vhost_client_note(VhostClient *client, uint8_t *asking)
{
        client->asking = asking;
        asking_note(client, client->n_waiting > 0);
}

int vhost_client_fd(const VhostClient *client)
{
        return client->fd;
}

int vhost_client_take_descriptor(VhostClient *client)
{
        return steal_fd(&client->descriptor);
}

void vhost_client_use_acks(VhostClient *client)
{
        client->acks = true;
}
