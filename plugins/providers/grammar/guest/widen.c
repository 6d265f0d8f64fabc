/* Doubles the rate and puts something plausible above 4 kHz: the mirror image of what is below, loud where the
 * sound is a fricative (most of whose energy a telephone cuts off) and faint where it is a vowel. Without it the
 * "s" of "six" is silence to the model. A little noise keeps digital silence from looking like no sound at all. */
#include "widen.h"

#include <math.h>
#include <string.h>

/* Samples between the newest and the one being written out, so that both windows are centred on it. */
enum { DELAY = WIDEN_WINDOW / 2 };

/* The odd branch of a half-band low-pass: Hamming-windowed sinc at half-sample offsets, unity at 0 Hz. */
static float half_band[WIDEN_TAPS];

__attribute__((constructor)) static void design(void) {
    float sum = 0;
    for (int i = 0; i < WIDEN_TAPS; i++) {
        double x = i - WIDEN_TAPS / 2 + 0.5;
        double window = 0.54 + 0.46 * cos(M_PI * x / (WIDEN_TAPS / 2));
        half_band[i] = (float)(sin(M_PI * x) / (M_PI * x) * window);
        sum += half_band[i];
    }
    for (int i = 0; i < WIDEN_TAPS; i++)
        half_band[i] /= sum;
}

void widen_reset(struct widen *w) {
    memset(w, 0, sizeof *w);
    w->noise = 1;
}

static int32_t past(const struct widen *w, uint32_t ago) {
    return w->history[(w->at - ago) % WIDEN_HISTORY];
}

static int16_t clip(float x) {
    return (int16_t)(x > 32767 ? 32767 : x < -32768 ? -32768 : lrintf(x));
}

void widen_run(struct widen *w, const int16_t *in, size_t count, int16_t *out) {
    for (size_t i = 0; i < count; i++) {
        w->noise = w->noise * 1664525u + 1013904223u;
        int32_t sample = in[i] + (int32_t)(w->noise >> 24) % 15 - 7;
        w->at++;
        int64_t leaving = past(w, WIDEN_WINDOW);
        int64_t left = leaving - past(w, WIDEN_WINDOW + 1);
        int64_t entered = sample - past(w, 1);
        w->history[w->at % WIDEN_HISTORY] = sample;
        w->energy += (int64_t)sample * sample - leaving * leaving;
        w->slope += entered * entered - left * left;

        /* The energy of the first difference over the energy: near 0 for vowels, 2 for white noise, 4 at 4 kHz. */
        float tilt = (float)w->slope / (float)(w->energy + WIDEN_WINDOW) / 2;
        float gain = tilt * tilt * tilt;
        gain = gain < 0.3f ? 0.3f : gain > 3.0f ? 3.0f : gain;

        float even = (float)past(w, DELAY);
        float odd = 0;
        for (int t = 0; t < WIDEN_TAPS; t++)
            odd += half_band[t] * (float)past(w, DELAY - WIDEN_TAPS / 2 + (uint32_t)(WIDEN_TAPS - 1 - t));
        out[2 * i] = clip(even * (1 + gain));
        out[2 * i + 1] = clip(odd * (1 - gain));
    }
}
