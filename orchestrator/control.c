/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/control.h"

#include <errno.h>
#include <glib.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-bus.h>

#include "common/control.h"
#include "common/log.h"

/* Who asks is root, so this is only against a program that forgets to hang up. */
#define CONNECTIONS_MAX 16

struct Control {
        sd_event *event;
        sd_event_source *listener;
        ControlList *list;
        void *userdata;
        GPtrArray *connections; /* of sd_bus */
};

static void append_device(void *argument, const DeviceReport *report)
{
        sd_bus_message *reply = argument;

        sd_bus_message_append(reply, CONTROL_DEVICE, report->instance, (uint32_t)report->domid,
                              report->domain ? report->domain : "", report->device_id,
                              report->state, report->base, (uint32_t)report->server,
                              report->error ? report->error : "");
}

static int on_list_devices(sd_bus_message *call, void *userdata, sd_bus_error *error _unused_)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        Control *control = userdata;
        int r;

        r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', CONTROL_DEVICE);
        if (r < 0)
                return r;
        control->list(control->userdata, append_device, reply);
        r = sd_bus_message_close_container(reply);
        if (r < 0)
                return r;
        return sd_bus_send(NULL, reply, NULL);
}

static const sd_bus_vtable control_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("ListDevices", "", "a" CONTROL_DEVICE, on_list_devices,
                      SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

static int on_disconnected(sd_bus_message *message, void *userdata, sd_bus_error *error _unused_)
{
        Control *control = userdata;

        g_ptr_array_remove_fast(control->connections, sd_bus_message_get_bus(message));
        return 0;
}

static void connection_free(void *bus)
{
        sd_bus_close_unref(bus);
}

static int connection_new(Control *control, int fd)
{
        _cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
        sd_id128_t id;
        int r;

        r = sd_bus_new(&bus);
        if (r < 0)
                return r;
        r = sd_bus_set_fd(bus, fd, fd);
        if (r < 0)
                return r;
        /* The bus owns the descriptor from here on. */
        fd = -1;
        r = sd_id128_randomize(&id);
        if (r >= 0)
                r = sd_bus_set_server(bus, true, id);
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r >= 0)
                r = sd_bus_attach_event(bus, control->event, SD_EVENT_PRIORITY_NORMAL);
        if (r >= 0)
                r = sd_bus_add_object_vtable(bus, NULL, CONTROL_PATH, CONTROL_NAME, control_vtable,
                                             control);
        if (r >= 0)
                r = sd_bus_match_signal_async(bus, NULL, "org.freedesktop.DBus.Local", NULL,
                                              "org.freedesktop.DBus.Local", "Disconnected",
                                              on_disconnected, NULL, control);
        if (r < 0)
                return r;
        g_ptr_array_add(control->connections, steal_pointer(bus));
        return 0;
}

static int on_connection(sd_event_source *source _unused_, int listener, uint32_t events _unused_,
                         void *userdata)
{
        Control *control = userdata;
        int fd, r;

        fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0)
                return 0;
        if (control->connections->len == CONNECTIONS_MAX) {
                close(fd);
                return 0;
        }
        r = connection_new(control, fd);
        if (r < 0)
                log_warning(NULL, "cannot serve a control connection: %s, ignoring", strerror(-r));
        return 0;
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
        if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
            listen(fd, CONNECTIONS_MAX) < 0)
                return -errno;
        return steal_fd(&fd);
}

int control_new(sd_event *event, int rundir, ControlList *list, void *userdata,
                Control **ret_control)
{
        Control *control;
        int fd, r;

        fd = socket_listen(rundir);
        if (fd < 0)
                return fd;

        control = g_new0(Control, 1);
        control->event = sd_event_ref(event);
        control->list = list;
        control->userdata = userdata;
        control->connections = g_ptr_array_new_with_free_func(connection_free);
        r = sd_event_add_io(event, &control->listener, fd, EPOLLIN, on_connection, control);
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
