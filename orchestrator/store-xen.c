/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/store.h"

#include <errno.h>
#include <glib.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <xen/io/xs_wire.h>

#include "common/parse.h"
#include "orchestrator/xenstore-wire.h"

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
#define NO_TRANSACTION 0U

struct Store {
        XenstoreWire *wire;
        StoreHandler *handler;
        void *userdata;
        uint16_t domid;
};

static void kind_path(DeviceKind kind, char ret_path[PATH_SIZE])
{
        snprintf(ret_path, PATH_SIZE, "backend/%s", device_kind_node(kind));
}

static void node_path(const DeviceName *name, const char *node, char ret_path[PATH_SIZE])
{
        snprintf(ret_path, PATH_SIZE, "backend/%s/%" PRIu16 "/%" PRIu32 "/%s",
                 device_kind_node(name->kind), name->domid, name->devid, node);
}

/*
 * Takes the answer to a READ. Bytes that no text has become control characters, which spec.c
 * refuses. Returns -ENOENT for a node that is not there, or that we may not see.
 */
static int answer_text(Store *store, char **ret_text)
{
        char *text;
        size_t size;
        int r;

        r = xenstore_wire_answer(store->wire, &text, &size);
        if (r < 0)
                return r == -EACCES ? -ENOENT : r;
        for (size_t i = 0; i < size; i++) {
                if (text[i] == '\0')
                        text[i] = '\1';
        }
        *ret_text = text;
        return 0;
}

static int read_text(Store *store, uint32_t transaction, const char *path, char **ret_text)
{
        xenstore_wire_request_text(store->wire, XS_READ, transaction, path);
        return answer_text(store, ret_text);
}

/* Our own number. A domain that cannot read it is an old dom0. */
static int read_domid(Store *store)
{
        g_autofree char *text = NULL;
        uint64_t domid = 0;
        int r;

        r = read_text(store, NO_TRANSACTION, "domid", &text);
        if (r < 0 && r != -ENOENT)
                return r;
        if (text && parse_unsigned(text, DOMID_RESERVED - 1, &domid) < 0)
                domid = 0;
        store->domid = (uint16_t)domid;
        return 0;
}

static int watch(Store *store, const char *path, const char *token)
{
        char payload[PATH_SIZE];
        int n = snprintf(payload, sizeof(payload), "%s%c%s", path, '\0', token);

        xenstore_wire_request(store->wire, XS_WATCH, NO_TRANSACTION, payload, (size_t)n + 1);
        return xenstore_wire_answer(store->wire, NULL, NULL);
}

static int watch_all(Store *store)
{
        int r;

        r = watch(store, WATCH_DOMAINS, TOKEN_DOMAINS);
        for (DeviceKind kind = 0; kind < _DEVICE_KIND_MAX && r >= 0; kind++) {
                char path[PATH_SIZE];

                kind_path(kind, path);
                r = watch(store, path, device_kind_node(kind));
        }
        return r;
}

int store_open(StoreHandler *handler, void *userdata, Store **ret_store)
{
        Store *store = g_new0(Store, 1);
        int r;

        store->handler = handler;
        store->userdata = userdata;
        r = xenstore_wire_open(&store->wire);
        if (r >= 0)
                r = read_domid(store);
        if (r >= 0)
                r = watch_all(store);
        if (r < 0) {
                store_close(store);
                return r;
        }

        *ret_store = store;
        return 0;
}

Store *store_close(Store *store)
{
        if (!store)
                return NULL;
        xenstore_wire_close(store->wire);
        g_free(store);
        return NULL;
}

uint16_t store_domid(const Store *store)
{
        return store->domid;
}

int store_fd(const Store *store)
{
        return xenstore_wire_fd(store->wire);
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

bool store_has_event(const Store *store)
{
        return xenstore_wire_has_event(store->wire);
}

int store_dispatch(Store *store)
{
        for (;;) {
                g_autofree char *path = NULL, *token = NULL;
                int r;

                r = xenstore_wire_event(store->wire, &path, &token);
                if (r <= 0)
                        return r;
                report(store, path, token);
        }
}

/* A folder's entries that are numbers up to max; a folder that is not there has none. */
static int list_numbers(Store *store, const char *path, uint64_t max, GArray *numbers)
{
        g_autofree char *entries = NULL;
        size_t size;
        int r;

        xenstore_wire_request_text(store->wire, XS_DIRECTORY, NO_TRANSACTION, path);
        r = xenstore_wire_answer(store->wire, &entries, &size);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        for (size_t i = 0; i < size; i += strlen(entries + i) + 1) {
                uint64_t number;

                if (parse_unsigned(entries + i, max, &number) == 0)
                        g_array_append_val(numbers, number);
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

/* Returns 0 and the transaction's number, or a negative errno. */
static int transaction_start(Store *store, uint32_t *ret_transaction)
{
        g_autofree char *text = NULL;
        uint64_t number;
        size_t size;
        int r;

        xenstore_wire_request_text(store->wire, XS_TRANSACTION_START, NO_TRANSACTION, "");
        r = xenstore_wire_answer(store->wire, &text, &size);
        if (r < 0)
                return r;
        if (parse_unsigned(text, UINT32_MAX, &number) < 0 || number == NO_TRANSACTION)
                return -EPROTO;
        *ret_transaction = (uint32_t)number;
        return 0;
}

/* Queues the end; its answer is -EAGAIN if others have changed what was read. */
static void transaction_end(Store *store, uint32_t transaction, bool commit)
{
        xenstore_wire_request_text(store->wire, XS_TRANSACTION_END, transaction,
                                   commit ? "T" : "F");
}

static void request_node(Store *store, uint32_t transaction, const DeviceName *name, Node node)
{
        char path[PATH_SIZE];

        if (node_is_domain(node))
                snprintf(path, sizeof(path), "/local/domain/%" PRIu16 "/%s", name->domid,
                         node_name(node));
        else
                node_path(name, node_name(node), path);
        xenstore_wire_request_text(store->wire, XS_READ, transaction, path);
}

/* All requests leave at once. Each one's answer is fetched, also after one that failed. */
static int read_once(Store *store, const DeviceName *name, NodeSet *nodes, bool *exists)
{
        g_autofree char *introduced = NULL;
        uint32_t transaction;
        char domid[8];
        size_t size;
        int r, result = 0;

        r = transaction_start(store, &transaction);
        if (r < 0)
                return r;
        for (Node node = 0; node < _NODE_MAX; node++)
                request_node(store, transaction, name, node);
        transaction_end(store, transaction, true);
        snprintf(domid, sizeof(domid), "%" PRIu16, name->domid);
        xenstore_wire_request_text(store->wire, XS_IS_DOMAIN_INTRODUCED, NO_TRANSACTION, domid);

        node_set_clear(nodes);
        for (Node node = 0; node < _NODE_MAX; node++) {
                r = answer_text(store, &nodes->values[node]);
                if (r < 0 && r != -ENOENT)
                        result = r;
        }
        r = xenstore_wire_answer(store->wire, NULL, NULL);
        if (r < 0 && result == 0)
                result = r;
        r = xenstore_wire_answer(store->wire, &introduced, &size);
        if (r < 0)
                return r;
        *exists = *introduced == 'T';
        return result;
}

int store_read(Store *store, const DeviceName *name, NodeSet *ret_nodes, bool *ret_domain_exists)
{
        int r = -EAGAIN;

        for (unsigned int i = 0; i < TRANSACTION_TRIES && r == -EAGAIN; i++)
                r = read_once(store, name, ret_nodes, ret_domain_exists);
        return r;
}

int store_domain_exists(Store *store, uint16_t domid, bool *ret_exists)
{
        g_autofree char *text = NULL;
        char number[8];
        size_t size;
        int r;

        snprintf(number, sizeof(number), "%" PRIu16, domid);
        xenstore_wire_request_text(store->wire, XS_IS_DOMAIN_INTRODUCED, NO_TRANSACTION, number);
        r = xenstore_wire_answer(store->wire, &text, &size);
        if (r < 0)
                return r;
        *ret_exists = *text == 'T';
        return 0;
}

/* What to write, into which node, and what the node "state" has to say for it. */
typedef struct Change {
        const char *node;
        const char *text;  /* NULL: remove the node */
        XenbusState state; /* XENBUS_UNKNOWN: anything, but it has to be there */
} Change;

/* Queues the change, and says whether it should be committed: 0 or the reason why not. */
static int change_request(Store *store, uint32_t transaction, const DeviceName *name,
                          const Change *change)
{
        g_autoptr(GByteArray) payload = g_byte_array_new();
        g_autofree char *text = NULL;
        char path[PATH_SIZE];
        XenbusState state;
        int r;

        node_path(name, node_name(NODE_STATE), path);
        r = read_text(store, transaction, path, &text);
        if (r < 0)
                return r;
        if (change->state != XENBUS_UNKNOWN &&
            (xenbus_state_parse(text, &state) < 0 || state != change->state))
                return -ESTALE;

        node_path(name, change->node, path);
        g_byte_array_append(payload, (const guint8 *)path, (guint)strlen(path) + 1);
        if (change->text)
                g_byte_array_append(payload, (const guint8 *)change->text,
                                    (guint)strlen(change->text));
        xenstore_wire_request(store->wire, change->text ? XS_WRITE : XS_RM, transaction,
                              payload->data, payload->len);
        r = xenstore_wire_answer(store->wire, NULL, NULL);
        /* A node that is to be removed may as well not be there. */
        return r == -ENOENT && !change->text ? 0 : r;
}

static int change_once(Store *store, const DeviceName *name, const Change *change)
{
        uint32_t transaction;
        int r, result;

        r = transaction_start(store, &transaction);
        if (r < 0)
                return r;
        result = change_request(store, transaction, name, change);
        transaction_end(store, transaction, result >= 0);
        r = xenstore_wire_answer(store->wire, NULL, NULL);
        return result < 0 ? result : r;
}

static int change_node(Store *store, const DeviceName *name, const Change *change)
{
        int r = -EAGAIN;

        for (unsigned int i = 0; i < TRANSACTION_TRIES && r == -EAGAIN; i++)
                r = change_once(store, name, change);
        return r;
}

int store_write_state(Store *store, const DeviceName *name, XenbusState from, XenbusState to)
{
        char text[16];

        snprintf(text, sizeof(text), "%u", (unsigned int)to);
        return change_node(store, name, &(Change){ node_name(NODE_STATE), text, from });
}

int store_write_error(Store *store, const DeviceName *name, const char *text)
{
        return change_node(store, name, &(Change){ "error", text, XENBUS_UNKNOWN });
}
