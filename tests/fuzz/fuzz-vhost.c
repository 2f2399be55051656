/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What a backend may do to a session: everything, on any number of connections, while the driver
 * starts, stops and changes its queues. The driver's part is that of frontend/device.c. Whatever
 * has happened, the driver's reset ends, the next good backend works, and nothing stays open.
 */

#include <glib.h>
#include <unistd.h>

#include "common/device-name.h"
#include "frontend/vhost-session.h"
#include "tests/fuzz/fake-clock.h"
#include "tests/fuzz/fake-descriptor.h"
#include "tests/fuzz/fake-file.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/vhost-peer.h"

#define BIT(n)     (UINT64_C(1) << (n))
#define RAM        GUEST_BANK0_BASE
#define QUEUE_SIZE 64
#define TURNS_MAX  10000 /* of the event loop, for what one step may cause */

typedef struct World {
        Loop *loop;
        Peer peer;
        VhostSession *session;
        VirtioDevice device;
        VhostProgress progress;
        VhostKept kept;
        VhostOffer offer;
        bool answered;  /* a backend has, so that there is an offer */
        bool resetting; /* the driver waits for its reset */
        int file, eventfd, folder, memory_fds[MEMORY_BANKS_MAX];
        int kick_fds[VIRTIO_QUEUES_MAX];
} World;

static const LaunchConfig no_config;
static const MemoryBank banks[] = { { RAM, 1 << 20 }, { GUEST_BANK1_BASE, 1 << 20 } };

static VhostSessionState state(const World *world)
{
        return vhost_session_state(world->session);
}

static void offer_apply(World *world)
{
        const VhostOffer *offer = &world->offer;

        if (world->answered && world->device.status == 0) {
                virtio_offer(&world->device, offer->features, offer->n_queues, QUEUE_SIZE,
                             offer->config, offer->config_size);
                virtio_config_set_writable(&world->device, true);
        }
}

static void offer_set(World *world, const VhostOffer *offer)
{
        g_assert_true(offer->features & BIT(VIRTIO_F_VERSION_1));
        g_assert_false(offer->features & BIT(VHOST_USER_F_PROTOCOL_FEATURES));
        g_assert_cmpuint(offer->n_queues, >, 0);
        g_assert_cmpuint(offer->n_queues, <=, VIRTIO_QUEUES_MAX);
        g_assert_cmpuint(offer->config_size, <=, device_type_find(2)->config_size);
        world->offer = *offer;
        world->answered = true;
        for (unsigned int i = 0; i < offer->n_queues; i++)
                world->kick_fds[i] = world->eventfd;
}

static void rings_start(World *world)
{
        if (!virtio_is_running(&world->device) || state(world) != VHOST_SESSION_IDLE)
                return;
        if (vhost_session_refusal(world->session)) {
                virtio_break(&world->device);
                return;
        }
        g_assert_cmpint(vhost_session_start(world->session), ==, 0);
        g_assert_cmpint(state(world), ==, VHOST_SESSION_STARTING);
}

static void on_ready(void *userdata, const VhostOffer *offer)
{
        World *world = userdata;

        g_assert_cmpint(state(world), ==, VHOST_SESSION_IDLE);
        offer_set(world, offer);
        world->resetting = false;
        offer_apply(world);
        rings_start(world);
}

static void on_started(void *userdata, bool resumed _unused_)
{
        World *world = userdata;

        g_assert_cmpint(state(world), ==, VHOST_SESSION_RUNNING);
        g_assert_true(virtio_is_running(&world->device));
        for (uint16_t i = 0; i < world->device.n_queues; i++)
                g_assert_true(world->progress.begun || !world->device.queues[i].ready);
}

static void on_stopped(void *userdata)
{
        World *world = userdata;

        if (state(world) == VHOST_SESSION_RUNNING)
                return;
        g_assert_cmpint(state(world), ==, VHOST_SESSION_DISCONNECTED);
        g_assert_cmpint(vhost_session_holder(world->session), ==, 0);
        world->resetting = false;
        offer_apply(world);
}

static void on_config_changed(void *userdata, const VhostOffer *offer)
{
        World *world = userdata;

        offer_set(world, offer);
        virtio_config_change(&world->device, offer->config, offer->config_size);
        offer_apply(world);
}

static void on_refused(void *userdata _unused_, uint32_t request _unused_)
{
}

static void on_lost(void *userdata, int error, const char *reason)
{
        World *world = userdata;

        g_assert_cmpint(error, <, 0);
        g_assert_nonnull(reason);
        g_assert_true(state(world) == VHOST_SESSION_DISCONNECTED ||
                      state(world) == VHOST_SESSION_DRAINING);
        if ((vhost_session_refusal(world->session) || error == -EACCES) &&
            virtio_is_running(&world->device))
                virtio_break(&world->device);
}

static const VhostSessionOps ops = {
        .ready = on_ready,
        .started = on_started,
        .stopped = on_stopped,
        .config_changed = on_config_changed,
        .refused = on_refused,
        .lost = on_lost,
};

/* All that can happen without the backend and without time. */
static void settle(World *world)
{
        unsigned int turns = 0;

        while (loop_turn(world->loop, false) > 0)
                g_assert_cmpuint(++turns, <, TURNS_MAX);
        peer_accept(&world->peer);
}

static void pass_time(World *world, uint64_t usec)
{
        fake_clock_advance(usec);
        settle(world);
}

static void serve_all(World *world)
{
        for (unsigned int turns = 0; peer_serve(&world->peer); turns++) {
                g_assert_cmpuint(turns, <, TURNS_MAX);
                settle(world);
        }
}

/* As the registers' writes have it, which wait while the session is busy. */
static bool is_busy(const World *world)
{
        return state(world) == VHOST_SESSION_STOPPING || state(world) == VHOST_SESSION_DRAINING ||
               state(world) == VHOST_SESSION_CHANGING;
}

static VirtioEvent queue_make(World *world, uint16_t queue)
{
        VirtioQueue *place = &world->device.queues[queue];

        if (place->ready)
                return (VirtioEvent){ .type = VIRTIO_EVENT_NONE };
        place->size = QUEUE_SIZE;
        place->descriptor_area = RAM + queue * UINT64_C(12288);
        place->driver_area = place->descriptor_area + 4096;
        place->device_area = place->descriptor_area + 8192;
        return virtio_queue_ready_write(&world->device, queue, true);
}

/* A driver that uses these of the features and of the queues. */
static void driver_start(World *world, uint64_t features, uint64_t queues)
{
        VirtioDevice *device = &world->device;

        if (is_busy(world) || device->status != 0 || !world->answered)
                return;
        features = device->device_features & (features | BIT(VIRTIO_F_VERSION_1));
        virtio_status_write(device, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER);
        virtio_driver_features_write(device, 0, (uint32_t)features);
        virtio_driver_features_write(device, 1, (uint32_t)(features >> 32));
        virtio_status_write(device, VIRTIO_STATUS_FEATURES_OK);
        for (uint16_t i = 0; i < device->n_queues; i++) {
                if (queues & BIT(i))
                        queue_make(world, i);
        }
        g_assert_cmpint(virtio_status_write(device, VIRTIO_STATUS_DRIVER_OK).type, ==,
                        VIRTIO_EVENT_START);
        rings_start(world);
}

static void driver_stop(World *world)
{
        if (is_busy(world))
                return;
        if (virtio_status_write(&world->device, 0).type != VIRTIO_EVENT_RESET)
                return;
        world->resetting = vhost_session_stop(world->session);
        g_assert_true(world->resetting == is_busy(world));
        if (!world->resetting) {
                g_assert_cmpuint(world->progress.begun, ==, 0);
                offer_apply(world);
        }
}

static void queue_event(World *world, VirtioEvent event)
{
        if (event.type == VIRTIO_EVENT_QUEUE_START) {
                const int next = vhost_session_queue_next(world->session);

                vhost_session_queue_forget(world->session, event.queue);
                if (next >= 0)
                        vhost_session_queue_start(world->session, (uint16_t)next);
        } else if (event.type == VIRTIO_EVENT_QUEUE_STOP && state(world) == VHOST_SESSION_RUNNING) {
                vhost_session_queue_stop(world->session, event.queue);
        }
}

static void queue_change(World *world, uint8_t what)
{
        VirtioDevice *device = &world->device;
        const uint16_t queue = what / 4;

        /* While rings are started, what changes them has to wait, too. */
        if (is_busy(world) || state(world) == VHOST_SESSION_STARTING ||
            !virtio_is_running(device) || queue >= device->n_queues)
                return;
        if (what & 1)
                queue_event(world, queue_make(world, queue));
        else if (what & 2)
                queue_event(world, virtio_queue_ready_write(device, queue, false));
        else
                queue_event(world, virtio_queue_reset(device, queue));
}

static void config_write(World *world, uint8_t what, uint32_t value)
{
        const VirtioEvent event =
                virtio_config_write(&world->device, what & 0x3f, 1U << (what >> 6) % 3, value);

        if (event.type == VIRTIO_EVENT_CONFIG_WRITE && !is_busy(world))
                vhost_session_config_write(world->session, event.offset,
                                           world->device.config + event.offset, event.size);
}

/* A few, mostly: each costs some ten messages. Or 1 to 32768. */
static uint64_t n_queues_make(uint8_t what)
{
        return what < 0xf0 ? what % 5 : BIT(what % 16);
}

/* All that a backend may offer and a session may use; a bit of what stands for each. */
static PeerOffer offer_make(uint16_t what, uint64_t n_queues)
{
        static const uint8_t protocol_bits[] = {
                VHOST_USER_PROTOCOL_F_MQ,
                VHOST_USER_PROTOCOL_F_REPLY_ACK,
                VHOST_USER_PROTOCOL_F_BACKEND_REQ,
                VHOST_USER_PROTOCOL_F_CONFIG,
                VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD,
                VHOST_USER_PROTOCOL_F_RESET_DEVICE,
                VHOST_USER_PROTOCOL_F_STATUS,
        };
        PeerOffer offer = { .features = BIT(VIRTIO_F_RING_RESET) | BIT(9), .n_queues = n_queues };

        for (unsigned int i = 0; i < G_N_ELEMENTS(protocol_bits); i++)
                offer.protocol_features |= what & BIT(i) ? BIT(protocol_bits[i]) : 0;
        offer.features |= what & 0x080 ? BIT(VHOST_USER_F_PROTOCOL_FEATURES) : 0;
        offer.features |= what & 0x100 ? BIT(VIRTIO_F_RING_PACKED) : 0;
        offer.features |= what & 0x200 ? 0 : BIT(VIRTIO_F_VERSION_1);
        offer.features |= what & 0x400 ? BIT(VIRTIO_F_ACCESS_PLATFORM) : 0;
        offer.features |= what & 0x800 ? ~BIT(VIRTIO_F_VERSION_1) : 0;
        return offer;
}

static void offer_take(World *world, Input *input)
{
        uint16_t what;

        input_take(input, &what, sizeof(what));
        world->peer.offer = offer_make(what, n_queues_make(input_u8(input)));
}

static void do_driver(World *world, Input *input)
{
        const uint8_t what = input_u8(input);

        switch (what % 8) {
        case 0:
        case 1:
                driver_start(world, what & 8 ? UINT64_MAX : ~BIT(VIRTIO_F_RING_PACKED),
                             what & 16 ? input_u32(input) : UINT64_MAX);
                break;
        case 2:
        case 3:
                driver_stop(world);
                break;
        case 4:
                vhost_session_memory_changed(world->session);
                break;
        case 5:
                config_write(world, input_u8(input), what);
                break;
        default:
                queue_change(world, input_u8(input));
                break;
        }
}

static void do_connection(World *world, Input *input, uint8_t what)
{
        switch (what % 8) {
        case 0:
                peer_hang_up(&world->peer);
                break;
        case 1:
                peer_leave(&world->peer);
                break;
        case 2:
                offer_take(world, input);
                break;
        case 3:
                peer_area_change(&world->peer, input);
                break;
        case 4:
                peer_end(&world->peer);
                break;
        default:
                peer_listen();
                break;
        }
}

static void do_next(World *world, Input *input)
{
        /* From an answer's retry to beyond the longest deadline. */
        static const uint64_t times[] = { 1000, 10000, 100000, 250000, 1000000, 5000000, 70000000 };
        const uint8_t what = input_u8(input);

        switch (what / 32) {
        case 0:
                serve_all(world);
                break;
        case 1:
                for (unsigned int i = 0; i <= what % 32 && peer_serve(&world->peer); i++)
                        settle(world);
                break;
        case 2:
        case 3:
                peer_serve_wrongly(&world->peer, input);
                break;
        case 4:
                do_driver(world, input);
                break;
        case 5:
                peer_call(&world->peer, input);
                break;
        case 6:
                do_connection(world, input, what);
                break;
        default:
                pass_time(world, times[what % G_N_ELEMENTS(times)]);
                break;
        }
        settle(world);
}

/*
 * The backend goes, and one that does it right comes: the driver's reset ends, and all works. While
 * the process lives the reset may not end before.
 */
static void recover(World *world)
{
        peer_leave(&world->peer);
        settle(world);
        for (unsigned int i = 0; i < 8; i++) {
                driver_stop(world);
                pass_time(world, VHOST_ANSWER_TIMEOUT_USEC);
        }
        g_assert_cmpuint(world->device.status, ==, 0);
        if (vhost_session_holder(world->session) != 0)
                g_assert_cmpint(state(world), ==, VHOST_SESSION_DRAINING);
        else
                g_assert_cmpint(state(world), ==, VHOST_SESSION_DISCONNECTED);

        world->peer.offer = offer_make(0xff, 1);
        peer_listen();
        pass_time(world, 1000000);
        serve_all(world);
        g_assert_cmpint(state(world), ==, VHOST_SESSION_IDLE);
        g_assert_false(world->resetting);
        driver_start(world, UINT64_MAX, UINT64_MAX);
        serve_all(world);
        g_assert_cmpint(state(world), ==, VHOST_SESSION_RUNNING);
        driver_stop(world);
        serve_all(world);
        pass_time(world, 1000);
        serve_all(world);
        g_assert_cmpint(state(world), ==, VHOST_SESSION_IDLE);
        g_assert_false(world->resetting);
}

static void world_init(World *world)
{
        g_assert_cmpint(loop_new(&world->loop), ==, 0);
        peer_init(&world->peer);
        virtio_init(&world->device, banks, G_N_ELEMENTS(banks));
        world->file = fake_file_new(FAKE_FILE_MEMORY);
        world->eventfd = fake_file_new(FAKE_FILE_DEVICE);
        world->folder = fake_file_new(FAKE_FILE_DEVICE);
        for (unsigned int i = 0; i < MEMORY_BANKS_MAX; i++)
                world->memory_fds[i] = world->file;
        for (unsigned int i = 0; i < VIRTIO_QUEUES_MAX; i++)
                world->kick_fds[i] = -1;
}

static void world_clear(World *world)
{
        vhost_session_free(world->session);
        peer_clear(&world->peer);
        close(world->file);
        close(world->eventfd);
        close(world->folder);
        loop_free(world->loop);
}

static void world_run(World *world, Input *input)
{
        const VhostMemory memory = {
                .domid = 1,
                .banks = banks,
                .n_banks = G_N_ELEMENTS(banks),
                .fds = world->memory_fds,
                .file_fds = world->memory_fds,
        };
        const VhostSessionParts parts = {
                .loop = world->loop,
                .folder = world->folder,
                .socket = BACKEND_SOCKET,
                .type = device_type_find(2),
                .config = &no_config,
                .memory = &memory,
                .device = &world->device,
                .kick_fds = world->kick_fds,
                .call_fd = world->eventfd,
                .progress = &world->progress,
                .progress_file = world->file,
                .kept = &world->kept,
                .ops = &ops,
                .userdata = world,
        };

        g_assert_cmpint(vhost_session_new(&parts, &world->session), ==, 0);
        vhost_session_open(world->session);
        offer_take(world, input);
        settle(world);
        while (input->size > 0)
                do_next(world, input);
        recover(world);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
        Input input = { bytes, size };
        World world = { 0 };

        fake_clock_reset();
        world_init(&world);
        world_run(&world, &input);
        world_clear(&world);
        g_assert_cmpuint(fake_descriptors_count(), ==, 0);
        return 0;
}
