"""Reads tables from files, learns how to encode their columns, encodes rows for a network, and decodes its outputs."""

from numbanet.tables.columns import Table as Table
from numbanet.tables.encoding import Encoding as Encoding
from numbanet.tables.learning import learn as learn
from numbanet.tables.notes import notes as notes
from numbanet.tables.reading import is_idx as is_idx
from numbanet.tables.reading import is_table as is_table
from numbanet.tables.reading import read as read
from numbanet.tables.splitting import drop_missing as drop_missing
from numbanet.tables.splitting import split as split
