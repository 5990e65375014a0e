"""Converts networks from and to models of scikit-learn, Keras and PyTorch; imports each library only when it is needed."""

from numbanet.interchange.keras_models import from_keras as from_keras
from numbanet.interchange.sklearn_estimators import from_sklearn as from_sklearn
from numbanet.interchange.torch_modules import from_torch as from_torch
from numbanet.interchange.torch_modules import to_torch as to_torch
