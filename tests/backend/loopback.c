/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A device of no standard type: copies what a request has to be read into what it has to be
 * written. Its configuration space is the driver's to write; byte 0 counts each look at the world.
 */

#include <errno.h>
#include <string.h>

#include "tests/backend/personality.h"

#define N_QUEUES    8
#define CONFIG_SIZE 64

static int loopback_open(const PersonalityOptions *options, Personality *personality)
{
        personality->n_queues = options->n_queues ? options->n_queues : N_QUEUES;
        personality->features = options->features;
        personality->config_size = CONFIG_SIZE;
        for (uint8_t i = 1; i < CONFIG_SIZE; i++)
                personality->config[i] = i;
        return 0;
}

static int loopback_serve(Personality *personality _unused_, uint32_t queue _unused_,
                          const Memory *memory, const Chain *chain, uint32_t *ret_written)
{
        const uint64_t size = chain->readable < chain->writable ? chain->readable : chain->writable;
        uint8_t piece[4096];

        for (uint64_t done = 0; done < size;) {
                const size_t n = size - done < sizeof(piece) ? size - done : sizeof(piece);
                int r = chain_read(chain, memory, done, piece, n);

                if (r == 0)
                        r = chain_write(chain, memory, done, piece, n);
                if (r < 0)
                        return r;
                done += n;
        }
        *ret_written = (uint32_t)size;
        return 0;
}

static int loopback_config_write(Personality *personality, uint32_t offset, const uint8_t *data,
                                 uint32_t size)
{
        if (offset + size > CONFIG_SIZE)
                return -EINVAL;
        memcpy(personality->config + offset, data, size);
        return 0;
}

static bool loopback_refresh(Personality *personality)
{
        personality->config[0]++;
        return true;
}

const PersonalityOps loopback_ops = {
        .name = "loopback",
        .open = loopback_open,
        .serve = loopback_serve,
        .config_write = loopback_config_write,
        .refresh = loopback_refresh,
};
