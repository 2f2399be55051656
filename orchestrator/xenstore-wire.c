/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/xenstore-wire.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <xen/io/xs_wire.h>

#define SOCKET_PATH "/run/xenstored/socket"
#define DEVICE_PATH "/dev/xen/xenbus"

#define READ_SIZE 4096

/* Events that nobody has fetched; a guest cannot make them, only a toolstack gone mad. */
#define EVENTS_MAX 65536

struct XenstoreWire {
        int fd;
        bool lost;
        GByteArray *out;
        GByteArray *in; /* what has come and is not yet a whole message */
        GQueue events;  /* of Event */
};

typedef struct Event {
        char *path;
        char *token;
} Event;

static void event_free(void *data)
{
        Event *event = data;

        g_free(event->path);
        g_free(event->token);
        g_free(event);
}

/* As libxenstore finds it: the tests' daemon is elsewhere. */
static int socket_connect(void)
{
        const char *path = g_getenv("XENSTORED_PATH"), *folder = g_getenv("XENSTORED_RUNDIR");
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        g_autofree char *made = NULL;
        _cleanup_fd_ int fd = -1;

        if (!path && folder)
                path = made = g_build_filename(folder, "socket", NULL);
        if (!path)
                path = SOCKET_PATH;
        if (g_strlcpy(address.sun_path, path, sizeof(address.sun_path)) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;
        if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
                return -errno;
        return steal_fd(&fd);
}

int xenstore_wire_open(XenstoreWire **ret_wire)
{
        XenstoreWire *wire;
        int fd;

        fd = socket_connect();
        if (fd < 0) {
                int r = fd;

                fd = open(DEVICE_PATH, O_RDWR | O_CLOEXEC);
                if (fd < 0)
                        return r;
        }
        wire = g_new0(XenstoreWire, 1);
        wire->fd = fd;
        wire->out = g_byte_array_new();
        wire->in = g_byte_array_new();
        g_queue_init(&wire->events);

        *ret_wire = wire;
        return 0;
}

XenstoreWire *xenstore_wire_close(XenstoreWire *wire)
{
        if (!wire)
                return NULL;
        fd_closep(&wire->fd);
        g_byte_array_unref(wire->out);
        g_byte_array_unref(wire->in);
        g_queue_clear_full(&wire->events, event_free);
        g_free(wire);
        return NULL;
}

int xenstore_wire_fd(const XenstoreWire *wire)
{
        return wire->fd;
}

bool xenstore_wire_has_event(const XenstoreWire *wire)
{
        return wire->events.length > 0;
}

void xenstore_wire_request(XenstoreWire *wire, uint32_t type, uint32_t transaction,
                           const void *payload, size_t size)
{
        struct xsd_sockmsg header = { .type = type, .tx_id = transaction, .len = (uint32_t)size };

        g_byte_array_append(wire->out, (const guint8 *)&header, sizeof(header));
        g_byte_array_append(wire->out, payload, (guint)size);
}

void xenstore_wire_request_text(XenstoreWire *wire, uint32_t type, uint32_t transaction,
                                const char *text)
{
        xenstore_wire_request(wire, type, transaction, text, strlen(text) + 1);
}

static int wire_lose(XenstoreWire *wire)
{
        wire->lost = true;
        return -ECONNRESET;
}

static int wire_flush(XenstoreWire *wire)
{
        while (wire->out->len > 0) {
                ssize_t n = write(wire->fd, wire->out->data, wire->out->len);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return wire_lose(wire);
                g_byte_array_remove_range(wire->out, 0, (guint)n);
        }
        return 0;
}

/* Reads what has come, at least something if it may wait. Returns 1, 0 for nothing, or negative. */
static int wire_fill(XenstoreWire *wire, bool wait)
{
        struct pollfd poller = { .fd = wire->fd, .events = POLLIN };
        guint8 buffer[READ_SIZE];
        ssize_t n;
        int r;

        do
                r = poll(&poller, 1, wait ? -1 : 0);
        while (r < 0 && errno == EINTR);
        if (r <= 0)
                return r < 0 ? wire_lose(wire) : 0;
        do
                n = read(wire->fd, buffer, sizeof(buffer));
        while (n < 0 && errno == EINTR);
        if (n <= 0)
                return wire_lose(wire);
        g_byte_array_append(wire->in, buffer, (guint)n);
        return 1;
}

/* Takes a whole message from what has come. Returns 1, 0 if there is none yet, or negative. */
static int wire_take(XenstoreWire *wire, struct xsd_sockmsg *ret_header, char **ret_text)
{
        struct xsd_sockmsg header;

        if (wire->in->len < sizeof(header))
                return 0;
        memcpy(&header, wire->in->data, sizeof(header));
        if (header.len > XENSTORE_PAYLOAD_MAX)
                return wire_lose(wire);
        if (wire->in->len < sizeof(header) + header.len)
                return 0;
        *ret_header = header;
        *ret_text = g_strndup("", header.len);
        memcpy(*ret_text, wire->in->data + sizeof(header), header.len);
        g_byte_array_remove_range(wire->in, 0, (guint)(sizeof(header) + header.len));
        return 1;
}

/* "path\0token\0" */
static int wire_queue_event(XenstoreWire *wire, const char *text, size_t size)
{
        size_t path_size = strlen(text) + 1;
        Event *event;

        if (path_size >= size || wire->events.length >= EVENTS_MAX)
                return wire_lose(wire);
        event = g_new0(Event, 1);
        event->path = g_strdup(text);
        event->token = g_strdup(text + path_size);
        g_queue_push_tail(&wire->events, event);
        return 0;
}

static int error_number(const char *text)
{
        for (size_t i = 0; i < ARRAY_SIZE(xsd_errors); i++) {
                if (strcmp(text, xsd_errors[i].errstring) == 0)
                        return -xsd_errors[i].errnum;
        }
        return -EIO;
}

/* The next message that is no event; events go to their queue. Returns as wire_take(). */
static int wire_next(XenstoreWire *wire, struct xsd_sockmsg *ret_header, char **ret_text)
{
        for (;;) {
                g_autofree char *text = NULL;
                int r;

                r = wire_take(wire, ret_header, &text);
                if (r <= 0)
                        return r;
                if (ret_header->type != XS_WATCH_EVENT) {
                        *ret_text = g_steal_pointer(&text);
                        return 1;
                }
                r = wire_queue_event(wire, text, ret_header->len);
                if (r < 0)
                        return r;
        }
}

int xenstore_wire_answer(XenstoreWire *wire, char **ret_text, size_t *ret_size)
{
        g_autofree char *text = NULL;
        struct xsd_sockmsg header;
        int r;

        if (wire->lost)
                return -ECONNRESET;
        r = wire_flush(wire);
        if (r < 0)
                return r;
        while ((r = wire_next(wire, &header, &text)) == 0) {
                r = wire_fill(wire, true);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;
        if (header.type == XS_ERROR)
                return error_number(text);
        if (ret_text) {
                *ret_text = g_steal_pointer(&text);
                *ret_size = header.len;
        }
        return 0;
}

int xenstore_wire_event(XenstoreWire *wire, char **ret_path, char **ret_token)
{
        g_autofree char *text = NULL;
        struct xsd_sockmsg header;
        Event *event;
        int r = 0;

        if (wire->lost)
                return -ECONNRESET;
        if (wire->events.length == 0)
                r = wire_fill(wire, false);
        if (r >= 0)
                r = wire_next(wire, &header, &text);
        /* An answer to no question. */
        if (r > 0)
                r = wire_lose(wire);
        if (r < 0)
                return r;

        event = g_queue_pop_head(&wire->events);
        if (!event)
                return 0;
        *ret_path = g_steal_pointer(&event->path);
        *ret_token = g_steal_pointer(&event->token);
        event_free(event);
        return 1;
}
