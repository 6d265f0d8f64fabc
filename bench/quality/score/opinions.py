"""What listeners would say, as networks that were taught by listeners predict it without knowing the clean sound: DNSMOS
P.835 (speech, background, overall) of noise suppression, and PLCMOS of concealment. Both want 16 kHz, and were taught on
wide-band sound: what counts is the difference between engines, not the figure."""

import os

import numpy as np
from scipy.signal import resample_poly

import audio
from measures import row
from playout import METHODS, PERCENTS
from suppression import ENGINES

RATE = 16000
# DNSMOS judges 9.01 s; these begin after the engines have settled.
WINDOW = int(9.01 * RATE)
BEGINS = [4, 9, 14]
# From a network's outputs to opinions of P.835: the published fits, highest power first.
FITS = {
    "speech": [-0.08397278, 1.22083953, 0.0052439],
    "background": [-0.13166888, 1.60915514, -0.39604546],
    "overall": [-0.06766283, 1.11546468, 0.04602535],
}
# PLCMOS asks as many listeners, each a random vector; the same ones for every sound.
LISTENERS = np.random.default_rng(2023).standard_normal((5, 1, 64)).astype(np.float32)
CONCEALED = (4, 14)

_sessions = {}


def session(models, name):
    """A network, one for each process."""
    if name not in _sessions:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        _sessions[name] = onnxruntime.InferenceSession(os.path.join(models, name), options)
    return _sessions[name]


def jobs(models, corpus, run, narrow):
    """What is judged: everything that suppression and concealment made of 8 kHz."""
    found = []
    for entry in narrow:
        kind = "noisy" if entry["noise"] else "clean"
        found.append((models, "dns", ("heard", kind), os.path.join(corpus, entry["file"])))
        found += [(models, "dns", (engine, kind), os.path.join(run, "ns", engine, entry["file"])) for engine in ENGINES]
    for talker in dict.fromkeys(entry["talker"] for entry in narrow):
        for percent in PERCENTS:
            for method in METHODS:
                found.append((models, "plc", (method, percent), os.path.join(run, "plc", method, f"{talker}-{percent}-a.wav")))
    return found


def score(job):
    """One file."""
    models, what, key, path = job
    sound = np.clip(resample_poly(audio.read(path), 2, 1), -1, 1).astype(np.float32)
    return {"what": what, "key": key, "found": noise(models, sound) if what == "dns" else concealment(models, sound)}


def noise(models, sound):
    """Opinions of speech, background and all, 1 to 5."""
    raw = []
    for begin in BEGINS:
        part = sound[begin * RATE : begin * RATE + WINDOW]
        if len(part) == WINDOW:
            raw.append(session(models, "sig_bak_ovr.onnx").run(None, {"input_1": part[None]})[0][0])
    mean = lambda column, fit: float(np.mean([np.polyval(fit, one[column]) for one in raw]))
    return {name: mean(column, fit) for column, (name, fit) in enumerate(FITS.items())}


def concealment(models, sound):
    """Opinion of the sound, 1 to 5: from log powers of windows of 512, half of each in the next."""
    part = sound[CONCEALED[0] * RATE : CONCEALED[1] * RATE]
    padded = np.concatenate([np.zeros(256, np.float32), part, np.zeros(512, np.float32)])
    frames = np.lib.stride_tricks.sliding_window_view(padded, 512)[::256] * np.hamming(513)[:-1]
    power = np.abs(np.fft.rfft(frames)) ** 2
    floor = power[power > 0].min() if np.any(power > 0) else 1e-8
    features = (np.where(power > 0, np.log(np.maximum(power, 1e-37)), np.log(floor) - 12 * np.log(10)) / 20).astype(np.float32)
    network = session(models, "plcmos_v2.onnx")
    asked = [network.run(None, {"degraded_audio": features[None, None], "rater_embed": one}) for one in LISTENERS]
    return float(np.mean([np.ravel(answer[0])[0] for answer in asked]))


def rows(scores):
    """Rows for the result file."""
    out = []
    for engine in ["heard", *ENGINES]:
        for kind in ("noisy", "clean"):
            found = [s["found"] for s in scores if s["what"] == "dns" and tuple(s["key"]) == (engine, kind)]
            prefix = "clean_" if kind == "clean" else ""
            out += [row(f"ns.{engine}.{prefix}dnsmos_{name}", np.mean([one[name] for one in found]), "MOS") for name in FITS]
    for percent in PERCENTS:
        for method in METHODS:
            found = [s["found"] for s in scores if s["what"] == "plc" and tuple(s["key"]) == (method, percent)]
            out.append(row(f"plc.loss{percent}.{method}.plcmos", np.mean(found), "MOS"))
    return out
