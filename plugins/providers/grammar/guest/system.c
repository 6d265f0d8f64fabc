/* The engine reads its model with stdio and asks for clocks, environment and exits. In the sandbox there is no
 * operating system: files are those the build handed over, and everything else answers "no" or traps. With these
 * definitions linked first, nothing of the C library that would import WASI is linked at all. */
#include "system.h"

#include <errno.h>
#include <pocketsphinx.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wasi/api.h>

#include "util/mmio.h"
#include "util/profile.h"

enum { MAX_FILES = 16 };

struct file {
    char *name;
    char *data;
    size_t length;
};

static struct file files[MAX_FILES];
static int file_count;
static char last_words[256];

/* Called by the build before the snapshot, once per file; takes over both buffers. */
__attribute__((export_name("trunkline_model_file"))) void trunkline_model_file(char *name, size_t name_length,
                                                                               char *data, size_t length) {
    if (file_count == MAX_FILES)
        __builtin_trap();
    char *own = malloc(name_length + 1);
    memcpy(own, name, name_length);
    own[name_length] = '\0';
    free(name);
    files[file_count++] = (struct file){own, data, length};
}

__attribute__((export_name("trunkline_last_words"))) const char *system_last_words(void) {
    return last_words;
}

void system_forget_words(void) {
    last_words[0] = '\0';
}

static struct file *find(const char *name) {
    for (int i = 0; i < file_count; i++)
        if (strcmp(files[i].name, name) == 0)
            return &files[i];
    return NULL;
}

const char *system_file(const char *name, size_t *length) {
    struct file *file = find(name);
    if (file == NULL)
        return NULL;
    *length = file->length;
    return file->data;
}

void system_drop_files_except(const char *keep) {
    int kept = 0;
    for (int i = 0; i < file_count; i++) {
        if (strcmp(files[i].name, keep) == 0) {
            files[kept++] = files[i];
            continue;
        }
        memset(files[i].data, 0, files[i].length);
        free(files[i].data);
        free(files[i].name);
    }
    file_count = kept;
}

static void hear_engine(void *user, err_lvl_t level, const char *format, ...) {
    (void)user;
    (void)level;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(last_words, sizeof last_words, format, arguments);
    va_end(arguments);
}

void system_listen_to_engine(void) {
    err_set_loglevel(ERR_ERROR);
    err_set_callback(hear_engine, NULL);
}

/* Files. */

FILE *fopen(const char *restrict name, const char *restrict mode) {
    struct file *file = find(name);
    if (file == NULL || mode[0] != 'r') {
        errno = ENOENT;
        return NULL;
    }
    return fmemopen(file->data, file->length, "r");
}

struct mmio_file_s {
    void *data;
};

mmio_file_t *mmio_file_read(const char *name) {
    struct file *file = find(name);
    if (file == NULL)
        return NULL;
    mmio_file_t *mapped = malloc(sizeof *mapped);
    mapped->data = file->data;
    return mapped;
}

void *mmio_file_ptr(mmio_file_t *mapped) {
    return mapped->data;
}

void mmio_file_unmap(mmio_file_t *mapped) {
    free(mapped);
}

/* Clocks: the engine's own timers feed its logs only. */

void ptmr_init(ptmr_t *timer) {
    (void)timer;
}
void ptmr_start(ptmr_t *timer) {
    (void)timer;
}
void ptmr_stop(ptmr_t *timer) {
    (void)timer;
}
void ptmr_reset(ptmr_t *timer) {
    (void)timer;
}

/* Ends: a trap ends this session only, and the host names it. */

_Noreturn void longjmp(int *target, int value) {
    (void)target;
    (void)value;
    __builtin_trap();
}
_Noreturn void exit(int status) {
    (void)status;
    __builtin_trap();
}

/* The rest of the system interface: nothing is there. */

char *getenv(const char *name) {
    (void)name;
    return NULL;
}

__wasi_errno_t __wasi_fd_write(__wasi_fd_t fd, const __wasi_ciovec_t *iovs, size_t count, __wasi_size_t *written) {
    *written = 0;
    (void)fd;
    for (size_t i = 0; i < count; i++)
        *written += iovs[i].buf_len;
    return 0;
}
__wasi_errno_t __wasi_fd_read(__wasi_fd_t fd, const __wasi_iovec_t *iovs, size_t count, __wasi_size_t *read) {
    (void)fd;
    (void)iovs;
    (void)count;
    *read = 0;
    return __WASI_ERRNO_BADF;
}
__wasi_errno_t __wasi_fd_seek(__wasi_fd_t fd, __wasi_filedelta_t offset, __wasi_whence_t whence,
                              __wasi_filesize_t *position) {
    (void)fd;
    (void)offset;
    (void)whence;
    (void)position;
    return __WASI_ERRNO_BADF;
}
__wasi_errno_t __wasi_fd_close(__wasi_fd_t fd) {
    (void)fd;
    return 0;
}
__wasi_errno_t __wasi_fd_fdstat_get(__wasi_fd_t fd, __wasi_fdstat_t *stat) {
    (void)fd;
    (void)stat;
    return __WASI_ERRNO_BADF;
}
