/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Which process may use the guest's memory: the one that was given rings, until it is gone, or
 * until it serves a new connection. That its connection ended, that its socket is gone, or that
 * nobody listens there, says nothing.
 */

#include <stdint.h>

#include "common/macros.h"
#include "frontend/loop.h"

/*
 * A process that has no number here, because it is of another pid namespace; or that was gone
 * before it could be watched, while somebody else has its socket.
 */
#define VHOST_PEER_UNKNOWN INT32_C(-1)

/* The process that listened at the other end of a connection (unix(7), SO_PEERCRED). */
typedef struct VhostPeer {
        int32_t pid; /* 0: none; or VHOST_PEER_UNKNOWN */
        int pidfd;   /* owned; -1 without a pid */
} VhostPeer;

#define VHOST_PEER_NONE ((VhostPeer){ .pidfd = -1 })

/* Finds out who is at the other end of a connected socket. 0: nobody who has a number here. */
int32_t vhost_peer_pid(int socket);
VhostPeer vhost_peer_of(int socket);
void vhost_peer_close(VhostPeer *peer);

/* The process that may use the guest's memory, if any. */
typedef struct VhostHolder {
        Loop *loop;   /* borrowed, as is what follows */
        int32_t *pid; /* as in VhostPeer; outlasts us, so that the next frontend knows */
        void (*gone)(void *userdata);
        void *userdata;

        VhostPeer peer; /* ours */
} VhostHolder;

/* Goes on with what pid says; loop, pid, gone and userdata are set by the caller. */
void vhost_holder_adopt(VhostHolder *holder);

/* Ends the watch; what pid says stays. */
void vhost_holder_clear(VhostHolder *holder);

/*
 * The process of the connection (whose descriptor is taken) is given rings. From then on gone() is
 * called when it has ended, unless it was released before. There must be no other holder.
 */
void vhost_holder_set(VhostHolder *holder, VhostPeer *peer);

/* It serves a new connection. */
void vhost_holder_release(VhostHolder *holder);

/*
 * Whether a connection to this process may be made use of: nobody else may use the memory. Where
 * the holder is not known, anybody who serves the socket is taken for it.
 */
bool vhost_holder_admits(const VhostHolder *holder, const VhostPeer *peer);
