"""What onnxruntime makes of silero's published model: `judge.py MODEL RATE > RATE.txt`, a probability for every 32 ms.

MODEL is `src/silero_vad/data/silero_vad.onnx` of the crate `silero-vad-rust` that Cargo.lock names. The sound is that of
`reference_voice` in `vad_silero.rs`, made of whole numbers so that both have the same. Needs numpy and onnxruntime."""

import sys

import numpy as np
import onnxruntime

# By rate: radius squared and twice the radius times the cosine of the angle, of two resonances, times 16384.
RESONANCES = {8000: [(15387, 29000), (14910, 11500)], 16000: [(15878, 31450), (15630, 25800)]}


def voice(rate):
    """Six seconds of pulses through two resonances, with pauses, and a little noise."""
    state, wait, past = 7, 0, [[0, 0], [0, 0]]
    for n in range(6 * rate):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        noise = (state >> 56) - 128
        part = n * 10 // rate
        says, source = part % 10 < 6, 0
        if wait == 0:
            wait = rate // (100 + 8 * (part % 7)) + (state >> 40) % 3
            source = 1800 if says else 0
        wait -= 1
        sound = noise // 8
        for memory, (square, twice), vowel in zip(past, RESONANCES[rate], [part % 3, part % 2]):
            out = source + (twice * memory[0] - square * memory[1] >> 14)
            memory[1], memory[0] = memory[0], out
            sound += out >> vowel
        yield max(-32768, min(32767, sound))


def main(model, rate):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    samples, context = rate * 32 // 1000, rate * 4 // 1000
    sound = np.fromiter(voice(rate), dtype=np.float32) / 32768
    sound = np.concatenate([np.zeros(context, dtype=np.float32), sound])
    state = np.zeros((2, 1, 128), dtype=np.float32)
    for start in range(0, len(sound) - context - samples + 1, samples):
        piece = sound[start : start + context + samples][None]
        out, state = session.run(None, {"input": piece, "state": state, "sr": np.array(rate, dtype=np.int64)})
        print(f"{out[0, 0]:.6f}")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
