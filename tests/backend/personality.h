/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What kind of device the backend is. */

#include "tests/backend/chain.h"

typedef struct PersonalityOptions {
        const char *path; /* block: the image; others: what of the host they stand for */
        bool read_only;
        uint64_t features; /* loopback: of the device type that it passes for */
        uint32_t n_queues; /* 0: as many as the kind has by itself */
} PersonalityOptions;

typedef struct Personality Personality;

typedef struct PersonalityOps {
        const char *name;
        bool needs_path;
        bool shuffles;     /* gives requests back in another order than it got them */
        bool counts_pairs; /* takes GET_QUEUE_NUM for a question about pairs of queues */
        /* Makes the device of the options. Returns 0 or a negative errno. */
        int (*open)(const PersonalityOptions *options, Personality *personality);
        void (*close)(Personality *personality); /* NULL: nothing to be closed */
        /*
         * Serves a request of a queue and says how many bytes were written. Returns 0; 1 if it has
         * nothing to say yet, and wants to be asked again when something has changed; or a negative
         * errno if the request is such that there is no place to say that it failed.
         */
        int (*serve)(Personality *personality, uint32_t queue, const Memory *memory,
                     const Chain *chain, uint32_t *ret_written);
        /* The frontend wrote config, which is not to be changed where it is read-only. NULL: it is
         * read-only everywhere. */
        int (*config_write)(Personality *personality, uint32_t offset, const uint8_t *data,
                            uint32_t size);
        /* Looks at the world again. Returns whether config has changed. NULL: nothing to look at.
         */
        bool (*refresh)(Personality *personality);
        /* There is something to be read from fd, which is looked at only if this is there. */
        void (*readable)(Personality *personality);
} PersonalityOps;

struct Personality {
        const PersonalityOps *ops;
        uint64_t features; /* of the device type */
        uint32_t n_queues;
        uint32_t config_size;
        uint8_t config[WIRE_CONFIG_MAX];
        int fd; /* block: the image; others: what of the host they stand for; -1: none */
        bool read_only;
        bool changed;        /* requests that wait may have an answer now */
        bool config_changed; /* while requests were served: the frontend does not know yet */
};

extern const PersonalityOps block_ops, loopback_ops, rng_ops, console_ops, i2c_ops, gpio_ops,
        input_ops, scsi_ops, sound_ops, can_ops, spi_ops, net_ops;

/* NULL if there is no such kind. */
static inline const PersonalityOps *personality_find(const char *name)
{
        const PersonalityOps *const all[] = {
                &block_ops, &loopback_ops, &rng_ops,   &console_ops, &i2c_ops, &gpio_ops,
                &input_ops, &scsi_ops,     &sound_ops, &can_ops,     &spi_ops, &net_ops,
        };

        for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
                if (__builtin_strcmp(all[i]->name, name) == 0)
                        return all[i];
        }
        return NULL;
}
