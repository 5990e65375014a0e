"""Draws pictures for the tests, which compare some of the pictures with reference images.

`python -m tests.pictures.drawings` draws the reference images again. Look at each changed image before you commit it.
"""

from pathlib import Path

import numpy as np
from matplotlib import pyplot
from matplotlib.figure import Figure

from numbanet import History, Network, pictures


def history_of(**columns):
    history = History()
    for epoch in range(1, len(columns["loss"]) + 1):
        history.add(epoch, {name: values[epoch - 1] for name, values in columns.items()})
    return history


LOSS, VAL_LOSS = [1.0, 0.5, 0.3, 0.2, 0.15], [1.1, 0.6, 0.4, 0.45, 0.5]
HISTORY = history_of(loss=LOSS, val_loss=VAL_LOSS, accuracy=LOSS[::-1], val_accuracy=VAL_LOSS[::-1], seconds=LOSS)
RANDOM = np.random.default_rng(0)
PLANE = RANDOM.normal(size=(40, 2))
DIGITS = Network([64, 32, 10], "relu", "cce", seed=0)
WIDE = Network([2, 8, 3], "tanh", "cce", seed=0)
YES_NO = Network([2, 4, 1], "tanh", "bce", seed=0)
SURFACE = Network([2, 4, 1], "tanh", "mse", seed=0)
LABELS = np.arange(40) % 3
MANY = Network([2, 8, 20], "tanh", "cce", seed=0)
PENGUINS = ["Adelie penguin", "Chinstrap penguin", "Gentoo penguin"]
SPECIES = np.array(PENGUINS)[LABELS]


DRAWINGS = {
    "learning_curves": lambda ax: pictures.learning_curves(HISTORY, ax=ax),
    "ends that meet": lambda ax: pictures.learning_curves(history_of(loss=LOSS, val_loss=LOSS), ax=ax),
    "one epoch": lambda ax: pictures.learning_curves(history_of(loss=[1.0]), ax=ax),
    "accuracy": lambda ax: pictures.learning_curves(HISTORY, "accuracy", ax=ax),
    "classes": lambda ax: pictures.decision_boundary(WIDE, PLANE, LABELS, ax=ax),
    "many classes": lambda ax: pictures.decision_boundary(MANY, PLANE, np.arange(40) % 20, ax=ax),
    "strings": lambda ax: pictures.decision_boundary(WIDE, PLANE, SPECIES, names=PENGUINS, ax=ax),
    "yes or no": lambda ax: pictures.decision_boundary(YES_NO, PLANE, LABELS > 0, ax=ax),
    "surface": lambda ax: pictures.decision_boundary(SURFACE, PLANE, PLANE[:, 0], ax=ax),
    "samples alone": lambda ax: pictures.decision_boundary(WIDE, PLANE, ax=ax),
    "one sample": lambda ax: pictures.decision_boundary(SURFACE, PLANE[:1], ax=ax),
    "confusion_matrix": lambda ax: pictures.confusion_matrix(np.arange(200) % 10, np.arange(200) % 7, ax=ax),
    "names": lambda ax: pictures.confusion_matrix([0, 1, 1], [0, 1, 0], names=["negative", "positive"], ax=ax),
    "long names": lambda ax: pictures.confusion_matrix(SPECIES, np.roll(SPECIES, 7), ax=ax),
    "large numbers": lambda ax: pictures.confusion_matrix(np.arange(90_000) % 3, np.arange(90_000) % 2, ax=ax),
    "weight_images": lambda ax: pictures.weight_images(DIGITS, (8, 8), ax=ax),
    "network_diagram": lambda ax: pictures.network_diagram(DIGITS, ax=ax),
    "small network": lambda ax: pictures.network_diagram(Network([2, 1], "tanh", "bce", seed=0), ax=ax),
    "deep network": lambda ax: pictures.network_diagram(Network([3, 5, 7, 6, 4, 2], "leaky_relu", "cce", seed=0), ax=ax),
    "predicted_against_true": lambda ax: pictures.predicted_against_true(PLANE[:, 0], PLANE[:, 1], name="price", ax=ax),
    "one prediction": lambda ax: pictures.predicted_against_true([1], [1], ax=ax),
    "many predictions": lambda ax: pictures.predicted_against_true(np.arange(3000), np.arange(3000.0), ax=ax),
    "residuals": lambda ax: pictures.residuals(PLANE[:, 0], PLANE[:, 1], name="price", ax=ax),
    "importances": lambda ax: pictures.importances(["a", 40 * "b"], [[0.1, 0.3], [-0.1, 0]], score="accuracy", ax=ax),
    "importance_image": lambda ax: pictures.importance_image([0.1, 0.3, -0.2, np.nan, 0, 0.2], (2, 3), score="R²", ax=ax),
    "sample_images": lambda ax: pictures.sample_images(PLANE[:7], (1, 2), 7 * ["346: Boot,\npredicted shoe"], ax=ax),
    "neuron_diagram": lambda ax: pictures.neuron_diagram(ax=ax),
    "one input": lambda ax: pictures.neuron_diagram([1], [-0.123456], 1, ax=ax),
    "eight inputs": lambda ax: pictures.neuron_diagram(PLANE[:8, 0], PLANE[:8, 1], -1 / 3, "leaky_relu", ax=ax),
    **{
        name: lambda ax, name=name: pictures.activation_function(name, ax=ax)
        for name in ("identity", "sigmoid", "tanh", "relu", "leaky_relu", "softmax")
    },
}

# The names of the drawings that have a reference image.
REFERENCES = (
    "learning_curves",
    "many classes",
    "surface",
    "long names",
    "predicted_against_true",
    "residuals",
    "importances",
    "importance_image",
    "sample_images",
    "weight_images",
    "deep network",
    "eight inputs",
    "leaky_relu",
)


def reference(name: str) -> Path:
    """Returns the path of a reference image."""
    return Path(__file__).parent / "references" / f"{name.replace(' ', '_')}.png"


def rendered(figure: Figure) -> np.ndarray:
    """Returns the pixels of a small picture of a figure as an array (height, width, 3) of numbers from 0 to 1."""
    dpi = figure.dpi
    figure.set_dpi(50)
    figure.canvas.draw()
    pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3] / 255
    figure.set_dpi(dpi)
    return pixels


if __name__ == "__main__":
    for reference_name in REFERENCES:
        reference(reference_name).parent.mkdir(exist_ok=True)
        pyplot.imsave(reference(reference_name), rendered(DRAWINGS[reference_name](None).figure))
