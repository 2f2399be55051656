/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Proves each message of a frontend legal in its state, by the rules of vhost-user.rst. Pure: it
 * sees what was offered and what has come, and nothing else. legality.c has the session's rules,
 * legality-memory.c those of the memory table, legality-ring.c those of the rings.
 *
 * Where the text leaves a choice and a backend in wide use does not, the backend's view counts; the
 * comments say whose it is.
 */

#include "tests/backend/wire.h"

/* What the backend offers. */
typedef struct LegalOffer {
        uint64_t features;
        uint64_t protocol_features;
        uint32_t n_queues;
} LegalOffer;

/* "Ring states": a ring is started by its kick descriptor and stopped by GET_VRING_BASE. */
typedef struct LegalRing {
        bool has_size, has_base, has_address;
        bool started;
        uint32_t size;
        WireAddress address;
} LegalRing;

/* One connection. Only legality_begin() and legality_check() write it. */
typedef struct Legality {
        LegalOffer offer;
        bool features_asked, protocol_features_asked;
        bool has_owner, has_features, has_protocol_features;
        uint64_t features, protocol_features; /* acknowledged */
        uint8_t status;
        bool has_table, has_slots; /* which of the two ways to set memory was used */
        WireRegion regions[WIRE_SLOTS_MAX];
        uint32_t n_regions;
        LegalRing rings[WIRE_QUEUES_MAX];
} Legality;

/* A new connection. n_queues of the offer must be at most WIRE_QUEUES_MAX. */
void legality_begin(Legality *legality, const LegalOffer *offer);

/*
 * Judges a message, and takes note of it if it is legal. Of the payload, header->size bytes are
 * there, or WIRE_PAYLOAD_MAX if that is less. Returns NULL, or the rule that is broken.
 */
const char *legality_check(Legality *legality, const WireHeader *header, const WirePayload *payload,
                           unsigned int n_fds) _warn_unused_;

/*
 * The same for what a frontend answers on the backend's channel to a request that wanted a reply.
 */
const char *legality_channel_check(const WireHeader *header, const WirePayload *payload,
                                   uint32_t request) _warn_unused_;

/* Whether a protocol feature was acknowledged. */
bool legality_has_protocol(const Legality *legality, unsigned int bit);

/* For legality.c only: the rules of one kind of message, header and number of descriptors aside. */
const char *legality_table_check(Legality *legality, const WireHeader *header,
                                 const WirePayload *payload, unsigned int n_fds);
const char *legality_slot_add_check(Legality *legality, const WirePayload *payload);
const char *legality_slot_remove_check(Legality *legality, const WirePayload *payload);
const char *legality_ring_check(Legality *legality, uint32_t request, const WirePayload *payload,
                                unsigned int n_fds);

/* Whether a range of user addresses lies in one region. */
bool legality_is_mapped(const Legality *legality, uint64_t address, uint64_t size);
/* Whether every started ring lies in the regions. */
bool legality_rings_are_mapped(const Legality *legality);
bool legality_any_started(const Legality *legality);
