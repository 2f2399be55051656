/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The run-time drop-in of a unit: what the template cannot know. Of a backend that is the command,
 * and its exceptions from the sandbox.
 *
 * systemd reads it when it loads the unit, without daemon-reload: before it loads any unit it
 * compares the modification times of its unit folders with those it remembers, to the microsecond
 * (lookup_paths_timestamp_hash_same(), src/shared/unit-file.c, 252 and 257). A new drop-in folder
 * changes the time of the unit folder it is in; but the kernel's time stamps advance only with each
 * tick, so two folders made in one tick would look like one. dropin_write() sets the time itself.
 */

#include <glib.h>

#include "common/macros.h"

/* Where systemd looks for run-time units. */
#define DROPIN_UNIT_DIRECTORY "/run/systemd/system"

typedef enum DropinKey {
        DROPIN_COMMAND,     /* the program and its arguments */
        DROPIN_ENVIRONMENT, /* NAME=value */
        DROPIN_READ_WRITE_PATH,
        DROPIN_READ_ONLY_PATH,
        DROPIN_READ_WRITE_DEVICE, /* path of a device node */
        DROPIN_READ_ONLY_DEVICE,
        DROPIN_LINE, /* KEY=VALUE in systemd's syntax, which stays as it is */
        _DROPIN_KEY_MAX,
} DropinKey;

/* Words as the program shall see them: UTF-8 without line breaks. */
typedef struct Dropin {
        GPtrArray *words[_DROPIN_KEY_MAX];
} Dropin;

void dropin_init(Dropin *dropin);
void dropin_clear(Dropin *dropin);

/* Adds a word, and takes it over: it is freed with g_free(). */
void dropin_add(Dropin *dropin, DropinKey key, char *word);

/* A word in systemd's syntax (systemd.syntax(7)): quoted, and percent signs are doubled. */
void dropin_append_quoted(GString *out, const char *word);

/*
 * The text for a backend. Nothing in the words but lines is taken for systemd's syntax. The caller
 * frees it.
 */
char *dropin_format(const Dropin *dropin);

/*
 * Writes the drop-in of the unit in the unit folder dirfd, unless it is there with the same text.
 * Returns 0 or a negative errno.
 */
int dropin_write(int dirfd, const char *unit, const char *text) _warn_unused_;

/* Whether the unit has a drop-in with this text. */
bool dropin_has(int dirfd, const char *unit, const char *text);

/* Removes it and its folder, if they are there. Returns 0 or a negative errno. */
int dropin_remove(int dirfd, const char *unit);
