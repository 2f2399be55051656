/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What kind of device the backend is. */

#include "tests/backend/chain.h"

typedef struct PersonalityOptions {
        const char *path; /* block: the image */
        bool read_only;
        uint64_t features; /* loopback: of the device type that it passes for */
        uint32_t n_queues; /* 0: as many as the kind has by itself */
} PersonalityOptions;

typedef struct Personality Personality;

typedef struct PersonalityOps {
        const char *name;
        /* Makes the device of the options. Returns 0 or a negative errno. */
        int (*open)(const PersonalityOptions *options, Personality *personality);
        void (*close)(Personality *personality);
        /*
         * Serves a request and says how many bytes were written. Returns 0, or a negative errno if
         * the request is such that there is no place to say that it failed.
         */
        int (*serve)(Personality *personality, const Memory *memory, const Chain *chain,
                     uint32_t *ret_written);
        /* The frontend wrote config, which is not to be changed where it is read-only. */
        int (*config_write)(Personality *personality, uint32_t offset, const uint8_t *data,
                            uint32_t size);
        /* Looks at the world again. Returns whether config has changed. */
        bool (*refresh)(Personality *personality);
} PersonalityOps;

struct Personality {
        const PersonalityOps *ops;
        uint64_t features; /* of the device type */
        uint32_t n_queues;
        uint32_t config_size;
        uint8_t config[WIRE_CONFIG_MAX];
        int fd; /* block: the image */
        bool read_only;
};

extern const PersonalityOps block_ops, loopback_ops;

/* NULL if there is no such kind. */
static inline const PersonalityOps *personality_find(const char *name)
{
        const PersonalityOps *const all[] = { &block_ops, &loopback_ops };

        for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
                if (__builtin_strcmp(all[i]->name, name) == 0)
                        return all[i];
        }
        return NULL;
}
