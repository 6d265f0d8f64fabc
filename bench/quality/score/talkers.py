"""Who speaks in the evaluation set: prompts recorded by people and synthesised sentences, each turned into one
continuous stream of utterances and pauses."""

import glob
import os
import subprocess
import tempfile
import zlib
from dataclasses import dataclass

import numpy as np

import audio

PROMPTS = "/usr/share/asterisk/sounds"


@dataclass(frozen=True)
class Talker:
    """One voice. Two talkers may be the same `person` in two languages; babble must hold neither."""

    name: str
    person: str
    # prompts: the folder; flite: the voice; espeak: the voice and variant
    source: str
    kind: str


TALKERS = [
    Talker("en-allison", "allison", "en_US_f_Allison", "prompts"),
    Talker("es-allison", "allison", "es_MX_f_Allison", "prompts"),
    Talker("fr-june", "june", "fr_CA_f_June", "prompts"),
    Talker("it-menardi", "menardi", "it_IT_f_Menardi", "prompts"),
    Talker("it-carlo", "carlo", "it_IT_m_Carlo", "prompts"),
    Talker("ru-ivr", "ivr", "ru_RU_f_IvrvoiceRU", "prompts"),
    Talker("flite-slt", "slt", "slt", "flite"),
    Talker("flite-rms", "rms", "rms", "flite"),
    Talker("flite-awb", "awb", "awb", "flite"),
    Talker("flite-kal", "kal", "kal16", "flite"),
    Talker("espeak-us", "espeak-us", "en-us", "espeak"),
    Talker("espeak-gb", "espeak-gb", "en-gb+f3", "espeak"),
]

SENTENCES = [
    "Good morning, I would like to change the delivery address of my order.",
    "The parcel was due on Thursday, but nobody rang the bell.",
    "Could you repeat the last four digits, please?",
    "My number is five five seven, two zero nine, eight one six three.",
    "I have been waiting for the engineer since half past eight.",
    "Yes, that is right, both tickets were booked on the same card.",
    "The water in the basement is rising, so please hurry.",
    "She moved to the third floor in January and kept her old number.",
    "No, thank you, I would rather speak to a person.",
    "Put the heavy boxes behind the garage and leave the small ones here.",
    "How much does it cost to send a letter to Norway?",
    "We close at six, but the back door stays open until seven.",
    "The doctor asked whether the pain had become any worse.",
    "Please cancel the subscription and send me a written confirmation.",
    "A short walk along the river usually clears my head.",
    "They charged me twice for the same journey last week.",
]


def rng(*key):
    """A generator that depends on nothing but its key."""
    return np.random.default_rng([zlib.crc32(str(part).encode()) for part in key])


def utterances(talker, rate, g722=None):
    """Utterances of 1.5 to 7 s, as many as there are up to some 90 s, in an order that never changes.

    `g722` is the program that decodes the wide-band prompts; without it prompts exist at 8 kHz only."""
    make = {"prompts": _prompts, "flite": _flite, "espeak": _espeak}[talker.kind]
    found, seconds = [], 0.0
    for sound in make(talker, rate, g722):
        sound = _trimmed(sound, rate)
        if 1.5 <= len(sound) / rate <= 7.0:
            found.append(sound)
            seconds += len(sound) / rate
        if seconds > 90:
            break
    if not found:
        raise SystemExit(f"no speech for {talker.name} at {rate} Hz: is the Debian package of its voice installed?")
    return found


def stream(talker, rate, seconds, part, g722=None):
    """`seconds` of utterances and pauses of 0.35 to 1.5 s at the standard level, over a floor of -75 dBFS as a quiet
    line has; `part` picks other utterances."""
    generator = rng("stream", talker.name, part)
    pool = utterances(talker, rate, g722)
    order = generator.permutation(len(pool))
    out = np.zeros(rate * seconds)
    at, index = rate * 8 // 10, 0
    while at < len(out):
        sound = pool[order[index % len(order)]]
        index += 1
        length = min(len(sound), len(out) - at)
        # An utterance that the end would cut is left out when only a stump of it would be heard.
        if length < len(sound) and length < rate * 3 // 2:
            break
        out[at : at + length] += sound[:length]
        at += length + int(generator.uniform(0.35, 1.5) * rate)
    out = audio.at_level(out, rate)
    return out + generator.standard_normal(len(out)) * 10 ** (-75 / 20)


def _trimmed(sound, rate):
    """Without the quiet at both ends, faded in and out over 5 ms."""
    energy = audio.frame_db(sound, rate)
    if len(energy) == 0:
        return sound[:0]
    loud = np.flatnonzero(energy > np.percentile(energy, 95) - 40)
    if len(loud) == 0:
        return sound[:0]
    size = rate // 100
    sound = audio.at_level(sound[loud[0] * size : (loud[-1] + 1) * size].copy(), rate)
    ramp = np.linspace(0, 1, rate // 200)
    sound[: len(ramp)] *= ramp
    sound[-len(ramp) :] *= ramp[::-1]
    return sound


def _prompts(talker, rate, g722):
    extension = "wav" if rate == 8000 else "g722"
    files = sorted(glob.glob(os.path.join(PROMPTS, talker.source, f"*.{extension}")))
    # Songs, beeps and monkeys are no speech.
    files = [file for file in files if not os.path.basename(file).startswith(("tt-", "beep", "ascending", "descending"))]
    for index in rng("prompts", talker.name).permutation(len(files)):
        if rate == 8000:
            yield audio.read(files[index])
        elif g722:
            with open(files[index], "rb") as coded:
                pcm = subprocess.run([g722, "g722"], stdin=coded, capture_output=True, check=True).stdout
            yield np.frombuffer(pcm, dtype="<i2").astype(np.float64) / 32768.0


def _flite(talker, rate, _):
    with tempfile.TemporaryDirectory() as folder:
        for sentence in SENTENCES:
            file = os.path.join(folder, "flite.wav")
            subprocess.run(["flite", "-voice", talker.source, "-t", sentence, "-o", file], check=True)
            yield audio.read(file, rate)


def _espeak(talker, rate, _):
    with tempfile.TemporaryDirectory() as folder:
        for sentence in SENTENCES:
            file = os.path.join(folder, "espeak.wav")
            subprocess.run(["espeak-ng", "-v", talker.source, "-s", "155", "-w", file, sentence], check=True)
            yield audio.read(file, rate)
