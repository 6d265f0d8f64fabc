"""Real rooms: people and noises that were recorded, by the packages of Debian that have them: `rooms.py FOLDER`.

None of it was ever heard in training. `noise/KIND.wav` is a kind of noise by itself for two minutes; `people/` holds
words of people, each with pauses between, by themselves and in front of noises; `agent.wav` is what an agent says
meanwhile. Everything is 8 kHz and went through mu-law, as on a telephone. `rooms.json` lists the files:
`{file, kind, person, snr, clean, spoken: [[from, to], ...]}` with times in seconds."""

import argparse
import functools
import glob
import json
import multiprocessing
import os
import subprocess
import tempfile

import numpy as np
import soundfile
from scipy.signal import resample_poly

import audio
import talkers

RATE = 8000
NOISE_SECONDS = 120
NOISE_DBFS = -30.0
TALK_SECONDS = 40
SNRS = [15, 5]
CITY = "/usr/share/games/lincity-ng/sounds"
# Kinds of noise by where they lie. What no package has: television, wind in a microphone, dogs.
KINDS = {
    "music": ["/usr/share/asterisk/moh/*.wav"],
    "crowd": [f"{CITY}/SportsCroud*.wav", f"{CITY}/Market*.wav"],
    "children": [f"{CITY}/School*.wav"],
    "traffic": [f"{CITY}/Trafic*.wav", f"{CITY}/DirtTrack*.wav"],
    "train": [f"{CITY}/RailTrain*.wav"],
    "siren": [f"{CITY}/FireStation*.wav"],
    "animals": [f"{CITY}/Farm*.wav", f"{CITY}/OrganicFarm*.wav"],
    "birds": [f"{CITY}/Green*.wav", f"{CITY}/ParklandLake*.wav"],
    "machines": [f"{CITY}/Industry*.wav", f"{CITY}/Mill?.wav", f"{CITY}/CoalMine*.wav", f"{CITY}/PowerCoal*.wav"],
    "building": [f"{CITY}/Build*.wav", f"{CITY}/Raze*.wav", f"{CITY}/MonumentC*.wav", f"{CITY}/Blacksmith*.wav"],
    "water": [f"{CITY}/Water*.wav", f"{CITY}/WindMill?.wav", f"{CITY}/Fire?.wav"],
    "harbour": [f"{CITY}/Harbor*.wav"],
    "keyboard": ["/usr/share/buckle/wav/*.wav"],
    "alarms": ["/usr/share/sounds/freedesktop/stereo/*-call*.oga", "/usr/share/sounds/freedesktop/stereo/*busy*.oga",
               "/usr/share/sounds/freedesktop/stereo/alarm*.oga", "/usr/share/sounds/freedesktop/stereo/bell.oga"],
}
# Noises behind people; in the others somebody speaks, or nothing lasts.
BEHIND = ["traffic", "music", "machines", "train", "water", "birds", "building", "siren", "animals", "keyboard"]
WORDS = "/usr/share/ktuberling/sounds"
AGENT = " ".join(talkers.SENTENCES)


def load(path):
    """A file of any kind as mono at 8 kHz."""
    sound, rate = soundfile.read(path, always_2d=True)
    sound = sound[:, 0]
    divisor = np.gcd(int(rate), RATE)
    return resample_poly(sound, RATE // divisor, rate // divisor)


def mulaw(sound):
    """As a telephone hands it over."""
    clipped = np.clip(sound, -1, 1)
    code = np.round(np.sign(clipped) * np.log1p(255 * np.abs(clipped)) / np.log(256) * 127) / 127
    return np.sign(code) * np.expm1(np.abs(code) * np.log(256)) / 255


def files(patterns):
    """What the patterns find, in an order that never changes; nothing when the package is not there."""
    return sorted(path for pattern in patterns for path in glob.glob(pattern))


def noise(kind, seconds, key):
    """So much of a kind, at -30 dBFS, another stretch of it for every key."""
    if kind == "babble":
        return babble(seconds, key)
    generator = talkers.rng("room", kind, key)
    paths = files(KINDS[kind])
    if not paths:
        raise RuntimeError(f"no recording of {kind}: is the Debian package that has it installed?")
    out = np.zeros(seconds * RATE)
    if kind == "keyboard":
        at = 0
        while at < len(out):
            key_sound = load(paths[generator.integers(len(paths))])
            length = min(len(key_sound), len(out) - at)
            out[at : at + length] += key_sound[:length]
            at += int(RATE * generator.choice([generator.uniform(0.08, 0.25), generator.uniform(0.4, 1.5)], p=[0.9, 0.1]))
    else:
        order, at, turn = generator.permutation(len(paths)), 0, 0
        while at < len(out):
            clip = load(paths[order[turn % len(order)]])
            turn += 1
            # A long recording is entered anywhere, and no one fills everything.
            begin = int(generator.integers(max(1, len(clip) - 15 * RATE))) if len(clip) > 15 * RATE else 0
            clip = level(clip[begin : begin + 15 * RATE])
            ramp = min(RATE // 20, len(clip) // 2)
            clip[:ramp] *= np.linspace(0, 1, ramp)
            clip[len(clip) - ramp :] *= np.linspace(1, 0, ramp)
            length = min(len(clip), len(out) - at)
            out[at : at + length] += clip[:length]
            at += max(len(clip) - ramp, ramp + 1)
    return level(out)


def level(sound):
    """At the level of noises."""
    return sound * 10 ** (NOISE_DBFS / 20) / max(np.sqrt(np.mean(sound**2)), 1e-9)


def babble(seconds, key):
    """Eight people who do not speak to us."""
    generator = talkers.rng("room", "babble", key)
    everybody = [person for person in people() if person != key]
    out = np.zeros(seconds * RATE)
    for person in generator.permutation(everybody)[:8]:
        words, at = said(person), 0
        while at < len(out):
            word = words[generator.integers(len(words))]
            length = min(len(word), len(out) - at)
            out[at : at + length] += word[:length] * 10 ** (generator.uniform(-4, 2) / 20)
            at += length + int(RATE * generator.uniform(0.05, 0.4))
    return level(out)


def people():
    """Folders of words, one for each person."""
    found = {}
    for folder in sorted(glob.glob(os.path.join(WORDS, "*"))):
        name = os.path.basename(folder)
        # One person's words lie in four folders of Serbian.
        if os.path.isdir(folder) and "@" not in name and len(recordings(folder)) >= 8:
            found[name] = folder
    return found


def recordings(folder):
    return [path for end in ("ogg", "wav", "opus") for path in sorted(glob.glob(os.path.join(folder, f"*.{end}")))]


@functools.cache
def said(person):
    """A person's words, each without the quiet at its ends, at the level of speech."""
    words = []
    for path in recordings(people()[person])[:60]:
        word = talkers._trimmed(load(path), RATE)
        if 0.2 <= len(word) / RATE <= 3:
            words.append(word)
    return words


def talk(person):
    """A person who says something now and then, and when: short and long, as answers and interruptions are."""
    generator = talkers.rng("room", "talk", person)
    words = said(person)
    out, spoken = np.zeros(TALK_SECONDS * RATE), []
    at = 2 * RATE
    while True:
        pieces, length = [], 0
        wanted = generator.uniform(0.6, 1.8)
        while length < wanted * RATE:
            piece = words[generator.integers(len(words))]
            pieces += [piece, np.zeros(int(RATE * 0.06))]
            length += len(piece)
        sound = np.concatenate(pieces[:-1])
        if at + len(sound) > len(out) - RATE:
            break
        out[at : at + len(sound)] = sound
        loud = np.flatnonzero(audio.frame_db(sound, RATE) > audio.SPEECH_DBFS - 25)
        spoken.append([at / RATE + loud[0] / 100, at / RATE + (loud[-1] + 1) / 100])
        at += len(sound) + int(RATE * generator.uniform(1.5, 2.5))
    return out, spoken


def make(job):
    """One kind of noise, or one person with two noises."""
    folder, what, name, turn = job
    quiet = talkers.rng("room", "line", name).standard_normal
    if what == "noise":
        file = f"noise/{name}.wav"
        audio.write(os.path.join(folder, file), mulaw(noise(name, NOISE_SECONDS, "alone")), RATE)
        return [{"file": file, "kind": name, "person": None, "snr": None, "clean": None, "spoken": []}]
    sound, spoken = talk(name)
    sound = sound + quiet(len(sound)) * 10 ** (-70 / 20)
    clean = f"people/{name}.wav"
    audio.write(os.path.join(folder, clean), mulaw(sound), RATE)
    entries = [{"file": clean, "kind": "quiet", "person": name, "snr": None, "clean": clean, "spoken": spoken}]
    for number, snr in enumerate(SNRS):
        kind = BEHIND[(2 * turn + number) % len(BEHIND)]
        behind = noise(kind, TALK_SECONDS, name) * 10 ** ((audio.SPEECH_DBFS - snr - NOISE_DBFS) / 20)
        file = f"people/{name}-{kind}-{snr}.wav"
        audio.write(os.path.join(folder, file), mulaw(sound + behind), RATE)
        entries.append({"file": file, "kind": kind, "person": name, "snr": snr, "clean": clean, "spoken": spoken})
    return entries


def agent(folder):
    """What the agent says: a synthesiser's sentences without a pause, a minute of them."""
    with tempfile.TemporaryDirectory() as scratch:
        file = os.path.join(scratch, "agent.wav")
        subprocess.run(["flite", "-voice", "slt", "-t", AGENT, "-o", file], check=True)
        sound = audio.at_level(load(file), RATE, -20)
    sound = np.tile(sound, 60 * RATE // len(sound) + 1)[: 60 * RATE]
    audio.write(os.path.join(folder, "agent.wav"), mulaw(sound), RATE)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("folder")
    folder = arguments.parse_args().folder
    for part in ("noise", "people"):
        os.makedirs(os.path.join(folder, part), exist_ok=True)
    agent(folder)
    jobs = [(folder, "noise", kind, 0) for kind in [*KINDS, "babble"]]
    jobs += [(folder, "people", person, turn) for turn, person in enumerate(people())]
    entries = []
    with multiprocessing.Pool(os.cpu_count()) as pool:
        for done, made in enumerate(pool.imap(make, jobs), 1):
            entries += made
            if done % 10 == 0 or done == len(jobs):
                print(f"  rooms {done}/{len(jobs)}", flush=True)
    with open(os.path.join(folder, "rooms.json"), "w") as file:
        json.dump(entries, file, indent=1)


if __name__ == "__main__":
    main()
