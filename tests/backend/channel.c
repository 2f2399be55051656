/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* "Back-end communication": the backend asks, the frontend answers. */

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/backend/backend.h"

#define REQUEST_UNKNOWN UINT32_C(77)

void channel_config_changed(Channel *channel, uint64_t times)
{
        if (channel->fd >= 0)
                channel->n_config += times;
        channel_send_pending(channel);
}

/* Returns whether it was sent: the channel takes only so much. */
static bool request_send(Channel *channel, uint32_t request, bool with_fd)
{
        const WireHeader header = {
                .request = request,
                .flags = WIRE_VERSION | (channel->wants_ack ? WIRE_NEED_REPLY : 0),
        };
        struct iovec iov = { (void *)&header, sizeof(header) };
        union {
                struct cmsghdr align;
                char space[CMSG_SPACE(sizeof(int))];
        } control = { 0 };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
        const int fd = STDERR_FILENO;

        if (with_fd) {
                message.msg_control = &control;
                message.msg_controllen = sizeof(control);
                control.align.cmsg_level = SOL_SOCKET;
                control.align.cmsg_type = SCM_RIGHTS;
                control.align.cmsg_len = CMSG_LEN(sizeof(int));
                memcpy(CMSG_DATA(&control.align), &fd, sizeof(fd));
        }
        if (sendmsg(channel->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) != sizeof(header))
                return false;
        channel->n_unanswered += channel->wants_ack;
        return true;
}

void channel_send_pending(Channel *channel)
{
        while (channel->n_config > 0 && request_send(channel, WIRE_BACKEND_CONFIG_CHANGE, false))
                channel->n_config--;
        while (channel->n_unknown > 0 &&
               request_send(channel, REQUEST_UNKNOWN, channel->carries_fds))
                channel->n_unknown--;
}

bool channel_receive(Backend *backend)
{
        Channel *channel = &backend->channel;
        const char *broken;
        Message message;
        uint32_t request;
        int r = message_receive(channel->fd, &message);

        if (r <= 0) {
                message_close(&message);
                channel_close(channel);
                return true;
        }
        /* Both kinds are under way only during a flood: then the answer says what it is for. */
        request = message.header.request == REQUEST_UNKNOWN ? REQUEST_UNKNOWN
                                                            : WIRE_BACKEND_CONFIG_CHANGE;
        broken = message.n_fds > 0 ? "descriptors with an answer to the backend"
                 : channel->n_unanswered == 0
                         ? "an answer to the backend that nobody waits for"
                         : legality_channel_check(&message.header, &message.payload, request);
        message_close(&message);
        channel->n_unanswered--;
        return !broken || backend_illegal(backend, "backend channel", broken);
}

void channel_close(Channel *channel)
{
        fd_closep(&channel->fd);
        *channel = (Channel){ .fd = -1 };
}
