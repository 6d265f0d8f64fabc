/* The part of the configuration that PocketSphinx's public headers see. */
#ifndef HAVE_STDINT_H
#define HAVE_STDINT_H 1
#endif
#ifndef HAVE_LONG_LONG
#define HAVE_LONG_LONG 1
#endif
#define SIZEOF_LONG 4
#define SIZEOF_LONG_LONG 8
#define DEFAULT_RADIX 12
