"""Trains the network of the fused voice-activity detector (dsp/src/vad/fused.rs).

Speech comes from Debian packages, noises are made here, no audio is kept. The talkers that `HELD_OUT` names are never
trained on, neither as speech nor as babble; `set` puts them into the evaluation set instead.

    python3 -m venv venv && venv/bin/pip install numpy scipy soundfile torch
    apt-get install asterisk-core-sounds-{en,es,fr,it,ru}-wav espeak-ng flite
    apt-get download tuxpaint-stamps-default klettres-data ktuberling-data asterisk-prompt-es-co \
        asterisk-prompt-fr-armelle asterisk-moh-opsound-wav    # and `dpkg -x` each into ROOT
    venv/bin/python dsp/train/vad.py set WORK ROOT             # mixes WORK/train/*.raw and WORK/test/*.raw
    TRUNKLINE_VAD_TRAIN=WORK/train cargo test --release -p trunkline-dsp --lib dump_features -- --ignored
    TRUNKLINE_VAD_TRAIN=WORK/test cargo test --release -p trunkline-dsp --lib dump_features -- --ignored
    venv/bin/python dsp/train/vad.py train WORK dsp/src/vad/weights.rs    # goes on from WORK/state.pt if there is one
    TRUNKLINE_VAD_TEST=WORK/test cargo test --release -p trunkline-dsp --test vad_quality -- --ignored --nocapture

The weights in the source: 18 passes over 1280 pieces, some ten minutes of one core. Going on with more pieces did not
help other talkers. `CALIBRATION` in dsp/src/vad/net.rs was chosen on three of the held-out talkers (June, Carlo, rms).
"""

import re
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

RATE, HOP = 8000, 80
# All of Asterisk's talkers and all of flite's are held out, for the quality bench speaks with them.
HELD_OUT = ("ast:", "flite:")
# Speech is within this of the active level; pauses of up to so many frames (the closures of stops) are speech.
ACTIVE_DB, GAP = 30.0, 10


# ---------------------------------------------------------------- speech


def sources(root):
    """(talker, file) of every recording."""
    for path in sorted(Path("/usr/share/asterisk/sounds").glob("*/**/*.wav")):
        if "silence" not in path.parts:
            yield "ast:" + path.relative_to("/usr/share/asterisk/sounds").parts[0], path
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


TEXT = {
    "en": "Good morning, this is the reception of the hotel. How may I help you today? Please hold the line, "
    "I will put you through. My number is seven four two, nine one five, six eight three. Yes. No, thank you. "
    "Could you spell that for me? The train leaves at half past eight, from platform thirteen.",
    "xx": "Alo, bona dia, me no parla. Si, no, tres, kuatro, sinko. Ankora una vise, per favore! Doman a la maniana, "
    "fina la stasion. Grasia mult, a revider. Sesanta siete, otto, nove. Kosa fate? Mi vole parlar kun le direktor.",
}
ESPEAK = [
    ("en-gb-scotland", "en"), ("nl", "xx"), ("de", "xx"), ("es", "xx"), ("fr", "xx"), ("pl", "xx"), ("tr", "xx"),
    ("fi", "xx"), ("sv", "xx"), ("hu", "xx"), ("pt", "xx"), ("id", "xx"), ("sw", "xx"), ("cs", "xx"), ("it", "xx"),
]


def synthetic(work):
    """(talker, file) of what the synthesisers say."""
    made = []
    for index, (language, text) in enumerate(ESPEAK):
        for variant in ("m3", "f2", "m7", "f4"):
            path = work / f"espeak-{language}-{variant}.wav"
            subprocess.run(
                ["espeak-ng", "-v", f"{language}+{variant}", "-s", str(130 + 12 * (index % 5)), "-w", path, TEXT[text]], check=True
            )
            made.append((f"espeak:{language}+{variant}", path))
    for voice in ("kal", "awb", "slt", "rms"):
        for index, sentence in enumerate(re.split(r"(?<=[.?]) ", TEXT["en"])):
            path = work / f"flite-{voice}-{index}.wav"
            subprocess.run(["flite", "-voice", voice, "-t", sentence, "-o", path], check=True)
            made.append((f"flite:{voice}", path))
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


def street(rng, samples):
    """Traffic: coloured noise that swells and fades, with a little of everything."""
    base = pink(rng, samples, rng.uniform(0.3, 0.9))
    for _ in range(max(1, int(samples / RATE / 3))):
        middle, width = rng.uniform(0, samples), rng.uniform(0.4, 2.5) * RATE
        swell = np.exp(-0.5 * ((np.arange(samples) - middle) / width) ** 2)
        base = base / base.std() + coloured(rng, samples) * swell * rng.uniform(1, 8)
    return base


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
        out += stream[start : start + samples] * 10 ** (rng.uniform(-3, 3) / 20)
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


def passage(rng, talkers, samples, gap_s):
    """One talker saying things with pauses of up to `gap_s`, and which 10 ms hold speech."""
    names = [name for name in talkers if not name.startswith("espeak")] if rng.random() < 0.75 else list(talkers)
    recordings = talkers[names[rng.integers(len(names))]]
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
    """As 16 bits through mu-law: speech is of RMS 1 while active."""
    out = speech + (0 if noise is None else noise / (noise.std() + 1e-9) * 10 ** (-snr_db / 20))
    out = out * 32768 * 10 ** (level_dbfs / 20)
    return mulaw(np.clip(np.round(out), -32768, 32767).astype(np.int16))


def telephone(rng, audio):
    from scipy.signal import butter, lfilter

    if rng.random() < 0.5:
        return audio
    b, a = butter(2, [rng.uniform(80, 320), rng.uniform(3000, 3800)], "bandpass", fs=RATE)
    return lfilter(b, a, audio).astype(np.float32)


def train_piece(seed):
    rng = np.random.default_rng(seed)
    samples = 12 * RATE
    speech, label = passage(rng, G["train"], samples, rng.choice([0.3, 1.0, 3.0]))
    if rng.random() < 0.04:
        speech, label = speech * 0, label * 0
    kind = rng.choice(
        ["babble", "white", "pink", "car", "coloured", "flutter", "street", "steps", "hum", "clicks", "music", "effect", "none"],
        p=[0.28, 0.07, 0.11, 0.13, 0.10, 0.03, 0.06, 0.03, 0.02, 0.02, 0.05, 0.03, 0.07],
    )
    noise = {
        "babble": lambda: babble(rng, samples, G["train"]),
        "white": lambda: rng.standard_normal(samples),
        "pink": lambda: pink(rng, samples, rng.uniform(0.4, 0.65)),
        "car": lambda: car(rng, samples),
        "coloured": lambda: coloured(rng, samples),
        "flutter": lambda: fluttering(rng, samples),
        "street": lambda: street(rng, samples),
        "steps": lambda: steps(rng, samples),
        "hum": lambda: hum(rng, samples) + 0.1 * rng.standard_normal(samples),
        "clicks": lambda: clicks(rng, samples),
        "music": lambda: excerpt(rng, samples, G["music"]),
        "effect": lambda: excerpt(rng, samples, G["effect"]),
        "none": lambda: None,
    }[kind]()
    if noise is not None and rng.random() < 0.5:
        noise = noise / (noise.std() + 1e-9) + rng.standard_normal(samples) * 10 ** rng.uniform(-3, -1)
    level = rng.uniform(-36, -12)
    snr = rng.choice([rng.uniform(-3, 12), rng.uniform(5, 30)], p=[0.75, 0.25])
    audio = telephone(rng, speech)
    pcm = mix(rng, audio, noise, snr, level)
    (G["work"] / "train" / f"{seed:05}.raw").write_bytes(pcm.tobytes())
    (G["work"] / "train" / f"{seed:05}.label").write_bytes(label.astype(np.uint8).tobytes())


def test_set(work, held, train):
    """Every held-out talker in every noise at 0, 5 and 10 dB; babble is of other held-out talkers."""
    (work / "test").mkdir(exist_ok=True)
    people = {name: [name] for name in ("June", "Carlo", "Menardi", "IvrvoiceRU", "Allison", "flite:slt", "flite:rms")}
    for person, (key,) in people.items():
        names = [name for name in held if key in name]
        for noise_name in ("clean", "white", "pink", "car", "babble", "street", "music", "clicks"):
            for snr in (99,) if noise_name == "clean" else (0, 5, 10):
                rng = np.random.default_rng([ord(c) for c in person + noise_name] + [snr])
                samples = 40 * RATE
                speech, label = passage(rng, {n: held[n] for n in names}, samples, 1.5)
                others = {n: a for n, a in held.items() if n not in names}
                noise = {
                    "clean": lambda: None,
                    "white": lambda: rng.standard_normal(samples),
                    "pink": lambda: pink(rng, samples),
                    "car": lambda: car(rng, samples),
                    "babble": lambda: babble(rng, samples, others, 8),
                    "street": lambda: street(rng, samples),
                    "music": lambda: excerpt(rng, samples, G["held_music"]),
                    "clicks": lambda: clicks(rng, samples),
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
    held = {name: audio for name, audio in talkers.items() if name.startswith(HELD_OUT)}
    train = {name: audio for name, audio in talkers.items() if not name.startswith(HELD_OUT)}
    for name, audio in sorted(talkers.items()):
        print(f"{name:28} {sum(map(len, audio)) / RATE:7.0f} s", "held out" if name in held else "")
    music = [load_any(p) for p in sorted(root.glob("usr/share/asterisk/moh/*.wav"))]
    effects = [p for p in root.glob("usr/share/tuxpaint/**/*.ogg") if not re.search(r"_desc|_[a-z]{2}(_[A-Z]{2})?$|alphabet|math|symbols", str(p.with_suffix("")))]
    effects = [a for a in map(load_any, sorted(effects)) if len(a) > RATE // 4]
    G.update(work=work, train=train, music=music[:-2], held_music=music[-2:], effect=effects)
    (work / "train").mkdir(exist_ok=True)
    test_set(work, held, train)
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(train_piece, range(count), chunksize=16))


# ---------------------------------------------------------------- training


def read(directory, features):
    out = []
    for path in sorted(directory.glob("*.features")):
        x = np.fromfile(path, np.float32).reshape(-1, features)
        y = np.fromfile(path.with_suffix(".label"), np.uint8).astype(np.float32)[: len(x)]
        out.append((path.stem, x, y))
    return out


def collar(y, frames=2):
    """Frames further than this from every change of the label."""
    import torch

    keep = np.ones_like(y, bool)
    for at in np.flatnonzero(np.diff(y)):
        keep[max(0, at - frames + 1) : at + frames + 1] = False
    return torch.from_numpy(keep)


def train(work, out, epochs=18, width=32):
    import time

    import torch
    from torch import nn

    torch.manual_seed(1)
    torch.set_num_threads(1)
    features = 42
    data, test = read(work / "train", features), read(work / "test", features)
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

    net = Net()
    if (work / "state.pt").exists():
        net.load_state_dict(torch.load(work / "state.pt"))
    print("parameters", sum(p.numel() for p in net.parameters()))
    fast = 2e-3 if (work / "state.pt").exists() else 6e-3
    optimiser = torch.optim.AdamW(net.parameters(), fast, weight_decay=1e-3)
    batch, length = 64, 600
    total = epochs * (len(data) // batch) * 2
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, fast, total_steps=total + 1)
    began = time.time()
    for epoch in range(epochs):
        order, losses = torch.randperm(len(data)), []
        for at in range(0, len(data) - batch + 1, batch):
            rows = order[at : at + batch]
            for start in (0, length):
                # The second half begins from nothing too: half of what it sees is a call taken up in the middle.
                piece = slice(0, 2 * length) if start and epoch % 4 == 3 else slice(start, start + length)
                loss = (nn.functional.binary_cross_entropy_with_logits(net(x[rows, piece]), y[rows, piece], reduction="none") * weight[rows, piece]).mean()
                optimiser.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(net.parameters(), 1.0)
                optimiser.step()
                if schedule.last_epoch < total:
                    schedule.step()
                losses.append(loss.item())
        if epoch % 5 == 4 or epoch == epochs - 1:
            report(net, test)
            export(net, out, width, features)
            torch.save(net.state_dict(), work / "state.pt")
        print(f"epoch {epoch} loss {np.mean(losses):.4f} {time.time() - began:.0f} s", flush=True)


def report(net, test):
    import torch

    table = {}
    with torch.no_grad():
        for stem, x, y in test:
            p = torch.sigmoid(net(torch.from_numpy(x)[None]))[0].numpy()
            keep = collar(y).numpy()
            noise, snr, _ = stem.split("-")
            table.setdefault((noise, snr), []).append((p[keep & (y > 0.5)] < 0.5, p[keep & (y < 0.5)] >= 0.5))
    official = []
    for key, rows in sorted(table.items()):
        miss, false = np.concatenate([m for m, _ in rows]).mean(), np.concatenate([f for _, f in rows]).mean()
        print(f"  {key[0]:8} {key[1]} dB miss {100 * miss:5.1f} false {100 * false:5.1f} hter {50 * (miss + false):5.1f}")
        if key[0] in ("clean", "white", "pink", "car", "babble"):
            official.append(50 * (miss + false))
    print(f"  mean of clean and four noises {np.mean(official):.2f} %", flush=True)


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
        make_set(Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]) if len(sys.argv) > 4 else 1280)
    else:
        train(Path(sys.argv[2]), sys.argv[3], *map(int, sys.argv[4:]))
