/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/store.h"

#include <errno.h>
#include <glib.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <xenstore.h>

#include "common/parse.h"

#define PATH_SIZE 128

/* How often a transaction that others got in the way of is tried again. */
#define TRANSACTION_TRIES 10

#define TOKEN_DOMAINS "domains"
#define WATCH_DOMAINS "@releaseDomain"

/*
 * libxenstore reads a connection that has watches in a thread of its own, which costs each request
 * two switches more. So watches have a connection to themselves, and requests are quick: a device
 * is claimed only after its nodes have been read one by one.
 */
struct Store {
        struct xs_handle *xs;      /* for requests */
        struct xs_handle *watches; /* for nothing else */
        StoreHandler *handler;
        void *userdata;
        uint16_t domid;
};

/* libxenstore reports a lost connection in many ways; none of them shall look like success. */
static int store_error(void)
{
        return errno > 0 ? -errno : -EIO;
}

static void kind_path(DeviceKind kind, char ret_path[PATH_SIZE])
{
        snprintf(ret_path, PATH_SIZE, "backend/%s", device_kind_node(kind));
}

static void node_path(const DeviceName *name, const char *node, char ret_path[PATH_SIZE])
{
        snprintf(ret_path, PATH_SIZE, "backend/%s/%" PRIu16 "/%" PRIu32 "/%s",
                 device_kind_node(name->kind), name->domid, name->devid, node);
}

/* Our own number. A domain that cannot read it is an old dom0. */
static uint16_t read_domid(struct xs_handle *xs)
{
        _cleanup_free_ char *text = xs_read(xs, XBT_NULL, "domid", NULL);
        uint64_t domid = 0;

        if (text && parse_unsigned(text, DOMID_RESERVED - 1, &domid) < 0)
                domid = 0;
        return (uint16_t)domid;
}

int store_open(StoreHandler *handler, void *userdata, Store **ret_store)
{
        Store *store = g_new0(Store, 1);

        store->handler = handler;
        store->userdata = userdata;
        store->xs = xs_open(0);
        if (store->xs)
                store->watches = xs_open(0);
        if (!store->watches || !xs_watch(store->watches, WATCH_DOMAINS, TOKEN_DOMAINS)) {
                int r = store_error();

                store_close(store);
                return r;
        }
        for (DeviceKind kind = 0; kind < _DEVICE_KIND_MAX; kind++) {
                char path[PATH_SIZE];

                kind_path(kind, path);
                if (!xs_watch(store->watches, path, device_kind_node(kind))) {
                        int r = store_error();

                        store_close(store);
                        return r;
                }
        }
        store->domid = read_domid(store->xs);

        *ret_store = store;
        return 0;
}

Store *store_close(Store *store)
{
        if (!store)
                return NULL;
        if (store->watches)
                xs_close(store->watches);
        if (store->xs)
                xs_close(store->xs);
        g_free(store);
        return NULL;
}

uint16_t store_domid(const Store *store)
{
        return store->domid;
}

int store_fd(const Store *store)
{
        return xs_fileno(store->watches);
}

/* "backend/KIND/DOMID/DEVID/…" → the device. */
static bool path_parse(const char *path, DeviceKind kind, DeviceName *ret_name)
{
        char prefix[PATH_SIZE], domid[6], devid[11];
        uint64_t domid_number, devid_number;

        kind_path(kind, prefix);
        if (!g_str_has_prefix(path, prefix))
                return false;
        if (sscanf(path + strlen(prefix), "/%5[0-9]/%10[0-9]", domid, devid) != 2)
                return false;
        if (parse_unsigned(domid, DOMID_RESERVED - 1, &domid_number) < 0 ||
            parse_unsigned(devid, UINT32_MAX, &devid_number) < 0)
                return false;

        *ret_name = (DeviceName){ (uint16_t)domid_number, kind, (uint32_t)devid_number };
        return true;
}

static void report(Store *store, const char *path, const char *token)
{
        DeviceName name;

        if (strcmp(token, TOKEN_DOMAINS) == 0) {
                store->handler(store->userdata, STORE_CHANGE_DOMAINS, NULL);
                return;
        }
        for (DeviceKind kind = 0; kind < _DEVICE_KIND_MAX; kind++) {
                if (strcmp(token, device_kind_node(kind)) == 0 && path_parse(path, kind, &name)) {
                        store->handler(store->userdata, STORE_CHANGE_DEVICE, &name);
                        return;
                }
        }
        store->handler(store->userdata, STORE_CHANGE_LIST, NULL);
}

int store_dispatch(Store *store)
{
        for (;;) {
                _cleanup_free_ char **event = xs_check_watch(store->watches);

                if (!event)
                        return errno == EAGAIN ? 0 : store_error();
                report(store, event[XS_WATCH_PATH], event[XS_WATCH_TOKEN]);
        }
}

/* A folder's entries that are numbers up to max; a folder that is not there has none. */
static int list_numbers(Store *store, const char *path, uint64_t max, GArray *ret_numbers)
{
        _cleanup_free_ char **entries = NULL;
        unsigned int n = 0;

        entries = xs_directory(store->xs, XBT_NULL, path, &n);
        if (!entries)
                return errno == ENOENT ? 0 : store_error();
        for (unsigned int i = 0; i < n; i++) {
                uint64_t number;

                if (parse_unsigned(entries[i], max, &number) == 0)
                        g_array_append_val(ret_numbers, number);
        }
        return 0;
}

static int list_kind(Store *store, DeviceKind kind, GArray *names)
{
        g_autoptr(GArray) domids = g_array_new(FALSE, FALSE, sizeof(uint64_t));
        char prefix[PATH_SIZE];
        int r;

        kind_path(kind, prefix);
        r = list_numbers(store, prefix, DOMID_RESERVED - 1, domids);
        for (unsigned int i = 0; i < domids->len && r >= 0; i++) {
                g_autoptr(GArray) devids = g_array_new(FALSE, FALSE, sizeof(uint64_t));
                uint64_t domid = g_array_index(domids, uint64_t, i);
                char path[PATH_SIZE + 32];

                snprintf(path, sizeof(path), "%s/%" PRIu64, prefix, domid);
                r = list_numbers(store, path, UINT32_MAX, devids);
                for (unsigned int j = 0; j < devids->len && names->len < STORE_DEVICES_MAX; j++) {
                        uint64_t devid = g_array_index(devids, uint64_t, j);
                        DeviceName name = { (uint16_t)domid, kind, (uint32_t)devid };

                        g_array_append_val(names, name);
                }
        }
        return r;
}

int store_list(Store *store, DeviceName **ret_names)
{
        g_autoptr(GArray) names = g_array_new(FALSE, FALSE, sizeof(DeviceName));
        unsigned int n;
        int r = 0;

        for (DeviceKind kind = 0; kind < _DEVICE_KIND_MAX && r >= 0; kind++)
                r = list_kind(store, kind, names);
        if (r < 0)
                return r;

        n = names->len;
        *ret_names = (DeviceName *)g_array_free(g_steal_pointer(&names), FALSE);
        return (int)n;
}

/* Reads a node as text. Bytes that no text has become control characters, which spec.c refuses. */
static int read_text(Store *store, xs_transaction_t transaction, const char *path, char **ret_text)
{
        unsigned int length;
        char *text;

        text = xs_read(store->xs, transaction, path, &length);
        if (!text)
                return errno == ENOENT || errno == EACCES ? -ENOENT : store_error();
        for (unsigned int i = 0; i < length; i++) {
                if (text[i] == '\0')
                        text[i] = '\1';
        }
        *ret_text = text;
        return 0;
}

/* What a transaction does; on a negative return it is given up. */
typedef int TransactionBody(Store *store, xs_transaction_t transaction, const DeviceName *name,
                            void *argument);

static int transact(Store *store, const DeviceName *name, TransactionBody *body, void *argument)
{
        for (unsigned int i = 0; i < TRANSACTION_TRIES; i++) {
                xs_transaction_t transaction = xs_transaction_start(store->xs);
                int r;

                if (transaction == XBT_NULL)
                        return store_error();
                r = body(store, transaction, name, argument);
                if (xs_transaction_end(store->xs, transaction, r < 0))
                        return r;
                if (r < 0)
                        return r;
                if (errno != EAGAIN)
                        return store_error();
        }
        return -EAGAIN;
}

static int read_body(Store *store, xs_transaction_t transaction, const DeviceName *name,
                     void *argument)
{
        NodeSet *nodes = argument;

        node_set_clear(nodes);
        for (Node node = 0; node < _NODE_MAX; node++) {
                char path[PATH_SIZE];
                int r;

                if (node_is_domain(node))
                        snprintf(path, sizeof(path), "/local/domain/%" PRIu16 "/%s", name->domid,
                                 node_name(node));
                else
                        node_path(name, node_name(node), path);
                r = read_text(store, transaction, path, &nodes->values[node]);
                if (r < 0 && r != -ENOENT)
                        return r;
        }
        return 0;
}

int store_read(Store *store, const DeviceName *name, NodeSet *ret_nodes)
{
        return transact(store, name, read_body, ret_nodes);
}

bool store_domain_exists(Store *store, uint16_t domid)
{
        return xs_is_domain_introduced(store->xs, domid);
}

typedef struct StateChange {
        XenbusState from, to;
} StateChange;

static int write_state_body(Store *store, xs_transaction_t transaction, const DeviceName *name,
                            void *argument)
{
        const StateChange *change = argument;
        _cleanup_free_ char *text = NULL;
        char path[PATH_SIZE], value[16];
        XenbusState state;
        int r;

        node_path(name, "state", path);
        r = read_text(store, transaction, path, &text);
        if (r < 0)
                return r;
        if (xenbus_state_parse(text, &state) < 0 || state != change->from)
                return -ESTALE;
        snprintf(value, sizeof(value), "%u", (unsigned int)change->to);
        if (!xs_write(store->xs, transaction, path, value, (unsigned int)strlen(value)))
                return store_error();
        return 0;
}

int store_write_state(Store *store, const DeviceName *name, XenbusState from, XenbusState to)
{
        return transact(store, name, write_state_body, &(StateChange){ from, to });
}

static int write_error_body(Store *store, xs_transaction_t transaction, const DeviceName *name,
                            void *argument)
{
        const char *text = argument;
        _cleanup_free_ char *state = NULL;
        char path[PATH_SIZE];
        int r;

        node_path(name, "state", path);
        r = read_text(store, transaction, path, &state);
        if (r < 0)
                return r;
        node_path(name, "error", path);
        if (!text) {
                if (!xs_rm(store->xs, transaction, path) && errno != ENOENT)
                        return store_error();
                return 0;
        }
        if (!xs_write(store->xs, transaction, path, text, (unsigned int)strlen(text)))
                return store_error();
        return 0;
}

int store_write_error(Store *store, const DeviceName *name, const char *text)
{
        return transact(store, name, write_error_body, (void *)text);
}
