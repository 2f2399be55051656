/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "tests/backend/message.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

static void fds_take(struct msghdr *header, Message *message)
{
        for (struct cmsghdr *part = CMSG_FIRSTHDR(header); part; part = CMSG_NXTHDR(header, part)) {
                const size_t n = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
                int fds[WIRE_DESCRIPTOR_MAX];

                if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
                        continue;
                memcpy(fds, CMSG_DATA(part), n * sizeof(int));
                for (size_t i = 0; i < n; i++) {
                        if (message->n_fds < ARRAY_SIZE(message->fds))
                                message->fds[message->n_fds++] = fds[i];
                        else
                                close(fds[i]);
                }
        }
}

static int part_receive(int fd, void *part, size_t size, Message *message)
{
        size_t done = 0;

        while (done < size) {
                union {
                        struct cmsghdr align;
                        char space[CMSG_SPACE(WIRE_DESCRIPTOR_MAX * sizeof(int))];
                } control;
                struct iovec iov = { (char *)part + done, size - done };
                struct msghdr header = {
                        .msg_iov = &iov,
                        .msg_iovlen = 1,
                        .msg_control = &control,
                        .msg_controllen = sizeof(control),
                };
                ssize_t n = recvmsg(fd, &header, MSG_CMSG_CLOEXEC);

                if (n <= 0)
                        return n == 0 ? 0 : -errno;
                fds_take(&header, message);
                done += (size_t)n;
        }
        return 1;
}

int message_receive(int fd, Message *ret_message)
{
        const WireHeader *header = &ret_message->header;
        int r;

        ret_message->n_fds = 0;
        memset(&ret_message->payload, 0, sizeof(ret_message->payload));
        r = part_receive(fd, &ret_message->header, sizeof(ret_message->header), ret_message);
        if (r <= 0)
                return r;
        return part_receive(fd, &ret_message->payload,
                            header->size < WIRE_PAYLOAD_MAX ? header->size : WIRE_PAYLOAD_MAX,
                            ret_message);
}

void message_close(Message *message)
{
        for (unsigned int i = 0; i < message->n_fds; i++)
                fd_closep(&message->fds[i]);
        message->n_fds = 0;
}

int message_take_fd(Message *message, unsigned int index)
{
        return index < message->n_fds ? steal_fd(&message->fds[index]) : -1;
}

int bytes_send(int fd, const void *data, size_t size, const int *fds, unsigned int n_fds)
{
        union {
                struct cmsghdr align;
                char space[CMSG_SPACE(WIRE_DESCRIPTOR_MAX * sizeof(int))];
        } control = { 0 };
        size_t done = 0;

        while (done < size) {
                struct iovec iov = { (char *)data + done, size - done };
                struct msghdr header = { .msg_iov = &iov, .msg_iovlen = 1 };
                ssize_t n;

                if (done == 0 && n_fds > 0) {
                        header.msg_control = &control;
                        header.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
                        control.align.cmsg_level = SOL_SOCKET;
                        control.align.cmsg_type = SCM_RIGHTS;
                        control.align.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
                        memcpy(CMSG_DATA(&control.align), fds, n_fds * sizeof(int));
                }
                n = sendmsg(fd, &header, MSG_NOSIGNAL);
                if (n < 0)
                        return -errno;
                done += (size_t)n;
        }
        return 0;
}
