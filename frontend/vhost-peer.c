/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/vhost-peer.h"

#include <errno.h>
#include <sys/pidfd.h>
#include <sys/socket.h>

/* A process that does not exist, or none, is one that is not known. */
static VhostPeer peer_open(int32_t pid)
{
        const int pidfd = pid > 0 ? pidfd_open(pid, 0) : -1;

        return (VhostPeer){ .pid = pidfd < 0 ? VHOST_PEER_UNKNOWN : pid, .pidfd = pidfd };
}

int32_t vhost_peer_pid(int socket)
{
        struct ucred credentials = { 0 };
        socklen_t size = sizeof(credentials);

        getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size);
        return credentials.pid;
}

VhostPeer vhost_peer_of(int socket)
{
        return peer_open(vhost_peer_pid(socket));
}

void vhost_peer_close(VhostPeer *peer)
{
        fd_closep(&peer->pidfd);
        peer->pid = 0;
}

static void holder_forget(VhostHolder *holder)
{
        loop_unwatch(holder->loop, holder->peer.pidfd);
        vhost_peer_close(&holder->peer);
}

static void holder_ended(void *userdata)
{
        VhostHolder *holder = userdata;

        vhost_holder_release(holder);
        holder->gone(holder->userdata);
}

static void holder_watch(VhostHolder *holder)
{
        if (holder->peer.pidfd >= 0 &&
            loop_watch(holder->loop, holder->peer.pidfd, holder_ended, holder) < 0)
                holder->peer.pid = VHOST_PEER_UNKNOWN;
        *holder->pid = holder->peer.pid;
}

void vhost_holder_adopt(VhostHolder *holder)
{
        holder->peer = VHOST_PEER_NONE;
        if (*holder->pid == 0)
                return;
        errno = 0;
        holder->peer = peer_open(*holder->pid);
        /* Who had this number has ended meanwhile. */
        if (errno == ESRCH)
                holder->peer.pid = 0;
        holder_watch(holder);
}

void vhost_holder_clear(VhostHolder *holder)
{
        holder_forget(holder);
}

void vhost_holder_set(VhostHolder *holder, VhostPeer *peer)
{
        holder->peer = (VhostPeer){ .pid = peer->pid, .pidfd = steal_fd(&peer->pidfd) };
        holder_watch(holder);
}

void vhost_holder_release(VhostHolder *holder)
{
        holder_forget(holder);
        *holder->pid = 0;
}

bool vhost_holder_admits(const VhostHolder *holder, const VhostPeer *peer)
{
        return holder->peer.pid <= 0 || holder->peer.pid == peer->pid;
}
