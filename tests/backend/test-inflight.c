/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* inflight.h: a backend is killed after every step of every request, and the next one takes over.
 */

#include "tests/backend/inflight.h"

#include <glib.h>
#include <string.h>

#define SIZE 8

typedef union Area {
        InflightQueue queue;
        uint8_t bytes[sizeof(InflightQueue) + SIZE * sizeof(InflightDescriptor)];
} Area;

static void test_new(void)
{
        uint16_t heads[SIZE];
        Area area;

        memset(&area, 0, sizeof(area));
        g_assert_cmpuint(inflight_recover(&area.queue, SIZE, 5, heads), ==, 0);
        g_assert_cmpuint(area.queue.version, ==, 1);
        g_assert_cmpuint(area.queue.desc_num, ==, SIZE);
        g_assert_cmpuint(area.queue.used_idx, ==, 5);
}

/* A part that was of a queue of another size is of no use. */
static void test_other_size(void)
{
        uint16_t heads[SIZE];
        Area area;

        memset(&area, 0, sizeof(area));
        area.queue.version = 1;
        area.queue.desc_num = SIZE / 2;
        area.queue.desc[1].inflight = 1;
        g_assert_cmpuint(inflight_recover(&area.queue, SIZE, 0, heads), ==, 0);
        g_assert_cmpuint(area.queue.desc_num, ==, SIZE);
}

static void test_order(void)
{
        static const uint16_t taken[] = { 5, 0, 7, 2 };
        uint16_t heads[SIZE];
        Area area;

        memset(&area, 0, sizeof(area));
        inflight_recover(&area.queue, SIZE, 0, heads);
        for (size_t i = 0; i < ARRAY_SIZE(taken); i++)
                inflight_take(&area.queue, taken[i]);
        inflight_give(&area.queue, 0);
        inflight_given(&area.queue, 0, 1);
        inflight_take(&area.queue, 0); /* again: now it is the last one */
        g_assert_cmpuint(inflight_recover(&area.queue, SIZE, 1, heads), ==, 4);
        g_assert_cmpuint(heads[0], ==, 5);
        g_assert_cmpuint(heads[1], ==, 7);
        g_assert_cmpuint(heads[2], ==, 2);
        g_assert_cmpuint(heads[3], ==, 0);
}

/* The steps of giving a request back; the driver sees it from step 3 on. */
static uint16_t give_until(InflightQueue *queue, uint16_t head, uint16_t used, int step)
{
        if (step >= 1)
                queue->desc[head].next = queue->last_batch_head;
        if (step >= 2)
                queue->last_batch_head = head;
        if (step >= 3)
                used++;
        if (step >= 4)
                queue->desc[head].inflight = 0;
        if (step >= 5)
                queue->used_idx = used;
        return used;
}

static void test_kill(void)
{
        for (int step = 0; step <= 5; step++) {
                uint16_t heads[SIZE], used = 65534, n;
                Area area;

                memset(&area, 0, sizeof(area));
                inflight_recover(&area.queue, SIZE, used, heads);
                for (uint16_t head = 0; head < 4; head++)
                        inflight_take(&area.queue, head);
                for (uint16_t head = 3; head >= 2; head--) {
                        inflight_give(&area.queue, head);
                        inflight_given(&area.queue, head, ++used);
                }
                used = give_until(&area.queue, 0, used, step);

                n = inflight_recover(&area.queue, SIZE, used, heads);
                g_assert_cmpuint(area.queue.used_idx, ==, used);
                g_assert_cmpuint(n, ==, step < 3 ? 2 : 1);
                g_assert_cmpuint(heads[0], ==, step < 3 ? 0 : 1);
                g_assert_cmpuint(heads[n - 1], ==, 1);
        }
}

/* A list that leads nowhere must not be followed. */
static void test_garbage(void)
{
        uint16_t heads[SIZE];
        Area area;

        memset(&area, 0xff, sizeof(area));
        area.queue.version = 1;
        area.queue.desc_num = SIZE;
        g_assert_cmpuint(inflight_recover(&area.queue, SIZE, 0, heads), <=, SIZE);
        area.queue.last_batch_head = 0;
        area.queue.desc[0].next = 0;
        area.queue.used_idx = 1;
        g_assert_cmpuint(inflight_recover(&area.queue, SIZE, 0, heads), <=, SIZE);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/inflight/new", test_new);
        g_test_add_func("/inflight/other-size", test_other_size);
        g_test_add_func("/inflight/order", test_order);
        g_test_add_func("/inflight/kill", test_kill);
        g_test_add_func("/inflight/garbage", test_garbage);
        return g_test_run();
}
