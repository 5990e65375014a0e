"""Arguments from outside, checked in full and brought into the form that engines take, before anything is computed."""

from numbanet.inputs.architecture import DTYPES as DTYPES
from numbanet.inputs.architecture import topology as topology
from numbanet.inputs.arrays import batches as batches
from numbanet.inputs.arrays import finite as finite
from numbanet.inputs.arrays import on_host as on_host
from numbanet.inputs.arrays import output as output
from numbanet.inputs.arrays import parameters as parameters
from numbanet.inputs.arrays import real_array as real_array
from numbanet.inputs.arrays import samples as samples
from numbanet.inputs.arrays import targets as targets
