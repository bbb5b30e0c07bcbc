"""The loops over a block of contiguous memory, for every compiler.

``each_A_S(f, arrays..., scalars..., y, n)``: y[i] = f(arrays[i]..., scalars...). A loop is compiled once for each
formula, which is inlined into it; nothing else may stand between two elements, or they do not go to vectors.
"""


def each_1_0(f, a, y, n):
    for i in range(n):
        y[i] = f(a[i])


def each_1_1(f, a, s, y, n):
    for i in range(n):
        y[i] = f(a[i], s)


def each_1_2(f, a, s, t, y, n):
    for i in range(n):
        y[i] = f(a[i], s, t)


def each_2_0(f, a, b, y, n):
    for i in range(n):
        y[i] = f(a[i], b[i])


def each_2_1(f, a, b, s, y, n):
    for i in range(n):
        y[i] = f(a[i], b[i], s)


def each_2_2(f, a, b, s, t, y, n):
    for i in range(n):
        y[i] = f(a[i], b[i], s, t)


def each_3_0(f, a, b, c, y, n):
    for i in range(n):
        y[i] = f(a[i], b[i], c[i])


def each_4_0(f, a, b, c, d, y, n):
    for i in range(n):
        y[i] = f(a[i], b[i], c[i], d[i])
