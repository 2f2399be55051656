/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/control.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-bus.h>

#include "common/control.h"
#include "common/log.h"
#include "orchestrator/control-intake.h"
#include "orchestrator/paths.h"
#include "orchestrator/report-message.h"

/*
 * Of root, and as many of all others together, who thus cannot keep root out; and of each of them,
 * who thus cannot keep all others out.
 */
#define CONNECTIONS_MAX          16
#define CONNECTIONS_OF_OTHER_MAX 4

/* What may wait for a client that does not read: signals are small, replies may be large. */
#define SIGNALS_WAITING_MAX       1024
#define REPLIES_WAITING_MAX       16
#define REPLIES_WAITING_OTHER_MAX 2
#define SOCKET_BUFFER_OTHER       (128 * 1024) /* sd-bus asks the kernel for 8 MiB */

/* What a connection may send in all: some thousand requests. Who has more to say connects again. */
#define INTAKE_MAX (1024 * 1024)

/* All that devices need comes first; of root's requests each comes in turn with it. */
#define PRIORITY_ROOT  SD_EVENT_PRIORITY_IDLE
#define PRIORITY_OTHER (SD_EVENT_PRIORITY_IDLE + 1)

struct Control {
        sd_event *event;
        sd_event_source *listener;
        const ControlOps *ops;
        void *userdata;
        GPtrArray *connections;
};

typedef struct Connection {
        Control *control;
        Intake *intake;
        sd_bus *bus;
        uid_t uid;
        bool may_look;
} Connection;

static void connection_free(void *userdata)
{
        Connection *connection = userdata;

        intake_free(connection->intake);
        sd_bus_close_unref(connection->bus);
        g_free(connection);
}

/* Drops the connection if more than so many messages wait for it. Returns whether it did. */
static bool connection_drop_slow(Connection *connection, uint64_t limit)
{
        uint64_t n = 0;

        if (sd_bus_get_n_queued_write(connection->bus, &n) < 0 || n <= limit)
                return false;
        log_warning(NULL, "a client of the control socket does not read, hanging up");
        g_ptr_array_remove_fast(connection->control->connections, connection);
        return true;
}

static bool connection_drop_unread(Connection *connection)
{
        return connection_drop_slow(connection, connection->uid == 0 ? REPLIES_WAITING_MAX
                                                                     : REPLIES_WAITING_OTHER_MAX);
}

/* Returns 0, or a negative errno with what the client is told. */
static int connection_check_look(const Connection *connection, sd_bus_error *error)
{
        if (connection->may_look)
                return 0;
        return sd_bus_error_set(error, SD_BUS_ERROR_ACCESS_DENIED,
                                "Readers= in xen-virtio.conf does not let this user look");
}

typedef struct Listing {
        sd_bus_message *reply;
        int error;
} Listing;

static void listing_add(void *argument, const DeviceReport *report)
{
        Listing *listing = argument;

        if (listing->error >= 0)
                listing->error = report_append(listing->reply, report);
}

static int on_list_devices(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        Connection *connection = userdata;
        const Control *control = connection->control;
        Listing listing = { 0 };
        int r;

        if (connection_drop_unread(connection))
                return 1;
        r = connection_check_look(connection, error);
        if (r >= 0)
                r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "a{sv}");
        if (r < 0)
                return r;
        listing.reply = reply;
        control->ops->list(control->userdata, listing_add, &listing);
        if (listing.error < 0)
                return listing.error;
        r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int on_get_metrics(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        Connection *connection = userdata;
        const Control *control = connection->control;
        g_autofree char *text = NULL;
        int r;

        if (connection_drop_unread(connection))
                return 1;
        r = connection_check_look(connection, error);
        if (r < 0)
                return r;
        text = control->ops->metrics(control->userdata);
        return sd_bus_reply_method_return(call, "s", text);
}

static int restart_refused(int r, const char *instance, sd_bus_error *error)
{
        switch (-r) {
        case ENODEV:
                return sd_bus_error_setf(error, CONTROL_ERROR_NO_DEVICE, "there is no device %s",
                                         instance);
        case EBUSY:
                return sd_bus_error_setf(error, CONTROL_ERROR_BUSY, "%s is ending", instance);
        case ENOTCONN:
                return sd_bus_error_set(error, CONTROL_ERROR_BUSY,
                                        "there is no connection to systemd at the moment");
        default:
                return r;
        }
}

/* sd-bus sees our own process at the other end, so that who may change anything is decided here. */
static int on_restart_device(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        const Connection *connection = userdata;
        const Control *control = connection->control;
        const char *instance, *part;
        bool backend, frontend;
        int r;

        if (connection->uid != 0)
                return sd_bus_error_set(error, SD_BUS_ERROR_ACCESS_DENIED,
                                        "only root may change anything");
        r = sd_bus_message_read(call, "ss", &instance, &part);
        if (r < 0)
                return r;
        backend = *part == '\0' || strcmp(part, CONTROL_BACKEND) == 0;
        frontend = *part == '\0' || strcmp(part, CONTROL_FRONTEND) == 0;
        if (!backend && !frontend)
                return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS,
                                        "a device has a backend and a frontend");
        r = control->ops->restart(control->userdata, instance, backend, frontend);
        return r < 0 ? restart_refused(r, instance, error) : sd_bus_reply_method_return(call, "");
}

static int get_version(sd_bus *bus _unused_, const char *path _unused_,
                       const char *interface _unused_, const char *property _unused_,
                       sd_bus_message *reply, void *userdata _unused_, sd_bus_error *error _unused_)
{
        return sd_bus_message_append(reply, "s", VERSION);
}

static int get_status(sd_bus *bus _unused_, const char *path _unused_,
                      const char *interface _unused_, const char *property _unused_,
                      sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        const Connection *connection = userdata;
        const Control *control = connection->control;
        int r;

        r = connection_check_look(connection, error);
        if (r < 0)
                return r;
        return sd_bus_message_append(reply, "s", control->ops->status(control->userdata));
}

static const sd_bus_vtable control_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("ListDevices", SD_BUS_NO_ARGS, SD_BUS_RESULT("aa{sv}", devices),
                                on_list_devices, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetMetrics", SD_BUS_NO_ARGS, SD_BUS_RESULT("s", text),
                                on_get_metrics, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("RestartDevice", SD_BUS_ARGS("s", device, "s", part),
                                SD_BUS_NO_RESULT, on_restart_device, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_SIGNAL_WITH_ARGS("DeviceChanged", SD_BUS_ARGS("a{sv}", device), 0),
        SD_BUS_PROPERTY("Version", "s", get_version, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Status", "s", get_status, 0, 0),
        SD_BUS_VTABLE_END,
};

/* busctl takes whatever it connects to for a message bus, and greets it as one. */
static int on_hello(sd_bus_message *call, void *userdata _unused_, sd_bus_error *error _unused_)
{
        return sd_bus_reply_method_return(call, "s", ":1.0");
}

static const sd_bus_vtable greeting_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Hello", "", "s", on_hello,
                      SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_HIDDEN),
        SD_BUS_VTABLE_END,
};

static int on_disconnected(sd_bus_message *message _unused_, void *userdata,
                           sd_bus_error *error _unused_)
{
        Connection *connection = userdata;

        g_ptr_array_remove_fast(connection->control->connections, connection);
        return 0;
}

/* Makes the descriptors, which it owns from then on in any case, a bus of their own. */
static int bus_open(Control *control, int input, int output, Connection *connection,
                    sd_bus **ret_bus)
{
        const int priority = connection->uid == 0 ? PRIORITY_ROOT : PRIORITY_OTHER;
        const int buffer = SOCKET_BUFFER_OTHER;
        _cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
        sd_id128_t id;
        int r;

        r = sd_bus_new(&bus);
        if (r >= 0)
                r = sd_bus_set_fd(bus, input, output);
        if (r < 0) {
                close(input);
                close(output);
                return r;
        }
        /* sd-bus would wait at our end until each client has read everything. */
        r = sd_bus_set_close_on_exit(bus, false);
        if (r >= 0)
                r = sd_id128_randomize(&id);
        if (r >= 0)
                r = sd_bus_set_server(bus, true, id);
        /* Who it is we know from the socket. */
        if (r >= 0)
                r = sd_bus_set_anonymous(bus, true);
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r >= 0 && connection->uid != 0 &&
            setsockopt(output, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer)) < 0)
                r = -errno;
        if (r >= 0)
                r = sd_bus_attach_event(bus, control->event, priority);
        if (r >= 0)
                r = sd_bus_add_object_vtable(bus, NULL, CONTROL_PATH, CONTROL_NAME, control_vtable,
                                             connection);
        if (r >= 0)
                r = sd_bus_add_object_vtable(bus, NULL, "/org/freedesktop/DBus",
                                             "org.freedesktop.DBus", greeting_vtable, NULL);
        if (r >= 0)
                r = sd_bus_match_signal_async(bus, NULL, "org.freedesktop.DBus.Local", NULL,
                                              "org.freedesktop.DBus.Local", "Disconnected",
                                              on_disconnected, NULL, connection);
        if (r < 0)
                return r;
        *ret_bus = steal_pointer(bus);
        return 0;
}

static bool connection_is_one_too_many(const Control *control, uid_t uid)
{
        unsigned int n_same = 0, n_others = 0;

        for (guint i = 0; i < control->connections->len; i++) {
                const Connection *other = g_ptr_array_index(control->connections, i);

                n_same += other->uid == uid;
                n_others += other->uid != 0;
        }
        if (uid == 0)
                return n_same >= CONNECTIONS_MAX;
        return n_same >= CONNECTIONS_OF_OTHER_MAX || n_others >= CONNECTIONS_MAX;
}

/* Owns the client's socket from then on in any case. */
static int connection_open(Connection *connection, int client)
{
        const int priority = connection->uid == 0 ? PRIORITY_ROOT : PRIORITY_OTHER;
        Control *control = connection->control;
        int input, r;

        r = intake_new(control->event, client, INTAKE_MAX, priority, &connection->intake, &input);
        if (r < 0) {
                close(client);
                return r;
        }
        return bus_open(control, input, client, connection, &connection->bus);
}

static int on_connection(sd_event_source *source _unused_, int listener, uint32_t events _unused_,
                         void *userdata)
{
        struct ucred peer = { .uid = (uid_t)-1, .gid = (gid_t)-1 };
        socklen_t size = sizeof(peer);
        Control *control = userdata;
        Connection *connection;
        int fd, r;

        fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0)
                return 0;
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 ||
            connection_is_one_too_many(control, peer.uid)) {
                close(fd);
                return 0;
        }
        connection = g_new0(Connection, 1);
        connection->control = control;
        connection->uid = peer.uid;
        connection->may_look =
                readers_permit(control->ops->readers(control->userdata), fd, peer.uid, peer.gid);
        r = connection_open(connection, fd);
        if (r < 0) {
                log_warning(NULL, "cannot serve a control connection: %s, ignoring", strerror(-r));
                connection_free(connection);
                return 0;
        }
        g_ptr_array_add(control->connections, connection);
        return 0;
}

static int connection_announce(Connection *connection, const DeviceReport *report)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *signal = NULL;
        int r;

        r = sd_bus_message_new_signal(connection->bus, &signal, CONTROL_PATH, CONTROL_NAME,
                                      "DeviceChanged");
        if (r >= 0)
                r = report_append(signal, report);
        return r < 0 ? r : sd_bus_send(connection->bus, signal, NULL);
}

void control_announce(Control *control, const DeviceReport *report)
{
        /* From the end, as one that is dropped leaves its place to the last. */
        for (guint i = control->connections->len; i > 0; i--) {
                Connection *connection = g_ptr_array_index(control->connections, i - 1);

                if (!connection->may_look || connection_drop_slow(connection, SIGNALS_WAITING_MAX))
                        continue;
                /* One that is just going says so by itself. */
                if (connection_announce(connection, report) == -ENOMEM)
                        log_warning(NULL, "no memory to announce a device's state, ignoring");
        }
}

/* Everybody gets to what is in it. */
static int folder_open(const char *path)
{
        _cleanup_fd_ int fd = -1;

        if (mkdir(path, 0755) < 0 && errno != EEXIST)
                return -errno;
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        /* systemd makes it with the mode of the folder that is nobody else's. */
        if (fchmod(fd, 0755) < 0)
                return -errno;
        return steal_fd(&fd);
}

/* Returns the listening socket or a negative errno. An earlier orchestrator left its own behind. */
static int socket_listen(int rundir)
{
        _cleanup_fd_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        if (fd < 0)
                return -errno;
        /* Through the descriptor of the folder, wherever that is. */
        snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/" CONTROL_SOCKET,
                 rundir);
        if (unlinkat(rundir, CONTROL_SOCKET, 0) < 0 && errno != ENOENT)
                return -errno;
        if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
                return -errno;
        /* Who may do what is decided for each connection. */
        if (fchmodat(rundir, CONTROL_SOCKET, 0666, 0) < 0)
                return -errno;
        if (listen(fd, CONNECTIONS_MAX) < 0)
                return -errno;
        return steal_fd(&fd);
}

int control_new(sd_event *event, const char *folder, const ControlOps *ops, void *userdata,
                Control **ret_control)
{
        _cleanup_fd_ int folder_fd = folder_open(folder);
        Control *control;
        int fd, r;

        if (folder_fd < 0)
                return folder_fd;
        fd = socket_listen(folder_fd);
        if (fd < 0)
                return fd;

        control = g_new0(Control, 1);
        control->event = sd_event_ref(event);
        control->ops = ops;
        control->userdata = userdata;
        control->connections = g_ptr_array_new_with_free_func(connection_free);
        r = sd_event_add_io(event, &control->listener, fd, EPOLLIN, on_connection, control);
        if (r >= 0)
                r = sd_event_source_set_priority(control->listener, PRIORITY_OTHER);
        if (r >= 0)
                r = sd_event_source_set_io_fd_own(control->listener, true);
        if (r < 0) {
                close(fd);
                control_free(control);
                return r;
        }
        *ret_control = control;
        return 0;
}

Control *control_free(Control *control)
{
        if (!control)
                return NULL;
        sd_event_source_disable_unref(control->listener);
        g_ptr_array_unref(control->connections);
        sd_event_unref(control->event);
        g_free(control);
        return NULL;
}
