"""Interactive HTML pages, each in one file that loads no other file, and the cheat sheet's formulas for these pages."""

from numbanet.pages.files import refuse_other_names as refuse_other_names
from numbanet.pages.report import Section as Section
from numbanet.pages.report import write_report as write_report
from numbanet.pages.step import Layer as Layer
from numbanet.pages.step import Step as Step
from numbanet.pages.step import write_step as write_step
from numbanet.pages.tables import entries as entries
from numbanet.pages.tables import facts as facts
from numbanet.pages.tables import layers as layers
from numbanet.pages.tables import matrices as matrices
from numbanet.pages.tables import shortened as shortened
from numbanet.pages.tables import table as table
