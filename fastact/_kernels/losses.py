"""Binary cross entropy of logits: its sum, the losses, and the gradient of their mean. Gradients of penalties."""


def binary_loss(x, target):
    """Return log1p(exp(-abs(x))) + abs(x)*(what the target is off): nothing is subtracted from anything."""
    size = absolute(x)
    off = ONE - target if x >= ZERO else target
    return fma(size, off, softplus_unit(-size))


def add_binary_losses(x, target, width, total):
    for j in range(width):
        total[j] = total[j] + wide_of(binary_loss(x[j], target[j]))


def binary_losses_row(args, lengths):
    """Arrays: x, target."""
    x, target, n, total = operand(args, X), operand(args, X + 1), lengths[ROWS], numbers(args, SCRATCH)
    for j in range(LANES):
        total[j] = 0.0
    for block in range(n // LANES):
        add_binary_losses(x + block * LANES, target + block * LANES, LANES, total)
    add_binary_losses(x + n // LANES * LANES, target + n // LANES * LANES, n % LANES, total)
    numbers(args, PIECES)[0] = sum_of_lanes(total, total + LANES)


def binary_losses_combine(args, lengths):
    totals(args, lengths)


def binary_losses_apply_row(args, lengths):
    x, target, y = operand(args, X), operand(args, X + 1), output_of(args, X + 2)
    for i in range(lengths[ROWS]):
        y[i] = binary_loss(x[i], target[i])


def grad_binary_loss(x, target, count):
    """Return ((1 - target)*sigmoid(x) - target*sigmoid(-x))/count by one exponential and one division."""
    power = exp_negative(-absolute(x))
    above = ONE if x >= ZERO else power
    below = power if x >= ZERO else ONE
    return ((ONE - target) * above - target * below) / ((ONE + power) * count)


def grad_binary_losses_apply_row(args, lengths):
    x, target, dx = operand(args, X), operand(args, X + 1), output_of(args, X + 2)
    count = narrow(numbers(args, PARAMETERS)[0])
    for i in range(lengths[ROWS]):
        dx[i] = grad_binary_loss(x[i], target[i], count)


def grad_penalty(w, first, second):
    """Return first*sign(w) + second*w; a factor of 0 leaves its term out, also where w is infinite."""
    rest = ZERO if w == ZERO else first * w
    above = first if w > ZERO else rest
    sign = -first if w < ZERO else above
    linear = second * w
    total = linear if first == ZERO else sign + linear
    return sign if second == ZERO else total


def grad_penalties_apply_row(args, lengths):
    """Arrays: w, dw. Parameters: the two factors."""
    w, dw = operand(args, X), output_of(args, X + 1)
    first, second = narrow(numbers(args, PARAMETERS)[0]), narrow(numbers(args, PARAMETERS)[1])
    for i in range(lengths[ROWS]):
        dw[i] = grad_penalty(w[i], first, second)
