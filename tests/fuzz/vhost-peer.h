/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A backend whose answers are right, until a fuzzer's bytes say how they are wrong. Its sockets and
 * files are those of fake-socket.h and fake-file.h.
 */

#include <stdbool.h>

#include "frontend/vhost-user.h"
#include "tests/fuzz/input.h"

#define PEER_BYTES_MAX 512 /* of an answer */

/* What a backend says of itself. */
typedef struct PeerOffer {
        uint64_t features;
        uint64_t protocol_features;
        uint64_t n_queues;
} PeerOffer;

typedef struct Peer {
        PeerOffer offer;
        int connection;            /* this and those that follow: -1 while there is none */
        int channel;               /* the end of it that the frontend has sent */
        int area;                  /* the frontend's file, as it was sent */
        char rest[PEER_BYTES_MAX]; /* of an answer of which only the begin was sent */
        size_t rest_size;
} Peer;

/* Listens at first; what connects is taken by peer_accept(). */
void peer_init(Peer *peer);
void peer_clear(Peer *peer);

void peer_hang_up(Peer *peer);
/* Hangs up, and does not listen any more; the same, and its process ends; listens again. */
void peer_leave(Peer *peer);
void peer_end(Peer *peer);
void peer_listen(void);

/* Takes the newest of the connections that wait, if any, in the place of the one that it has. */
void peer_accept(Peer *peer);

/* Answers one request rightly. Returns whether there was one. */
bool peer_serve(Peer *peer);

/* The same, but wrongly, as the input says. */
bool peer_serve_wrongly(Peer *peer, Input *input);

/* Sends requests on the channel, as the input says; reads what comes back. */
void peer_call(Peer *peer, Input *input);

/* Cuts the area of requests, or writes into it, as the input says. */
void peer_area_change(Peer *peer, Input *input);
