/* The concealment and the wide-band decoder of Debian's spandsp, as a filter from standard input to standard output.
 *
 *   spandsp plc MASK   16-bit samples at 8 kHz in frames of 160; MASK is a file of '0' (lost) and '1' (came), one a
 *                      frame. A lost frame's samples are read and thrown away.
 *   spandsp g722       G.722 at 64 kbit/s to 16-bit samples at 16 kHz.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <spandsp.h>

enum { FRAME = 160 };

static int conceal(const char *mask_file) {
    FILE *mask = fopen(mask_file, "r");
    if (mask == NULL) {
        perror(mask_file);
        return 1;
    }
    plc_state_t plc;
    plc_init(&plc);
    int16_t frame[FRAME];
    while (fread(frame, sizeof frame[0], FRAME, stdin) == FRAME) {
        if (getc(mask) == '0')
            plc_fillin(&plc, frame, FRAME);
        else
            plc_rx(&plc, frame, FRAME);
        fwrite(frame, sizeof frame[0], FRAME, stdout);
    }
    fclose(mask);
    return 0;
}

static int wide_band(void) {
    g722_decode_state_t *decoder = g722_decode_init(NULL, 64000, 0);
    uint8_t coded[FRAME];
    int16_t sound[2 * FRAME];
    size_t length;
    while ((length = fread(coded, 1, FRAME, stdin)) > 0) {
        int samples = g722_decode(decoder, sound, coded, (int) length);
        fwrite(sound, sizeof sound[0], (size_t) samples, stdout);
    }
    g722_decode_free(decoder);
    return 0;
}

int main(int count, char **arguments) {
    if (count == 3 && strcmp(arguments[1], "plc") == 0)
        return conceal(arguments[2]);
    if (count == 2 && strcmp(arguments[1], "g722") == 0)
        return wide_band();
    fprintf(stderr, "usage: spandsp plc MASK | spandsp g722\n");
    return 2;
}
