/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The backend: one device, and one connection of a frontend at a time. requests.c carries out what
 * a message asks for, backend.c judges messages and sends replies, channel.c speaks on the
 * backend's own channel, main.c has the loop.
 */

#include "tests/backend/legality.h"
#include "tests/backend/message.h"
#include "tests/backend/misbehave.h"
#include "tests/backend/queue.h"

#define MISBEHAVIOURS_MAX 16

typedef struct BackendOptions {
        const char *socket_path;              /* NULL: fd */
        int fd;                               /* -1: socket_path */
        bool once;                            /* as virtiofsd does: ends with its connection */
        const char *report;                   /* NULL: standard error only */
        uint64_t features, protocol_features; /* masks */
        bool go_on;                           /* after an illegal message */
        bool trace;                           /* names each request on standard error */
        uint32_t misbehave_connections;       /* so many of the first ones; 0: all */
        bool misbehave_in_turn;               /* in the n-th connection only as told n-th */
        Misbehaviour misbehaviours[MISBEHAVIOURS_MAX];
        size_t n_misbehaviours;
        QueuePolicy policy;
        PersonalityOptions personality;
        const PersonalityOps *ops;
} BackendOptions;

/* The backend's channel to the frontend. */
typedef struct Channel {
        int fd;         /* -1: none */
        bool wants_ack; /* requests ask for a reply */
        bool carries_fds;
        uint64_t n_config, n_unknown; /* still to be sent */
        uint64_t n_unanswered;
} Channel;

typedef struct Backend {
        const BackendOptions *options;
        Personality personality;
        LegalOffer offer;
        bool illegal; /* a message was, at some time */

        /* Of the connection. */
        int fd; /* -1: none */
        uint32_t n_connections;
        bool deaf;
        Legality legality;
        uint64_t features;
        uint8_t status;
        Memory memory;
        Queue queues[WIRE_QUEUES_MAX];
        void *inflight_area; /* NULL: none */
        size_t inflight_size;
        Channel channel;
} Backend;

int backend_open(Backend *backend, const BackendOptions *options) _warn_unused_;
void backend_close(Backend *backend);

/* A connected socket, which the backend owns from then on. */
void backend_connect(Backend *backend, int fd);
void backend_disconnect(Backend *backend);

/* There is a message, or the end. Returns false if nothing more is to be done, after an illegal
 * one. */
bool backend_receive(Backend *backend) _warn_unused_;
/* Serves what is due in the queues: after a kick, or because there is more. */
void backend_serve(Backend *backend, uint64_t now_msec);
/* The world has changed, or may have. */
void backend_refresh(Backend *backend);
/* Notes a broken rule. Returns whether to go on. */
bool backend_illegal(Backend *backend, const char *name, const char *broken);

/* channel.c: the frontend answers, or takes more. Returns false as above. */
void channel_config_changed(Channel *channel, uint64_t times);
void channel_send_pending(Channel *channel);
bool channel_receive(Backend *backend) _warn_unused_;
void channel_close(Channel *channel);

/*
 * requests.c: carries a legal message out. Returns 1 if it filled the reply's payload, 0 if there
 * is nothing to say but that it is done, or a negative errno.
 */
int request_handle(Backend *backend, Message *message, Reply *reply) _warn_unused_;
/* Stops all rings and lets go of the guest's memory. */
void backend_release(Backend *backend);
