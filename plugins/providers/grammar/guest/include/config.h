/* What PocketSphinx's own configure step would find out about this target. */
#define HAVE_LONG_LONG 1
#define HAVE_SNPRINTF 1
#define HAVE_SYS_TYPES_H 1
#define HAVE_INTTYPES_H 1
#define HAVE_STDINT_H 1
#define SIZEOF_LONG 4
#define SIZEOF_LONG_LONG 8
#define DEFAULT_RADIX 12
