/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* An SPI controller (virtio 1.3, section 5.21) whose output is wired to its input. */

#include <errno.h>
#include <string.h>

#include "tests/backend/personality.h"

#define HEADER_SIZE  32 /* struct spi_transfer_head */
#define SPI_OK       UINT8_C(0)
#define TRANSFER_MAX 4096

typedef struct SpiConfig {
        uint8_t cs_max_number, cs_change_supported, tx_nbits_supported, rx_nbits_supported;
        uint32_t bits_per_word_mask, mode_func_supported, max_freq_hz;
        uint32_t max_word_delay_ns, max_cs_setup_ns, max_cs_hold_ns, max_cs_inactive_ns;
} SpiConfig;
_Static_assert(sizeof(SpiConfig) == 32, "layout");

static int spi_open(const PersonalityOptions *options _unused_, Personality *personality)
{
        const SpiConfig config = { .cs_max_number = 1, .bits_per_word_mask = 1 << 7 };

        personality->n_queues = 1;
        personality->config_size = sizeof(config);
        memcpy(personality->config, &config, sizeof(config));
        return 0;
}

static int spi_serve(Personality *personality _unused_, uint32_t queue _unused_,
                     const Memory *memory, const Chain *chain, uint32_t *ret_written)
{
        uint8_t data[TRANSFER_MAX] = { 0 };
        const uint8_t result = SPI_OK;
        uint64_t n_out, n_in;
        int r;

        if (chain->readable < HEADER_SIZE || chain->writable == 0)
                return -EPROTO;
        n_out = chain->readable - HEADER_SIZE;
        n_in = chain->writable - sizeof(result);
        if (n_out > sizeof(data) || n_in > sizeof(data))
                return -EPROTO;
        r = chain_read(chain, memory, HEADER_SIZE, data, n_out);
        if (r == 0)
                r = chain_write(chain, memory, 0, data, n_in);
        *ret_written = (uint32_t)chain->writable;
        return r < 0 ? r : chain_write(chain, memory, n_in, &result, sizeof(result));
}

const PersonalityOps spi_ops = {
        .name = "spi",
        .open = spi_open,
        .serve = spi_serve,
};
