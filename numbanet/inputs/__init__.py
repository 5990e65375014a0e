"""Checks all arguments that describe a network and its data, before any computation begins."""

from numbanet.inputs.architecture import DTYPES as DTYPES
from numbanet.inputs.architecture import make_topology as make_topology
from numbanet.inputs.arrays import finite as finite
from numbanet.inputs.arrays import first_wrong_parameter as first_wrong_parameter
from numbanet.inputs.arrays import on_host as on_host
from numbanet.inputs.arrays import output as output
from numbanet.inputs.arrays import parameters as parameters
from numbanet.inputs.arrays import real_array as real_array
from numbanet.inputs.arrays import samples as samples
from numbanet.inputs.arrays import searched as searched
from numbanet.inputs.arrays import targets as targets
from numbanet.inputs.data import Data as Data
from numbanet.inputs.devices import DEVICES as DEVICES
from numbanet.inputs.devices import KERNELS as KERNELS
from numbanet.inputs.devices import usable_device as usable_device
from numbanet.inputs.foreign import of_tensor as of_tensor
from numbanet.inputs.foreign import unpacked as unpacked
from numbanet.inputs.foreign import without_tensors as without_tensors
from numbanet.inputs.frames import is_frame as is_frame
from numbanet.inputs.frames import names_of as names_of
from numbanet.inputs.frames import refuse_other_columns as refuse_other_columns
from numbanet.inputs.host import first_not_finite as first_not_finite
from numbanet.inputs.stream import Batches as Batches
