/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A sound card (virtio 1.3, section 5.14) that plays into the void: one output, S16, 48 kHz. */

#include <errno.h>
#include <string.h>

#include "tests/backend/personality.h"

#define CONTROL_QUEUE 0
#define EVENT_QUEUE   1

#define SND_PCM_INFO UINT32_C(0x0100)
#define SND_OK       UINT32_C(0x8000)
#define SND_BAD      UINT32_C(0x8001)
#define SND_FMT_S16  5
#define SND_RATE_48K 7

typedef struct SoundConfig {
        uint32_t jacks, streams, chmaps;
} SoundConfig;

typedef struct SoundQuery {
        uint32_t code, start_id, count, size;
} SoundQuery;

typedef struct SoundStream {
        uint32_t hda_fn_nid;
        uint32_t features;
        uint64_t formats, rates;
        uint8_t direction, channels_min, channels_max;
        uint8_t padding[5];
} SoundStream;
_Static_assert(sizeof(SoundStream) == 32, "layout");

typedef struct SoundStatus {
        uint32_t status;
        uint32_t latency_bytes;
} SoundStatus;

static int sound_open(const PersonalityOptions *options _unused_, Personality *personality)
{
        const SoundConfig config = { .streams = 1 };

        personality->n_queues = 4;
        personality->config_size = sizeof(config);
        memcpy(personality->config, &config, sizeof(config));
        return 0;
}

/* Who asks for the streams is told of the one; all else is done by saying so. */
static int control_serve(const Memory *memory, const Chain *chain, uint32_t *ret_written)
{
        const SoundStream stream = {
                .formats = BIT(SND_FMT_S16),
                .rates = BIT(SND_RATE_48K),
                .channels_min = 1,
                .channels_max = 2,
        };
        uint32_t code, status = SND_OK;
        SoundQuery query;
        int r;

        r = chain_read(chain, memory, 0, &code, sizeof(code));
        if (r < 0)
                return r;
        *ret_written = (uint32_t)chain->writable;
        if (code == SND_PCM_INFO) {
                r = chain_read(chain, memory, 0, &query, sizeof(query));
                if (r < 0)
                        return r;
                if (query.start_id != 0 || query.count != 1 || query.size != sizeof(stream))
                        status = SND_BAD;
                else
                        r = chain_write(chain, memory, sizeof(status), &stream, sizeof(stream));
        }
        return r < 0 ? r : chain_write(chain, memory, 0, &status, sizeof(status));
}

static int sound_serve(Personality *personality _unused_, uint32_t queue, const Memory *memory,
                       const Chain *chain, uint32_t *ret_written)
{
        const SoundStatus played = { .status = SND_OK };

        if (queue == CONTROL_QUEUE)
                return control_serve(memory, chain, ret_written);
        if (queue == EVENT_QUEUE)
                return 1; /* nothing ever happens */
        if (chain->writable < sizeof(played))
                return -EPROTO;
        *ret_written = (uint32_t)chain->writable;
        return chain_write(chain, memory, chain->writable - sizeof(played), &played,
                           sizeof(played));
}

const PersonalityOps sound_ops = {
        .name = "sound",
        .open = sound_open,
        .serve = sound_serve,
};
