/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a fuzzer hands over, taken from its front. Where nothing is left there are zeros. */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct Input {
        const uint8_t *bytes;
        size_t size;
} Input;

static inline void input_take(Input *input, void *ret_bytes, size_t size)
{
        const size_t n = size < input->size ? size : input->size;

        memset(ret_bytes, 0, size);
        if (n > 0)
                memcpy(ret_bytes, input->bytes, n);
        input->bytes += n;
        input->size -= n;
}

static inline uint8_t input_u8(Input *input)
{
        uint8_t value;

        input_take(input, &value, sizeof(value));
        return value;
}

static inline uint32_t input_u32(Input *input)
{
        uint32_t value;

        input_take(input, &value, sizeof(value));
        return value;
}

/* What libFuzzer and replay.c call; each fuzzer is one such function. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
