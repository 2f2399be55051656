/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "orchestrator/backend.h"
#include "orchestrator/disk-check.h"

/* A folder with a profile whose command is /bin/true, and things that a disk could lie on. */
typedef struct Fixture {
        char *folder;
        char *image; /* with everything in its name that could be taken for syntax */
        Configuration configuration;
        DeviceSpec spec;
} Fixture;

static void put(const char *folder, const char *name, const char *text)
{
        g_autofree char *path = g_build_filename(folder, name, NULL);

        g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static const char *const nowhere[] = { NULL };

static void ignore(void *userdata G_GNUC_UNUSED, const char *problem G_GNUC_UNUSED)
{
}

static void fixture_set_up(Fixture *fixture, const void *data)
{
        const char *folders[] = { NULL, NULL };
        const char *profile = data;

        fixture->folder = g_dir_make_tmp("test-backend-XXXXXX", NULL);
        put(fixture->folder, "blk.conf",
            profile ? profile
                    : "[Backend]\nType=blk\n"
                      "ExecStart=/bin/true driver=%{disk.driver},filename=%{disk.path:qemu} "
                      "%{disk.path} ro=%{disk.readonly} w=%{disk.writable} %{socket} %{socket.stem} %{domid} "
                      "%{devid} %{instance} %{domain} %{uuid} %{disk.dev} %{net.mac?}\n"
                      "ReadWritePaths=%{disk.path} /var/tmp\nEnvironment='X=%{domain}'\n"
                      "[Service]\nBindPaths=/a /%{domain}\nPrivateDevices=yes\n");
        put(fixture->folder, "a, b\"50%'\\.img", "");
        fixture->image = g_build_filename(fixture->folder, "a, b\"50%'\\.img", NULL);
        folders[0] = fixture->folder;
        fixture->configuration.profiles = profiles_load(folders, nowhere, ignore, NULL);
        fixture->configuration.guest_folders = g_strdupv((char **)folders);
        fixture->spec = (DeviceSpec){
                .name = { 5, DEVICE_KIND_DISK, 51712 },
                .uuid = "8a5d2f0e-7d11-4f6e-9a55-0123456789ab",
                .domain = (char *)"guest 1",
                .memory_kib = UINT64_C(4) << 20,
                .device_id = 2,
                .disk_path = fixture->image,
                .disk_dev = (char *)"xvda",
        };
}

static void fixture_tear_down(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        g_autofree char *profile = g_build_filename(fixture->folder, "blk.conf", NULL);

        profiles_free(fixture->configuration.profiles);
        g_strfreev(fixture->configuration.guest_folders);
        g_unlink(fixture->image);
        g_unlink(profile);
        g_assert_cmpint(g_rmdir(fixture->folder), ==, 0);
        g_free(fixture->image);
        g_free(fixture->folder);
}

static void check_refused(const Fixture *fixture, int expected, const char *message_expected)
{
        RestartPolicy policy;
        g_autofree char *text = NULL, *message = NULL;

        g_assert_cmpint(backend_prepare(&fixture->spec, 0, &fixture->configuration, &text, &policy,
                                        &message),
                        ==, expected);
        g_assert_null(text);
        g_assert_cmpstr(message, ==, message_expected);
}

static void test_drop_in(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        RestartPolicy policy;
        g_autofree char *text = NULL, *message = NULL, *path = NULL, *qemu = NULL;
        g_autofree char *expected = NULL;

        g_assert_cmpint(backend_prepare(&fixture->spec, 0, &fixture->configuration, &text, &policy,
                                        &message),
                        ==, 0);
        path = g_strconcat(fixture->folder, "/a, b\\\"50%%'\\\\.img", NULL);
        qemu = g_strconcat(fixture->folder, "/a,, b\\\"50%%'\\\\.img", NULL);
        expected = g_strdup_printf(
                "ExecStart=:\"/bin/true\" \"driver=file,filename=%s\" \"%s\" \"ro=off\" \"w=on\" "
                "\"/run/xen-virtio/5-disk-51712/backend.sock0\" "
                "\"/run/xen-virtio/5-disk-51712/backend.sock\" \"5\" \"51712\" \"5-disk-51712\" "
                "\"guest 1\" \"8a5d2f0e-7d11-4f6e-9a55-0123456789ab\" \"xvda\"\n",
                qemu, path);
        g_assert_nonnull(strstr(text, expected));
        g_assert_nonnull(strstr(text, "\nEnvironment=\"XEN_VIRTIO_DOMID=5\"\n"));
        g_assert_nonnull(strstr(text, "\nEnvironment=\"XEN_VIRTIO_MEMORY=0x40000000+0xc0000000,"
                                      "0x200000000+0x40000000\"\n"));
        g_assert_nonnull(strstr(text, "\nEnvironment=\"X=guest 1\"\n"));
        g_assert_nonnull(strstr(text, "\nEnvironment=\"XEN_VIRTIO_SOCKET=/run/xen-virtio/"
                                      "5-disk-51712/backend.sock0\"\n"));
        /* The profile has the last word. */
        g_assert_true(g_str_has_suffix(text, "\nBindPaths=/a \"/guest 1\"\nPrivateDevices=yes\n"));
        g_assert_nonnull(strstr(text, "/libxen-virtio-mmap.so\"\n"));
        g_free(expected);
        expected = g_strdup_printf("\nReadWritePaths=\"%s\"\nReadWritePaths=\"/var/tmp\"\n", path);
        g_assert_nonnull(strstr(text, expected));
        g_assert_null(strstr(text, "DeviceAllow"));
        g_assert_nonnull(strstr(text, "\nLogExtraFields=XEN_DOMID=5 VIRTIO_TYPE=blk "
                                      "\"XEN_DOMAIN=guest 1\"\n"));
        /* Of which systemd can bind none to one place; and the library is where the build is. */
        g_assert_nonnull(strstr(text, "\nAmbientCapabilities=\"CAP_DAC_OVERRIDE\"\n"));
        g_assert_nonnull(strstr(text, "\nPrivateDevices=no\n"));
}

/* An image with a usual name is bound, and so is a program that lies apart. */
static void test_bound(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        RestartPolicy policy;
        g_autofree char *text = NULL, *message = NULL, *image = NULL, *expected = NULL;

        image = g_build_filename(fixture->folder, "image", NULL);
        g_assert_cmpint(symlink("/bin/true", image), ==, 0);
        fixture->spec.disk_path = image;
        g_assert_cmpint(backend_prepare(&fixture->spec, 0, &fixture->configuration, &text, &policy,
                                        &message),
                        ==, 0);
        g_unlink(image);
        expected = g_strdup_printf("\nBindPaths=\"%s\"\n", image);
        g_assert_nonnull(strstr(text, expected));
}

/* The backend of a read-only disk cannot write to it, though the profile says so. */
static void test_read_only(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        RestartPolicy policy;
        g_autofree char *text = NULL, *message = NULL;

        fixture->spec.disk_readonly = true;
        g_assert_cmpint(backend_prepare(&fixture->spec, 0, &fixture->configuration, &text, &policy,
                                        &message),
                        ==, 0);
        g_assert_nonnull(strstr(text, "\"ro=on\" \"w=off\""));
        g_assert_nonnull(strstr(text, "\nReadWritePaths=\"/var/tmp\"\nReadOnlyPaths=\"/"));
}

/* An adapter of the host's, as backends of i2c and gpio devices have. */
static void test_character_device(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        RestartPolicy policy;
        g_autofree char *text = NULL, *message = NULL;

        g_assert_cmpint(backend_prepare(&fixture->spec, 0, &fixture->configuration, &text, &policy,
                                        &message),
                        ==, 0);
        g_assert_nonnull(strstr(text, "\nReadWritePaths=\"/dev/null\"\n"));
        g_assert_nonnull(strstr(text, "\nDeviceAllow=\"/dev/null\" rw\n"));
}

static void test_reasons(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        g_autofree char *directory = g_strconcat(fixture->folder, ": is a directory", NULL);

        fixture->spec.disk_path = (char *)"/nonexistent/x.img";
        check_refused(fixture, -ENOENT, "/nonexistent/x.img: No such file or directory");
        fixture->spec.disk_path = fixture->folder;
        check_refused(fixture, -EISDIR, directory);
        fixture->spec.disk_path = (char *)"/dev/null";
        check_refused(fixture, -ENOTBLK, "/dev/null: is neither a regular file nor a block device");
        fixture->spec.disk_path = fixture->image;
        fixture->spec.memory_kib = 0;
        check_refused(fixture, -ERANGE, "cannot map 0 KiB of guest memory");
        fixture->spec.device_id = 34;
        check_refused(fixture, -ENOENT, "no backend profile for virtio device type 34 (i2c)");
}

/* A program that is not there is said like this, with the place of ExecStart=. */
static void check_program(const Fixture *fixture, int expected, const char *reason)
{
        g_autofree char *message =
                g_strdup_printf("%s/blk.conf:3:11: %s (backend program)", fixture->folder, reason);

        check_refused(fixture, expected, message);
}

static void test_no_program(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        check_program(fixture, -ENOENT, "/nonexistent: No such file or directory");
}

static void test_no_package(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        g_autofree char *message = g_strdup_printf(
                "%s/blk.conf:3:11: /nonexistent: No such file or directory (backend program); "
                "Debian's package prog has it",
                fixture->folder);

        check_refused(fixture, -ENOENT, message);
}

static void test_program_is_a_directory(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        check_program(fixture, -EISDIR, "/etc: Is a directory");
}

static void test_program_is_not_executable(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        check_program(fixture, -EACCES, "/etc/passwd: Permission denied");
}

/* A profile that wants a disk cannot serve a device that has none. */
static void test_no_disk(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        g_autofree char *expected =
                g_strconcat(fixture->folder, "/blk.conf: the device has no %{disk.driver}", NULL);

        fixture->spec.disk_path = NULL;
        check_refused(fixture, -ENODATA, expected);
}

static void test_modes(void)
{
        static const struct {
                mode_t mode;
                bool read, write;
        } modes[] = {
                { 0600, true, true },  { 0400, true, false },  { 0444, true, false },
                { 0044, true, false }, { 0000, false, false }, { 0222, false, false },
                { 0060, true, true },  { 0006, true, true },   { 04111, false, false },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
                struct stat st = { .st_mode = S_IFREG | modes[i].mode };

                g_assert_cmpint(disk_mode_permits(&st, false), ==, modes[i].read);
                g_assert_cmpint(disk_mode_permits(&st, true), ==, modes[i].write);
        }
}

#define BOUND_PROFILE "[Backend]\nType=blk\nExecStart=/bin/true\nReadWritePaths=%{disk.path}\n"

#define ADD(path, profile, function)                                                               \
        g_test_add(path, Fixture, profile, fixture_set_up, function, fixture_tear_down)

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        ADD("/backend/drop-in", NULL, test_drop_in);
        ADD("/backend/bound", BOUND_PROFILE, test_bound);
        ADD("/backend/read-only", NULL, test_read_only);
        ADD("/backend/character-device",
            "[Backend]\nType=blk\nExecStart=/bin/true\nReadWritePaths=/dev/null\n",
            test_character_device);
        ADD("/backend/reasons", NULL, test_reasons);
        ADD("/backend/no-disk", NULL, test_no_disk);
        ADD("/backend/no-program", "[Backend]\nType=blk\nExecStart=/nonexistent\n",
            test_no_program);
        ADD("/backend/no-package", "[Backend]\nType=blk\nExecStart=/nonexistent\nPackage=prog\n",
            test_no_package);
        ADD("/backend/program-is-a-directory", "[Backend]\nType=blk\nExecStart=/etc\n",
            test_program_is_a_directory);
        ADD("/backend/program-is-not-executable", "[Backend]\nType=blk\nExecStart=/etc/passwd\n",
            test_program_is_not_executable);
        g_test_add_func("/backend/modes", test_modes);
        return g_test_run();
}
