"""Draws activation functions and their derivatives, computed by the compiled loops of `numbanet.equations`."""

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from numbanet import checks, equations
from numbanet.engines.topology import ACTIVATIONS, ALL_ACTIVATIONS
from numbanet.formulas import BEYOND_ACTIVATIONS, Activation
from numbanet.pictures import style
from numbanet.pictures.space import cut

SOFTMAX_OTHERS = (1.0, 0.0)  # the constant z_2 and z_3 in a picture of softmax as a function of z_1

# The constants in the title of a picture.
CONSTANTS = {"softmax": ", $z_2 = 1$, $z_3 = 0$", "leaky_relu": r", $\epsilon = {epsilon:.4g}$"}


def softmax_columns(z_1: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the array z of shape (n, 3) for a layer of three neurons, with the given z_1 and with z_2 = 1 and z_3 = 0."""
    return np.column_stack([z_1, *(np.full(z_1.size, z_k) for z_k in SOFTMAX_OTHERS)])


def softmax_of(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the softmax activations of z, an array of shape (n, n_out), computed by the loops of `numbanet.equations`."""
    a, z_max, others = np.empty_like(z), np.empty(len(z)), np.empty(len(z))
    equations.softmax_sum(z, z_max, others)
    equations.softmax_activation(z, z_max, others, a)
    return a


def activation_of(name: str | Activation, z: NDArray[np.float64], epsilon: float) -> NDArray[np.float64]:
    """Returns a = phi(z) for each number in z; for softmax, z is z_1 in `softmax_columns`, and the result is a_1."""
    if isinstance(name, Activation):
        return np.array([name.phi(z_k) for z_k in z])
    if name == "softmax":
        return softmax_of(softmax_columns(z))[:, 0].copy()
    a = np.empty((z.size, 1))
    equations.activation(ACTIVATIONS[name], epsilon, z[:, np.newaxis], a)
    return a[:, 0]


def d_activation_of(name: str | Activation, z: NDArray[np.float64], epsilon: float) -> NDArray[np.float64]:
    """Returns da/dz for each number in z; for softmax, z is z_1 in `softmax_columns`, and the result is da_1/dz_1."""
    if isinstance(name, Activation):
        return np.array([name.d_phi(z_k, name.phi(z_k)) for z_k in z])
    if name == "softmax":
        da_dz = np.empty((z.size, 3, 3))
        equations.softmax_jacobian(softmax_of(softmax_columns(z)), da_dz)
        return da_dz[:, 0, 0]
    da_dz = np.empty((z.size, 1))
    a = activation_of(name, z, epsilon)[:, np.newaxis]
    equations.d_activation(ACTIVATIONS[name], epsilon, z[:, np.newaxis], a, da_dz)
    return da_dz[:, 0]


def grid(lowest: float, highest: float, points: int = 201) -> NDArray[np.float64]:
    """Returns points from lowest to highest, including 0 and the smallest positive float, so that a jump at 0 is vertical."""
    z = np.linspace(lowest, highest, points)
    return np.sort(np.append(z[z != 0], [0.0, np.nextafter(0, 1)])) if lowest < 0 < highest else z


def activation_function(name: str | Activation, *, epsilon: float = 0.01, ax: Axes | None = None) -> Axes:
    """Draws an activation function and its derivative, both computed by the compiled loops.

    Parameters
    ----------
    name : str or Activation
        The name of a built-in activation, such as relu or silu, or an activation that you wrote. For softmax, the drawing shows
        the activation a_1 as a function of z_1, in a layer of three neurons with z_2 = 1 and z_3 = 0.
    epsilon : float
        The slope of leaky_relu for z <= 0.
    ax : matplotlib.axes.Axes, optional
        The Axes to draw on; by default the Axes of a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes that contains the drawing.

    Raises
    ------
    ValueError, TypeError
        The name is unknown, or epsilon is not positive and finite.
    """
    if not isinstance(name, Activation):
        name = checks.choice("name", name, ALL_ACTIVATIONS)
        name = BEYOND_ACTIVATIONS.get(name, name)
    epsilon = checks.positive("epsilon", epsilon, np.dtype(float))
    ax = style.axes(ax, (4.2, 3.2))
    theme = style.theme(ax)
    z = grid(-4, 4)
    index = "_1" if name == "softmax" else ""
    (function,) = ax.plot(z, activation_of(name, z, epsilon), color=theme.colours[0], lw=2)
    (derivative,) = ax.plot(z, d_activation_of(name, z, epsilon), color=theme.colours[1], lw=2)
    ax.axhline(0, color=theme.faint, lw=0.8, zorder=0)
    ax.axvline(0, color=theme.faint, lw=0.8, zorder=0)
    ax.set(xlim=(-4, 4), xlabel=f"$z{index}$")
    title, constants = (name.name, "") if isinstance(name, Activation) else (name, CONSTANTS.get(name, ""))
    style.calm(ax)
    points = style.points_of(ax)
    size = points + 2 * (points == style.LABEL_POINTS)
    if isinstance(name, Activation):
        title = cut(title, size, 0.7 * style.room(ax)[0])
    ax.set_title(title + constants.format(epsilon=epsilon), loc="left", color=theme.ink, size=size)
    top = f"\\partial a{index}" if index else "da"
    bottom = f"\\partial z{index}" if index else "dz"
    style.label_ends(ax, [(function, f"$a{index}$"), (derivative, f"${top}/{bottom}$")], size)
    return ax
