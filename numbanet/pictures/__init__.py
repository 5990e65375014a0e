"""Draws pictures with matplotlib (the extra `plot`).

A function with the parameter `ax` draws on these Axes or, without `ax`, on a new figure, and returns the Axes.
"""

import importlib.util

from numbanet._extras import installing

if importlib.util.find_spec("matplotlib") is None:
    raise ImportError(f"pictures need the package matplotlib, which is not installed: {installing('plot')}")

from numbanet.pictures.boundary import decision_boundary as decision_boundary
from numbanet.pictures.diagrams import network_diagram as network_diagram
from numbanet.pictures.diagrams import neuron_diagram as neuron_diagram
from numbanet.pictures.functions import activation_function as activation_function
from numbanet.pictures.predictions import importance_image as importance_image
from numbanet.pictures.predictions import importances as importances
from numbanet.pictures.predictions import predicted_against_true as predicted_against_true
from numbanet.pictures.predictions import residuals as residuals
from numbanet.pictures.predictions import sample_images as sample_images
from numbanet.pictures.report import report as report
from numbanet.pictures.results import confusion_matrix as confusion_matrix
from numbanet.pictures.results import learning_curves as learning_curves
from numbanet.pictures.results import save_curves as save_curves
from numbanet.pictures.results import weight_images as weight_images
from numbanet.pictures.sheet import draw_sheet as draw_sheet
from numbanet.pictures.sheet import save_sheet as save_sheet
from numbanet.pictures.svg import svg as svg
