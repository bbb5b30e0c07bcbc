# C types for planes.py.

cdef enum:
    # Numbers of the pieces of rows that are worked on together: 16 rows of one piece each, or one of 256 pieces.
    PLANE_PIECES = 1024
    # Elements of rows that are worked on together where the sums need no copy: they stay in the second-level cache.
    PLANES_AT_ONCE = 32768
    # Shorter planes are written without asking, for every tile of theirs, for what is written next: it takes 20 cycles a
    # plane. As many elements ahead of them is fetched.
    LONG_PLANE = 1024
    # How many elements further on is fetched what is read next where planes go past the caches: 0.95 of the time of 512,
    # 2048 is no better.
    PLANES_AHEAD = 1024
    # Where in the scratch the statistics of these rows are: behind all else.
    PLANE_FACTS = 8192

cdef size planes_of_piece(size n, size count) noexcept nogil
cdef size pieces_of_plane(size n) noexcept nogil
cdef void gather(const real* x, size step, size n, size count, size ahead, output room) noexcept nogil
cdef void gather_rows(
    const real* x, size row_step, size step, size n, size count, size rows, output room
) noexcept nogil
cdef void keep_pieces(wides pieces, size rows, size n, const real* c, const wide* scratch) noexcept nogil
@cython.locals(source="const real*")
cdef wide* moments_of_planes(
    const real* x, size row_step, size step, size n, size count, size rows, wide* scratch, wide eps
) noexcept nogil
cdef void normalize_plane(
    const real* x, output y, size n, bint is_far, real mean, real scale, real bias, real lowest
) noexcept nogil
cdef void facts_of_planes(
    const real* x, size row_step, size step, size n, size count, size rows, wide* scratch, wide eps, wides facts
) noexcept nogil
cdef void keep_facts(const wide* facts, size rows, size kept, wides stats) noexcept nogil
cdef void moments_planes(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void parts_of_rows(
    wide* facts, size rows, const wide* weight, const wide* bias, size step, output mean, output scale, output rest
) noexcept nogil
cdef void normalize_rows(
    const real* x, size x_step, size x_plane, output y, size y_step, size y_plane, size n, size count, size rows,
    bint is_far, const real* mean, const real* scale, const real* rest, real lowest
) noexcept nogil
cdef void normalize_groups(
    const real* x, size x_step, size x_plane, output y, size y_step, size y_plane, size n, size count, size rows,
    bint is_far, const wide* weight, const wide* bias, size step, size plane_step, wide* facts, real lowest
) noexcept nogil
cdef void bring_planes_near(
    const real* x, size x_step, size x_plane, output y, size y_step, size y_plane, size n, size count, size rows,
    wide* facts, real* power
) noexcept nogil
@cython.locals(is_far=bint, source="const real*", source_step=size, source_plane=size)
cdef void normalize_planes(char** args, const Py_ssize_t* lengths) noexcept nogil
@cython.locals(is_far=bint)
cdef void affine_planes(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void affine_over_end(
    const real* x, output y, size some, real scale, real shift, real next_scale, real next_shift, real lowest
) noexcept nogil
@cython.locals(factor=real, summand=real, next_factor=real, next_summand=real)
cdef void affine_neighbours_past_caches(
    const real* x, output y, size n, size count, const wide* scale, const wide* shift, size step, real lowest,
    output room
) noexcept nogil
cdef void affine_planes_past_caches(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void pad_chains(real* target, const real* source, size n, real rest) noexcept nogil
cdef void add_4_slopes_of_row(
    const real* dy, const real* x, real mean, real mean_low, real scale, wides total, wides product
) noexcept nogil
cdef void add_3_slopes_of_row(
    const real* dy, const real* x, const real* last_dy, const real* last_x, real mean, real mean_low, real scale,
    wides total, wides product
) noexcept nogil
cdef void products_of_plane(
    const real* dy, const real* x, size n, real mean, real mean_low, real scale, wides totals, wides products,
    real* rest
) noexcept nogil
cdef (wide, wide) products_without_chains(
    const real* dy, size dy_step, const real* x, size x_step, size n, size count, real mean, real mean_low,
    wide* scratch
) noexcept nogil
cdef void facts_of_rows(
    wide* stats, size kept, size rows, output mean, output mean_low, output factor
) noexcept nogil
cdef void grad_normalize_plane(
    const real* dy, const real* x, output dx, size n, real mean, real mean_low, real c1, real c2, real scale
) noexcept nogil
cdef void grad_normalize_planes(char** args, const Py_ssize_t* lengths) noexcept nogil
