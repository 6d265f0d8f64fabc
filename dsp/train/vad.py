"""Trains the network of the fused voice-activity detector (dsp/src/vad/fused.rs).

Speech comes from Debian packages, noises are made here, no audio is kept. None of the quality bench's talkers is among
the speech. The talkers of `CHOOSING` are not trained on; they choose the operating point.

    python3 -m venv venv && venv/bin/pip install numpy scipy soundfile torch
    apt-get install espeak-ng
    apt-get download tuxpaint-stamps-default klettres-data ktuberling-data asterisk-prompt-es-co \
        asterisk-prompt-fr-armelle asterisk-moh-opsound-wav    # and `dpkg -x` each into ROOT
    venv/bin/python dsp/train/vad.py set WORK ROOT             # mixes WORK/train/*.raw and WORK/test/*.raw
    TRUNKLINE_VAD_TRAIN=WORK/train cargo test --release -p trunkline-dsp --lib dump_features -- --ignored
    TRUNKLINE_VAD_TRAIN=WORK/test cargo test --release -p trunkline-dsp --lib dump_features -- --ignored
    venv/bin/python dsp/train/vad.py train WORK dsp/src/vad/weights.rs    # goes on from WORK/state-40.pt if it is there
    TRUNKLINE_VAD_TEST=WORK/test cargo test --release -p trunkline-dsp --test vad_quality -- --ignored --nocapture

The weights in the source: 900 updates from nothing, then 400, 600 and 330 that went on from there with longer windows,
the last two also with every third piece behind noise suppression: some ten minutes of one core. Quiet lines were only
among the pieces of the last run, as 400 of 3600. `CALIBRATION` in dsp/src/vad/net.rs is what `train` says at its end.
"""

import re
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

RATE, HOP = 8000, 80
# Never trained on: the operating point is chosen with these.
CHOOSING = ("prompt:", "tux:el", "ktu:el", "tux:bg", "kle:pt_BR", "espeak:it", "espeak:sv")
# Speech is within this of the active level; pauses of up to so many frames (the closures of stops) are speech.
ACTIVE_DB, GAP = 30.0, 10


# ---------------------------------------------------------------- speech


def sources(root):
    """(talker, file) of every recording."""
    for path in sorted(root.glob("usr/share/tuxpaint/**/*_desc*.ogg")):
        yield "tux:" + re.sub(r".*_desc_?", "", path.stem), path
    for name in ("klettres", "ktuberling/sounds"):
        for path in sorted((root / "usr/share" / name).glob("*/**/*.[ow][gp]*")):
            yield name[:3] + ":" + path.relative_to(root / "usr/share" / name).parts[0], path
    for path in sorted(root.glob("usr/share/asterisk/sounds/*/**/*.gsm")):
        yield "prompt:" + path.relative_to(root / "usr/share/asterisk/sounds").parts[0], path


def load(path):
    import soundfile
    from scipy.signal import resample_poly

    try:
        if path.suffix == ".gsm":
            audio, rate = soundfile.read(path, samplerate=8000, channels=1, format="RAW", subtype="GSM610")
        else:
            audio, rate = soundfile.read(path)
    except Exception:
        return None
    audio = audio if audio.ndim == 1 else audio.mean(axis=1)
    if not 0.25 < len(audio) / rate < 60:
        return None
    gcd = np.gcd(rate, RATE)
    audio = resample_poly(audio, RATE // gcd, rate // gcd) if rate != RATE else audio
    return usable(audio.astype(np.float32))


def levels(audio):
    frames = audio[: len(audio) // HOP * HOP].reshape(-1, HOP)
    return 10 * np.log10((frames.astype(np.float64) ** 2).mean(axis=1) + 1e-12)


def usable(audio):
    """The recording with its loudness settled, or nothing when its own background is loud."""
    level = levels(audio)
    if len(level) < 20:
        return None
    loud = active_db(level)
    if loud < -50 or np.percentile(level, 5) > loud - 30:
        return None
    # What is between the words of an older recording is taken out, or it would be noise called silence.
    sounds = np.convolve(level > loud - 33, np.ones(3), "same") > 0
    gain = np.convolve(np.repeat(np.where(sounds, 1.0, 0.03), HOP), np.ones(HOP) / HOP, "same")
    audio = audio[: len(gain)] * gain
    return (audio / 10 ** (loud / 20)).astype(np.float32)


def active_db(level):
    """Mean level of what is within 30 dB of the loud parts."""
    loud = np.percentile(level[level > -70], 95) if (level > -70).any() else -70.0
    return 10 * np.log10((10 ** (level[level > loud - 30] / 10)).mean())


TEXT = (
    "Alo, bona dia, me no parla. Si, no, tres, kuatro, sinko. Ankora una vise, per favore! Doman a la maniana, "
    "fina la stasion. Grasia mult, a revider. Sesanta siete, otto, nove. Kosa fate? Mi vole parlar kun le direktor."
)
ESPEAK = ["nl", "de", "es", "fr", "pl", "tr", "fi", "sv", "hu", "pt", "id", "sw", "cs", "it"]


def synthetic(work):
    """(talker, file) of what the synthesisers say."""
    made = []
    for index, language in enumerate(ESPEAK):
        for variant in ("m3", "f2", "m7", "f4"):
            path = work / f"espeak-{language}-{variant}.wav"
            subprocess.run(
                ["espeak-ng", "-v", f"{language}+{variant}", "-s", str(130 + 12 * (index % 5)), "-w", path, TEXT], check=True
            )
            made.append((f"espeak:{language}+{variant}", path))
    return made


def corpus(work, root):
    """Talker -> recordings, some hundred seconds each at most."""
    found = {}
    for talker, path in [*sources(root), *synthetic(work)]:
        found.setdefault(talker, []).append(path)
    rng = np.random.default_rng(1)
    jobs = []
    for talker, paths in sorted(found.items()):
        for index in rng.permutation(len(paths))[:200]:
            jobs.append((talker, paths[index]))
    talkers = {}
    with ProcessPoolExecutor(2) as pool:
        for (talker, _), audio in zip(jobs, pool.map(load, [path for _, path in jobs], chunksize=32)):
            if audio is not None:
                talkers.setdefault(talker, []).append(audio)
    return {talker: audio for talker, audio in talkers.items() if sum(map(len, audio)) > 8 * RATE}


# ---------------------------------------------------------------- noise


def shaped(rng, samples, gain):
    """Noise whose spectrum has this amplitude over frequency in Hz."""
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    hz = np.fft.rfftfreq(samples, 1 / RATE)
    return np.fft.irfft(spectrum * gain(hz), samples)


def pink(rng, samples, power=0.5):
    return shaped(rng, samples, lambda hz: 1 / np.maximum(hz, 20) ** power)


def car(rng, samples):
    corner, order = rng.uniform(80, 350), rng.uniform(1, 2.5)
    low = shaped(rng, samples, lambda hz: 1 / (1 + (hz / corner) ** 2) ** (order / 2) + 10 ** rng.uniform(-3, -1.5))
    engine = hum(rng, samples, rng.uniform(25, 70)) * rng.uniform(0, 0.6)
    return low / low.std() + engine


def hum(rng, samples, base=None):
    base = base or rng.choice([50.0, 60.0, 100.0, 120.0])
    t = np.arange(samples) / RATE
    out = sum(rng.uniform(0, 1) / k * np.sin(2 * np.pi * base * k * t + rng.uniform(0, 6)) for k in range(1, 16))
    return out / out.std()


def coloured(rng, samples):
    points = rng.uniform(-25, 0, 9)
    return shaped(rng, samples, lambda hz: 10 ** (np.interp(hz, np.linspace(0, 4000, 9), points) / 20))


def tilted(rng, samples):
    """Flat up to a corner, and falling or, rarely, rising from there."""
    corner, slope = 10 ** rng.uniform(1.7, 3.2), rng.choice([rng.uniform(0.2, 2.2), rng.uniform(-0.6, 0.2)], p=[0.85, 0.15])
    low = 10 ** rng.uniform(0.5, 2.3)
    out = shaped(rng, samples, lambda hz: (hz / (hz + low)) / (1 + hz / corner) ** slope)
    return out / out.std()


def wander(rng, samples, hertz):
    """A smooth random walk around zero with a deviation of 1."""
    points = max(4, int(samples / RATE * hertz * 2) + 3)
    at = np.arange(samples) * ((points - 1) / samples)
    values, n = rng.standard_normal(points), at.astype(int)
    blend = 0.5 - 0.5 * np.cos(np.pi * (at - n))
    return values[n] * (1 - blend) + values[np.minimum(n + 1, points - 1)] * blend


def bump(rng, length):
    """How a level rises and falls again, 0..1."""
    t = np.linspace(0, 1, length)
    top = rng.uniform(0.15, 0.85)
    return {
        0: lambda: np.exp(-0.5 * ((t - 0.5) / rng.uniform(0.12, 0.22)) ** 2),
        1: lambda: 0.5 - 0.5 * np.cos(2 * np.pi * t),
        2: lambda: np.minimum(t / top, (1 - t) / (1 - top)),
        3: lambda: 1 / (1 + ((t - top) / rng.uniform(0.05, 0.25)) ** 2) * np.minimum(1, 20 * np.minimum(t, 1 - t)),
    }[int(rng.integers(4))]()


def knock(rng):
    """Something struck: a burst, or a few dying resonances."""
    length = int(rng.uniform(0.03, 0.35) * RATE)
    t = np.arange(length) / RATE
    out = rng.standard_normal(length) * rng.uniform(0.2, 1)
    for _ in range(int(rng.integers(0, 4))):
        out += rng.uniform(0.5, 2) * np.sin(2 * np.pi * rng.uniform(60, 2500) * t + rng.uniform(0, 6))
    return out * np.exp(-t / 10 ** rng.uniform(-2.5, -1.2)) * np.minimum(1, t * rng.uniform(200, 4000))


def passing_hum(rng, length):
    """Harmonics whose pitch falls as their source goes by, in some noise."""
    base, drop = 10 ** rng.uniform(1.4, 2.4), rng.uniform(0.0, 0.25)
    t = np.linspace(-1, 1, length)
    phase = 2 * np.pi * np.cumsum(base * (1 - drop * np.tanh(t * rng.uniform(1, 5)))) / RATE
    out = sum(rng.uniform(0, 1) / k ** 0.7 * np.sin(k * phase + rng.uniform(0, 6)) for k in range(1, min(13, int(3800 / base) + 1)))
    return out / (out.std() + 1e-9) + rng.uniform(0.1, 1.5) * tilted(rng, length)


def moving(rng, samples):
    """A background that is never the same for long: what swells and passes, gusts, steps of the level, knocks."""
    floor = tilted(rng, samples) * 10 ** (rng.uniform(0, 6) * wander(rng, samples, 10 ** rng.uniform(-0.7, 0.5)) / 20)
    out = floor / floor.std()
    chances = rng.dirichlet([1.5, 0.8, 0.4, 0.9, 0.4])
    position = -rng.uniform(0, 3) * RATE
    every = rng.uniform(0.6, 5)
    while position < samples:
        kind = rng.choice(5, p=chances)
        peak = 10 ** (rng.uniform(5, 20) / 20)
        begin = max(0, int(position))
        length = int(10 ** rng.uniform(-0.5, 0.75) * RATE)
        if kind == 3:
            event = knock(rng) * peak * rng.uniform(0.5, 2)
        elif kind == 2:
            event = tilted(rng, samples - begin) * peak / 2 * np.minimum(1, np.arange(samples - begin) / rng.uniform(10, 4000))
            event *= rng.uniform(0.3, 1)
        else:
            sound = passing_hum(rng, length) if kind == 4 else tilted(rng, length)
            event = sound * peak * bump(rng, length)
            if kind == 1:
                event *= 10 ** (rng.uniform(1, 6) * wander(rng, length, rng.uniform(1, 8)) / 20)
        event = event[: samples - begin]
        out[begin : begin + len(event)] += event
        position += rng.exponential(every if kind != 3 else every / 3) * RATE
    return out


def fluttering(rng, samples):
    rate = rng.uniform(0.5, 12)
    t = np.arange(samples) / RATE
    depth = rng.uniform(0.3, 0.95)
    return coloured(rng, samples) * (1 + depth * np.sin(2 * np.pi * rate * t + rng.uniform(0, 6)))


def clicks(rng, samples):
    out = 0.02 * rng.standard_normal(samples)
    position = 0
    while position < samples - 400:
        length = int(rng.integers(20, 300))
        burst = rng.standard_normal(length) * np.exp(-np.arange(length) / rng.uniform(5, 60))
        out[position : position + length] += burst * rng.uniform(0.3, 1)
        position += int(rng.exponential(RATE * rng.uniform(0.08, 0.5))) + 300
    return out


def steps(rng, samples):
    out = coloured(rng, samples)
    out /= out.std()
    gain = np.ones(samples)
    for _ in range(3):
        gain[rng.integers(0, samples) :] *= 10 ** (rng.uniform(-15, 15) / 20)
    return out * gain


def babble(rng, samples, talkers, voices=None):
    voices = voices or int(rng.integers(3, 16))
    out = np.zeros(samples)
    names = list(talkers)
    for _ in range(voices):
        recordings, stream = talkers[names[rng.integers(len(names))]], []
        while sum(map(len, stream)) < samples + RATE:
            audio = recordings[rng.integers(len(recordings))]
            stream += [audio, np.zeros(int(rng.uniform(0, 0.4) * RATE), np.float32)]
        stream = np.concatenate(stream)
        start = int(rng.integers(0, len(stream) - samples))
        out += stream[start : start + samples] * 10 ** (rng.uniform(-4, 4) / 20)
    return out


def excerpt(rng, samples, recordings):
    out = []
    while sum(map(len, out)) < samples:
        audio = recordings[rng.integers(len(recordings))]
        start = int(rng.integers(0, max(1, len(audio) - samples)))
        out += [audio[start : start + samples], np.zeros(int(rng.exponential(0.5) * RATE))]
    return np.concatenate(out)[:samples]


def load_any(path):
    import soundfile
    from scipy.signal import resample_poly

    audio, rate = soundfile.read(path, frames=60 * 48000)
    audio = audio if audio.ndim == 1 else audio.mean(axis=1)
    gcd = np.gcd(rate, RATE)
    audio = resample_poly(audio, RATE // gcd, rate // gcd)
    return audio / (audio.std() + 1e-9)


# ---------------------------------------------------------------- mixtures


def passage(rng, talkers, samples, gap_s, alter=False):
    """One talker saying things with pauses of up to `gap_s`, and which 10 ms hold speech."""
    people = [name for name in talkers if not name.startswith("espeak")]
    names = people if people and rng.random() < 0.75 else list(talkers)
    recordings = talkers[names[rng.integers(len(names))]]
    if alter:
        state = int(rng.integers(1 << 30))
        recordings = [another(np.random.default_rng(state), recordings[n]) for n in rng.integers(0, len(recordings), 12)]
    out, position = np.zeros(samples, np.float32), int(rng.uniform(0.3, 2.0) * RATE)
    while position < samples:
        audio = recordings[rng.integers(len(recordings))]
        audio = audio[: samples - position]
        out[position : position + len(audio)] += audio
        position += len(audio) + int(rng.uniform(0.05, gap_s) * RATE)
    level = levels(out)
    speech = level > active_db(level) - ACTIVE_DB
    edges = np.flatnonzero(np.diff(speech.astype(int)))
    for end, begin in zip(edges[:-1], edges[1:]):
        if speech[end] and begin - end <= GAP:
            speech[end + 1 : begin + 1] = True
    return out, speech.astype(np.float32)


def mulaw(pcm):
    x = np.clip(pcm, -32635, 32635).astype(np.int32)
    magnitude = np.abs(x) + 132
    exponent = np.floor(np.log2(magnitude)).astype(np.int32) - 7
    mantissa = (magnitude >> (exponent + 3)) & 15
    out = (((mantissa << 3) + 132) << exponent) - 132
    return np.where(x < 0, -out, out).astype(np.int16)


def mix(rng, speech, noise, snr_db, level_dbfs):
    """As 16 bits, mostly through mu-law, over the floor of a quiet line: speech is of RMS 1 while active."""
    out = speech + (0 if noise is None else noise / (noise.std() + 1e-9) * 10 ** (-snr_db / 20))
    out = out * 32768 * 10 ** (level_dbfs / 20)
    out = out + rng.standard_normal(len(out)) * 32768 * 10 ** (rng.uniform(-85, -66) / 20)
    pcm = np.clip(np.round(out), -32768, 32767).astype(np.int16)
    return mulaw(pcm) if rng.random() < 0.6 else pcm


def another(rng, audio):
    """The same words from a longer or shorter throat, and a darker or brighter one."""
    from scipy.signal import lfilter, resample_poly

    if rng.random() < 0.6:
        audio = resample_poly(audio, int(rng.integers(17, 25)), 20)
    if rng.random() < 0.6:
        audio = lfilter([1, rng.uniform(-0.6, 0.6)], [1], audio)
    level = levels(audio)
    return (audio / 10 ** (active_db(level) / 20)).astype(np.float32) if len(level) and (level > -70).any() else audio


def telephone(rng, audio):
    from scipy.signal import butter, lfilter

    if rng.random() < 0.5:
        return audio
    b, a = butter(2, [rng.uniform(80, 320), rng.uniform(3000, 3800)], "bandpass", fs=RATE)
    return lfilter(b, a, audio).astype(np.float32)


def train_piece(seed):
    rng = np.random.default_rng(seed)
    samples = 12 * RATE
    # A quiet line on which little is said: what follows a word must be silence again.
    quiet = rng.random() < 0.11
    gap_s = rng.uniform(1, 8) if quiet else rng.choice([0.3, 1.0, 1.5, 3.0])
    speech, label = passage(rng, G["train"], samples, gap_s, alter=True)
    if rng.random() < 0.04:
        speech, label = speech * 0, label * 0
    kinds = {
        "babble": (0.25, lambda: babble(rng, samples, G["train"])),
        "moving": (0.24, lambda: moving(rng, samples)),
        "white": (0.06, lambda: rng.standard_normal(samples)),
        "pink": (0.06, lambda: pink(rng, samples, rng.uniform(0.35, 0.65))),
        "car": (0.10, lambda: car(rng, samples)),
        "tilted": (0.05, lambda: tilted(rng, samples)),
        "coloured": (0.05, lambda: coloured(rng, samples)),
        "flutter": (0.02, lambda: fluttering(rng, samples)),
        "steps": (0.02, lambda: steps(rng, samples)),
        "hum": (0.01, lambda: hum(rng, samples) + 0.1 * rng.standard_normal(samples)),
        "clicks": (0.02, lambda: clicks(rng, samples)),
        "music": (0.04, lambda: excerpt(rng, samples, G["music"])),
        "effect": (0.02, lambda: excerpt(rng, samples, G["effect"])),
        "none": (0.06, lambda: None),
    }
    kind = rng.choice(list(kinds), p=[share for share, _ in kinds.values()])
    if quiet:
        kind = rng.choice(["white", "tilted"])
    noise = kinds[kind][1]()
    if noise is not None and rng.random() < 0.5:
        noise = noise / (noise.std() + 1e-9) + rng.standard_normal(samples) * 10 ** rng.uniform(-3, -1)
    level = rng.uniform(-36, -12)
    # Speech below a babble is nobody's foreground.
    low, high = (1, 15) if kind == "babble" else (-3, 12)
    snr = rng.choice([rng.uniform(low, high), rng.uniform(5, 30)], p=[0.8, 0.2])
    snr = rng.uniform(20, 60) if quiet else snr
    audio = telephone(rng, speech)
    pcm = mix(rng, audio, noise, snr, level)
    (G["work"] / "train" / f"{seed:05}.raw").write_bytes(pcm.tobytes())
    (G["work"] / "train" / f"{seed:05}.label").write_bytes(label.astype(np.uint8).tobytes())


def test_set(work, choosing):
    """Talkers that were not trained on in every noise at 0, 5 and 10 dB; babble is of the others of them."""
    (work / "test").mkdir(exist_ok=True)
    for person in ("prompt:es", "prompt:fr", "tux:el", "tux:bg", "ktu:el", "espeak:it", "espeak:sv"):
        language = person.partition(":")[2]
        names = [name for name in choosing if name.startswith(person)]
        for noise_name in ("clean", "white", "pink", "car", "babble", "moving"):
            for snr in (99,) if noise_name == "clean" else (0, 5, 10):
                rng = np.random.default_rng([ord(c) for c in person + noise_name] + [snr])
                samples = 40 * RATE
                speech, label = passage(rng, {n: choosing[n] for n in names}, samples, 1.5)
                others = {n: a for n, a in choosing.items() if language not in n.partition(":")[2]}
                noise = {
                    "clean": lambda: None,
                    "white": lambda: rng.standard_normal(samples),
                    "pink": lambda: pink(rng, samples),
                    "car": lambda: car(rng, samples),
                    "babble": lambda: babble(rng, samples, others, 8),
                    "moving": lambda: moving(rng, samples),
                }[noise_name]()
                stem = work / "test" / f"{noise_name}-{snr:02}-{person.replace(':', '')}"
                stem.with_suffix(".raw").write_bytes(mix(rng, speech, noise, snr, -22.0).tobytes())
                stem.with_suffix(".label").write_bytes(label.astype(np.uint8).tobytes())


G = {}


def make_set(work, root, count):
    work.mkdir(exist_ok=True)
    cache = work / "corpus.npy"
    if not cache.exists():
        np.save(cache, corpus(work, root), allow_pickle=True)
    talkers = np.load(cache, allow_pickle=True).item()
    choosing = {name: audio for name, audio in talkers.items() if name.startswith(CHOOSING)}
    train = {name: audio for name, audio in talkers.items() if name not in choosing}
    for name, audio in sorted(talkers.items()):
        print(f"{name:28} {sum(map(len, audio)) / RATE:7.0f} s", "for choosing" if name in choosing else "")
    music = [load_any(p) for p in sorted(root.glob("usr/share/asterisk/moh/*.wav"))]
    effects = [p for p in root.glob("usr/share/tuxpaint/**/*.ogg") if not re.search(r"_desc|_[a-z]{2}(_[A-Z]{2})?$|alphabet|math|symbols", str(p.with_suffix("")))]
    effects = [a for a in map(load_any, sorted(effects)) if len(a) > RATE // 4]
    G.update(work=work, train=train, music=music, effect=effects)
    (work / "train").mkdir(exist_ok=True)
    test_set(work, choosing)
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(train_piece, range(count), chunksize=16))


# ---------------------------------------------------------------- training


def read(directory, features, suppressed_of=1):
    """Pieces as they are, and every so many of them behind noise suppression as well."""
    out = []
    for kind in ("features", "suppressed"):
        for path in sorted(directory.glob(f"*.{kind}")):
            if kind == "features" or suppressed_of == 1 or int(path.stem) % suppressed_of == 0:
                x = np.fromfile(path, np.float32).reshape(-1, features)
                y = np.fromfile(path.with_suffix(".label"), np.uint8).astype(np.float32)[: len(x)]
                out.append((path.stem + ("-" if kind == "features" else "-suppressed"), x, y))
    return out


def collar(y, frames=2):
    """Frames further than this from every change of the label."""
    import torch

    keep = np.ones_like(y, bool)
    for at in np.flatnonzero(np.diff(y)):
        keep[max(0, at - frames + 1) : at + frames + 1] = False
    return torch.from_numpy(keep)


def train(work, out, updates=900, width=40):
    import time

    import torch
    from torch import nn

    torch.manual_seed(1)
    torch.set_num_threads(1)
    features = 42
    data, test = read(work / "train", features, 3), read(work / "test", features)
    x = torch.from_numpy(np.stack([x for _, x, _ in data]))
    y = torch.from_numpy(np.stack([y for _, _, y in data]))
    near = ~torch.stack([collar(row.numpy()) for row in y])
    share = y.mean().item()
    print(f"{len(data)} pieces, speech {share:.2f}", flush=True)
    # Both classes weigh the same, so that 0.5 is where misses and false alarms cost the same.
    weight = torch.where(y > 0.5, 0.5 / share, 0.5 / (1 - share)) * torch.where(near, 0.4, 1.0)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.dense, self.gru, self.out = nn.Linear(features, width), nn.GRU(width, width), nn.Linear(width, 1)

        def forward(self, x):
            hidden = torch.tanh(self.dense(x.transpose(0, 1)))
            return self.out(self.gru(hidden)[0]).squeeze(-1).transpose(0, 1)

    net, state = Net(), work / f"state-{width}.pt"
    fast = 3e-3 if state.exists() else 8e-3
    if state.exists():
        net.load_state_dict(torch.load(state))
    print("parameters", sum(p.numel() for p in net.parameters()))
    again = state.exists()
    optimiser = torch.optim.AdamW(net.parameters(), fast, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, fast, total_steps=updates + 1, pct_start=0.2)
    began, losses = time.time(), []
    batch, shortest, longest = (80, 400, 1000) if again else (128, 250, 500)
    for update in range(updates):
        # Nearly every window begins in the middle of a call, where the network remembers nothing yet.
        rows, length = torch.randperm(len(data))[:batch], int(torch.randint(shortest, longest, ()))
        first = int(torch.randint(0, x.shape[1] - length + 1, ())) if torch.rand(()) < 0.8 else 0
        piece = slice(first, first + length)
        seen, said, counts = x[rows, piece], y[rows, piece], weight[rows, piece]
        if again:
            # Half of the calls break off and go on as another, often where nobody speaks: whatever was heard is forgotten.
            cut, other = int(torch.randint(60, length - 150, ())), torch.randperm(len(data))[: batch // 2]
            start = torch.randint(0, x.shape[1] - length + cut, (len(other),))
            still = y[other].unfold(1, length - cut, 1).mean(2).argmin(1)
            start = torch.where(torch.rand(len(other)) < 0.6, still, start)
            at = start[:, None] + torch.arange(length - cut)
            half = len(other)
            seen[:half, cut:], said[:half, cut:] = x[other[:, None], at], y[other[:, None], at]
            counts[:half, cut:] = weight[other[:, None], at]
            counts[:half, cut : cut + 5] = 0
        odds = net(seen)
        loss = nn.functional.binary_cross_entropy_with_logits(odds, said, reduction="none")
        if again:
            # What cannot be heard is given up for what can: nearer to the error that is counted.
            loss = 0.4 * loss + (torch.sigmoid(odds) - said).abs()
        loss = (loss * counts).mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
        if update % 20 == 19:
            print(f"update {update + 1} loss {np.mean(losses[-20:]):.4f} {time.time() - began:.0f} s", flush=True)
        if update % 200 == 199 or update == updates - 1:
            report(net, test)
            export(net, out, width, features)
            torch.save(net.state_dict(), state)


def report(net, test):
    """Errors on the talkers for choosing, and what `CALIBRATION` in dsp/src/vad/net.rs should be."""
    import torch

    shifts, table = np.arange(-0.5, 1.51, 0.1), {}
    with torch.no_grad():
        for stem, x, y in test:
            odds = net(torch.from_numpy(x)[None])[0].numpy()
            keep = collar(y).numpy()
            noise, snr, _, behind = stem.split("-")
            table.setdefault((f"{noise} {behind}", snr), []).append((odds[keep & (y > 0.5)], odds[keep & (y < 0.5)]))
    curves = {}
    for key, rows in sorted(table.items()):
        speech, pause = (np.concatenate([row[n] for row in rows]) for n in (0, 1))
        curves[key] = np.array([(100 * (speech < shift).mean(), 100 * (pause >= shift).mean()) for shift in shifts])
    mean = np.mean([curve.mean(axis=1) for curve in curves.values()], axis=0)
    best = int(mean.argmin())
    for (noise, snr), curve in curves.items():
        miss, false = curve[best]
        print(f"  {noise:18} {snr} dB miss {miss:5.1f} false {false:5.1f} half total error {(miss + false) / 2:5.1f}")
    for behind in ("", "suppressed"):
        mean_of = np.mean([curve[best] for (noise, _), curve in curves.items() if noise.endswith(" " + behind)])
        print(f"  mean {behind or 'as it is'} {mean_of:.2f} %")
    print(f"  mean {mean[best]:.2f} % with a CALIBRATION of {shifts[best]:.1f};", " ".join(f"{m:.2f}" for m in mean), flush=True)


def export(net, out, width, features):
    """Weights as 8-bit integers with one scale per output."""

    def rows(name, matrix, bias):
        matrix, bias = matrix.detach().numpy(), bias.detach().numpy()
        scale = np.abs(matrix).max(axis=1) / 127 + 1e-12
        whole = np.round(matrix / scale[:, None]).astype(int)
        text = [f"pub(super) static {name}: Layer<{matrix.shape[1]}, {matrix.shape[0]}> = Layer {{\n    weights: ["]
        for column in whole.T:  # by input, so that the outputs of one input stand side by side
            line = "        ["
            for value in column:
                item = f"{value}, "
                if len(line) + len(item) > 118:
                    text.append(line.rstrip())
                    line = "         "
                line += item
            text.append(line.rstrip(", ") + "],")
        text.append("    ],")
        for field, values in (("scale", scale), ("bias", bias)):
            text.append(f"    {field}: [")
            line = "        "
            for value in values:
                item = f"{value:.7}, " if abs(value) >= 1e-4 else f"{value:.9f}, "
                item = item if "." in item or "e" in item else item.replace(",", ".0,")
                if len(line) + len(item) > 118:
                    text.append(line.rstrip())
                    line = "        "
                line += item
            text += [line.rstrip(), "    ],"]
        return "\n".join(text) + "\n};\n"

    g = net.gru
    body = "//! Weights of the fused detector's network: made by `dsp/train/vad.py`, not by hand.\n\nuse super::net::Layer;\n\n"
    body += f"/// Units of the recurrent layer.\npub(super) const WIDTH: usize = {width};\n\n#[rustfmt::skip]\n"
    body += "\n#[rustfmt::skip]\n".join(
        [rows("INPUT", net.dense.weight, net.dense.bias), rows("GATES", g.weight_ih_l0, g.bias_ih_l0),
         rows("RECURRENT", g.weight_hh_l0, g.bias_hh_l0), rows("OUTPUT", net.out.weight, net.out.bias)]
    )
    Path(out).write_text(body)


if __name__ == "__main__":
    if sys.argv[1] == "set":
        make_set(Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]) if len(sys.argv) > 4 else 3200)
    else:
        train(Path(sys.argv[2]), sys.argv[3], *map(int, sys.argv[4:]))
