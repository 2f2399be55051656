/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "tests/fuzz/fake-socket.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "common/macros.h"
#include "tests/fuzz/fake-calls.h"
#include "tests/fuzz/fake-descriptor.h"

/* As many small messages as Linux's default buffer takes. */
#define WAITING_MAX  278
#define SEGMENT_SIZE 1024
#define FDS_MAX      16
#define BACKLOG      2

/* What was sent by one call. */
typedef struct Segment Segment;
struct Segment {
        Segment *next;
        FakeObject *objects[FDS_MAX]; /* until they are received */
        unsigned int n_objects;
        size_t size, done;
        char bytes[SEGMENT_SIZE];
};

typedef struct FakeSocket FakeSocket;
struct FakeSocket {
        FakeObject object;
        FakeSocket *peer; /* NULL: there is none, or it is gone */
        Segment *first, *last;
        unsigned int n_waiting;
        bool connected; /* was ever */
};

typedef struct FakeProcess {
        FakeObject object;
        pid_t pid;
} FakeProcess;

/* Segments to be used again. */
static Segment *spare;

static bool listens;
static int backlog[BACKLOG];
static unsigned int n_backlog;
static pid_t pid = 1000; /* of the process that listens, or is going to */

static void segment_drop(FakeSocket *socket)
{
        Segment *segment = socket->first;

        socket->first = segment->next;
        socket->n_waiting--;
        for (unsigned int i = 0; i < segment->n_objects; i++)
                fake_object_unref(segment->objects[i]);
        segment->next = spare;
        spare = segment;
}

static void socket_free(FakeObject *object)
{
        FakeSocket *socket = (FakeSocket *)object;

        if (socket->peer)
                socket->peer->peer = NULL;
        while (socket->first)
                segment_drop(socket);
}

/* The end of a connection can be received, too. */
static bool socket_is_ready(const FakeObject *object)
{
        const FakeSocket *socket = (const FakeSocket *)object;

        return socket->first || (socket->connected && !socket->peer);
}

static const FakeKind socket_kind = { .free = socket_free, .is_ready = socket_is_ready };

static bool process_is_over(const FakeObject *object)
{
        return ((const FakeProcess *)object)->pid != pid;
}

static const FakeKind process_kind = { .is_ready = process_is_over };

static FakeSocket *socket_get(int fd)
{
        return (FakeSocket *)fake_descriptor_get(fd, &socket_kind);
}

static int error_return(int error)
{
        errno = error;
        return -1;
}

int __wrap_socket(int domain, int type, int protocol _unused_)
{
        FakeSocket *socket = g_new0(FakeSocket, 1);

        g_assert_cmpint(domain, ==, AF_UNIX);
        g_assert_cmpint(type, ==, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK);
        socket->object = (FakeObject){ .kind = &socket_kind, .n_refs = 1 };
        return fake_descriptor_new(&socket->object);
}

static void sockets_connect(FakeSocket *one, FakeSocket *other)
{
        one->peer = other;
        other->peer = one;
        one->connected = other->connected = true;
}

int __wrap_socketpair(int domain, int type, int protocol, int fds[2])
{
        fds[0] = __wrap_socket(domain, type, protocol);
        fds[1] = __wrap_socket(domain, type, protocol);
        sockets_connect(socket_get(fds[0]), socket_get(fds[1]));
        return 0;
}

int __wrap_connect(int fd, const struct sockaddr *address _unused_, socklen_t size _unused_)
{
        if (!listens)
                return error_return(ECONNREFUSED);
        if (n_backlog == BACKLOG)
                return error_return(EAGAIN);
        backlog[n_backlog] = __wrap_socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        sockets_connect(socket_get(fd), socket_get(backlog[n_backlog]));
        n_backlog++;
        return 0;
}

int fake_socket_accept(void)
{
        int fd;

        if (n_backlog == 0)
                return -1;
        fd = backlog[0];
        backlog[0] = backlog[--n_backlog];
        return fd;
}

void fake_socket_listen(bool listen)
{
        int fd;

        listens = listen;
        while (!listens && (fd = fake_socket_accept()) >= 0)
                __wrap_close(fd);
}

void fake_process_end(void)
{
        pid++;
}

int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *size _unused_)
{
        g_assert_nonnull(socket_get(fd));
        g_assert_cmpint(level, ==, SOL_SOCKET);
        g_assert_cmpint(name, ==, SO_PEERCRED);
        *(struct ucred *)value = (struct ucred){ .pid = pid };
        return 0;
}

int __wrap_pidfd_open(pid_t wanted, unsigned int flags)
{
        FakeProcess *process;

        g_assert_cmpuint(flags, ==, 0);
        if (wanted != pid)
                return error_return(ESRCH);
        process = g_new0(FakeProcess, 1);
        process->object = (FakeObject){ .kind = &process_kind, .n_refs = 1 };
        process->pid = wanted;
        return fake_descriptor_new(&process->object);
}

static unsigned int objects_of(const struct msghdr *message, FakeObject **ret_objects)
{
        const struct cmsghdr *control = message->msg_control;
        unsigned int n;
        int fd;

        if (!control || message->msg_controllen == 0)
                return 0;
        n = (unsigned int)((control->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        g_assert_cmpuint(n, <=, FDS_MAX);
        for (unsigned int i = 0; i < n; i++) {
                memcpy(&fd, CMSG_DATA(control) + i * sizeof(int), sizeof(int));
                ret_objects[i] = fake_object_ref(fake_descriptor_get(fd, NULL));
        }
        return n;
}

static Segment *segment_make(const struct msghdr *message)
{
        Segment *segment = spare ? spare : g_new(Segment, 1);

        spare = spare ? spare->next : NULL;
        segment->next = NULL;
        segment->size = segment->done = 0;
        for (size_t i = 0; i < message->msg_iovlen; i++) {
                const struct iovec *part = &message->msg_iov[i];

                g_assert_cmpuint(segment->size + part->iov_len, <=, SEGMENT_SIZE);
                if (part->iov_len > 0)
                        memcpy(segment->bytes + segment->size, part->iov_base, part->iov_len);
                segment->size += part->iov_len;
        }
        segment->n_objects = objects_of(message, segment->objects);
        return segment;
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags _unused_)
{
        FakeSocket *peer = socket_get(fd)->peer;
        Segment *segment;

        if (!peer)
                return error_return(EPIPE);
        if (peer->n_waiting == WAITING_MAX)
                return error_return(EAGAIN);
        segment = segment_make(message);
        if (peer->first)
                peer->last->next = segment;
        else
                peer->first = segment;
        peer->last = segment;
        peer->n_waiting++;
        return (ssize_t)segment->size;
}

/* Those for which there is no room are dropped. */
static void objects_give(Segment *segment, struct msghdr *message)
{
        struct cmsghdr *control = message->msg_control;
        const size_t room = control && message->msg_controllen >= CMSG_LEN(0)
                                    ? (message->msg_controllen - CMSG_LEN(0)) / sizeof(int)
                                    : 0;
        unsigned int n = 0;

        for (; n < segment->n_objects && n < room; n++) {
                const int fd = fake_descriptor_new(segment->objects[n]);

                memcpy(CMSG_DATA(control) + n * sizeof(int), &fd, sizeof(int));
        }
        if (n < segment->n_objects)
                message->msg_flags |= MSG_CTRUNC;
        for (unsigned int i = n; i < segment->n_objects; i++)
                fake_object_unref(segment->objects[i]);
        segment->n_objects = 0;
        if (n > 0)
                *control = (struct cmsghdr){ CMSG_LEN(n * sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
        message->msg_controllen = n > 0 ? control->cmsg_len : 0;
}

ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags _unused_)
{
        FakeSocket *socket = socket_get(fd);
        const struct iovec *into = message->msg_iov;
        bool given = false;
        size_t done = 0;

        g_assert_cmpuint(message->msg_iovlen, ==, 1);
        message->msg_flags = 0;
        if (!socket->first)
                return socket->peer ? error_return(EAGAIN) : 0;
        while (socket->first && done < into->iov_len && !given) {
                Segment *segment = socket->first;
                const size_t n = MIN(into->iov_len - done, segment->size - segment->done);

                memcpy((char *)into->iov_base + done, segment->bytes + segment->done, n);
                segment->done += n;
                done += n;
                given = segment->n_objects > 0;
                if (given)
                        objects_give(segment, message);
                if (segment->done == segment->size)
                        segment_drop(socket);
        }
        if (!given)
                message->msg_controllen = 0;
        return (ssize_t)done;
}

ssize_t __wrap_read(int fd, void *bytes, size_t size)
{
        struct iovec iov = { bytes, size };

        if (!fake_descriptor_is_fake(fd))
                return __real_read(fd, bytes, size);
        return __wrap_recvmsg(fd, &(struct msghdr){ .msg_iov = &iov, .msg_iovlen = 1 }, 0);
}

ssize_t __wrap___read_chk(int fd, void *bytes, size_t size, size_t room)
{
        g_assert_cmpuint(size, <=, room);
        return __wrap_read(fd, bytes, size);
}
