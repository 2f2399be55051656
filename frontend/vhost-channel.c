/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/vhost-channel.h"

#include <errno.h>
#include <sys/socket.h>

#include "frontend/vhost-user.h"

/* No request has more; what an unknown one brings is thrown away. */
#define PAYLOAD_MAX 4096

struct VhostChannel {
        Loop *loop;
        int fd;
        LoopTimer pause;
        const VhostChannelOps *ops;
        void *userdata;
        VhostUserHeader header;
        size_t received;   /* bytes of the request that is being read */
        unsigned int left; /* requests that are read in this window */
        uint8_t *hearing;  /* NULL: nobody wants to know */
};

/* The channel is of no use any more; the device does not need it. */
static void channel_close(VhostChannel *channel)
{
        loop_unwatch(channel->loop, channel->fd);
        loop_timer_stop(&channel->pause);
}

/* Returns whether the channel can go on. */
static bool reply_send(VhostChannel *channel, uint64_t result)
{
        struct {
                VhostUserHeader header;
                uint32_t payload[2];
        } reply = {
                .header = { channel->header.request, VHOST_USER_VERSION | VHOST_USER_REPLY,
                            sizeof(reply.payload) },
                .payload = { (uint32_t)result, 0 },
        };
        struct iovec iov = { &reply, sizeof(reply) };
        const struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

        if (!(channel->header.flags & VHOST_USER_NEED_REPLY))
                return true;
        return sendmsg(channel->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == sizeof(reply);
}

static bool request_serve(VhostChannel *channel)
{
        const VhostUserHeader *header = &channel->header;
        const bool served =
                header->request == VHOST_USER_BACKEND_CONFIG_CHANGE && header->size == 0;

        channel->received = 0;
        if (served)
                channel->ops->config_changed(channel->userdata);
        else
                channel->ops->refused(channel->userdata, header->request);
        return reply_send(channel, served ? 0 : 1);
}

/*
 * Reads up to so many bytes; descriptors that come with them are dropped by the kernel. Returns how
 * many were read, 0 if there are none now, or a negative errno.
 */
static ssize_t bytes_receive(VhostChannel *channel, void *bytes, size_t size)
{
        ssize_t n = read(channel->fd, bytes, size);

        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        return n == 0 ? -ECONNRESET : n;
}

/* Reads a request, or part of one. Returns 1 if it was whole, 0 if not, or a negative errno. */
static int request_receive(VhostChannel *channel)
{
        const size_t head = sizeof(channel->header);
        char ignored[PAYLOAD_MAX];
        ssize_t n;

        if (channel->received < head) {
                n = bytes_receive(channel, (char *)&channel->header + channel->received,
                                  head - channel->received);
                if (n <= 0)
                        return (int)n;
                channel->received += (size_t)n;
                if (channel->received < head)
                        return 0;
                if ((channel->header.flags & (VHOST_USER_VERSION_MASK | VHOST_USER_REPLY)) !=
                            VHOST_USER_VERSION ||
                    channel->header.size > PAYLOAD_MAX)
                        return -EPROTO;
        }
        if (channel->received < head + channel->header.size) {
                n = bytes_receive(channel, ignored,
                                  head + channel->header.size - channel->received);
                if (n <= 0)
                        return (int)n;
                channel->received += (size_t)n;
        }
        return channel->received == head + channel->header.size;
}

static void hearing_note(const VhostChannel *channel, bool hearing)
{
        if (channel->hearing)
                *channel->hearing = hearing;
}

static void window_begin(VhostChannel *channel)
{
        channel->left = VHOST_CHANNEL_REQUESTS;
        loop_timer_start(&channel->pause, VHOST_CHANNEL_WINDOW_USEC);
}

static void channel_ready(void *userdata)
{
        VhostChannel *channel = userdata;
        int r;

        if (!channel->pause.is_on)
                window_begin(channel);
        if (channel->left == 0) {
                loop_watch_enable(channel->loop, channel->fd, false);
                return;
        }
        /* One a turn: the guest is served in between. */
        hearing_note(channel, true);
        r = request_receive(channel);
        if (r > 0)
                channel->left--;
        if (r < 0 || (r > 0 && !request_serve(channel)))
                channel_close(channel);
        hearing_note(channel, channel->received > 0);
}

static void pause_elapsed(void *userdata)
{
        const VhostChannel *channel = userdata;

        loop_watch_enable(channel->loop, channel->fd, true);
}

int vhost_channel_adopt(Loop *loop, const VhostChannelOps *ops, void *userdata, int fd,
                        VhostChannel **ret_channel)
{
        VhostChannel *channel;
        int r;

        channel = calloc(1, sizeof(*channel));
        if (!channel) {
                close(fd);
                return -ENOMEM;
        }
        channel->loop = loop;
        channel->fd = fd;
        channel->ops = ops;
        channel->userdata = userdata;

        loop_timer_init(&channel->pause, loop, pause_elapsed, channel);
        r = loop_watch(loop, channel->fd, channel_ready, channel);
        if (r < 0) {
                vhost_channel_free(channel);
                return r;
        }
        *ret_channel = channel;
        return 0;
}

int vhost_channel_new(Loop *loop, const VhostChannelOps *ops, void *userdata, int *ret_backend_end,
                      VhostChannel **ret_channel)
{
        int fds[2];
        int r;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
                return -errno;
        r = vhost_channel_adopt(loop, ops, userdata, fds[0], ret_channel);
        if (r < 0)
                close(fds[1]);
        else
                *ret_backend_end = fds[1];
        return r;
}

void vhost_channel_note(VhostChannel *channel, uint8_t *hearing)
{
        channel->hearing = hearing;
        hearing_note(channel, channel->received > 0);
}

int vhost_channel_fd(const VhostChannel *channel)
{
        return channel->fd;
}

VhostChannel *vhost_channel_free(VhostChannel *channel)
{
        if (!channel)
                return NULL;
        channel_close(channel);
        close(channel->fd);
        free(channel);
        return NULL;
}
