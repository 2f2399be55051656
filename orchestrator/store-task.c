/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/store-task.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <xen/io/xs_wire.h>

#include "common/parse.h"
#include "orchestrator/store-path.h"
#include "orchestrator/store.h"

/* How often a transaction that others got in the way of is tried again at once. */
#define TRANSACTION_TRIES 10

#define NO_TRANSACTION 0U

StoreTask *store_task_new(StoreTaskKind kind, const DeviceName *name)
{
        StoreTask *task = g_new0(StoreTask, 1);

        task->kind = kind;
        task->name = *name;
        task->names = g_array_new(FALSE, FALSE, sizeof(DeviceName));
        task->folders = g_array_new(FALSE, FALSE, sizeof(DeviceName));
        return task;
}

StoreTask *store_task_free(StoreTask *task)
{
        if (!task)
                return NULL;
        node_set_clear(&task->nodes);
        g_array_unref(task->names);
        g_array_unref(task->folders);
        g_free(task->vm);
        g_free(task->text);
        g_free(task);
        return NULL;
}

guint store_task_hash(const void *pointer)
{
        const StoreTask *task = pointer;

        return ((guint)task->kind * 31U + task->name.domid) * 31U + (guint)task->name.kind +
               task->name.devid * 31U;
}

gboolean store_task_equal(const void *a, const void *b)
{
        const StoreTask *one = a, *other = b;

        return one->kind == other->kind && device_name_equal(&one->name, &other->name);
}

void store_task_reset(StoreTask *task)
{
        node_set_clear(&task->nodes);
        g_array_set_size(task->names, 0);
        g_array_set_size(task->folders, 0);
        task->answered = false;
        task->n_awaited = task->n_folders = task->n_nodes = 0;
        task->result = 0;
}

static void task_try(StoreTask *task);

static void task_request(StoreTask *task, uint32_t type, uint32_t transaction, const char *text,
                         XenstoreAnswer *answer)
{
        task->n_awaited++;
        xenstore_wire_request_text(task->wire, type, transaction, text, answer, task);
}

/* The first failure is the task's. */
static void task_note(StoreTask *task, int result)
{
        if (result < 0 && task->result == 0)
                task->result = result;
}

/* An answer has come. Ends the task if it was the last one. */
static void task_settle(StoreTask *task)
{
        task->answered = true;
        task->n_awaited--;
        if (task->n_awaited > 0)
                return;
        if (task->result == -EAGAIN && task->n_tries < TRANSACTION_TRIES)
                task_try(task);
        else
                task->done(task->userdata, task, task->result);
}

/* Listing: the kinds' folders, then those of all guests in them. A folder that is not there is
 * empty. */

static int list_on_folder(void *userdata, int result, const char *text, size_t size);

static void list_request(StoreTask *task, DeviceKind kind, uint16_t domid)
{
        const DeviceName folder = { domid, kind, 0 };
        char path[STORE_PATH_MAX];

        if (domid == STORE_ALL_GUESTS)
                store_path_kind(kind, path);
        else
                store_path_guest(kind, domid, path);
        g_array_append_val(task->folders, folder);
        task_request(task, XS_DIRECTORY, NO_TRANSACTION, path, list_on_folder);
}

/* An entry of the folder: a guest's folder or a device's. */
static void list_add(StoreTask *task, const DeviceName *folder, uint64_t number)
{
        DeviceName name = *folder;

        if (folder->domid == STORE_ALL_GUESTS) {
                if (number < DOMID_RESERVED)
                        list_request(task, folder->kind, (uint16_t)number);
                return;
        }
        name.devid = (uint32_t)number;
        if (task->names->len < STORE_DEVICES_MAX)
                g_array_append_val(task->names, name);
}

/* Folders are answered in the order of asking. */
static int list_on_folder(void *userdata, int result, const char *text, size_t size)
{
        StoreTask *task = userdata;
        DeviceName folder = g_array_index(task->folders, DeviceName, task->n_folders);

        if (result < 0 && result != -ENOENT)
                return result;
        task->n_folders++;
        for (size_t i = 0; result >= 0 && i < size; i += strlen(text + i) + 1) {
                uint64_t number;

                if (parse_unsigned(text + i, UINT32_MAX, &number) == 0)
                        list_add(task, &folder, number);
        }
        task_settle(task);
        return 0;
}

/* Domains */

static int domain_on_answer(void *userdata, int result, const char *text, size_t size _unused_)
{
        StoreTask *task = userdata;

        if (result < 0)
                return result;
        task->exists = *text == 'T';
        task_settle(task);
        return 0;
}

static void domain_request(StoreTask *task)
{
        char number[8];

        snprintf(number, sizeof(number), "%" PRIu16, task->name.domid);
        task_request(task, XS_IS_DOMAIN_INTRODUCED, NO_TRANSACTION, number, domain_on_answer);
}

/* Transactions: the answer to the start has the number. */

static int transaction_begin(StoreTask *task, int result, const char *text)
{
        uint64_t number;

        if (result < 0)
                return result;
        if (parse_unsigned(text, UINT32_MAX, &number) < 0 || number == NO_TRANSACTION)
                return -EPROTO;
        task->transaction = (uint32_t)number;
        return 0;
}

/* -EAGAIN if others have changed what was read. */
static int transaction_on_end(void *userdata, int result, const char *text _unused_,
                              size_t size _unused_)
{
        StoreTask *task = userdata;

        if (result < 0 && result != -EAGAIN && task->kind == STORE_TASK_READ)
                return result;
        task_note(task, result);
        task_settle(task);
        return 0;
}

static void transaction_end(StoreTask *task, bool commit)
{
        task_request(task, XS_TRANSACTION_END, task->transaction, commit ? "T" : "F",
                     transaction_on_end);
}

/* Reading */

/* Bytes that no text has become control characters, which spec.c refuses. */
static char *text_copy(const char *text, size_t size)
{
        char *copy = malloc(size + 1);

        if (!copy)
                return NULL;
        for (size_t i = 0; i < size; i++)
                copy[i] = text[i] == '\0' ? '\1' : text[i];
        copy[size] = '\0';
        return copy;
}

/* A node that is not there, or that we may not see, stays NULL. */
static int read_on_node(void *userdata, int result, const char *text, size_t size)
{
        StoreTask *task = userdata;
        char **value = &task->nodes.values[task->n_nodes];

        if (result < 0 && result != -ENOENT && result != -EACCES)
                return result;
        task->n_nodes++;
        if (result >= 0) {
                *value = text_copy(text, size);
                if (!*value)
                        return -ENOMEM;
        }
        task_settle(task);
        return 0;
}

/* All of these leave at once. */
static int read_on_start(void *userdata, int result, const char *text, size_t size _unused_)
{
        StoreTask *task = userdata;
        int r;

        r = transaction_begin(task, result, text);
        if (r < 0)
                return r;
        for (Node node = 0; node < _NODE_MAX; node++) {
                char path[STORE_PATH_MAX];

                store_path_node(&task->name, node, path);
                task_request(task, XS_READ, task->transaction, path, read_on_node);
        }
        transaction_end(task, true);
        domain_request(task);
        task_settle(task);
        return 0;
}

/* Writing */

static int write_on_written(void *userdata, int result, const char *text _unused_,
                            size_t size _unused_)
{
        StoreTask *task = userdata;

        /* A node that is to be removed may as well not be there. */
        if (result != -ENOENT || task->text || task->kind != STORE_TASK_ERROR)
                task_note(task, result);
        task_settle(task);
        return 0;
}

static void write_request(StoreTask *task)
{
        g_autoptr(GByteArray) payload = g_byte_array_new();
        g_autofree char *number = g_strdup_printf("%u", (unsigned int)task->to);
        const char *text = task->kind == STORE_TASK_STATE ? number : task->text;
        char path[STORE_PATH_MAX];

        store_path_device(&task->name,
                          node_name(task->kind == STORE_TASK_STATE ? NODE_STATE : NODE_ERROR),
                          path);
        g_byte_array_append(payload, (const guint8 *)path, (guint)strlen(path) + 1);
        if (text)
                g_byte_array_append(payload, (const guint8 *)text, (guint)strlen(text));
        task->n_awaited++;
        xenstore_wire_request(task->wire, text ? XS_WRITE : XS_RM, task->transaction, payload->data,
                              payload->len, write_on_written, task);
}

/* The nodes of the next guest with the number look the same. */
static int write_on_vm(void *userdata, int result, const char *text, size_t size)
{
        _cleanup_free_ char *vm = NULL;
        StoreTask *task = userdata;

        if (result < 0 && result != -ENOENT && result != -EACCES)
                return result;
        if (result >= 0) {
                vm = text_copy(text, size);
                if (!vm)
                        return -ENOMEM;
        }
        if (g_strcmp0(vm, task->vm) != 0)
                task_note(task, -ESTALE);
        task_settle(task);
        return 0;
}

/* The state as it is, and the guest, decide whether there is anything to write. */
static int write_on_state(void *userdata, int result, const char *text, size_t size _unused_)
{
        StoreTask *task = userdata;
        XenbusState state;

        if (result >= 0 && task->kind == STORE_TASK_STATE &&
            (xenbus_state_parse(text, &state) < 0 || state != task->from))
                result = -ESTALE;
        task_note(task, result);
        if (task->result >= 0)
                write_request(task);
        transaction_end(task, task->result >= 0);
        task_settle(task);
        return 0;
}

static int write_on_start(void *userdata, int result, const char *text, size_t size _unused_)
{
        StoreTask *task = userdata;
        char path[STORE_PATH_MAX];
        int r;

        r = transaction_begin(task, result, text);
        if (r < 0)
                return r;
        store_path_node(&task->name, NODE_DOMAIN_VM, path);
        task_request(task, XS_READ, task->transaction, path, write_on_vm);
        store_path_node(&task->name, NODE_STATE, path);
        task_request(task, XS_READ, task->transaction, path, write_on_state);
        task_settle(task);
        return 0;
}

static void task_try(StoreTask *task)
{
        store_task_reset(task);
        task->n_tries++;
        switch (task->kind) {
        case STORE_TASK_LIST:
                for (DeviceKind kind = 0; kind < _DEVICE_KIND_MAX; kind++)
                        list_request(task, kind, task->name.domid);
                break;
        case STORE_TASK_DOMAIN:
                domain_request(task);
                break;
        case STORE_TASK_READ:
                task_request(task, XS_TRANSACTION_START, NO_TRANSACTION, "", read_on_start);
                break;
        case STORE_TASK_STATE:
        case STORE_TASK_ERROR:
                task_request(task, XS_TRANSACTION_START, NO_TRANSACTION, "", write_on_start);
                break;
        }
}

void store_task_begin(StoreTask *task, XenstoreWire *wire, StoreTaskDone *done, void *userdata)
{
        task->wire = wire;
        task->done = done;
        task->userdata = userdata;
        task->n_tries = 0;
        task_try(task);
}
