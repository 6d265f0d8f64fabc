"""Noise suppression: PESQ and STOI of what each engine made of the set, against the reference engine.

An engine's delay is measured on clean speech and taken out before scoring; it is reported by itself, beside what the
engine documents."""

import os

import numpy as np

import audio
from measures import by_talker, lag, mean_and_ci, pesq_windows, row, stoi_of

# The last is the uplink as it ships.
ENGINES = ["nnnoiseless", "sonora", "economy", "lanes", "chain"]
REFERENCE = "nnnoiseless"


def delays(corpus, run, manifest):
    """Samples that each engine is late at each rate: the median over the clean files."""
    found = {}
    for rate in (8000, 16000):
        clean = [entry for entry in manifest if entry["noise"] is None and entry["rate"] == rate]
        for engine in ENGINES:
            lags = []
            for entry in clean:
                reference = audio.read(os.path.join(corpus, entry["file"]))
                lags.append(lag(reference, audio.read(os.path.join(run, "ns", engine, entry["file"])), rate))
            found[engine, rate] = int(np.median(lags))
    return found


def score(job):
    """All engines on one file."""
    corpus, run, entry, late = job
    rate = entry["rate"]
    clean = audio.read(os.path.join(corpus, entry["clean"]))
    noisy = audio.read(os.path.join(corpus, entry["file"]))
    pause = pauses(clean, rate)
    out = {"entry": entry, "noisy": {"pesq": pesq_windows(clean, noisy, rate), "stoi": stoi_of(clean, noisy, rate)}}
    for engine in ENGINES:
        sound = audio.read(os.path.join(run, "ns", engine, entry["file"]))[late[engine, rate] :]
        length = len(sound)
        out[engine] = {
            "pesq": pesq_windows(clean[:length], sound, rate),
            "stoi": stoi_of(clean[:length], sound, rate),
            "removed": audio.rms_db(noisy[:length][pause[:length]]) - audio.rms_db(sound[pause[:length]]),
        }
    return out


def pauses(clean, rate):
    """Which samples lie well inside a pause, after the engines settled."""
    energy = audio.frame_db(clean, rate)
    quiet = energy < audio.active_db(clean, rate) - 40
    # 50 ms of quiet on both sides, so that neither tails nor delays count.
    inside = np.array([quiet[max(0, at - 5) : at + 6].all() for at in range(len(quiet))])
    samples = np.repeat(inside, rate // 100)
    mask = np.zeros(len(clean), dtype=bool)
    mask[: len(samples)] = samples
    mask[: 4 * rate] = False
    return mask


def _differences(scores, engine, measure):
    return [(s["entry"]["talker"], s[engine][measure] - s[REFERENCE][measure]) for s in scores]


def rows(scores, late, documented):
    """Rows of the result file."""
    out = []
    narrow = [s for s in scores if s["entry"]["rate"] == 8000]
    wide = [s for s in scores if s["entry"]["rate"] == 16000 and s["entry"]["noise"]]
    noisy = [s for s in narrow if s["entry"]["noise"]]
    clean = [s for s in narrow if not s["entry"]["noise"]]
    for engine in ENGINES:
        for measure, unit in (("pesq", "MOS"), ("stoi", "STOI")):
            mean, ci = mean_and_ci(by_talker(_differences(noisy, engine, measure)))
            out.append(row(f"ns.{engine}.{measure}_minus_reference", mean, unit))
            out.append(row(f"ns.{engine}.{measure}_minus_reference_ci95", ci, unit))
            before = float(np.mean([s["noisy"][measure] for s in noisy]))
            out.append(row(f"ns.{engine}.{measure}", np.mean([s[engine][measure] for s in noisy]), unit, before))
            out.append(row(f"ns.{engine}.clean_{measure}", np.mean([s[engine][measure] for s in clean]), unit))
            mean, _ = mean_and_ci(by_talker(_differences(wide, engine, measure)))
            out.append(row(f"ns.{engine}.wide_{measure}_minus_reference", mean, unit))
            for noise in _kinds(noisy):
                of_noise = [s for s in noisy if s["entry"]["noise"] == noise]
                mean, _ = mean_and_ci(by_talker(_differences(of_noise, engine, measure)))
                out.append(row(f"ns.{engine}.{noise}.{measure}_minus_reference", mean, unit))
        # Do no harm: what clean speech loses, and the talker who is worst off, over everything noisy and over clean speech.
        lost = np.mean([s["noisy"]["stoi"] - s[engine]["stoi"] for s in clean])
        out.append(row(f"ns.{engine}.clean_stoi_lost", lost, "STOI"))
        for name, part in (("", noisy), ("clean_", clean)):
            changes = by_talker([(s["entry"]["talker"], s[engine]["pesq"] - s["noisy"]["pesq"]) for s in part])
            worst = min(np.mean(change) for change in changes)
            out.append(row(f"ns.{engine}.{name}worst_talker_pesq_change", worst, "MOS"))
        out.append(row(f"ns.{engine}.pause_noise_removed_db", np.mean([s[engine]["removed"] for s in noisy]), "dB"))
        for rate, suffix in ((8000, ""), (16000, "_16k")):
            said = documented["noise_delay_us"][f"{engine} {rate}"] / 1000
            out.append(row(f"ns.{engine}.delay{suffix}_ms", said, "ms"))
            out.append(row(f"ns.{engine}.delay{suffix}_measured_ms", late[engine, rate] / rate * 1000, "ms"))
    return out


def _kinds(scores):
    return list(dict.fromkeys(s["entry"]["noise"] for s in scores))


def tables(scores):
    """Tables for the report: a title, a head and lines."""
    noisy = [s for s in scores if s["entry"]["noise"]]
    out = []
    for rate, title in ((8000, "8 kHz, PESQ narrow band"), (16000, "16 kHz, PESQ wide band")):
        lines = []
        for noise in _kinds(noisy):
            for snr in sorted({s["entry"]["snr"] for s in noisy}):
                found = [s for s in noisy if s["entry"] | {"noise": noise, "snr": snr, "rate": rate} == s["entry"]]
                if found:
                    cells = []
                    for engine in ["noisy", *ENGINES]:
                        values = [np.mean([s[engine][measure] for s in found]) for measure in ("pesq", "stoi")]
                        cells.append(f"{values[0]:.2f} / {values[1]:.3f}")
                    lines.append([noise, f"{snr} dB", *cells])
        out.append((f"Noise suppression, {title} / STOI", ["noise", "SNR", "noisy", *ENGINES], lines))
    return out


def plot(scores, axes):
    """PESQ and STOI by SNR, on two axes."""
    noisy = [s for s in scores if s["entry"]["noise"] and s["entry"]["rate"] == 8000]
    snrs = sorted({s["entry"]["snr"] for s in noisy})
    for axis, measure, label in zip(axes, ("pesq", "stoi"), ("PESQ-NB", "STOI")):
        for index, engine in enumerate(["noisy", *ENGINES]):
            at_snr = [[s for s in noisy if s["entry"]["snr"] == snr] for snr in snrs]
            stats = [mean_and_ci(by_talker([(s["entry"]["talker"], s[engine][measure]) for s in part])) for part in at_snr]
            place = np.arange(len(snrs)) + (index - len(ENGINES) / 2) * 0.14
            axis.bar(place, [mean for mean, _ in stats], 0.13, yerr=[ci for _, ci in stats], label=engine, capsize=2)
        axis.set_xticks(np.arange(len(snrs)), [f"{snr} dB" for snr in snrs])
        axis.set_ylabel(label)
        low = min(np.mean([s["noisy"][measure] for s in noisy if s["entry"]["snr"] == snrs[0]]) * 0.9, 1.0)
        axis.set_ylim(bottom=low)
        axis.legend()
