# What a kernel that is not element by element is given: for the kernels, and for what calls them.

cdef enum:
    # Where a kernel finds its arguments: statistics of the kept elements, pieces, parameters, scratch, the first array.
    STATS = 0
    PIECES = 1
    PARAMETERS = 2
    SCRATCH = 3
    X = 4
    # Its lengths: of the piece (or row), columns (or rows of a whole), the distance of statistics, pieces, array steps.
    ROWS = 0
    WIDTH = 1
    KEPT = 2
    # Pieces: none where a kernel is called once more and finds in scratch what it prepared from the same statistics; less
    # than none where it is to write past the caches.
    COUNT = 3
    # All elements of an array: they stay in the caches, or are fetched ahead.
    ELEMENTS = 4
    STEP = 5
    # And from plane to plane of a row, see planes.py.
    PLANE = 13
    # Numbers of scratch for each column; behind them is room for a copy of whole columns.
    SCRATCH_PER_COLUMN = 16
    # Rows shorter than this are turned into columns, if there are enough of them; the second of float32 rows whose
    # exponentials are summed: what is done once for a row takes longer.
    SHORT_ROW = 16
    TURNED_EXP_ROW = 64
