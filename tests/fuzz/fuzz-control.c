/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What a guest may write into the rings of a queue that its frontend serves by itself: everything,
 * at any moment. The input is written over the guest's memory, at places that it says, between
 * looks for a request; whatever is found is answered. The first byte has the features.
 */

#include <glib.h>

#include "frontend/local-queue.h"
#include "frontend/net-control.h"
#include "tests/fuzz/input.h"
#include "tests/unit/guest-pages.h"

#define BIT(n)    (UINT64_C(1) << (n))
#define CONTROL   8
#define SIZE      16
#define LOOKS_MAX 64
#define MAPPINGS  (2 * SIZE + 40) /* that one look may take */
#define RINGS     3               /* pages, at the start of the first bank */

static Hypervisor guest;

static VirtioDevice card_new(uint64_t features)
{
        VirtioDevice device;

        virtio_init(&device, guest_banks, 2);
        virtio_offer(&device, features, CONTROL + 1, 256, "", 0);
        virtio_control_queue_set(&device, CONTROL);
        virtio_status_write(&device, 3);
        virtio_driver_features_write(&device, 0, (uint32_t)features);
        virtio_driver_features_write(&device, 1, 1);
        virtio_status_write(&device, 11);
        device.queues[CONTROL] = (VirtioQueue){
                .descriptor_area = GUEST_BANK0_BASE,
                .driver_area = GUEST_BANK0_BASE + GUEST_PAGE_SIZE,
                .device_area = GUEST_BANK0_BASE + 2 * GUEST_PAGE_SIZE,
                .size = SIZE,
        };
        virtio_queue_ready_write(&device, CONTROL, true);
        g_assert_true(device.queues[CONTROL].ready);
        return device;
}

/* A descriptor that is nearly right, or bytes anywhere in what matters. */
static void memory_write(Input *input)
{
        const uint8_t what = input_u8(input);
        uint8_t *page = guest.pages[what % (RINGS + 1)];
        uint16_t place;

        if (what & 0x80) {
                const uint64_t address = guest_banks[what >> 6 & 1].base + input_u8(input) * 64U;
                const uint32_t length = input_u8(input);
                const uint8_t flags = input_u8(input);
                const uint16_t words[] = { GUINT16_TO_LE(flags), GUINT16_TO_LE(flags >> 4) };
                uint8_t *descriptor = page + (what >> 2 & 15) * 16;

                memcpy(descriptor, &(uint64_t){ GUINT64_TO_LE(address) }, 8);
                memcpy(descriptor + 8, &(uint32_t){ GUINT32_TO_LE(length) }, 4);
                memcpy(descriptor + 12, words, 4);
                return;
        }
        input_take(input, &place, sizeof(place));
        input_take(input, page + place % (GUEST_PAGE_SIZE - 8), 1 + (what >> 4 & 7));
}

/* Makes so many requests available at once, with what stands there. */
static void requests_offer(Input *input)
{
        uint16_t index;

        memcpy(&index, guest.pages[1] + 2, sizeof(index));
        index = GUINT16_TO_LE((uint16_t)(GUINT16_FROM_LE(index) + (input_u8(input) & 15)));
        memcpy(guest.pages[1] + 2, &index, sizeof(index));
}

/* Returns whether the queue can be gone on with. */
static bool look(LocalQueue *queue)
{
        LocalRequest request;
        unsigned int before = guest.n_mappings;
        int r = local_queue_take(queue, &request);

        g_assert_cmpuint(guest.n_mappings - before, <=, MAPPINGS);
        if (r <= 0)
                return r == 0;
        g_assert_cmpuint(net_control_pairs(queue->device, request.bytes, request.size), <=,
                         CONTROL / NET_QUEUES_PER_PAIR);
        before = guest.n_mappings;
        r = local_queue_answer(queue, &request, NET_CONTROL_OK);
        g_assert_cmpint(r, >=, 0);
        g_assert_cmpuint(guest.n_mappings - before, <=, 5);
        return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
        Input input = { bytes, size };
        const uint8_t features = input_u8(&input);
        VirtioDevice device;
        LocalQueue queue = { &guest, &device, CONTROL };
        bool good = true;

        memset(&guest, 0, sizeof(guest));
        device = card_new((features & 3ULL) << 28 | BIT(NET_F_CTRL_VQ) | BIT(NET_F_MQ));
        for (unsigned int looks = 0; input.size > 0 && looks < LOOKS_MAX && good;) {
                const uint8_t what = input.bytes[0];

                if ((what & 0x8c) == 0x0c) {
                        input_u8(&input);
                        requests_offer(&input);
                        good = look(&queue);
                        looks++;
                } else {
                        memory_write(&input);
                }
                g_assert_cmpuint(guest.n_mapped, ==, 0);
        }
        g_assert_true(virtio_is_consistent(&device));
        return 0;
}
