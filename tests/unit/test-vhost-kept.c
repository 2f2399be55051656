/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "frontend/vhost-kept.h"

#define RANDOM_RUNS 100000

/* A device of three queues of which two run, and what its last process has left. */
typedef struct World {
        VirtioDevice device;
        VhostProgress progress;
        VhostKept kept;
        DescriptorStore store;
        int others[2]; /* ends of sockets */
} World;

static uint64_t number_of(int fd)
{
        struct stat status;

        g_assert_cmpint(fstat(fd, &status), ==, 0);
        return status.st_ino;
}

static int store_add(World *world, const char *name, int fd)
{
        StoredDescriptor *found = &world->store.found[world->store.n++];

        found->fd = fd;
        g_strlcpy(found->name, name, sizeof(found->name));
        return fd;
}

static int socket_add(World *world, const char *name, int *ret_other)
{
        int fds[2];

        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
        *ret_other = fds[1];
        return store_add(world, name, fds[0]);
}

static void world_init(World *world)
{
        *world = (World){
                .device = { .n_queues = 3, .status = 0xf },
                .progress.holder = getpid(),
                .kept = { .queues = 5, .n_queues = 3, .running = 1 },
        };
        world->device.queues[0].ready = world->device.queues[2].ready = 1;
        world->kept.connection = number_of(socket_add(world, STORE_CONNECTION, &world->others[0]));
        world->kept.channel = number_of(socket_add(world, STORE_CHANNEL, &world->others[1]));
        store_add(world, STORE_CALL, eventfd(0, EFD_CLOEXEC));
        store_add(world, "kick0", eventfd(0, EFD_CLOEXEC));
        store_add(world, "kick2", eventfd(0, EFD_CLOEXEC));
}

static void world_clear(World *world)
{
        descriptor_store_close(&world->store);
        close(world->others[0]);
        close(world->others[1]);
}

static const char *problem(const World *world)
{
        return vhost_kept_problem(&world->kept, &world->progress, &world->device, &world->store);
}

static void test_fits(void)
{
        World world;

        world_init(&world);
        g_assert_null(problem(&world));
        world.kept.channel = 0; /* the backend has none: then there may be one or not */
        g_assert_null(problem(&world));
        world.device.queues[1].ready = 1; /* the backend has not heard of it yet */
        g_assert_null(problem(&world));
        world_clear(&world);
}

/* Changes one thing; then nothing fits, and then again everything. */
#define CHECK_MISFIT(member, value)                                                                \
        do {                                                                                       \
                const World good = world;                                                          \
                                                                                                   \
                world.member = (value);                                                            \
                g_assert_nonnull(problem(&world));                                                 \
                world = good;                                                                      \
        } while (false)

static void test_misfits(void)
{
        World world;

        world_init(&world);
        CHECK_MISFIT(kept.running, 0);
        CHECK_MISFIT(kept.running, 2);
        CHECK_MISFIT(kept.asking, 1);
        CHECK_MISFIT(kept.hearing, 1);
        CHECK_MISFIT(kept.queues, 2);
        CHECK_MISFIT(kept.queues, 7);
        CHECK_MISFIT(kept.queues, UINT64_MAX);
        CHECK_MISFIT(kept.n_queues, 0);
        CHECK_MISFIT(kept.n_queues, 2);
        CHECK_MISFIT(kept.n_queues, VIRTIO_QUEUES_MAX + 1);
        CHECK_MISFIT(kept.connection, 0);
        CHECK_MISFIT(kept.connection, world.kept.channel);
        CHECK_MISFIT(kept.channel, world.kept.connection);
        CHECK_MISFIT(progress.holder, 0);
        CHECK_MISFIT(progress.holder, -1);
        CHECK_MISFIT(progress.holder, 1);
        CHECK_MISFIT(device.status, 0);
        CHECK_MISFIT(device.status, 0xb);
        CHECK_MISFIT(device.status, 0x4f);
        CHECK_MISFIT(device.queues[2].ready, 0);
        for (unsigned int i = 0; i < world.store.n; i++)
                CHECK_MISFIT(store.found[i].name[0], 'x');
        g_assert_null(problem(&world));
        world_clear(&world);
}

/* Whatever a former process has written. */
static void test_random_records(void)
{
        World world;

        world_init(&world);
        for (unsigned int run = 0; run < RANDOM_RUNS; run++) {
                const VhostKept good = world.kept;

                for (int i = g_test_rand_int_range(0, 4); i >= 0; i--)
                        ((uint8_t *)&world.kept)[g_test_rand_int_range(0, sizeof(VhostKept))] =
                                (uint8_t)g_test_rand_int();
                if (!problem(&world)) {
                        g_assert_cmpuint(world.kept.queues & ~good.queues, ==, 0);
                        g_assert_cmpuint(world.kept.connection, ==, good.connection);
                        g_assert_cmpuint(world.kept.n_queues, <=, VIRTIO_QUEUES_MAX);
                }
                world.kept = good;
        }
        world_clear(&world);
}

/* Without a store nothing is gone on with; else all of it, or nothing of it is left. */
static void test_settle(void)
{
        const LogContext context = { 0 };
        World world;
        char byte;

        world_init(&world);
        vhost_kept_settle(&world.kept, &world.progress, &world.device, &world.store, &context);
        g_assert_cmpint(world.kept.running, ==, 1);
        g_assert_cmpuint(world.store.n, ==, 5);
        world.kept.asking = 1;
        vhost_kept_settle(&world.kept, &world.progress, &world.device, &world.store, &context);
        g_assert_cmpint(world.kept.running, ==, 0);
        g_assert_cmpuint(world.store.n, ==, 0);
        g_assert_cmpint(read(world.others[0], &byte, 1), ==, 0);
        world.kept.running = 1;
        vhost_kept_settle(&world.kept, &world.progress, &world.device, NULL, &context);
        g_assert_cmpint(world.kept.running, ==, 0);
        world_clear(&world);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/vhost-kept/fits", test_fits);
        g_test_add_func("/vhost-kept/misfits", test_misfits);
        g_test_add_func("/vhost-kept/random-records", test_random_records);
        g_test_add_func("/vhost-kept/settle", test_settle);
        return g_test_run();
}
