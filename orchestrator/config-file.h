/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The syntax of our configuration files, and where everything in them stands. Pure.
 *
 *   # a comment: a line of its own
 *   [Section]
 *   Key=value          spaces around the key and the value do not count
 *
 * Stricter than GKeyFile, which knows no positions: a section or a key that comes twice is an
 * error, and there are no control characters.
 */

#include "orchestrator/position.h"

typedef struct ConfigEntry {
        char *key;   /* not empty */
        char *value; /* UTF-8 without control characters but tabs */
        Position key_at, value_at;
} ConfigEntry;

typedef struct ConfigSection {
        char *name;
        Position at;        /* of the name */
        GPtrArray *entries; /* of ConfigEntry, in the file's order */
} ConfigSection;

typedef struct ConfigFile {
        char *path;          /* for messages */
        GPtrArray *sections; /* of ConfigSection, in the file's order */
} ConfigFile;

/*
 * Reads the text of the file. Returns 0, or -EINVAL with one sentence in *ret_message that begins
 * with FILE:LINE:COLUMN. The caller owns both.
 */
int config_file_parse(const char *path, const char *text, gsize size, ConfigFile **ret_file,
                      char **ret_message) _warn_unused_;

ConfigFile *config_file_free(ConfigFile *file);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ConfigFile, config_file_free)

/* NULL if there is none. */
const ConfigSection *config_file_find(const ConfigFile *file, const char *section);
const ConfigEntry *config_section_find(const ConfigSection *section, const char *key);
