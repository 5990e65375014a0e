"""Interactive HTML pages, each in a single file that loads nothing from any other place, and the sheet's formulas for them."""

from numbanet.pages.step import Layer as Layer
from numbanet.pages.step import Step as Step
from numbanet.pages.step import write_step as write_step
from numbanet.pages.tables import facts as facts
from numbanet.pages.tables import layers as layers
from numbanet.pages.tables import matrices as matrices
from numbanet.pages.tables import table as table
