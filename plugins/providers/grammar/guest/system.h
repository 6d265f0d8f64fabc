/* What the engine expects of an operating system, answered from memory. */
#pragma once
#include <stddef.h>

/* A file that the build handed over; NULL when there is none of that name. */
const char *system_file(const char *name, size_t *length);

/* Frees every handed-over file except `keep`, and wipes it, so that the snapshot does not carry it twice. */
void system_drop_files_except(const char *keep);

/* Keeps the engine's last warning; it is what an operator is told when a grammar is refused. */
void system_listen_to_engine(void);
const char *system_last_words(void);
void system_forget_words(void);
