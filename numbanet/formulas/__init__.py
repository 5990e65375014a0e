"""Activations and losses that users write as Python functions of numbers, and that all engines compile."""

from numbanet.formulas.activation import Activation as Activation
from numbanet.formulas.built_in import BEYOND_ACTIVATIONS as BEYOND_ACTIVATIONS
from numbanet.formulas.built_in import BEYOND_LOSSES as BEYOND_LOSSES
from numbanet.formulas.built_in import Huber as Huber
from numbanet.formulas.built_in import Quantile as Quantile
from numbanet.formulas.built_in import with_parameter as with_parameter
from numbanet.formulas.formula import Formula as Formula
from numbanet.formulas.loss import Loss as Loss
