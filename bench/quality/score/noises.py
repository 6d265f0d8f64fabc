"""What the callers have around them: noises made from seeds, so that the set is the same everywhere."""

import numpy as np
from scipy.signal import butter, sosfilt

import talkers

NOISES = ["white", "pink", "car", "babble", "street"]


def noise(name, talker, rate, seconds, g722=None):
    """`seconds` of a noise behind `talker` with an RMS of 1."""
    generator = talkers.rng("noise", name, talker.name)
    sound = {"white": _white, "pink": _pink, "car": _car, "street": _street}.get(name)
    if sound is None:
        out = _babble(generator, talker, rate, seconds, g722)
    else:
        out = sound(generator, rate, rate * seconds)
    return out / np.sqrt(np.mean(out**2))


def _white(generator, _rate, length):
    return generator.standard_normal(length)


def _shaped(generator, rate, length, weight):
    """Gaussian noise whose spectrum is `weight(frequency)`."""
    spectrum = np.fft.rfft(generator.standard_normal(length))
    frequencies = np.fft.rfftfreq(length, 1 / rate)
    return np.fft.irfft(spectrum * weight(np.maximum(frequencies, 20.0)), length)


def _pink(generator, rate, length):
    return _shaped(generator, rate, length, lambda f: 1 / np.sqrt(f))


def _car(generator, rate, length):
    """A cabin at speed: rumble below 400 Hz, tyres up to 1 kHz, and an engine whose speed wanders."""
    rumble = _shaped(generator, rate, length, lambda f: 1 / (1 + (f / 120) ** 2))
    tyres = _shaped(generator, rate, length, lambda f: 1 / (1 + (f / 500) ** 4))
    speed = 42 + 6 * _slow(generator, rate, length, 0.2)
    phase = 2 * np.pi * np.cumsum(speed) / rate
    engine = sum(np.sin(order * phase + order) / order for order in (2, 3, 4, 6, 8))
    return _unit(rumble) + 0.25 * _unit(tyres) + 0.35 * _unit(engine)


def _street(generator, rate, length):
    """A pavement: a floor of traffic, vehicles that swell and pass, gusts, and now and then a knock."""
    floor = _shaped(generator, rate, length, lambda f: 1 / (1 + (f / 300)) ** 1.2)
    out = _unit(floor) * 10 ** (4 * _slow(generator, rate, length, 0.8) / 20)
    time = np.arange(length) / rate
    for _ in range(max(1, int(length / rate / 6))):
        middle, width = generator.uniform(0, length / rate), generator.uniform(0.8, 2.0)
        passing = _unit(_shaped(generator, rate, length, lambda f: 1 / (1 + (f / 700) ** 1.5)))
        out += 1.6 * passing * np.exp(-0.5 * ((time - middle) / width) ** 2)
    for _ in range(max(1, int(length / rate / 3))):
        at = int(generator.uniform(0, length - rate / 5))
        knock = generator.standard_normal(rate // 8) * np.exp(-np.arange(rate // 8) / (rate * 0.015))
        out[at : at + len(knock)] += 3.0 * knock
    return out


def _babble(generator, talker, rate, seconds, g722):
    """Eight voices of other people, each slightly nearer or farther."""
    others = [other for other in talkers.TALKERS if other.person != talker.person]
    if rate != 8000:
        others = [other for other in others if other.kind != "prompts" or (g722 and other.source != "it_IT_f_Menardi")]
    chosen = generator.permutation(len(others))[:8]
    out = np.zeros(rate * seconds)
    for index in chosen:
        voice = talkers.stream(others[index], rate, seconds, f"babble behind {talker.name}", g722)
        out += np.roll(voice, int(generator.integers(len(voice)))) * 10 ** (generator.uniform(-4, 2) / 20)
    return out


def _slow(generator, rate, length, hertz):
    """A wandering value with a standard deviation of 1 that changes some `hertz` times a second."""
    coarse = int(length / rate * 20) + 40
    cut = butter(2, hertz / 10, output="sos")
    walk = sosfilt(cut, generator.standard_normal(coarse))[20:]
    walk = walk / np.std(walk)
    return np.interp(np.arange(length) / rate * 20, np.arange(len(walk)), walk)


def _unit(sound):
    return sound / np.sqrt(np.mean(sound**2))
