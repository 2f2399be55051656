/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "tests/fuzz/vhost-peer.h"

#include <glib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/macros.h"
#include "frontend/virtio.h"
#include "tests/fuzz/fake-file.h"
#include "tests/fuzz/fake-socket.h"

#define DESCRIPTORS_MAX 16
#define FLOOD           40 /* more than the channel reads at a time */

typedef struct Request {
        VhostUserHeader header;
        VhostUserPayload payload;
        int fds[VHOST_USER_REGIONS_MAX];
        unsigned int n_fds;
} Request;

typedef struct Answer {
        union {
                struct {
                        VhostUserHeader header;
                        uint32_t payload[(PEER_BYTES_MAX - sizeof(VhostUserHeader)) / 4];
                };
                char bytes[PEER_BYTES_MAX];
        };
        size_t size; /* 0: there is none */
        int fd;      /* that belongs to it, or -1 */
} Answer;

void peer_init(Peer *peer)
{
        *peer = (Peer){ .connection = -1, .channel = -1, .area = -1 };
        peer_listen();
}

void peer_listen(void)
{
        fake_socket_listen(true);
}

void peer_clear(Peer *peer)
{
        peer_leave(peer);
}

void peer_hang_up(Peer *peer)
{
        fd_closep(&peer->connection);
        fd_closep(&peer->channel);
        fd_closep(&peer->area);
        peer->rest_size = 0;
}

void peer_leave(Peer *peer)
{
        fake_socket_listen(false);
        peer_hang_up(peer);
}

void peer_end(Peer *peer)
{
        peer_leave(peer);
        fake_process_end();
}

void peer_accept(Peer *peer)
{
        int fd;

        while ((fd = fake_socket_accept()) >= 0) {
                peer_hang_up(peer);
                peer->connection = fd;
        }
}

/* Frontends send whole messages. Returns false if there is none. */
static bool request_receive(Peer *peer, Request *ret_request)
{
        union {
                struct cmsghdr align;
                char space[CMSG_SPACE(sizeof(ret_request->fds))];
        } control;
        struct iovec iov = { &ret_request->header, sizeof(ret_request->header) };
        struct msghdr message = { .msg_iov = &iov,
                                  .msg_iovlen = 1,
                                  .msg_control = &control,
                                  .msg_controllen = sizeof(control) };
        const ssize_t n = recvmsg(peer->connection, &message, MSG_CMSG_CLOEXEC);
        const uint32_t size = ret_request->header.size;

        if (n <= 0)
                return false;
        g_assert_cmpint(n, ==, sizeof(ret_request->header));
        g_assert_cmphex(ret_request->header.flags & ~VHOST_USER_NEED_REPLY, ==, VHOST_USER_VERSION);
        g_assert_cmpuint(size, <=, sizeof(ret_request->payload));
        if (message.msg_controllen > 0) {
                ret_request->n_fds =
                        (unsigned int)((control.align.cmsg_len - CMSG_LEN(0)) / sizeof(int));
                memcpy(ret_request->fds, CMSG_DATA(&control.align),
                       ret_request->n_fds * sizeof(int));
        }
        if (size > 0)
                g_assert_cmpint(read(peer->connection, &ret_request->payload, size), ==, size);
        return true;
}

/* What belongs to a request, neither more nor less. */
static unsigned int fds_expected(const Request *request)
{
        switch (request->header.request) {
        case VHOST_USER_SET_MEM_TABLE:
                return request->payload.memory.n_regions;
        case VHOST_USER_SET_VRING_KICK:
        case VHOST_USER_SET_VRING_CALL:
        case VHOST_USER_SET_BACKEND_REQ_FD:
        case VHOST_USER_SET_INFLIGHT_FD:
                return 1;
        default:
                return 0;
        }
}

/* Keeps the descriptors that are made use of. */
static void fds_take(Peer *peer, Request *request)
{
        int *place = request->header.request == VHOST_USER_SET_BACKEND_REQ_FD ? &peer->channel
                     : request->header.request == VHOST_USER_SET_INFLIGHT_FD  ? &peer->area
                                                                              : NULL;

        g_assert_cmpuint(request->n_fds, ==, fds_expected(request));
        if (place) {
                fd_closep(place);
                *place = steal_fd(&request->fds[0]);
        }
        for (unsigned int i = 0; i < request->n_fds; i++)
                fd_closep(&request->fds[i]);
}

static void answer_set(Answer *answer, const void *payload, size_t size)
{
        memcpy(answer->payload, payload, size);
        answer->header.size = (uint32_t)size;
        answer->size = sizeof(answer->header) + size;
}

static void area_answer(Answer *answer, const VhostUserInflight *asked)
{
        const VhostUserInflight area = {
                .mmap_size =
                        (sizeof(VhostUserInflightSplit) + 16 * UINT64_C(256)) * asked->n_queues,
                .n_queues = asked->n_queues,
                .queue_size = asked->queue_size,
        };

        answer->fd = fake_file_new(FAKE_FILE_MEMORY);
        g_assert_cmpint(ftruncate(answer->fd, (off_t)area.mmap_size), ==, 0);
        answer_set(answer, &area, sizeof(area));
}

/* The right answer. */
static void answer_make(const Peer *peer, const Request *request, Answer *ret_answer)
{
        const VhostUserHeader *header = &request->header;

        *ret_answer = (Answer){ .fd = -1 };
        ret_answer->header.request = header->request;
        ret_answer->header.flags = VHOST_USER_VERSION | VHOST_USER_REPLY;
        switch (header->request) {
        case VHOST_USER_GET_FEATURES:
                answer_set(ret_answer, &peer->offer.features, 8);
                break;
        case VHOST_USER_GET_PROTOCOL_FEATURES:
                answer_set(ret_answer, &peer->offer.protocol_features, 8);
                break;
        case VHOST_USER_GET_QUEUE_NUM:
                answer_set(ret_answer, &peer->offer.n_queues, 8);
                break;
        case VHOST_USER_GET_STATUS:
                answer_set(ret_answer, &(uint64_t){ VIRTIO_STATUS_FEATURES_OK }, 8);
                break;
        case VHOST_USER_GET_CONFIG:
        case VHOST_USER_GET_VRING_BASE:
                answer_set(ret_answer, &request->payload, header->size);
                break;
        case VHOST_USER_GET_INFLIGHT_FD:
                area_answer(ret_answer, &request->payload.inflight);
                break;
        default:
                if (header->flags & VHOST_USER_NEED_REPLY)
                        answer_set(ret_answer, &(uint64_t){ 0 }, 8);
                break;
        }
}

/* Whether all of it is sent, the frontend finds out by itself. */
static void bytes_send(int socket, const void *bytes, size_t size, int fd, unsigned int n_fds)
{
        union {
                struct cmsghdr align;
                char space[CMSG_SPACE(DESCRIPTORS_MAX * sizeof(int))];
        } control = { 0 };
        struct iovec iov = { (void *)bytes, size };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

        if (n_fds > 0) {
                message.msg_control = &control;
                message.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
                control.align =
                        (struct cmsghdr){ CMSG_LEN(n_fds * sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
                for (unsigned int i = 0; i < n_fds; i++)
                        memcpy(CMSG_DATA(&control.align) + i * sizeof(int), &fd, sizeof(int));
        }
        if (size > 0)
                (void)!sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static bool rest_send(Peer *peer)
{
        const size_t size = peer->rest_size;

        peer->rest_size = 0;
        bytes_send(peer->connection, peer->rest, size, -1, 0);
        return size > 0;
}

/* Returns whether there was a request; ret_answer may be none. */
static bool answer_next(Peer *peer, Answer *ret_answer)
{
        Request request = { 0 };

        if (peer->connection < 0 || !request_receive(peer, &request))
                return false;
        fds_take(peer, &request);
        answer_make(peer, &request, ret_answer);
        return true;
}

bool peer_serve(Peer *peer)
{
        Answer answer;

        if (rest_send(peer))
                return true;
        if (!answer_next(peer, &answer))
                return false;
        bytes_send(peer->connection, answer.bytes, answer.size, answer.fd, answer.fd >= 0);
        fd_closep(&answer.fd);
        return true;
}

/* Something else than the area that it should be. */
static void fd_replace(Answer *answer, uint8_t what)
{
        if (what < 0x80 && answer->fd >= 0) {
                g_assert_cmpint(ftruncate(answer->fd, what * 64), ==, 0);
                return;
        }
        fd_closep(&answer->fd);
        if (what < 0xf0)
                answer->fd = fake_file_new(what & 1 ? FAKE_FILE_ON_DISK : FAKE_FILE_DEVICE);
}

static void answer_spoil(Peer *peer, Answer *answer, Input *input)
{
        const uint8_t what = input_u8(input), value = input_u8(input);
        unsigned int n_fds = answer->fd >= 0;
        size_t size = answer->size;

        switch (what % 8) {
        case 0: /* a field of the header, or of the payload's first ones */
                ((uint32_t *)(void *)answer->bytes)[value % 9] = input_u32(input);
                break;
        case 1: /* a bit */
                answer->bytes[value % PEER_BYTES_MAX] ^= (char)(1U << (what / 8 % 8));
                break;
        case 2: /* some of it never comes */
                size = value % (size + 1);
                break;
        case 3: /* some of it comes later */
                size = value % (size + 1);
                peer->rest_size = answer->size - size;
                memcpy(peer->rest, answer->bytes + size, peer->rest_size);
                break;
        case 4: /* more than it */
                size = size + value < PEER_BYTES_MAX ? size + value : PEER_BYTES_MAX;
                break;
        case 5: /* with other descriptors */
                n_fds = value % DESCRIPTORS_MAX;
                break;
        case 6:
                fd_replace(answer, value);
                n_fds = answer->fd >= 0;
                break;
        default: /* something else */
                size = value;
                input_take(input, answer->bytes, size);
                break;
        }
        bytes_send(peer->connection, answer->bytes, size,
                   answer->fd >= 0 ? answer->fd : peer->connection, n_fds);
        fd_closep(&answer->fd);
}

bool peer_serve_wrongly(Peer *peer, Input *input)
{
        Answer answer;

        rest_send(peer);
        if (!answer_next(peer, &answer))
                return false;
        answer_spoil(peer, &answer, input);
        return true;
}

/* The frontend answers nothing but that a request was served, or not. */
static void replies_receive(const Peer *peer)
{
        uint32_t reply[5];
        ssize_t n;

        while ((n = read(peer->channel, reply, sizeof(reply))) > 0) {
                g_assert_cmpint(n, ==, sizeof(reply));
                g_assert_cmphex(reply[1], ==, VHOST_USER_VERSION | VHOST_USER_REPLY);
                g_assert_cmpuint(reply[2], ==, 8);
                g_assert_cmpuint(reply[3], <=, 1);
                g_assert_cmpuint(reply[4], ==, 0);
        }
}

void peer_call(Peer *peer, Input *input)
{
        const uint8_t what = input_u8(input), n = input_u8(input);
        VhostUserHeader header = { VHOST_USER_BACKEND_CONFIG_CHANGE, VHOST_USER_VERSION, 0 };
        char bytes[UINT8_MAX];

        if (peer->channel < 0)
                return;
        replies_receive(peer);
        if (what & 0x10)
                header.flags |= VHOST_USER_NEED_REPLY;
        if (what & 0x20)
                header.request = n % 16;
        if (what & 0x40)
                header.size = what & 0x80 ? input_u32(input) : n;
        switch (what % 8) {
        case 0:
                fd_closep(&peer->channel);
                return;
        case 1:
                for (unsigned int i = 0; i < FLOOD; i++)
                        bytes_send(peer->channel, &header, sizeof(header), -1, 0);
                return;
        case 2:
                header.flags = input_u32(input);
                break;
        case 3:
                input_take(input, bytes, n);
                bytes_send(peer->channel, bytes, n, -1, 0);
                return;
        default:
                break;
        }
        bytes_send(peer->channel, &header, sizeof(header), peer->channel,
                   what & 8 ? n % DESCRIPTORS_MAX : 0);
        memset(bytes, n, sizeof(bytes));
        bytes_send(peer->channel, bytes, header.size < sizeof(bytes) ? header.size : sizeof(bytes),
                   -1, 0);
}

void peer_area_change(Peer *peer, Input *input)
{
        VhostUserInflightSplit head;
        const uint32_t offset = input_u8(input) * UINT32_C(16);

        if (peer->area < 0)
                return;
        if (offset == 0) {
                g_assert_cmpint(ftruncate(peer->area, input_u8(input)), ==, 0);
                return;
        }
        input_take(input, &head, sizeof(head));
        g_assert_cmpint(pwrite(peer->area, &head, sizeof(head), offset - 16), ==, sizeof(head));
}
