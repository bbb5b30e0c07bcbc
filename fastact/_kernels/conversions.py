"""Kernels that convert contiguous memory between binary32 and the 16-bit floats: args[0] to args[1].

They run inside other kernels' loops, on blocks that stay in the first-level cache: a 16-bit type is converted,
computed in binary32 and rounded once. The conversions themselves are in ``conversions.h``.
"""


def float32_of_float16(args, n):
    widen_float16(operand(args, 1), bits_operand(args, 0), n)


def float16_of_float32(args, n):
    round_to_float16(bits_operand(args, 1), operand(args, 0), n)


def float32_of_bfloat16(args, n):
    widen_bfloat16(operand(args, 1), bits_operand(args, 0), n)


def bfloat16_of_float32(args, n):
    round_to_bfloat16(bits_operand(args, 1), operand(args, 0), n)
