/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A GPIO device (virtio 1.3, section 5.18) with the lines of gpio-lines.h. */

#include <errno.h>
#include <string.h>

#include "tests/backend/gpio-lines.h"
#include "tests/backend/personality.h"

#define REQUEST_QUEUE 0
#define GPIO_F_IRQ    0

#define GPIO_GET_DIRECTION 2
#define GPIO_SET_DIRECTION 3
#define GPIO_GET_VALUE     4
#define GPIO_SET_VALUE     5
#define GPIO_IRQ_TYPE      6

#define GPIO_OK          0
#define GPIO_ERROR       1
#define GPIO_IRQ_INVALID 0
#define GPIO_IRQ_VALID   1

typedef struct GpioConfig {
        uint16_t n_lines;
        uint16_t padding;
        uint32_t names_size;
} GpioConfig;

typedef struct GpioRequest {
        uint16_t type;
        uint16_t line;
        uint32_t value;
} GpioRequest;

typedef struct GpioResponse {
        uint8_t status;
        uint8_t value;
} GpioResponse;

static GpioLines lines;

static int gpio_open(const PersonalityOptions *options, Personality *personality)
{
        const GpioConfig config = { .n_lines = GPIO_LINES };
        int r = gpio_lines_open(&lines, options->path);

        if (r < 0)
                return r;
        personality->fd = lines.poll;
        personality->n_queues = 2;
        personality->features = BIT(GPIO_F_IRQ);
        personality->config_size = sizeof(config);
        memcpy(personality->config, &config, sizeof(config));
        return 0;
}

static void gpio_close(Personality *personality)
{
        personality->fd = -1; /* it is one of these */
        gpio_lines_close(&lines);
}

/* Returns the value that was asked for, 0, or a negative errno. */
static int request_carry_out(Personality *personality, const GpioRequest *request)
{
        GpioLine *line = &lines.lines[request->line];

        switch (request->type) {
        case GPIO_GET_DIRECTION:
                return line->direction;
        case GPIO_GET_VALUE:
                return gpio_line_value(&lines, request->line);
        case GPIO_SET_DIRECTION:
                if (request->value > GPIO_DIRECTION_IN)
                        return -EINVAL;
                line->direction = (uint8_t)request->value;
                break;
        case GPIO_SET_VALUE:
                line->value = request->value & 1;
                if (line->direction != GPIO_DIRECTION_OUT)
                        return 0; /* when it becomes an output */
                break;
        case GPIO_IRQ_TYPE:
                if (request->value >= GPIO_IRQ_LEVEL_HIGH)
                        return -EOPNOTSUPP;
                line->irq = (uint8_t)request->value;
                line->pending = false;
                break;
        default:
                return -EOPNOTSUPP;
        }
        personality->changed = true;
        return gpio_line_apply(&lines, request->line);
}

/* A buffer of a line comes back with its next edge, or when nobody looks for edges any more. */
static int event_serve(const Memory *memory, const Chain *chain, uint32_t *ret_written)
{
        uint8_t status = GPIO_IRQ_INVALID;
        GpioLine *line;
        uint16_t n;
        int r;

        r = chain_read(chain, memory, 0, &n, sizeof(n));
        if (r < 0)
                return r;
        if (n >= GPIO_LINES)
                return -EPROTO;
        line = &lines.lines[n];
        if (line->irq != GPIO_IRQ_NONE && !line->pending)
                return 1;
        if (line->irq != GPIO_IRQ_NONE)
                status = GPIO_IRQ_VALID;
        line->pending = false;
        *ret_written = sizeof(status);
        return chain_write(chain, memory, 0, &status, sizeof(status));
}

static int gpio_serve(Personality *personality, uint32_t queue, const Memory *memory,
                      const Chain *chain, uint32_t *ret_written)
{
        GpioResponse response = { .status = GPIO_ERROR };
        GpioRequest request;
        int r;

        if (queue != REQUEST_QUEUE)
                return event_serve(memory, chain, ret_written);
        r = chain_read(chain, memory, 0, &request, sizeof(request));
        if (r < 0)
                return r;
        if (request.line < GPIO_LINES) {
                r = request_carry_out(personality, &request);
                if (r >= 0)
                        response.status = GPIO_OK;
                response.value = r > 0;
        }
        *ret_written = sizeof(response);
        return chain_write(chain, memory, 0, &response, sizeof(response));
}

static void gpio_readable(Personality *personality)
{
        gpio_lines_read(&lines);
        personality->changed = true;
}

const PersonalityOps gpio_ops = {
        .name = "gpio",
        .shuffles = true, /* events of one line before those of another */
        .open = gpio_open,
        .close = gpio_close,
        .serve = gpio_serve,
        .readable = gpio_readable,
};
