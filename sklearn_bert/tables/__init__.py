"""Files of rows, read and written some rows at a time: what the commands take and give."""

from sklearn_bert.tables.cells import check_cells, column_of
from sklearn_bert.tables.reading import find_column, read_chunks
from sklearn_bert.tables.writing import writer

__all__ = ["check_cells", "column_of", "find_column", "read_chunks", "writer"]
