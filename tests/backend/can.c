/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A CAN controller (virtio 1.3, section 5.20) whose bus brings back each frame that was sent. When
 * it looks at the world again it goes off the bus.
 */

#include <errno.h>
#include <string.h>

#include "tests/backend/personality.h"

#define TRANSMIT_QUEUE 0
#define RECEIVE_QUEUE  1

#define CAN_F_CLASSIC 0
#define CAN_F_FD      1
#define CAN_F_RTR     2
#define CAN_TX        UINT16_C(0x0001)
#define CAN_RX        UINT16_C(0x0101)
#define CAN_START     UINT16_C(0x0201)
#define CAN_STOP      UINT16_C(0x0202)
#define CAN_OK        UINT8_C(0)
#define CAN_NOT_OK    UINT8_C(1)
#define CAN_EXTENDED  UINT32_C(0x8000)
#define CAN_FD        UINT32_C(0x4000)
#define CAN_RTR       UINT32_C(0x2000)
#define CAN_S_BUSOFF  UINT8_C(1)
#define CLASSIC_MAX   8
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
static bool started;

static int can_open(const PersonalityOptions *options _unused_, Personality *personality)
{
        personality->n_queues = 3;
        personality->features = BIT(CAN_F_CLASSIC) | BIT(CAN_F_FD) | BIT(CAN_F_RTR);
        personality->config_size = sizeof(uint16_t); /* status: not "bus off" */
        return 0;
}

static bool frame_valid(const CanFrame *frame)
{
        const uint32_t flags = frame->flags;

        return frame->msg_type == CAN_TX && !(flags & ~(CAN_EXTENDED | CAN_FD | CAN_RTR)) &&
               !(flags & CAN_FD && flags & CAN_RTR) &&
               frame->length <= (flags & CAN_FD ? sizeof(frame->sdu) : CLASSIC_MAX);
}

static int transmit(Personality *personality, const Memory *memory, const Chain *chain)
{
        CanFrame frame = { 0 };
        int r = chain_read(chain, memory, 0, &frame, FRAME_HEADER);

        if (r < 0)
                return r;
        if (!started || !frame_valid(&frame))
                return CAN_NOT_OK;
        /* Who asks for a frame has no data of his own. */
        if (!(frame.flags & CAN_RTR))
                r = chain_read(chain, memory, FRAME_HEADER, frame.sdu, frame.length);
        if (r < 0)
                return r;
        frame.msg_type = CAN_RX;
        frames[n_frames++] = frame;
        personality->changed = true;
        return CAN_OK;
}

static int receive(Personality *personality, const Memory *memory, const Chain *chain,
                   uint32_t *ret_written)
{
        int r;

        if (n_frames == 0)
                return 1;
        *ret_written = (uint32_t)FRAME_HEADER + frames[0].length;
        r = chain_write(chain, memory, 0, &frames[0], *ret_written);
        n_frames--;
        memmove(&frames[0], &frames[1], n_frames * sizeof(frames[0]));
        personality->changed = true;
        return r;
}

/* Neither is left what is on the bus, nor who waits for a place there. */
static void controller_set(Personality *personality, bool start, uint8_t status)
{
        started = start;
        n_frames = 0;
        personality->config[0] = status;
        personality->changed = true;
}

static int control(Personality *personality, const Memory *memory, const Chain *chain)
{
        uint16_t type;
        int r = chain_read(chain, memory, 0, &type, sizeof(type));

        if (r < 0)
                return r;
        if (type != CAN_START && type != CAN_STOP)
                return CAN_NOT_OK;
        personality->config_changed = personality->config[0] != 0;
        controller_set(personality, type == CAN_START, 0);
        return CAN_OK;
}

static int can_serve(Personality *personality, uint32_t queue, const Memory *memory,
                     const Chain *chain, uint32_t *ret_written)
{
        uint8_t result;
        int r;

        if (queue == RECEIVE_QUEUE)
                return receive(personality, memory, chain, ret_written);
        if (queue == TRANSMIT_QUEUE && n_frames == FRAMES_MAX)
                return 1;
        r = queue == TRANSMIT_QUEUE ? transmit(personality, memory, chain)
                                    : control(personality, memory, chain);
        if (r < 0)
                return r;
        result = (uint8_t)r;
        *ret_written = sizeof(result);
        return chain_write(chain, memory, 0, &result, sizeof(result));
}

static bool can_refresh(Personality *personality)
{
        controller_set(personality, false, CAN_S_BUSOFF);
        return true;
}

const PersonalityOps can_ops = {
        .name = "can",
        .open = can_open,
        .serve = can_serve,
        .refresh = can_refresh,
};
