/* Telephone sound has no frequencies above 4 kHz, the acoustic model was trained with them. */
#pragma once
#include <stddef.h>
#include <stdint.h>

enum { WIDEN_TAPS = 32, WIDEN_WINDOW = 80, WIDEN_HISTORY = 128 };

struct widen {
    int32_t history[WIDEN_HISTORY]; /* ring of samples at 8 kHz */
    uint32_t at;
    uint32_t noise;
    int64_t energy;
    int64_t slope;
};

void widen_reset(struct widen *w);

/* Turns `count` samples at 8 kHz into `2 * count` at 16 kHz, 5 ms later. */
void widen_run(struct widen *w, const int16_t *in, size_t count, int16_t *out);
