/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A SCSI host adapter (virtio 1.3, section 5.6). There is one thing on its bus, a "processor" that
 * says who it is (INQUIRY) and takes every other command for done.
 */

#include <errno.h>
#include <string.h>

#include "tests/backend/personality.h"

#define CONTROL_QUEUE 0
#define EVENT_QUEUE   1

#define SCSI_BAD_TARGET        UINT8_C(3)
#define SCSI_FUNCTION_COMPLETE UINT8_C(0)
#define SCSI_INQUIRY           0x12
#define INQUIRY_SIZE           36

typedef struct ScsiConfig {
        uint32_t num_queues, seg_max, max_sectors, cmd_per_lun;
        uint32_t event_info_size, sense_size, cdb_size;
        uint16_t max_channel, max_target;
        uint32_t max_lun;
} ScsiConfig;
_Static_assert(sizeof(ScsiConfig) == 36, "layout");

typedef struct __attribute__((packed)) ScsiRequest {
        uint8_t lun[8];
        uint64_t id;
        uint8_t task_attr, prio, crn;
        uint8_t cdb[32];
} ScsiRequest;
_Static_assert(sizeof(ScsiRequest) == 51, "layout");

typedef struct ScsiResponse {
        uint32_t sense_len;
        uint32_t residual;
        uint16_t status_qualifier;
        uint8_t status;
        uint8_t response;
        uint8_t sense[96];
} ScsiResponse;
_Static_assert(sizeof(ScsiResponse) == 108, "layout");

static int scsi_open(const PersonalityOptions *options _unused_, Personality *personality)
{
        const ScsiConfig config = {
                .num_queues = 1,
                .seg_max = 126,
                .max_sectors = 0xffff,
                .cmd_per_lun = 8,
                .event_info_size = 16,
                .sense_size = 96,
                .cdb_size = 32,
        };

        personality->n_queues = 3;
        personality->config_size = sizeof(config);
        memcpy(personality->config, &config, sizeof(config));
        return 0;
}

static int command_serve(const Memory *memory, const Chain *chain, uint32_t *ret_written)
{
        static const uint8_t identity[INQUIRY_SIZE] =
                "\x03\0\x05\x02\x1f\0\0\0XENVIRT TEST PROCESSOR  ";
        ScsiResponse response = { .response = SCSI_FUNCTION_COMPLETE };
        ScsiRequest request;
        uint64_t size = 0;
        int r;

        r = chain_read(chain, memory, 0, &request, sizeof(request));
        if (r < 0 || chain->writable < sizeof(response))
                return r < 0 ? r : -EPROTO;
        if (request.lun[1] != 0 || request.lun[3] != 0)
                response.response = SCSI_BAD_TARGET;
        else if (request.cdb[0] == SCSI_INQUIRY)
                size = chain->writable - sizeof(response);
        if (size > sizeof(identity))
                size = sizeof(identity);
        response.residual = (uint32_t)(chain->writable - sizeof(response) - size);
        r = chain_write(chain, memory, 0, &response, sizeof(response));
        if (r == 0)
                r = chain_write(chain, memory, sizeof(response), identity, size);
        *ret_written = (uint32_t)(sizeof(response) + size);
        return r;
}

static int scsi_serve(Personality *personality _unused_, uint32_t queue, const Memory *memory,
                      const Chain *chain, uint32_t *ret_written)
{
        const uint8_t done = SCSI_FUNCTION_COMPLETE;

        if (queue == EVENT_QUEUE)
                return 1; /* nothing ever happens */
        if (queue != CONTROL_QUEUE)
                return command_serve(memory, chain, ret_written);
        if (chain->writable == 0)
                return -EPROTO;
        *ret_written = (uint32_t)chain->writable;
        return chain_write(chain, memory, chain->writable - 1, &done, sizeof(done));
}

const PersonalityOps scsi_ops = {
        .name = "scsi",
        .open = scsi_open,
        .serve = scsi_serve,
};
