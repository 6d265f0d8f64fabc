"""Listens with Moonshine base, as the bench of sound does: sound in (samples as u32, 16 bit at 8 kHz), a line of JSON out.

`listen.py MODELS`; the environment and the models are those that `cargo xtask bench quality` leaves behind."""

import json
import os
import struct
import sys

import numpy as np
from scipy.signal import resample_poly

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "quality", "score"))

from recognition import Moonshine  # noqa: E402


def main():
    model = Moonshine(sys.argv[1])
    while head := sys.stdin.buffer.read(4):
        (count,) = struct.unpack("<I", head)
        sound = np.frombuffer(sys.stdin.buffer.read(2 * count), "<i2").astype(np.float32) / 32768
        text = model.understands(resample_poly(sound, 2, 1))
        print(json.dumps({"text": text}), flush=True)


if __name__ == "__main__":
    main()
