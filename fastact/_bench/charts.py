"""Charts as SVG text, made by hand: small, sharp at any size, and without a script or a font of their own."""

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

Points = Sequence[tuple[float, float]]


class Scale(NamedTuple):
    """A logarithmic axis: what range of numbers lies on what range of pixels."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        part = math.log(min(max(value, self.low), self.high) / self.low) / math.log(self.high / self.low)
        return round(self.start + part * (self.end - self.start), 1)


class Line(NamedTuple):
    """A line of a chart: its class, which gives the colour, and its points."""

    kind: str
    points: Points


WIDTH, HEIGHT = 280, 190
LEFT, RIGHT, TOP, BOTTOM = 34, 8, 8, 24
SIZE_MARKS = ((1, "1"), (2**10, "1 Ki"), (2**16, "64 Ki"), (2**24, "16 Mi"))
SPEED_MARKS = ((0.01, "0.01"), (0.1, "0.1"), (1, "1"), (10, "10"), (100, "100"))
SIZE = Scale(1, 2**24, LEFT, WIDTH - RIGHT)
SPEED = Scale(0.002, 200, HEIGHT - BOTTOM, TOP)


def speed_against_size(title: str, lines: Iterable[Line]) -> str:
    """Return a chart of bytes a second against the number of elements, both logarithmic."""
    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}: GB/s against size">']
    for value, text in SPEED_MARKS:
        y = SPEED(value)
        parts.append(f'<path class="grid" d="M{LEFT} {y}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text class="mark" x="{LEFT - 5}" y="{y + 3.5}" text-anchor="end">{text}</text>')
    for value, text in SIZE_MARKS:
        x = SIZE(value)
        anchor = "start" if value == 1 else "end" if value == 2**24 else "middle"
        parts.append(f'<path class="grid" d="M{x} {TOP}V{HEIGHT - BOTTOM}"/>')
        parts.append(f'<text class="mark" x="{x}" y="{HEIGHT - 8}" text-anchor="{anchor}">{text}</text>')
    parts += [drawn(line) for line in lines if line.points]
    return "".join([*parts, "</svg>"])


def drawn(line: Line) -> str:
    """Return a line with a dot at each point."""
    places = [(SIZE(size), SPEED(speed)) for size, speed in line.points]
    path = "M" + "L".join(f"{x} {y}" for x, y in places)
    dots = "".join(f'<circle cx="{x}" cy="{y}" r="2.6"/>' for x, y in places)
    return f'<g class="{line.kind}"><path d="{path}"/>{dots}</g>'


# ---- The picture for README: bars and errors, in one drawing of its own colours.


class Bar(NamedTuple):
    """A function in the picture: times as fast as the naive line and as the best library, and errors in ULP."""

    name: str
    naive: float
    peer: float | None
    library: str
    ulp: float | None
    naive_ulp: float | None


OURS, THEIRS, INK, FAINT, PAPER = "#1f6fb4", "#c2571a", "#1c2128", "#8a919b", "#ffffff"
ROW_HEIGHT, HEAD, FOOT = 22, 64, 40
NAMES, BARS, ERRORS = 200, (208, 620), (730, 950)
RATIO = Scale(0.5, 400, *BARS)
ULP = Scale(0.03, 1e10, *ERRORS)


def picture(bars: Sequence[Bar], title: str, note: str) -> str:
    """Return the picture: bars of how many times as fast on the left, the largest errors on the right."""
    height = HEAD + ROW_HEIGHT * len(bars) + FOOT
    start = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1000 {height}" font-family="system-ui,sans-serif" '
        f'font-size="12" fill="{INK}"><rect width="1000" height="{height}" fill="{PAPER}"/>'
        f'<text x="12" y="22" font-size="15" font-weight="600">{escape(title)}</text>'
        f'<text x="{BARS[0]}" y="48"><tspan font-weight="600">Times as fast</tspan> as '
        f'<tspan fill="{OURS}">the NumPy line</tspan>, as <tspan fill="{THEIRS}">the fastest library</tspan></text>'
        f'<text x="{ERRORS[0]}" y="48"><tspan font-weight="600">Largest error, ULP:</tspan> '
        f'<tspan fill="{OURS}">fastact</tspan>, <tspan fill="{THEIRS}">NumPy line</tspan></text>'
    )
    parts = [start]
    bottom = height - FOOT
    parts += [
        f'<path d="M{scale(value)} {HEAD - 6}V{bottom}" stroke="{FAINT}" stroke-width="{1.2 if value == 1 else 0.4}"/>'
        f'<text x="{scale(value)}" y="{bottom + 14}" text-anchor="middle" fill="{FAINT}">{text}</text>'
        for scale, marks in (
            (RATIO, ((1, "1"), (10, "10"), (100, "100"))),
            (ULP, ((1, "1"), (1e3, "1000"), (1e6, "10⁶"), (1e9, "10⁹"))),
        )
        for value, text in marks
    ]
    parts += [row(bar, HEAD + ROW_HEIGHT * place) for place, bar in enumerate(bars)]
    parts.append(f'<text x="12" y="{height - 8}" fill="{FAINT}">{escape(note)}</text></svg>')
    return "\n".join(parts) + "\n"


def row(bar: Bar, top: float) -> str:
    """Return one function of the picture."""
    middle = top + ROW_HEIGHT / 2
    parts = [
        f'<text x="{NAMES}" y="{middle + 4}" text-anchor="end">{escape(bar.name)}</text>',
        ratio_bar(bar.naive, top + 2, OURS, f"{ratio_text(bar.naive)}"),
    ]
    if bar.peer is not None:
        parts.append(ratio_bar(bar.peer, top + 11, THEIRS, f"{ratio_text(bar.peer)} {bar.library}"))
    parts += [error_dot(bar.naive_ulp, middle, THEIRS), error_dot(bar.ulp, middle, OURS)]
    return "".join(parts)


def ratio_bar(ratio: float, top: float, color: str, text: str) -> str:
    start, end = sorted((RATIO(1), RATIO(ratio)))
    place = max(RATIO(1), end) + 5
    return (
        f'<rect x="{start}" y="{top}" width="{max(end - start, 1):.1f}" height="8" rx="1.5" fill="{color}"/>'
        f'<text x="{place}" y="{top + 8}" font-size="10" fill="{color}">{escape(text)}</text>'
    )


def error_dot(ulp: float | None, middle: float, color: str) -> str:
    """Return a dot, at the left end for an exact result, a cross at the right end for one that is no number."""
    if ulp is None:
        return ""
    x = ULP(max(ulp, 1e-9))
    if math.isinf(ulp):
        return f'<path d="M{x - 4} {middle - 4}l8 8m0 -8l-8 8" stroke="{color}" stroke-width="2"/>'
    return f'<circle cx="{x}" cy="{middle}" r="4" fill="{color}" fill-opacity="{1 if color == OURS else 0.75}"/>'


def ratio_text(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio < 2 else f"{ratio:.1f}" if ratio < 20 else f"{ratio:.0f}"
