"""What is said to recognisers: `sentences.py FOLDER`.

Sentences and rows of digits by people and synthesisers, each in a file of its own: quiet, in front of recorded noise,
and begun while the agent still speaks and comes back as an echo. Everything is 8 kHz and went through mu-law.
`sentences.json` lists the files: `{file, condition, person, words, from, to, agent_until}`, times in seconds. `words` is
null where nobody has written down what was recorded: what is understood in quiet is what was said."""

import argparse
import json
import multiprocessing
import os
import subprocess
import tempfile

import numpy as np

import audio
import rooms
import talkers

RATE = 8000
# Until somebody speaks, so that engines have heard the background; and after it.
LEAD, TAIL = 2.0, 0.6
# In decibels above the noise, one after the other.
SNRS = [10, 5]
NOISES = ["traffic", "music", "machines", "babble"]
# How the agent comes back: later, and weaker by so much; and for how long it goes on while somebody speaks.
ECHO_DELAY, ECHO_DB, ECHO_LASTS = 0.08, -15.0, 1.0
DIGITS = "zero one two three four five six seven eight nine".split()
ROWS, ROW = 16, 6
PROMPTS = 24
PERSON = "en-allison"


def spoken():
    """Everything that is said, as (person, words or None, sound), in an order that never changes."""
    found = []
    for row in range(ROWS):
        numbers = talkers.rng("row", row).integers(10, size=ROW)
        files = [os.path.join(talkers.PROMPTS, "en_US_f_Allison", "digits", f"{n}.wav") for n in numbers]
        pieces = []
        for file in files:
            pieces += [talkers._trimmed(audio.read(file, RATE), RATE), np.zeros(RATE // 10)]
        found.append((PERSON, " ".join(DIGITS[n] for n in numbers), np.concatenate(pieces[:-1])))
    for turn, voice in enumerate(["slt", "rms", "awb", "espeak"]):
        for index in range(8):
            words = talkers.SENTENCES[(index * 2 + turn % 2) % len(talkers.SENTENCES)]
            found.append((voice, words, talkers._trimmed(synthesised(voice, words), RATE)))
    recorded = next(talker for talker in talkers.TALKERS if talker.name == PERSON)
    prompts = [sound for sound in talkers.utterances(recorded, RATE) if len(sound) > 2 * RATE]
    found += [(PERSON, None, sound) for sound in prompts[:PROMPTS]]
    return found


def synthesised(voice, words):
    """A sentence by flite, or by espeak-ng."""
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "said.wav")
        command = ["espeak-ng", "-v", "en-us", "-s", "155", "-w", file, words]
        if voice != "espeak":
            command = ["flite", "-voice", voice, "-t", words, "-o", file]
        subprocess.run(command, check=True)
        return audio.read(file, RATE)


def make(job):
    """One utterance in all conditions."""
    folder, number, (person, words, sound) = job
    begin, length = int(LEAD * RATE), int((LEAD + TAIL) * RATE) + len(sound)
    clean = np.zeros(length)
    clean[begin : begin + len(sound)] = audio.at_level(sound, RATE)
    clean += talkers.rng("line", number).standard_normal(length) * 10 ** (-70 / 20)
    entry = {"person": person, "words": words, "from": LEAD, "to": LEAD + len(sound) / RATE, "agent_until": 0.0}
    conditions = [("quiet", clean)]
    for turn, kind in enumerate(NOISES):
        snr = SNRS[(number + turn) % len(SNRS)]
        behind = rooms.noise(kind, length // RATE + 1, f"said {number}")[:length]
        conditions.append((f"{kind} {snr} dB", clean + behind * 10 ** ((audio.SPEECH_DBFS - snr - rooms.NOISE_DBFS) / 20)))
    until = LEAD + ECHO_LASTS
    echo, delay = np.zeros(length), int(ECHO_DELAY * RATE)
    said = audio.read(os.path.join(folder, "agent.wav"))[: int(until * RATE)]
    said = np.pad(said, (delay, 0))[:length]
    echo[: len(said)] = said * 10 ** (ECHO_DB / 20)
    conditions.append(("echo", clean + echo))
    entries = []
    for condition, heard in conditions:
        file = f"said/{number:02}-{condition.replace(' ', '-')}.wav"
        audio.write(os.path.join(folder, file), rooms.mulaw(heard), RATE)
        entries.append(entry | {"file": file, "condition": condition} | ({"agent_until": until} if condition == "echo" else {}))
    return entries


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("folder")
    folder = arguments.parse_args().folder
    os.makedirs(os.path.join(folder, "said"), exist_ok=True)
    jobs = [(folder, number, one) for number, one in enumerate(spoken())]
    entries = []
    with multiprocessing.Pool(os.cpu_count()) as pool:
        for done, made in enumerate(pool.imap(make, jobs), 1):
            entries += made
            if done % 20 == 0 or done == len(jobs):
                print(f"  sentences {done}/{len(jobs)}", flush=True)
    with open(os.path.join(folder, "sentences.json"), "w") as file:
        json.dump(entries, file, indent=1)


if __name__ == "__main__":
    main()
