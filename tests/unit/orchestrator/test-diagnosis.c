/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "common/macros.h"
#include "orchestrator/diagnosis.h"
#include "orchestrator/scratch-space.h"

#define MIB 1024

/* A host with which nothing is wrong. */
static const HostFacts good = {
        .hypervisor = (char *)"xen",
        .xen_version = (char *)"4.20.3",
        .capabilities = (char *)"control_d",
        .config =
                (char *)"CONFIG_XEN=y\nCONFIG_XEN_PRIVCMD_EVENTFD=y\nCONFIG_XEN_UNPOPULATED_ALLOC=y",
        .memory_kib = 1024 * MIB,
        .has_privcmd = true,
        .has_evtchn = true,
        .has_gntdev = true,
        .has_xenbus = true,
        .kernel_release = (char *)"6.12.9",
        .systemd_version = (char *)"252.39-1~deb12u1",
        .ioreq_servers = 0,
        .daemon_version = (char *)"0.1.0",
};

static void write_file(const char *root, const char *path, const char *text)
{
        g_autofree char *full = g_build_filename(root, path, NULL);
        g_autofree char *folder = g_path_get_dirname(full);

        g_assert_cmpint(g_mkdir_with_parents(folder, 0755), ==, 0);
        g_assert_true(g_file_set_contents(full, text, -1, NULL));
}

static void remove_all(const char *path)
{
        g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
        const char *name;

        while (dir && (name = g_dir_read_name(dir))) {
                g_autofree char *full = g_build_filename(path, name, NULL);

                remove_all(full);
        }
        g_remove(path);
}

/* The worst that is found about a subject; -1: it is not spoken of. */
static int worst_of(const GArray *findings, const char *subject)
{
        int worst = -1;

        for (guint i = 0; i < findings->len; i++) {
                const Finding *finding = &g_array_index(findings, Finding, i);

                if (strcmp(finding->subject, subject) == 0)
                        worst = MAX(worst, (int)finding->level);
                /* What is wrong comes with what to do. */
                g_assert_true(finding->level == FINDING_OK || finding->advice);
        }
        return worst;
}

static int examine(const HostFacts *facts, const char *subject)
{
        g_autoptr(GArray) findings = diagnosis_make(facts, NULL, 0);

        return worst_of(findings, subject);
}

static void test_good(void)
{
        g_autoptr(GArray) findings = diagnosis_make(&good, NULL, 0);

        for (guint i = 0; i < findings->len; i++)
                g_assert_cmpint(g_array_index(findings, Finding, i).level, ==, FINDING_OK);
        g_assert_cmpint(worst_of(findings, "devices"), ==, -1);
}

static void test_bad(void)
{
#define CASE(change, subject, level)                                                               \
        do {                                                                                       \
                HostFacts facts = good;                                                            \
                                                                                                   \
                facts.change;                                                                      \
                g_assert_cmpint(examine(&facts, subject), ==, level);                              \
        } while (0)

        CASE(hypervisor = NULL, "Xen", FINDING_ERROR);
        CASE(hypervisor = (char *)"kvm", "Xen", FINDING_ERROR);
        CASE(xen_version = NULL, "Xen", FINDING_OK);
        CASE(capabilities = NULL, "domain", FINDING_WARNING);
        CASE(capabilities = (char *)"", "domain", FINDING_OK);
        CASE(has_privcmd = false, "devices", FINDING_ERROR);
        CASE(has_evtchn = false, "devices", FINDING_ERROR);
        CASE(has_xenbus = false, "devices", FINDING_ERROR);
        CASE(has_gntdev = false, "devices", FINDING_WARNING);
        CASE(ioreq_servers = -ENOSYS, "IOREQ servers", FINDING_ERROR);
        CASE(ioreq_servers = -EOPNOTSUPP, "IOREQ servers", FINDING_ERROR);
        CASE(ioreq_servers = -EPERM, "IOREQ servers", FINDING_ERROR);
        CASE(ioreq_servers = -ENOENT, "IOREQ servers", FINDING_ERROR);
        CASE(config = NULL, "kernel", FINDING_WARNING);
        CASE(config = (char *)"CONFIG_XEN=y", "memory", FINDING_WARNING);
        CASE(config = (char *)"# CONFIG_XEN_UNPOPULATED_ALLOC=y", "memory", FINDING_WARNING);
        CASE(config = NULL, "memory", -1);
        CASE(systemd_version = NULL, "systemd", FINDING_WARNING);
        CASE(systemd_version = (char *)"251", "systemd", FINDING_ERROR);
        CASE(systemd_version = (char *)"257.13", "systemd", FINDING_OK);
        CASE(daemon_version = NULL, "xen-virtiod", FINDING_ERROR);
}

/* Why IOREQ servers are refused. */
static char *refusal(const char *capabilities, bool privcmd_is_free)
{
        HostFacts facts = good;
        g_autoptr(GArray) findings = NULL;

        facts.ioreq_servers = -EPERM;
        facts.capabilities = (char *)capabilities;
        facts.privcmd_is_free = privcmd_is_free;
        findings = diagnosis_make(&facts, NULL, 0);
        for (guint i = 0; i < findings->len; i++) {
                const Finding *finding = &g_array_index(findings, Finding, i);

                if (strcmp(finding->subject, "IOREQ servers") == 0)
                        return g_strdup(finding->advice);
        }
        g_assert_not_reached();
}

/* In a driver domain there are two who may forbid them, and each has to be told differently. */
static void test_refusals(void)
{
        g_autofree char *dom0 = refusal("control_d", false), *unknown = refusal(NULL, false);
        g_autofree char *kernel = refusal("", false), *xen = refusal("", true);

        g_assert_cmpstr(dom0, ==, "run this as root");
        g_assert_cmpstr(unknown, ==, "run this as root");
        g_assert_nonnull(strstr(kernel, "xen_privcmd.unrestricted=1"));
        g_assert_nonnull(strstr(xen, "XSM"));
}

static bool read_is_free(const char *line, const char *lockdown)
{
        g_autofree char *folder = g_dir_make_tmp("test-diagnosis-XXXXXX", NULL);
        _cleanup_(host_facts_clear) HostFacts facts = { .kernel_release = g_strdup("6.12.9") };
        _cleanup_fd_ int root = open(folder, O_RDONLY | O_DIRECTORY);

        write_file(folder, "proc/cmdline", line);
        if (lockdown)
                write_file(folder, "sys/kernel/security/lockdown", lockdown);
        host_facts_read(root, &facts);
        remove_all(folder);
        return facts.privcmd_is_free;
}

static void test_privcmd(void)
{
        g_assert_false(read_is_free("quiet\n", NULL));
        g_assert_true(read_is_free("xen_privcmd.unrestricted=1 quiet\n", NULL));
        g_assert_true(read_is_free("xen_privcmd.unrestricted\n", "[none] integrity\n"));
        g_assert_false(read_is_free("xen_privcmd.unrestricted\n", "none [integrity]\n"));
}

static const char *interrupts(const char *release, const char *config)
{
        g_autoptr(GArray) findings = NULL;
        HostFacts facts = good;

        facts.kernel_release = (char *)release;
        facts.config = (char *)config;
        findings = diagnosis_make(&facts, NULL, 0);
        for (guint i = 0; i < findings->len; i++) {
                const Finding *finding = &g_array_index(findings, Finding, i);

                if (strcmp(finding->subject, "interrupts") == 0)
                        return strstr(finding->text, "relayed by") ? "relay" : "irqfd";
        }
        return NULL;
}

static void test_interrupts(void)
{
        g_assert_cmpstr(interrupts("6.12.9", good.config), ==, "irqfd");
        g_assert_cmpstr(interrupts("7.3.4", good.config), ==, "irqfd");
        g_assert_cmpstr(interrupts("6.11.0", good.config), ==, "relay");
        g_assert_cmpstr(interrupts("what", good.config), ==, "relay");
        g_assert_cmpstr(interrupts("6.12.9", "CONFIG_XEN_PRIVCMD_EVENTFD_NOT=y"), ==, "relay");
        g_assert_null(interrupts("6.12.9", NULL));
}

static void test_cost(void)
{
        /* 4 GiB: 16 MiB of tables, and 64 MiB of struct page or all of it again. */
        g_assert_cmpuint(diagnosis_mapping_cost_kib(4096 * MIB, true), ==, 80 * MIB);
        g_assert_cmpuint(diagnosis_mapping_cost_kib(4096 * MIB, false), ==, (16 + 4096) * MIB);
        g_assert_cmpuint(diagnosis_mapping_cost_kib(0, false), ==, 0);
        g_assert_cmpuint(diagnosis_mapping_cost_kib(UINT64_MAX, false), ==, UINT64_MAX / 1024);
}

/* Devices with grants map nothing, and two backends of a guest map it twice. */
static void test_memory(void)
{
        DeviceReport reports[] = { { .memory_kib = 4096 * MIB },
                                   { .memory_kib = 4096 * MIB },
                                   { .memory_kib = 0 },
                                   { .memory_kib = 4096 * MIB } };
        g_autoptr(GArray) three = diagnosis_make(&good, reports, 3);
        g_autoptr(GArray) four = diagnosis_make(&good, reports, 4);
        HostFacts facts = good;
        g_autoptr(GArray) little = NULL;

        g_assert_cmpint(worst_of(three, "memory"), ==, FINDING_OK);
        g_assert_cmpint(worst_of(four, "memory"), ==, FINDING_OK);
        facts.memory_kib = 512 * MIB;
        little = diagnosis_make(&facts, reports, 4);
        g_assert_cmpint(worst_of(little, "memory"), ==, FINDING_WARNING);
}

/* Warned of is what does not fit; where nothing is known of it nothing is said. */
static void test_scratch(void)
{
        const DeviceReport reports[] = { { .memory_kib = 512 * MIB }, { .memory_kib = 512 * MIB } };
        HostFacts facts = good;
        g_autoptr(GArray) fits = NULL, full = NULL, unknown = NULL;

        facts.scratch_kib = 1024 * MIB;
        fits = diagnosis_make(&facts, reports, 2);
        g_assert_cmpint(worst_of(fits, "memory"), ==, FINDING_OK);
        facts.scratch_kib--;
        full = diagnosis_make(&facts, reports, 2);
        g_assert_cmpint(worst_of(full, "memory"), ==, FINDING_WARNING);
        facts.scratch_kib = 0;
        unknown = diagnosis_make(&facts, reports, 2);
        g_assert_cmpint(worst_of(unknown, "memory"), ==, FINDING_OK);
        g_assert_cmpuint(fits->len, ==, unknown->len + 1);
}

/* An address and a size of the device tree. */
static void add_region(GByteArray *regions, uint64_t address, uint64_t size)
{
        const uint64_t cells[] = { GUINT64_TO_BE(address), GUINT64_TO_BE(size) };

        g_byte_array_append(regions, (const uint8_t *)cells, sizeof(cells));
}

/* As Xen has told a dom0 of 1 GiB, at 3 GiB, of a machine with 4 GiB at 1 GiB. */
static GByteArray *regions_of_a_machine(void)
{
        GByteArray *regions = g_byte_array_new();

        add_region(regions, 0x40200000, 0x4000000);
        add_region(regions, 0x40400000, 0x7fa00000);
        add_region(regions, 0x100000000, 0x3fe00000);
        return regions;
}

static void test_scratch_space(void)
{
        g_autoptr(GByteArray) regions = regions_of_a_machine();

        /* Of the first region nothing, of the second one 14 sections, of the third one 7. */
        g_assert_cmpuint(scratch_space_kib(regions->data, regions->len, 0xc0000000), ==,
                         7 * 128 * MIB);
        g_assert_cmpuint(scratch_space_kib(regions->data, regions->len, 0xfff00000), ==,
                         7 * 128 * MIB);
        g_assert_cmpuint(scratch_space_kib(regions->data, regions->len, 0x40000000), ==,
                         (14 + 7) * 128 * MIB);
        g_assert_cmpuint(scratch_space_kib(regions->data, 31, 0x40000000), ==, 0);
        g_assert_cmpuint(scratch_space_kib(regions->data, 0, 0x40000000), ==, 0);
        g_assert_cmpuint(scratch_space_kib(regions->data, regions->len, UINT64_MAX), ==, 0);
        add_region(regions, UINT64_MAX - 1, UINT64_MAX);
        g_assert_cmpuint(scratch_space_kib(regions->data, regions->len, 0xc0000000), ==,
                         7 * 128 * MIB);
}

/* What /proc/iomem says, to root or not. */
static uint64_t read_scratch(const char *iomem)
{
        g_autofree char *folder = g_dir_make_tmp("test-diagnosis-XXXXXX", NULL), *path = NULL;
        _cleanup_(host_facts_clear) HostFacts facts = { .kernel_release = g_strdup("6.12.9") };
        _cleanup_fd_ int root = open(folder, O_RDONLY | O_DIRECTORY);
        g_autoptr(GByteArray) regions = regions_of_a_machine();

        write_file(folder, "proc/iomem", iomem);
        write_file(folder, "proc/device-tree/hypervisor/reg", "");
        path = g_build_filename(folder, "proc/device-tree/hypervisor/reg", NULL);
        g_assert_true(
                g_file_set_contents(path, (const char *)regions->data, (gssize)regions->len, NULL));
        host_facts_read(root, &facts);
        remove_all(folder);
        return facts.scratch_kib;
}

static void test_scratch_files(void)
{
        g_assert_cmpuint(read_scratch("09000000-09000fff : pl011\n"
                                      "c0000000-ffffffff : System RAM\n"
                                      "  c0210000-c0ffffff : Kernel code\n"),
                         ==, 7 * 128 * MIB);
        g_assert_cmpuint(read_scratch("00000000-00000000 : System RAM\n"), ==, 0);
        g_assert_cmpuint(read_scratch("09000000-09000fff : pl011\n"), ==, 0);
        g_assert_cmpuint(read_scratch(""), ==, 0);
}

static void test_problems(void)
{
        const DeviceReport reports[] = { { .problem = "" }, { .problem = "gone" }, { 0 } };
        g_autoptr(GArray) findings = diagnosis_make(&good, reports, 3);

        g_assert_cmpint(worst_of(findings, "xen-virtiod"), ==, FINDING_WARNING);
}

static void test_files(void)
{
        g_autofree char *folder = g_dir_make_tmp("test-diagnosis-XXXXXX", NULL);
        _cleanup_(host_facts_clear) HostFacts facts = { .kernel_release = g_strdup("6.12.9") };
        _cleanup_fd_ int root = open(folder, O_RDONLY | O_DIRECTORY);

        write_file(folder, "sys/hypervisor/type", "xen\n");
        write_file(folder, "sys/hypervisor/version/major", "4\n");
        write_file(folder, "sys/hypervisor/version/minor", "20\n");
        write_file(folder, "sys/hypervisor/version/extra", ".3-pre\n");
        write_file(folder, "proc/xen/capabilities", "control_d\n");
        write_file(folder, "proc/meminfo", "MemFree: 1 kB\nMemTotal:     524288 kB\n");
        write_file(folder, "proc/sys/xen/balloon/hotplug_unpopulated", "1\n");
        write_file(folder, "lib/modules/6.12.9/config", "CONFIG_A=y\n# CONFIG_B is not set\n");
        write_file(folder, "dev/xen/privcmd", "");
        host_facts_read(root, &facts);
        remove_all(folder);

        g_assert_cmpstr(facts.hypervisor, ==, "xen");
        g_assert_cmpstr(facts.xen_version, ==, "4.20.3-pre");
        g_assert_cmpstr(facts.capabilities, ==, "control_d");
        g_assert_cmpuint(facts.memory_kib, ==, 524288);
        g_assert_true(facts.hotplug_unpopulated);
        g_assert_true(facts.has_privcmd);
        g_assert_false(facts.has_evtchn);
        g_assert_true(host_facts_has_option(&facts, "A"));
        g_assert_false(host_facts_has_option(&facts, "B"));
}

/* Another kernel's configuration says nothing about ours. */
static void test_no_files(void)
{
        g_autofree char *folder = g_dir_make_tmp("test-diagnosis-XXXXXX", NULL);
        _cleanup_(host_facts_clear) HostFacts facts = { .kernel_release = g_strdup("6.12.9") };
        _cleanup_fd_ int root = open(folder, O_RDONLY | O_DIRECTORY);

        write_file(folder, "boot/config-6.1.0", "CONFIG_A=y\n");
        write_file(folder, "proc/meminfo", "MemTotal: many kB\n");
        write_file(folder, "sys/hypervisor/version/major", "4\n");
        host_facts_read(root, &facts);
        remove_all(folder);

        g_assert_null(facts.hypervisor);
        g_assert_null(facts.xen_version);
        g_assert_null(facts.capabilities);
        g_assert_null(facts.config);
        g_assert_cmpuint(facts.memory_kib, ==, 0);
        g_assert_false(facts.hotplug_unpopulated);
        g_assert_false(host_facts_has_option(&facts, "A"));
}

/* "CONFIG_OWN=y", as a kernel shows it. */
static const uint8_t packed[] = {
        0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0x73,
        0xf6, 0xf7, 0x73, 0xf3, 0x74, 0x8f, 0xf7, 0x0f, 0xf7, 0xb3, 0xad,
        0xe4, 0x02, 0x00, 0x90, 0xe8, 0xc7, 0xe3, 0x0d, 0x00, 0x00, 0x00,
};

/* What the kernel says of itself goes before what lies in a file, unless it makes no sense. */
static void test_own_config(void)
{
        g_autofree char *folder = g_dir_make_tmp("test-diagnosis-XXXXXX", NULL);
        g_autofree char *own = g_build_filename(folder, "proc/config.gz", NULL);
        _cleanup_fd_ int root = open(folder, O_RDONLY | O_DIRECTORY);

        write_file(folder, "boot/config-6.12.9", "CONFIG_FILE=y\n");
        write_file(folder, "proc/config.gz", "");
        for (size_t size = 0; size <= sizeof(packed); size++) {
                _cleanup_(host_facts_clear) HostFacts facts = {
                        .kernel_release = g_strdup("6.12.9"),
                };
                bool whole = size == sizeof(packed);

                g_assert_true(g_file_set_contents(own, (const char *)packed, (gssize)size, NULL));
                host_facts_read(root, &facts);
                g_assert_cmpint(host_facts_has_option(&facts, "OWN"), ==, whole);
                g_assert_cmpint(host_facts_has_option(&facts, "FILE"), ==, !whole);
        }
        remove_all(folder);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/diagnosis/good", test_good);
        g_test_add_func("/diagnosis/bad", test_bad);
        g_test_add_func("/diagnosis/interrupts", test_interrupts);
        g_test_add_func("/diagnosis/cost", test_cost);
        g_test_add_func("/diagnosis/memory", test_memory);
        g_test_add_func("/diagnosis/scratch", test_scratch);
        g_test_add_func("/diagnosis/scratch-space", test_scratch_space);
        g_test_add_func("/diagnosis/scratch-files", test_scratch_files);
        g_test_add_func("/diagnosis/problems", test_problems);
        g_test_add_func("/diagnosis/files", test_files);
        g_test_add_func("/diagnosis/no-files", test_no_files);
        g_test_add_func("/diagnosis/own-config", test_own_config);
        g_test_add_func("/diagnosis/refusals", test_refusals);
        g_test_add_func("/diagnosis/privcmd", test_privcmd);
        return g_test_run();
}
