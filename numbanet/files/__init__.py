"""Opens paths, devices, pipes and file objects for reading and writing. Writing replaces a file completely or not at all."""

from numbanet.files.arrays import read_array as read_array
from numbanet.files.arrays import read_arrays as read_arrays
from numbanet.files.endings import refuse_other_ending as refuse_other_ending
from numbanet.files.names import Location as Location
from numbanet.files.names import is_file_object as is_file_object
from numbanet.files.names import name_of as name_of
from numbanet.files.names import suffix_of as suffix_of
from numbanet.files.own import is_model as is_model
from numbanet.files.own import refuse_model as refuse_model
from numbanet.files.parsing import NeedsMoreError as NeedsMoreError
from numbanet.files.parsing import most_bytes as most_bytes
from numbanet.files.parsing import naming as naming
from numbanet.files.parsing import opened as opened
from numbanet.files.parsing import opened_archive as opened_archive
from numbanet.files.parsing import reading as reading
from numbanet.files.writing import refuse_unwritable as refuse_unwritable
from numbanet.files.writing import replacing as replacing
