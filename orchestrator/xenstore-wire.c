/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/xenstore-wire.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <xen/io/xs_wire.h>

#define SOCKET_PATH "/run/xenstored/socket"
#define DEVICE_PATH "/dev/xen/xenbus"

#define READ_SIZE 16384

struct XenstoreWire {
        int fd;
        XenstoreEvent *event;
        void *userdata;
        GByteArray *out;
        GByteArray *in;   /* what has come and is not yet a whole message */
        GQueue questions; /* of Question: what is asked and not answered */
};

typedef struct Question {
        uint32_t type;
        XenstoreAnswer *answer;
        void *userdata;
} Question;

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
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
                return -errno;
        return steal_fd(&fd);
}

int xenstore_wire_open(XenstoreEvent *event, void *userdata, XenstoreWire **ret_wire)
{
        XenstoreWire *wire;
        int fd;

        fd = socket_connect();
        if (fd < 0) {
                int r = fd;

                fd = open(DEVICE_PATH, O_RDWR | O_CLOEXEC | O_NONBLOCK);
                if (fd < 0)
                        return r;
        }
        wire = g_new0(XenstoreWire, 1);
        wire->fd = fd;
        wire->event = event;
        wire->userdata = userdata;
        wire->out = g_byte_array_new();
        wire->in = g_byte_array_new();
        g_queue_init(&wire->questions);

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
        g_queue_clear_full(&wire->questions, g_free);
        g_free(wire);
        return NULL;
}

int xenstore_wire_fd(const XenstoreWire *wire)
{
        return wire->fd;
}

void xenstore_wire_request(XenstoreWire *wire, uint32_t type, uint32_t transaction,
                           const void *payload, size_t size, XenstoreAnswer *answer, void *userdata)
{
        struct xsd_sockmsg header = { .type = type, .tx_id = transaction, .len = (uint32_t)size };
        Question *question = g_new(Question, 1);

        *question = (Question){ type, answer, userdata };
        g_queue_push_tail(&wire->questions, question);
        g_byte_array_append(wire->out, (const guint8 *)&header, sizeof(header));
        g_byte_array_append(wire->out, payload, (guint)size);
}

void xenstore_wire_request_text(XenstoreWire *wire, uint32_t type, uint32_t transaction,
                                const char *text, XenstoreAnswer *answer, void *userdata)
{
        xenstore_wire_request(wire, type, transaction, text, strlen(text) + 1, answer, userdata);
}

int xenstore_wire_flush(XenstoreWire *wire)
{
        while (wire->out->len > 0) {
                ssize_t n = write(wire->fd, wire->out->data, wire->out->len);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno == EAGAIN)
                        return 1;
                if (n <= 0)
                        return -ECONNRESET;
                g_byte_array_remove_range(wire->out, 0, (guint)n);
        }
        return 0;
}

/* Reads once. Returns 0, also if nothing has come, or -ECONNRESET. */
static int wire_fill(XenstoreWire *wire)
{
        guint8 buffer[READ_SIZE];
        ssize_t n;

        do
                n = read(wire->fd, buffer, sizeof(buffer));
        while (n < 0 && errno == EINTR);
        if (n < 0 && errno == EAGAIN)
                return 0;
        if (n <= 0)
                return -ECONNRESET;
        g_byte_array_append(wire->in, buffer, (guint)n);
        return 0;
}

/* "path\0token\0" */
static int event_hand_over(const XenstoreWire *wire, const char *text, size_t size)
{
        size_t path_size = strlen(text) + 1;

        if (path_size >= size)
                return -ECONNRESET;
        wire->event(wire->userdata, text, text + path_size);
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

static int answer_hand_over(XenstoreWire *wire, uint32_t type, const char *text, size_t size)
{
        g_autofree Question *question = g_queue_pop_head(&wire->questions);
        bool is_error = type == XS_ERROR;

        /* An answer to no question, or to another one. */
        if (!question || (!is_error && type != question->type))
                return -ECONNRESET;
        return question->answer(question->userdata, is_error ? error_number(text) : 0, text, size);
}

/* Takes a message from what has come. Returns its size, 0 if it is not whole, or negative. */
static int wire_take(XenstoreWire *wire, size_t start)
{
        char text[XENSTORE_PAYLOAD_MAX + 1];
        struct xsd_sockmsg header;
        size_t left = wire->in->len - start;
        int r;

        if (left < sizeof(header))
                return 0;
        memcpy(&header, wire->in->data + start, sizeof(header));
        if (header.len > XENSTORE_PAYLOAD_MAX)
                return -ECONNRESET;
        if (left < sizeof(header) + header.len)
                return 0;
        memcpy(text, wire->in->data + start + sizeof(header), header.len);
        text[header.len] = '\0';
        if (header.type == XS_WATCH_EVENT)
                r = event_hand_over(wire, text, header.len);
        else
                r = answer_hand_over(wire, header.type, text, header.len);
        return r < 0 ? r : (int)(sizeof(header) + header.len);
}

int xenstore_wire_dispatch(XenstoreWire *wire)
{
        size_t taken = 0;
        int r;

        r = wire_fill(wire);
        while (r >= 0) {
                r = wire_take(wire, taken);
                if (r == 0)
                        break;
                if (r > 0)
                        taken += (size_t)r;
        }
        if (r < 0)
                return r;
        g_byte_array_remove_range(wire->in, 0, (guint)taken);
        return 0;
}
