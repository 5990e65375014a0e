"""Measures the quality of predictions, and how much they depend on each column; lists versions, CPU, threads and GPU."""

from numbanet.evaluation.figures import figure as figure
from numbanet.evaluation.figures import figures as figures
from numbanet.evaluation.figures import line as line
from numbanet.evaluation.figures import metrics_in_units as metrics_in_units
from numbanet.evaluation.figures import unit_of as unit_of
from numbanet.evaluation.importance import Importances as Importances
from numbanet.evaluation.importance import permutation_importance as permutation_importance
from numbanet.evaluation.machine import environment as environment
from numbanet.evaluation.predictions import ClassPredictions as ClassPredictions
from numbanet.evaluation.predictions import LabelPredictions as LabelPredictions
from numbanet.evaluation.predictions import NumberPredictions as NumberPredictions
from numbanet.evaluation.predictions import Predictions as Predictions
from numbanet.evaluation.predictions import predictions as predictions
