/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A CAN controller (virtio 1.3, section 5.20) whose bus brings back each frame that was sent. */

#include <errno.h>
#include <string.h>

#include "tests/backend/personality.h"

#define TRANSMIT_QUEUE 0
#define RECEIVE_QUEUE  1

#define CAN_F_CLASSIC 0
#define CAN_TX        UINT16_C(0x0001)
#define CAN_RX        UINT16_C(0x0101)
#define CAN_START     UINT16_C(0x0201)
#define CAN_STOP      UINT16_C(0x0202)
#define CAN_OK        UINT8_C(0)
#define CAN_NOT_OK    UINT8_C(1)
#define FRAMES_MAX    16

typedef struct CanFrame {
        uint16_t msg_type;
        uint16_t length;
        uint8_t classic_dlc;
        uint8_t padding;
        uint16_t xl_priority;
        uint32_t flags;
        uint32_t can_id;
        uint8_t sdu[64];
} CanFrame;
#define FRAME_HEADER offsetof(CanFrame, sdu)

static CanFrame frames[FRAMES_MAX];
static size_t n_frames;

static int can_open(const PersonalityOptions *options _unused_, Personality *personality)
{
        personality->n_queues = 3;
        personality->features = BIT(CAN_F_CLASSIC);
        personality->config_size = sizeof(uint16_t); /* status: not "bus off" */
        return 0;
}

static int transmit(Personality *personality, const Memory *memory, const Chain *chain)
{
        CanFrame frame = { 0 };
        int r = chain_read(chain, memory, 0, &frame, FRAME_HEADER);

        if (r < 0)
                return r;
        if (frame.msg_type != CAN_TX || frame.length > sizeof(frame.sdu) || n_frames == FRAMES_MAX)
                return CAN_NOT_OK;
        r = chain_read(chain, memory, FRAME_HEADER, frame.sdu, frame.length);
        if (r < 0)
                return r;
        frame.msg_type = CAN_RX;
        frames[n_frames++] = frame;
        personality->changed = true;
        return CAN_OK;
}

static int receive(const Memory *memory, const Chain *chain, uint32_t *ret_written)
{
        int r;

        if (n_frames == 0)
                return 1;
        *ret_written = (uint32_t)FRAME_HEADER + frames[0].length;
        r = chain_write(chain, memory, 0, &frames[0], *ret_written);
        n_frames--;
        memmove(&frames[0], &frames[1], n_frames * sizeof(frames[0]));
        return r;
}

static int control(const Memory *memory, const Chain *chain)
{
        uint16_t type;
        int r = chain_read(chain, memory, 0, &type, sizeof(type));

        if (r < 0)
                return r;
        return type == CAN_START || type == CAN_STOP ? CAN_OK : CAN_NOT_OK;
}

static int can_serve(Personality *personality, uint32_t queue, const Memory *memory,
                     const Chain *chain, uint32_t *ret_written)
{
        uint8_t result;
        int r;

        if (queue == RECEIVE_QUEUE)
                return receive(memory, chain, ret_written);
        r = queue == TRANSMIT_QUEUE ? transmit(personality, memory, chain) : control(memory, chain);
        if (r < 0)
                return r;
        result = (uint8_t)r;
        *ret_written = sizeof(result);
        return chain_write(chain, memory, 0, &result, sizeof(result));
}

const PersonalityOps can_ops = {
        .name = "can",
        .open = can_open,
        .serve = can_serve,
};
