/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * memory-xen.c with an ioctl() of the test's own: what is asked of privcmd and gntdev, by the rules
 * of the kernel that cost others real bugs. The descriptor is an ordinary file.
 */

#include <errno.h>
#include <glib.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "tests/backend/memory.h"

#define PAGE  UINT64_C(4096)
#define MIB   (UINT64_C(1) << 20)
#define RAM   UINT64_C(0x40000000)
#define DOMID 5

/* Layouts as in the kernel's uapi/xen/privcmd.h and gntdev.h, written down a second time. */
typedef struct Batch {
        uint32_t num;
        uint16_t dom;
        uint64_t address;
        const uint64_t *gfns;
        int *errors;
} Batch;
typedef struct Grants {
        uint32_t count, padding;
        uint64_t index;
        struct {
                uint32_t domid, ref;
        } refs[];
} Grants;
typedef struct Unmap {
        uint64_t index;
        uint32_t count, padding;
} Unmap;

#define MMAPBATCH_V2    0x00205004UL
#define MAP_GRANT_REF   0x00184700UL
#define UNMAP_GRANT_REF 0x00104701UL

static struct {
        uint64_t address, pages; /* the next piece has to begin there; so many are mapped */
        uint64_t hole_from, hole_to;
        uint32_t next_ref;
        uint64_t index; /* gntdev's next */
        unsigned int n_calls, fail_call;
        int64_t n_granted; /* pages that gntdev holds */
} kernel;

static int batch_map(const Batch *batch)
{
        /* The first ioctl on an area has to fill all of it; 64 MiB is the largest asked for. */
        g_assert_cmpuint(batch->dom, ==, DOMID);
        g_assert_cmpuint(batch->num, <=, 64 * MIB / PAGE);
        if (kernel.pages > 0)
                g_assert_cmphex(batch->address, ==, kernel.address);
        for (uint32_t i = 0; i < batch->num; i++) {
                const uint64_t gfn = RAM / PAGE + kernel.pages + i;

                g_assert_cmphex(batch->gfns[i], ==, gfn);
                batch->errors[i] = gfn >= kernel.hole_from && gfn < kernel.hole_to ? -EINVAL : 0;
        }
        kernel.address = batch->address + batch->num * PAGE;
        kernel.pages += batch->num;
        return 0;
}

static int grants_map(Grants *grants)
{
        g_assert_cmpuint(grants->count, <=, 65536);
        for (uint32_t i = 0; i < grants->count; i++) {
                g_assert_cmpuint(grants->refs[i].domid, ==, DOMID);
                g_assert_cmpuint(grants->refs[i].ref, ==, kernel.next_ref++);
        }
        grants->index = kernel.index;
        kernel.index += grants->count * PAGE;
        kernel.n_granted += grants->count;
        return 0;
}

int ioctl(int fd _unused_, unsigned long request, ...)
{
        va_list arguments;
        void *argument;

        va_start(arguments, request);
        argument = va_arg(arguments, void *);
        va_end(arguments);
        if (++kernel.n_calls == kernel.fail_call) {
                errno = EINVAL;
                return -1;
        }
        if (request == MMAPBATCH_V2)
                return batch_map(argument);
        if (request == MAP_GRANT_REF)
                return grants_map(argument);
        g_assert_cmphex(request, ==, UNMAP_GRANT_REF);
        kernel.n_granted -= ((const Unmap *)argument)->count;
        return 0;
}

static int file_new(uint64_t size)
{
        int fd = memfd_create("xen", MFD_CLOEXEC);

        memset(&kernel, 0, sizeof(kernel));
        g_assert_cmpint(ftruncate(fd, (off_t)size), ==, 0);
        return fd;
}

/* More than the kernel would take in one piece. */
static void test_foreign(void)
{
        _cleanup_fd_ int fd = file_new(64 * MIB);
        XenMapping mapping = { 0 };

        kernel.hole_from = RAM / PAGE; /* the first 100 MiB are given back */
        kernel.hole_to = (RAM + 100 * MIB) / PAGE;
        g_assert_cmpint(xen_foreign_map(fd, DOMID, RAM, 150 * MIB, &mapping), ==, 0);
        g_assert_cmpuint(kernel.n_calls, ==, 3);
        g_assert_cmpuint(kernel.pages, ==, 150 * MIB / PAGE);
        g_assert_cmphex(kernel.address, ==, (uintptr_t)mapping.area + 150 * MIB);
        xen_unmap(&mapping);
        g_assert_null(mapping.area);
}

static void test_foreign_fails(void)
{
        _cleanup_fd_ int fd = file_new(64 * MIB);
        XenMapping mapping = { 0 };

        kernel.fail_call = 2;
        g_assert_cmpint(xen_foreign_map(fd, DOMID, RAM, 150 * MIB, &mapping), ==, -EINVAL);
        memset(&kernel, 0, sizeof(kernel));
        kernel.hole_to = UINT64_MAX; /* nothing is there at all */
        g_assert_cmpint(xen_foreign_map(fd, DOMID, RAM, MIB, &mapping), ==, -EFAULT);
        g_assert_null(mapping.area);
}

static void test_grant(void)
{
        _cleanup_fd_ int fd = file_new(40 * MIB);
        XenMapping mapping = { 0 };
        const char text[] = "the third piece";

        kernel.next_ref = 0x123;
        g_assert_cmpint(pwrite(fd, text, sizeof(text), 32 * MIB), ==, sizeof(text));
        g_assert_cmpint(xen_grant_map(fd, DOMID, BIT(63) | 0x123 * PAGE, 40 * MIB, true, &mapping),
                        ==, 0);
        g_assert_cmpint(kernel.n_granted, ==, 40 * MIB / PAGE);
        /* Each piece is mapped where gntdev said, one beside the other. */
        g_assert_cmpstr((char *)mapping.area + 32 * MIB, ==, text);
        xen_unmap(&mapping);
        g_assert_cmpint(kernel.n_granted, ==, 0);
}

static void test_grant_fails(void)
{
        _cleanup_fd_ int fd = file_new(40 * MIB);
        XenMapping mapping = { 0 };

        kernel.fail_call = 3;
        g_assert_cmpint(xen_grant_map(fd, DOMID, BIT(63), 40 * MIB, true, &mapping), ==, -EINVAL);
        g_assert_null(mapping.area);
        g_assert_cmpint(kernel.n_granted, ==, 0); /* the first two are given back */
}

/* A region that cannot be mapped in advance: each window maps its pages, and no more. */
static void test_no_advance(void)
{
        const WireRegion region = {
                .guest_address = BIT(63),
                .size = 1024 * MIB,
                .xen_flags = WIRE_XEN_GRANT | 8,
                .domid = DOMID,
        };
        Memory memory = { 0 };
        Window window;

        g_assert_cmpint(memory_add(&memory, &region, file_new(MIB)), ==, 0);
        g_assert_cmpuint(kernel.n_calls, ==, 0);
        kernel.next_ref = 7;
        g_assert_cmpint(
                memory_window_open(&memory, BIT(63) | (7 * PAGE + 4000), 200, true, &window), ==,
                0);
        g_assert_cmpint(kernel.n_granted, ==, 2);
        g_assert_cmpuint(window.size, ==, 200);
        memset(window.data, 1, window.size);
        memory_window_close(&window);
        g_assert_cmpint(kernel.n_granted, ==, 0);
        memory_clear(&memory);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/memory-xen/foreign", test_foreign);
        g_test_add_func("/memory-xen/foreign-fails", test_foreign_fails);
        g_test_add_func("/memory-xen/grant", test_grant);
        g_test_add_func("/memory-xen/grant-fails", test_grant_fails);
        g_test_add_func("/memory-xen/no-advance", test_no_advance);
        return g_test_run();
}
