"""Calculates the luminance of colours, for tests that check the contrast between text and background."""

import re

import numpy as np


def luminance(colour):
    """Returns the relative luminance of a colour such as rgb(31, 41, 51), as the accessibility guidelines WCAG define it."""
    channels = np.array([int(part) for part in re.findall(r"\d+", colour)[:3]]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]
