/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* "Ring states" and the SET_VRING_ and GET_VRING_ requests. */

#include "tests/backend/legality.h"

#define SIZE_MAX_RING   UINT32_C(32768)
#define VRING_FLAG_LOG  UINT32_C(1)
#define PACKED_POSITION UINT32_C(0x7fff)

static bool is_packed(const Legality *legality)
{
        return legality->features & BIT(FEATURE_RING_PACKED);
}

bool legality_any_started(const Legality *legality)
{
        for (uint32_t i = 0; i < legality->offer.n_queues; i++) {
                if (legality->rings[i].started)
                        return true;
        }
        return false;
}

/* Lengths and alignments of virtio 1.3, sections 2.7 and 2.8. */
static const char *areas_check(const Legality *legality, const WireAddress *address, uint64_t n)
{
        const uint64_t event = legality->features & BIT(FEATURE_EVENT_IDX) ? 2 : 0;
        const uint64_t available = is_packed(legality) ? 4 : 4 + 2 * n + event;
        const uint64_t used = is_packed(legality) ? 4 : 4 + 8 * n + event;

        if (address->descriptor % 16 || address->used % 4 ||
            address->available % (is_packed(legality) ? 4 : 2))
                return "a ring address that is not aligned";
        if (!legality_is_mapped(legality, address->descriptor, 16 * n) ||
            !legality_is_mapped(legality, address->available, available) ||
            !legality_is_mapped(legality, address->used, used))
                return "a ring address outside the memory table";
        return NULL;
}

bool legality_rings_are_mapped(const Legality *legality)
{
        for (uint32_t i = 0; i < legality->offer.n_queues; i++) {
                const LegalRing *ring = &legality->rings[i];

                if (ring->started && areas_check(legality, &ring->address, ring->size))
                        return false;
        }
        return true;
}

static const char *num_check(const Legality *legality, LegalRing *ring, uint32_t size)
{
        if (ring->started)
                return "SET_VRING_NUM of a started ring";
        if (size == 0 || size > SIZE_MAX_RING)
                return "a ring size that cannot be";
        if (!is_packed(legality) && (size & (size - 1)))
                return "a size of a split ring that is no power of two";
        ring->size = size;
        ring->has_size = true;
        ring->has_address = false;
        return NULL;
}

static const char *base_check(const Legality *legality, LegalRing *ring, uint32_t base)
{
        if (ring->started)
                return "SET_VRING_BASE of a started ring";
        if (!is_packed(legality) && base > UINT16_MAX)
                return "a base of a split ring beyond 16 bits";
        if (is_packed(legality) && ring->has_size &&
            ((base & PACKED_POSITION) >= ring->size ||
             (base >> 16 & PACKED_POSITION) >= ring->size))
                return "a base of a packed ring beyond its end";
        ring->has_base = true;
        return NULL;
}

static const char *address_check(const Legality *legality, LegalRing *ring,
                                 const WireAddress *address)
{
        const char *broken;

        if (ring->started)
                return "SET_VRING_ADDR of a started ring";
        if (!ring->has_size)
                return "SET_VRING_ADDR before SET_VRING_NUM";
        if (address->flags & ~VRING_FLAG_LOG)
                return "flags of a ring that do not exist";
        if ((address->flags & VRING_FLAG_LOG) && !(legality->features & BIT(FEATURE_LOG_ALL)))
                return "a ring is to be logged without LOG_ALL";
        broken = areas_check(legality, address, ring->size);
        if (broken)
                return broken;
        ring->address = *address;
        ring->has_address = true;
        return NULL;
}

static const char *kick_check(LegalRing *ring)
{
        if (!ring->has_size || !ring->has_base || !ring->has_address)
                return "SET_VRING_KICK before size, base and address of the ring";
        ring->started = true;
        return NULL;
}

static const char *enable_check(const Legality *legality, uint32_t enable)
{
        if (!(legality->features & BIT(FEATURE_PROTOCOL_FEATURES)))
                return "SET_VRING_ENABLE without PROTOCOL_FEATURES";
        return enable > 1 ? "SET_VRING_ENABLE that is neither 0 nor 1" : NULL;
}

/* A ring that stops forgets how it was set up: backends drop descriptors and addresses. */
static const char *stop_check(LegalRing *ring, uint32_t num)
{
        if (num != 0)
                return "GET_VRING_BASE with a number that is reserved";
        if (!ring->has_size)
                return "GET_VRING_BASE of a ring that was never set up";
        ring->started = false;
        ring->has_base = false;
        ring->has_address = false;
        return NULL;
}

static const char *descriptor_check(uint64_t payload, unsigned int n_fds)
{
        if (payload & ~(WIRE_VRING_INDEX_MASK | WIRE_VRING_NO_FD))
                return "bits beside a ring's index that are reserved";
        if (n_fds != (payload & WIRE_VRING_NO_FD ? 0 : 1))
                return n_fds == 0 ? "a descriptor is missing"
                                  : "a descriptor that does not belong there";
        return NULL;
}

static bool has_descriptor(uint32_t request)
{
        return request == WIRE_SET_VRING_KICK || request == WIRE_SET_VRING_CALL ||
               request == WIRE_SET_VRING_ERR;
}

const char *legality_ring_check(Legality *legality, uint32_t request, const WirePayload *payload,
                                unsigned int n_fds)
{
        const uint64_t index = has_descriptor(request) ? payload->u64 & WIRE_VRING_INDEX_MASK
                                                       : payload->state.index;
        const char *broken = has_descriptor(request) ? descriptor_check(payload->u64, n_fds) : NULL;
        LegalRing *ring;

        if (broken)
                return broken;
        if (index >= legality->offer.n_queues)
                return "a ring that is not there";
        if (!legality->has_features)
                return "a ring is set up before SET_FEATURES";
        ring = &legality->rings[index];

        switch (request) {
        case WIRE_SET_VRING_NUM:
                return num_check(legality, ring, payload->state.num);
        case WIRE_SET_VRING_BASE:
                return base_check(legality, ring, payload->state.num);
        case WIRE_SET_VRING_ADDR:
                return address_check(legality, ring, &payload->address);
        case WIRE_SET_VRING_KICK:
                return kick_check(ring);
        case WIRE_SET_VRING_ENABLE:
                return enable_check(legality, payload->state.num);
        case WIRE_GET_VRING_BASE:
                return stop_check(ring, payload->state.num);
        default:
                return NULL;
        }
}
