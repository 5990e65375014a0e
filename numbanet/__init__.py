"""A neural network library in which every equation is a loop that you can read. Numba compiles the loops for CPU and GPU."""

from numbanet import notebook as notebook
from numbanet.datasets import load_digits as load_digits
from numbanet.datasets import load_fashion_mnist as load_fashion_mnist
from numbanet.datasets import read_idx as read_idx
from numbanet.distributed.communicators import Communicator as Communicator
from numbanet.distributed.communicators import MPICommunicator as MPICommunicator
from numbanet.distributed.communicators import SerialCommunicator as SerialCommunicator
from numbanet.engines import get_num_threads as get_num_threads
from numbanet.engines import set_num_threads as set_num_threads
from numbanet.formulas import Activation as Activation
from numbanet.formulas import Huber as Huber
from numbanet.formulas import Loss as Loss
from numbanet.formulas import Quantile as Quantile
from numbanet.interchange import from_keras as from_keras
from numbanet.interchange import from_sklearn as from_sklearn
from numbanet.interchange import from_torch as from_torch
from numbanet.interchange import to_torch as to_torch
from numbanet.network import Network as Network
from numbanet.persist.checkpoint import Checkpoint as Checkpoint
from numbanet.proof.verification import verify as verify
from numbanet.trace import Trace as Trace
from numbanet.training.callbacks import Callback as Callback
from numbanet.training.early_stopping import EarlyStopping as EarlyStopping
from numbanet.training.history import History as History
from numbanet.training.optimizers import Adam as Adam
from numbanet.training.optimizers import AdamW as AdamW
from numbanet.training.optimizers import GradientDescent as GradientDescent
from numbanet.training.optimizers import Momentum as Momentum
from numbanet.training.optimizers import Nesterov as Nesterov

__version__ = "0.1.0"
