/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * An SPI controller (virtio 1.3, section 5.21) with two chips: of the first the output is wired to
 * the input, and the second shows with what parameters it is asked, if there is room for them.
 */

#include <errno.h>
#include <string.h>

#include "tests/backend/personality.h"

#define SPI_OK        UINT8_C(0)
#define SPI_PARAM_ERR UINT8_C(1)
#define SPI_TRANS_ERR UINT8_C(2)
#define CHIP_SHOWING  1
#define N_CHIPS       2
#define CPHA_CPOL     UINT32_C(0x3) /* of a transfer's mode */
#define ANY_CPHA_CPOL UINT32_C(0xf) /* of mode_func_supported: either value of both */
#define BITS_PER_WORD 8
#define FREQUENCY_MAX UINT32_C(10000000)
#define TRANSFER_MAX  4096

typedef struct SpiConfig {
        uint8_t cs_max_number, cs_change_supported, tx_nbits_supported, rx_nbits_supported;
        uint32_t bits_per_word_mask, mode_func_supported, max_freq_hz;
        uint32_t max_word_delay_ns, max_cs_setup_ns, max_cs_hold_ns, max_cs_inactive_ns;
} SpiConfig;
_Static_assert(sizeof(SpiConfig) == 32, "layout");

typedef struct TransferHead {
        uint8_t chip_select_id, bits_per_word, cs_change, tx_nbits, rx_nbits, reserved[3];
        uint32_t mode, freq;
        uint32_t word_delay_ns, cs_setup_ns, cs_delay_hold_ns, cs_change_delay_inactive_ns;
} TransferHead;
_Static_assert(sizeof(TransferHead) == 32, "layout");

static int spi_open(const PersonalityOptions *options _unused_, Personality *personality)
{
        const SpiConfig config = {
                .cs_max_number = N_CHIPS,
                .cs_change_supported = 1,
                .bits_per_word_mask = BIT(BITS_PER_WORD - 1),
                .mode_func_supported = ANY_CPHA_CPOL,
                .max_freq_hz = FREQUENCY_MAX,
        };

        personality->n_queues = 1;
        personality->config_size = sizeof(config);
        memcpy(personality->config, &config, sizeof(config));
        return 0;
}

/* Whether the configuration space allows all of it. */
static bool head_allowed(const TransferHead *head)
{
        return head->chip_select_id < N_CHIPS &&
               (head->bits_per_word == 0 || head->bits_per_word == BITS_PER_WORD) &&
               head->cs_change <= 1 && head->tx_nbits <= 1 && head->rx_nbits <= 1 &&
               (head->mode & ~CPHA_CPOL) == 0 && head->freq <= FREQUENCY_MAX &&
               head->word_delay_ns == 0 && head->cs_setup_ns == 0 && head->cs_delay_hold_ns == 0 &&
               head->cs_change_delay_inactive_ns == 0;
}

/* data is what was sent, zeroes where nothing was, and becomes what comes back. */
static uint8_t transfer(const TransferHead *head, uint64_t n_out, uint64_t n_in, uint8_t *data)
{
        if (!head_allowed(head) || (n_out > 0 && n_in > 0 && n_out != n_in))
                return SPI_PARAM_ERR;
        if (head->chip_select_id != CHIP_SHOWING)
                return SPI_OK;
        if (n_in < sizeof(*head))
                return SPI_TRANS_ERR;
        memset(data, 0, n_in);
        memcpy(data, head, sizeof(*head));
        return SPI_OK;
}

static int spi_serve(Personality *personality _unused_, uint32_t queue _unused_,
                     const Memory *memory, const Chain *chain, uint32_t *ret_written)
{
        uint8_t data[TRANSFER_MAX] = { 0 };
        TransferHead head;
        uint64_t n_out, n_in;
        uint8_t result;
        int r;

        if (chain->readable < sizeof(head) || chain->writable == 0)
                return -EPROTO;
        n_out = chain->readable - sizeof(head);
        n_in = chain->writable - sizeof(result);
        if (n_out > sizeof(data) || n_in > sizeof(data))
                return -EPROTO;
        r = chain_read(chain, memory, 0, &head, sizeof(head));
        if (r == 0)
                r = chain_read(chain, memory, sizeof(head), data, n_out);
        if (r < 0)
                return r;
        result = transfer(&head, n_out, n_in, data);
        r = chain_write(chain, memory, 0, data, n_in);
        *ret_written = (uint32_t)chain->writable;
        return r < 0 ? r : chain_write(chain, memory, n_in, &result, sizeof(result));
}

const PersonalityOps spi_ops = {
        .name = "spi",
        .open = spi_open,
        .serve = spi_serve,
};
