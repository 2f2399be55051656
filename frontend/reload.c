/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/reload.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define FDS_MAX          (_DEVICE_FILE_MAX + GRANT_SETS_MAX)
#define ANSWER_TIMEOUT_S 10

static const struct sockaddr_un address = {
        .sun_family = AF_UNIX,
        .sun_path = FRONTEND_FOLDER "/" RELOAD_SOCKET,
};

/* Room for descriptors, aligned as recvmsg() and sendmsg() want it. */
typedef union Control {
        struct cmsghdr header;
        char space[CMSG_SPACE(FDS_MAX * sizeof(int))];
} Control;

int reload_socket_open(int folder, int *ret_fd)
{
        _cleanup_fd_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        if (fd < 0 || fchdir(folder) < 0)
                return -errno;
        if (unlink(address.sun_path) < 0 && errno != ENOENT)
                return -errno;
        if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
                return -errno;
        *ret_fd = steal_fd(&fd);
        return 0;
}

/* What was received: descriptors are owned by whoever has it. */
typedef struct Message {
        char text[1 + DEVICE_LIST_LIMIT + 1];
        size_t size; /* without the zero at its end */
        int fds[FDS_MAX];
        size_t n_fds;
} Message;

static void message_close(Message *message)
{
        while (message->n_fds > 0)
                fd_closep(&message->fds[--message->n_fds]);
}

/* Returns 1 with a message, 0 if none waits, or a negative errno. */
static int message_receive(int fd, Message *ret_message)
{
        struct iovec data = { ret_message->text, sizeof(ret_message->text) - 1 };
        Control control;
        struct msghdr header = {
                .msg_iov = &data,
                .msg_iovlen = 1,
                .msg_control = &control,
                .msg_controllen = CMSG_LEN(FDS_MAX * sizeof(int)), /* and not one more */
        };
        ssize_t size = recvmsg(fd, &header, MSG_CMSG_CLOEXEC);

        if (size < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        ret_message->size = (size_t)size;
        ret_message->text[size] = '\0';
        ret_message->n_fds = 0;
        for (struct cmsghdr *part = CMSG_FIRSTHDR(&header); part;
             part = CMSG_NXTHDR(&header, part)) {
                if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
                        continue;
                ret_message->n_fds = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
                memcpy(ret_message->fds, CMSG_DATA(part), ret_message->n_fds * sizeof(int));
        }
        return 1;
}

static void list_handle(const Reload *reload, const Message *message)
{
        const char *problem = "";
        DeviceList list;

        if (device_list_parse(message->text + 1, message->size - 1, reload->domid, &list,
                              &problem) < 0)
                log_error(reload->log, "list of devices: %s", problem);
        else
                reload->ops->listed(reload->userdata, &list);
}

static void device_handle(const Reload *reload, Message *message)
{
        DeviceFiles files = DEVICE_FILES_NONE;
        DeviceName name;

        if (device_name_parse(message->text + 1, &name) < 0 || name.domid != reload->domid ||
            message->n_fds < _DEVICE_FILE_MAX) {
                log_error(reload->log, "reload: a message means nothing");
                return;
        }
        memcpy(files.fds, message->fds, sizeof(files.fds));
        for (size_t i = _DEVICE_FILE_MAX; i < message->n_fds; i++) {
                GrantSet set = GRANT_SET_NONE;

                set.fds[0] = message->fds[i];
                files.grants.sets[files.grants.n++] = set;
        }
        message->n_fds = 0;
        reload->ops->opened(reload->userdata, &name, &files);
}

static void message_ready(void *userdata)
{
        const Reload *reload = userdata;
        _cleanup_(message_close) Message message = { 0 };
        int r;

        r = message_receive(reload->fd, &message);
        if (r < 0)
                log_error_errno(reload->log, r, "reload: %m");
        else if (r > 0 && message.text[0] == RELOAD_LIST)
                list_handle(reload, &message);
        else if (r > 0 && message.text[0] == RELOAD_DEVICE)
                device_handle(reload, &message);
}

int reload_receive(Reload *reload, Loop *loop)
{
        int r = loop_watch(loop, reload->fd, message_ready, reload);

        if (r < 0)
                log_error_errno(reload->log, r, "cannot listen for reloads: %m");
        return r;
}

static int message_send(int fd, char kind, const char *text, const int *fds, size_t n_fds)
{
        struct iovec data[] = { { &kind, 1 }, { (void *)(uintptr_t)text, strlen(text) } };
        const size_t size = n_fds * sizeof(int);
        Control control = { .header = { .cmsg_len = CMSG_LEN(size),
                                        .cmsg_level = SOL_SOCKET,
                                        .cmsg_type = SCM_RIGHTS } };
        const struct msghdr header = {
                .msg_iov = data,
                .msg_iovlen = ARRAY_SIZE(data),
                .msg_control = n_fds > 0 ? &control : NULL,
                .msg_controllen = n_fds > 0 ? CMSG_SPACE(size) : 0,
        };

        if (n_fds > 0)
                memcpy(CMSG_DATA(&control.header), fds, size);
        if (sendmsg(fd, &header, MSG_NOSIGNAL) >= 0)
                return 0;
        return errno == EAGAIN ? -ETIMEDOUT : -errno;
}

/* What cannot be opened was logged, and is of no consequence for the others. */
static int device_send(int fd, int rundir, const DeviceName *name)
{
        _cleanup_(device_files_close) DeviceFiles files = DEVICE_FILES_NONE;
        char instance[DEVICE_INSTANCE_MAX];
        int fds[FDS_MAX];
        size_t n = _DEVICE_FILE_MAX;
        Launch launch;

        if (device_files_open(rundir, name, &files, &launch) < 0)
                return 0;
        memcpy(fds, files.fds, sizeof(files.fds));
        for (unsigned int i = 0; i < files.grants.n; i++)
                fds[n++] = files.grants.sets[i].fds[0];
        device_name_instance(name, instance);
        return message_send(fd, RELOAD_DEVICE, instance, fds, n);
}

/* Sends a pipe's end, and waits until it is closed. */
static int end_send(int fd)
{
        int ends[2], r;

        if (pipe2(ends, O_CLOEXEC) < 0)
                return -errno;
        r = message_send(fd, RELOAD_END, "", &ends[1], 1);
        close(ends[1]);
        if (r >= 0) {
                r = poll(&(struct pollfd){ .fd = ends[0], .events = POLLIN }, 1,
                         ANSWER_TIMEOUT_S * 1000);
                r = r == 0 ? -ETIMEDOUT : r < 0 ? -errno : 0;
        }
        close(ends[0]);
        return r;
}

static int messages_send(int fd, int rundir, const DeviceList *list)
{
        char text[DEVICE_LIST_LIMIT];
        int r;

        r = device_list_format(list, text, sizeof(text));
        if (r >= 0)
                r = message_send(fd, RELOAD_LIST, text, NULL, 0);
        for (unsigned int i = 0; i < list->n && r >= 0; i++)
                r = device_send(fd, rundir, &list->names[i]);
        return r < 0 ? r : end_send(fd);
}

int reload_send(int rundir, int folder, const DeviceList *list)
{
        const struct timeval timeout = { .tv_sec = ANSWER_TIMEOUT_S };
        _cleanup_fd_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        if (fd < 0 || fchdir(folder) < 0)
                return -errno;
        if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) < 0 ||
            connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
                return -errno;
        return messages_send(fd, rundir, list);
}
