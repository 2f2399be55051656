/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A console (virtio 1.3, section 5.3) that says back what is said to it. Each look at the world
 * makes it a column wider.
 */

#include <errno.h>
#include <string.h>

#include "tests/backend/personality.h"

#define RECEIVE_QUEUE  0
#define CONSOLE_F_SIZE 0
#define ECHO_MAX       4096

typedef struct ConsoleConfig {
        uint16_t cols, rows;
        uint32_t max_nr_ports;
        uint32_t emerg_wr;
} ConsoleConfig;

/* What was said and not yet said back; a console that is not listened to forgets the rest. */
static uint8_t echo[ECHO_MAX];
static size_t echo_size;

static int console_open(const PersonalityOptions *options _unused_, Personality *personality)
{
        const ConsoleConfig config = { .cols = 80, .rows = 25, .max_nr_ports = 1 };

        personality->n_queues = 2;
        personality->features = BIT(CONSOLE_F_SIZE);
        personality->config_size = sizeof(config);
        memcpy(personality->config, &config, sizeof(config));
        return 0;
}

static int receive_serve(const Memory *memory, const Chain *chain, uint32_t *ret_written)
{
        const size_t n = echo_size < chain->writable ? echo_size : (size_t)chain->writable;

        if (n == 0)
                return 1;
        *ret_written = (uint32_t)n;
        echo_size -= n;
        if (chain_write(chain, memory, 0, echo, n) < 0)
                return -EFAULT;
        memmove(echo, echo + n, echo_size);
        return 0;
}

static int console_serve(Personality *personality, uint32_t queue, const Memory *memory,
                         const Chain *chain, uint32_t *ret_written)
{
        const size_t left = ECHO_MAX - echo_size;
        const size_t n = left < chain->readable ? left : (size_t)chain->readable;
        int r;

        if (queue == RECEIVE_QUEUE)
                return receive_serve(memory, chain, ret_written);
        r = chain_read(chain, memory, 0, echo + echo_size, n);
        if (r < 0)
                return r;
        echo_size += n;
        personality->changed = true;
        return 0;
}

static int console_config_write(Personality *personality _unused_, uint32_t offset,
                                const uint8_t *data _unused_, uint32_t size)
{
        return offset == offsetof(ConsoleConfig, emerg_wr) && size == sizeof(uint32_t) ? 0 : -EPERM;
}

static bool console_refresh(Personality *personality)
{
        personality->config[offsetof(ConsoleConfig, cols)]++;
        return true;
}

const PersonalityOps console_ops = {
        .name = "console",
        .open = console_open,
        .serve = console_serve,
        .config_write = console_config_write,
        .refresh = console_refresh,
};
