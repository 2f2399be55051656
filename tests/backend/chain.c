/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "tests/backend/chain.h"

#include <errno.h>
#include <string.h>

void chain_begin(Chain *chain)
{
        chain->id = 0;
        chain->n_slots = 0;
        chain->n_buffers = 0;
        chain->readable = 0;
        chain->writable = 0;
}

int chain_add(Chain *chain, uint64_t address, uint32_t size, bool writable)
{
        if (chain->n_buffers == CHAIN_BUFFERS_MAX || (!writable && chain->writable > 0))
                return -EPROTO;
        chain->buffers[chain->n_buffers++] =
                (Buffer){ .address = address, .size = size, .writable = writable };
        *(writable ? &chain->writable : &chain->readable) += size;
        return 0;
}

Chain *chain_copy(const Chain *chain)
{
        const size_t size = offsetof(Chain, buffers) + chain->n_buffers * sizeof(Buffer);
        Chain *copy = malloc(size);

        if (copy)
                memcpy(copy, chain, size);
        return copy;
}

/* A piece of one buffer, which may lie in several regions. */
static int buffer_each(const Memory *memory, const Buffer *buffer, uint64_t skip, uint64_t size,
                       ChainFunction function, void *userdata, uint64_t position)
{
        while (size > 0) {
                Window window;
                uint64_t address, done;
                int r;

                if (__builtin_add_overflow(buffer->address, skip, &address))
                        return -EFAULT;
                r = memory_window_open(memory, address, size, buffer->writable, &window);
                if (r < 0)
                        return r;
                done = window.size;
                r = function(userdata, window.data, window.size, position);
                memory_window_close(&window);
                if (r < 0)
                        return r;
                skip += done;
                size -= done;
                position += done;
        }
        return 0;
}

int chain_each(const Chain *chain, const Memory *memory, bool writable, uint64_t offset,
               uint64_t size, ChainFunction function, void *userdata)
{
        uint64_t position = 0;

        for (uint16_t i = 0; i < chain->n_buffers && position < size; i++) {
                const Buffer *buffer = &chain->buffers[i];
                uint64_t piece;
                int r;

                if (buffer->writable != writable)
                        continue;
                if (offset >= buffer->size) {
                        offset -= buffer->size;
                        continue;
                }
                piece = buffer->size - offset < size - position ? buffer->size - offset
                                                                : size - position;
                r = buffer_each(memory, buffer, offset, piece, function, userdata, position);
                if (r < 0)
                        return r;
                position += piece;
                offset = 0;
        }
        return position == size ? 0 : -EMSGSIZE;
}

static int piece_read(void *userdata, uint8_t *data, size_t size, uint64_t position)
{
        memcpy((uint8_t *)userdata + position, data, size);
        return 0;
}

static int piece_write(void *userdata, uint8_t *data, size_t size, uint64_t position)
{
        memcpy(data, (const uint8_t *)userdata + position, size);
        return 0;
}

int chain_read(const Chain *chain, const Memory *memory, uint64_t offset, void *data, size_t size)
{
        return chain_each(chain, memory, false, offset, size, piece_read, data);
}

int chain_write(const Chain *chain, const Memory *memory, uint64_t offset, const void *data,
                size_t size)
{
        return chain_each(chain, memory, true, offset, size, piece_write, (void *)data);
}
