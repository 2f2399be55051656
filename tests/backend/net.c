/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A network card (virtio 1.3, section 5.1) whose wire leads back: what is sent on a pair of queues
 * is received on the same pair. As backends that were made for QEMU it has no configuration space,
 * says how many pairs it has where queues are asked for, and leaves the control queue to its
 * frontend, though it offers one. Each look at the world says how many frames each pair has sent.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/backend/personality.h"

#define N_PAIRS       4
#define PAIRS_MAX     (WIRE_QUEUES_MAX / 2)
#define NET_F_CTRL_VQ 17
#define NET_F_MQ      22
#define HEADER_SIZE   12 /* struct virtio_net_hdr */
#define NUM_BUFFERS   10 /* of it */
#define FRAME_MAX     (HEADER_SIZE + 1514)
#define FRAMES_MAX    16

typedef struct Frame {
        uint8_t bytes[FRAME_MAX];
        size_t size;
} Frame;

/* What was sent and not yet received; of more a card loses the rest. */
static struct {
        Frame frames[FRAMES_MAX];
        size_t first, n;
        unsigned int sent; /* so far */
} wires[PAIRS_MAX];

static int net_open(const PersonalityOptions *options, Personality *personality)
{
        personality->n_queues = options->n_queues ? options->n_queues : 2 * N_PAIRS;
        personality->features = BIT(NET_F_CTRL_VQ) | BIT(NET_F_MQ);
        return personality->n_queues % 2 == 0 ? 0 : -EINVAL;
}

static int frame_send(uint32_t pair, const Memory *memory, const Chain *chain)
{
        Frame *frame = &wires[pair].frames[(wires[pair].first + wires[pair].n) % FRAMES_MAX];

        if (chain->readable < HEADER_SIZE || chain->readable > FRAME_MAX)
                return -EINVAL;
        wires[pair].sent++;
        if (wires[pair].n == FRAMES_MAX)
                return 0;
        wires[pair].n++;
        frame->size = (size_t)chain->readable;
        return chain_read(chain, memory, 0, frame->bytes, frame->size);
}

static int frame_receive(uint32_t pair, const Memory *memory, const Chain *chain,
                         uint32_t *ret_written)
{
        Frame *frame = &wires[pair].frames[wires[pair].first];

        if (wires[pair].n == 0)
                return 1;
        if (chain->writable < frame->size)
                return -EINVAL;
        memset(frame->bytes, 0, HEADER_SIZE);
        frame->bytes[NUM_BUFFERS] = 1;
        wires[pair].first = (wires[pair].first + 1) % FRAMES_MAX;
        wires[pair].n--;
        *ret_written = (uint32_t)frame->size;
        return chain_write(chain, memory, 0, frame->bytes, frame->size);
}

static int net_serve(Personality *personality, uint32_t queue, const Memory *memory,
                     const Chain *chain, uint32_t *ret_written)
{
        if (queue % 2 == 0)
                return frame_receive(queue / 2, memory, chain, ret_written);
        personality->changed = true;
        return frame_send(queue / 2, memory, chain);
}

static bool net_refresh(Personality *personality)
{
        for (uint32_t pair = 0; pair < personality->n_queues / 2; pair++)
                fprintf(stderr, "pair %u: %u frames\n", pair, wires[pair].sent);
        return false;
}

const PersonalityOps net_ops = {
        .name = "net",
        .counts_pairs = true,
        .open = net_open,
        .serve = net_serve,
        .refresh = net_refresh,
};
