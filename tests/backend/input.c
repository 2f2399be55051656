/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A keyboard of one key (virtio 1.3, section 5.8). Each look at the world finds that the key was
 * pressed and let go. What the configuration space shows is chosen by what is written to it.
 */

#include <errno.h>
#include <linux/input-event-codes.h>
#include <string.h>

#include "tests/backend/personality.h"

#define EVENT_QUEUE 0
#define EVENTS_MAX  64

#define CFG_ID_NAME   0x01
#define CFG_ID_DEVIDS 0x03
#define CFG_EV_BITS   0x11
#define BUS_VIRTUAL   0x06

typedef struct InputConfig {
        uint8_t select, subsel, size;
        uint8_t reserved[5];
        uint8_t value[128];
} InputConfig;

typedef struct InputEvent {
        uint16_t type, code;
        uint32_t value;
} InputEvent;

static const InputEvent stroke[] = {
        { EV_KEY, KEY_A, 1 },
        { EV_SYN, SYN_REPORT, 0 },
        { EV_KEY, KEY_A, 0 },
        { EV_SYN, SYN_REPORT, 0 },
};

/* What has happened, from the oldest on. */
static InputEvent events[EVENTS_MAX];
static size_t n_events;

static void value_set(InputConfig *config, const void *value, size_t size)
{
        config->size = (uint8_t)size;
        memcpy(config->value, value, size);
}

/* Shows what is selected; of anything else there is nothing. */
static void config_show(Personality *personality, uint8_t select, uint8_t subsel)
{
        static const char name[] = "xen-virtio-test";
        const uint16_t ids[] = { BUS_VIRTUAL, 0x5852, 0x0012, 1 };
        const uint8_t keys[] = { 0, 0, 0, 1 << (KEY_A % 8) };
        InputConfig config = { .select = select, .subsel = subsel };

        _Static_assert(KEY_A / 8 == 3, "the last of the bytes of keys");
        if (select == CFG_ID_NAME)
                value_set(&config, name, sizeof(name) - 1);
        else if (select == CFG_ID_DEVIDS)
                value_set(&config, ids, sizeof(ids));
        else if (select == CFG_EV_BITS && subsel == EV_KEY)
                value_set(&config, keys, sizeof(keys));
        memcpy(personality->config, &config, sizeof(config));
}

static int input_open(const PersonalityOptions *options _unused_, Personality *personality)
{
        personality->n_queues = 2;
        personality->config_size = sizeof(InputConfig);
        config_show(personality, 0, 0);
        return 0;
}

static int input_serve(Personality *personality _unused_, uint32_t queue, const Memory *memory,
                       const Chain *chain, uint32_t *ret_written)
{
        int r;

        if (queue != EVENT_QUEUE)
                return 0; /* lights, of which it has none */
        if (n_events == 0)
                return 1;
        *ret_written = sizeof(events[0]);
        r = chain_write(chain, memory, 0, &events[0], sizeof(events[0]));
        n_events--;
        memmove(&events[0], &events[1], n_events * sizeof(events[0]));
        return r;
}

static int input_config_write(Personality *personality, uint32_t offset, const uint8_t *data,
                              uint32_t size)
{
        uint8_t selected[2] = { personality->config[0], personality->config[1] };

        if (offset > sizeof(selected) || size > sizeof(selected) - offset)
                return -EPERM;
        memcpy(selected + offset, data, size);
        config_show(personality, selected[0], selected[1]);
        return 0;
}

static bool input_refresh(Personality *personality)
{
        if (n_events + ARRAY_SIZE(stroke) <= EVENTS_MAX) {
                memcpy(&events[n_events], stroke, sizeof(stroke));
                n_events += ARRAY_SIZE(stroke);
        }
        personality->changed = true;
        return false;
}

const PersonalityOps input_ops = {
        .name = "input",
        .open = input_open,
        .serve = input_serve,
        .config_write = input_config_write,
        .refresh = input_refresh,
};
