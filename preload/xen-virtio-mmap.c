/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * libxen-virtio-mmap.so: lets a backend that knows nothing of Xen map a guest's memory.
 *
 * A backend gets a descriptor for each bank of guest memory and calls mmap() on it. Here that
 * descriptor is one of privcmd, restricted to the guest; mapping it gives an empty area, which an
 * ioctl by the same process fills with the guest's pages (IOCTL_PRIVCMD_MMAPBATCH_V2 of
 * include/uapi/xen/privcmd.h). This library does that within mmap(). Which bank a descriptor stands
 * for, and of which guest, is told by common/guest-memory.h.
 *
 * What does not work on such a mapping: O_DIRECT and whatever else pins pages (the kernel answers
 * EFAULT), mprotect() or munmap() of a part, and inheritance by fork().
 */

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "common/guest-memory.h"
#include "common/parse.h"

struct privcmd_mmapbatch_v2 {
        uint32_t num;
        uint16_t dom;
        uint64_t address;
        const uint64_t *gfns;
        int *errors;
};
#define IOCTL_PRIVCMD_MMAPBATCH_V2 _IOC(_IOC_NONE, 'P', 4, sizeof(struct privcmd_mmapbatch_v2))

struct privcmd_dm_op {
        uint16_t dom;
        uint16_t num;
        const void *buffers;
};
#define IOCTL_PRIVCMD_DM_OP _IOC(_IOC_NONE, 'P', 5, sizeof(struct privcmd_dm_op))

/*
 * Programs call either name of each function, whatever their headers make of it, so both are given
 * by their names in the object file; the types are the same on 64-bit machines.
 */
#define EXPORT_AS(name)           __asm__(name) __attribute__((visibility("default")))
#define EXPORT_ALIAS_OF(of, name) EXPORT_AS(name) __attribute__((alias(of)))

_Static_assert(sizeof(off_t) == 8, "one kind of offset");

/* So much is mapped at a time: privcmd's list of the pages is then 128 KiB. */
#define PART_SIZE (UINT64_C(64) << 20)

typedef struct PartPages {
        uint64_t gfns[PART_SIZE / GUEST_PAGE_SIZE];
        int errors[PART_SIZE / GUEST_PAGE_SIZE];
} PartPages;

void *preload_mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
        EXPORT_AS("mmap");
void *preload_mmap64(void *address, size_t length, int protection, int flags, int fd, off_t offset)
        EXPORT_ALIAS_OF("mmap", "mmap64");
off_t preload_lseek(int fd, off_t offset, int whence) EXPORT_AS("lseek");
off_t preload_lseek64(int fd, off_t offset, int whence) EXPORT_ALIAS_OF("lseek", "lseek64");

typedef void *(*MmapFunction)(void *, size_t, int, int, int, off_t);
typedef off_t (*LseekFunction)(int, off_t, int);

static void *mmap_real(void *address, size_t length, int protection, int flags, int fd,
                       off_t offset)
{
        static MmapFunction next;

        if (!next)
                *(void **)&next = dlsym(RTLD_NEXT, "mmap64");
        return next(address, length, protection, flags, fd, offset);
}

static off_t lseek_real(int fd, off_t offset, int whence)
{
        static LseekFunction next;

        if (!next)
                *(void **)&next = dlsym(RTLD_NEXT, "lseek64");
        return next(fd, offset, whence);
}

/* An operation without buffers does nothing, but only privcmd knows it, and only for its guest. */
static bool is_privcmd(int fd, uint16_t domid)
{
        struct privcmd_dm_op nothing = { .dom = domid };

        return ioctl(fd, IOCTL_PRIVCMD_DM_OP, &nothing) == 0;
}

/*
 * Whether a descriptor stands for a bank of guest memory, and which. Inert for all others: they
 * carry no mark, or are not of privcmd.
 */
static bool bank_find(int fd, MemoryBank *ret_bank, uint16_t *ret_domid)
{
        const char *domid_text = getenv(GUEST_MEMORY_ENV_DOMID);
        const char *banks_text = getenv(GUEST_MEMORY_ENV_BANKS);
        MemoryBank banks[MEMORY_BANKS_MAX];
        uint64_t domid;
        int n_banks, mark;

        if (fd < 0 || !domid_text || !banks_text)
                return false;
        mark = fcntl(fd, F_GETSIG);
        n_banks = guest_memory_parse(banks_text, banks);
        if (mark < 1 || mark > n_banks)
                return false;
        if (parse_unsigned(domid_text, UINT16_MAX, &domid) < 0 || !is_privcmd(fd, (uint16_t)domid))
                return false;

        *ret_bank = banks[mark - 1];
        *ret_domid = (uint16_t)domid;
        return true;
}

/*
 * Maps a part of a bank. The first ioctl on an area has to fill the whole of it, and privcmd keeps
 * a list of its pages in one piece, so each part is an area of its own, small enough for that list
 * to be found memory for. Returns how many of its pages are holes, or a negative errno; *ret_error
 * says why there are any.
 */
static ssize_t part_map(int fd, void *area, size_t size, uint64_t guest_address, uint16_t domid,
                        PartPages *pages, int *ret_error)
{
        const size_t n_pages = size / GUEST_PAGE_SIZE;
        struct privcmd_mmapbatch_v2 batch = {
                .num = (uint32_t)n_pages,
                .dom = domid,
                .address = (uintptr_t)area,
                .gfns = pages->gfns,
                .errors = pages->errors,
        };
        ssize_t n_holes = 0;

        for (size_t i = 0; i < n_pages; i++)
                pages->gfns[i] = guest_address / GUEST_PAGE_SIZE + i;
        memset(pages->errors, 0, sizeof(pages->errors));
        /* ENOENT stands for pages that are swapped out, which errors[] tells page by page. */
        if (ioctl(fd, IOCTL_PRIVCMD_MMAPBATCH_V2, &batch) < 0 && errno != ENOENT)
                return -errno;
        for (size_t i = 0; i < n_pages; i++) {
                if (pages->errors[i] == 0)
                        continue;
                *ret_error = pages->errors[i];
                n_holes++;
        }
        return n_holes;
}

/*
 * Fills a reserved area with the pages of a bank. Pages that the guest has given back are holes: to
 * touch them is a fault, as it should be. A bank of which nothing at all can be mapped is an error.
 */
static int bank_fill(int fd, char *area, int protection, const MemoryBank *bank, uint16_t domid,
                     PartPages *pages)
{
        uint64_t n_holes = 0;
        int error = 0;

        for (uint64_t done = 0; done < bank->size; done += PART_SIZE) {
                const size_t size = bank->size - done < PART_SIZE ? bank->size - done : PART_SIZE;
                ssize_t n;

                if (mmap_real(area + done, size, protection, MAP_SHARED | MAP_FIXED, fd, 0) ==
                    MAP_FAILED)
                        return -errno;
                n = part_map(fd, area + done, size, bank->base + done, domid, pages, &error);
                if (n < 0)
                        return (int)n;
                n_holes += (uint64_t)n;
        }
        if (n_holes == bank->size / GUEST_PAGE_SIZE)
                return error;
        if (n_holes > 0)
                fprintf(stderr, "libxen-virtio-mmap: %llu guest pages are not there: %s\n",
                        (unsigned long long)n_holes, strerrordesc_np(-error));
        return 0;
}

/*
 * No system calls but fcntl(), ioctl(), mmap() and munmap() from here on, and write(): a backend
 * may be in a sandbox of its own by now. passt is, and would be killed for the brk() of a malloc();
 * so for that of strerror(), which looks for a translation.
 */
static int bank_fill_in_sandbox(int fd, char *area, int protection, const MemoryBank *bank,
                                uint16_t domid)
{
        PartPages *pages = mmap_real(NULL, sizeof(*pages), PROT_READ | PROT_WRITE,
                                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        int r;

        if (pages == MAP_FAILED)
                return -errno;
        r = bank_fill(fd, area, protection, bank, domid, pages);
        munmap(pages, sizeof(*pages));
        return r;
}

static void *bank_map(void *address, size_t length, int protection, int flags, int fd, off_t offset,
                      const MemoryBank *bank, uint16_t domid)
{
        void *area;
        int r;

        /* Banks are sent whole, from offset 0. */
        if (offset != 0 || length != bank->size || !(flags & MAP_SHARED)) {
                errno = EINVAL;
                return MAP_FAILED;
        }
        area = mmap_real(address, length, PROT_NONE,
                         (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) | MAP_PRIVATE | MAP_ANONYMOUS |
                                 MAP_NORESERVE,
                         -1, 0);
        if (area == MAP_FAILED)
                return MAP_FAILED;
        r = bank_fill_in_sandbox(fd, area, protection, bank, domid);
        if (r < 0) {
                fprintf(stderr,
                        "libxen-virtio-mmap: cannot map memory of domain %u at %#llx: %s%s\n",
                        domid, (unsigned long long)bank->base, strerrordesc_np(-r),
                        r == -ENOMEM ? " (xen-virtioctl doctor says how much there is room for)"
                                     : "");
                munmap(area, length);
                errno = -r;
                return MAP_FAILED;
        }
        return area;
}

void *preload_mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
        MemoryBank bank;
        uint16_t domid;

        if (!(flags & MAP_ANONYMOUS) && bank_find(fd, &bank, &domid))
                return bank_map(address, length, protection, flags, fd, offset, &bank, domid);
        return mmap_real(address, length, protection, flags, fd, offset);
}

/* Some backends ask for the size of the descriptor by seeking to its end; privcmd cannot seek. */
off_t preload_lseek(int fd, off_t offset, int whence)
{
        MemoryBank bank;
        uint16_t domid;
        off_t result = lseek_real(fd, offset, whence);

        if (result >= 0 || errno != ESPIPE || !bank_find(fd, &bank, &domid))
                return result;
        return whence == SEEK_END ? (off_t)bank.size + offset : offset;
}
