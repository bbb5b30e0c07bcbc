"""The sums that a learned slope's gradient is made of, for every compiler."""


def slope_term(dy, x):
    """Return the derivative of dy*(slope*x where x <= 0) by the slope. NaN counts as x <= 0, as in torch."""
    product = widened(dy) * widened(x)
    return widened(ZERO) if x > ZERO else product


def slope_sums(args, lengths):
    """Add to each of lengths[1] columns what lengths[0] rows have below it, row after row."""
    dy = operand(args, 0)
    x = operand(args, 1)
    sums = sums_operand(args, 2)
    rows, columns = lengths[0], lengths[1]
    for row in range(rows):
        add_slope_row(dy + row * columns, x + row * columns, sums, columns)


def add_slope_row(dy, x, sums, columns):
    for column in range(columns):
        sums[column] += slope_term(dy[column], x[column])
