/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A client of frontend/vhost-client.h, with the test as its backend. */

#include "frontend/vhost-client.h"

#define REPLY (VHOST_USER_VERSION | VHOST_USER_REPLY)

typedef struct Fixture {
        Loop *loop;
        VhostClient *client;
        int backend;
        unsigned int n_answered, n_failed;
        int descriptor; /* that came with the answer */
        int error;
        VhostUserPayload payload;
        bool has_payload;
} Fixture;

void fixture_init(Fixture *fixture, const void *data);
void fixture_clear(Fixture *fixture, const void *data);

/* For requests: counts the answer and keeps it. */
void on_answered(void *userdata, const VhostUserPayload *payload);

/* Lets the client do all that it can do now. */
void run(Fixture *fixture);

void backend_send(Fixture *fixture, const void *data, size_t size);

/* Sends an answer, and lets the client take it. */
void answer(Fixture *fixture, uint32_t request, const void *payload, size_t size);

/* Reads a request that has to have this payload, and these flags besides the version. */
void expect(Fixture *fixture, uint32_t request, uint32_t flags, const void *payload, size_t size);
void expect_nothing(Fixture *fixture);

/* The client fails now, and has not taken any answer. */
void assert_failed(Fixture *fixture);
