/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* An entropy source (virtio 1.3, section 5.4). */

#include <errno.h>
#include <sys/random.h>

#include "tests/backend/personality.h"

static int rng_open(const PersonalityOptions *options _unused_, Personality *personality)
{
        personality->n_queues = 1;
        return 0;
}

static int piece_fill(void *userdata _unused_, uint8_t *data, size_t size,
                      uint64_t position _unused_)
{
        for (size_t done = 0; done < size;) {
                ssize_t n = getrandom(data + done, size - done, 0);

                if (n < 0 && errno != EINTR)
                        return -errno;
                if (n > 0)
                        done += (size_t)n;
        }
        return 0;
}

static int rng_serve(Personality *personality _unused_, uint32_t queue _unused_,
                     const Memory *memory, const Chain *chain, uint32_t *ret_written)
{
        *ret_written = (uint32_t)chain->writable;
        return chain_each(chain, memory, true, 0, chain->writable, piece_fill, NULL);
}

const PersonalityOps rng_ops = {
        .name = "rng",
        .open = rng_open,
        .serve = rng_serve,
};
