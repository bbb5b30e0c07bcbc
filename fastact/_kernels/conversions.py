"""Kernels that convert contiguous memory to binary32 and back: args[0] to args[1].

They run around other kernels, on blocks that stay in the first-level cache: a 16-bit type is converted, computed in
binary32 and rounded once. The conversions of the 16-bit floats are in ``conversions.h``.
"""


def float32_of_bool(args, n):
    x = bool_operand(args, 0)
    y = operand(args, 1)
    for i in range(n):
        y[i] = x[i] != 0


def float32_of_float16(args, n):
    widen_float16(operand(args, 1), bits_operand(args, 0), n)


def float16_of_float32(args, n):
    round_to_float16(bits_operand(args, 1), operand(args, 0), n)


def float32_of_bfloat16(args, n):
    widen_bfloat16(operand(args, 1), bits_operand(args, 0), n)


def bfloat16_of_float32(args, n):
    round_to_bfloat16(bits_operand(args, 1), operand(args, 0), n)
