"""The value axis: linear or logarithmic, where it is cut, its levels and its tick labels.

A figure draws `forward(values)`: the values themselves, or their log10. Levels, ticks and limits
are kept in value units and pass through the same function, so every kind of figure agrees.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from matplotlib.ticker import MaxNLocator

from .errors import PlotError
from .wording import grouped, is_percent

FEW, EXTREME = 0.01, 0.5  # where so few points would take more than this share of the scale, it ends before them
MANY = 100  # points, of which a hundredth is one
LOWEST, MOST = 0.1, 0.4  # of a linear scale, and of the points: where so many lie so low, its colours cannot tell them apart
LEAST_RATIO = 3.0  # of the largest to the least value, below which a log scale shows no more than a linear one
ROUNDING = 1e-6  # of values that networks give: a smaller range, relative to them, is float32's rounding

# Round steps within a decade, coarse to fine: what a reader finds on log paper.
MANTISSAS = (
    (1,),
    (1, 3),
    (1, 2, 5),
    (1, 1.5, 2, 3, 5, 7),
    (1, 1.25, 1.5, 2, 2.5, 3, 4, 5, 6, 8),
    (1, 1.1, 1.25, 1.4, 1.6, 1.8, 2, 2.2, 2.5, 2.8, 3, 3.5, 4, 4.5, 5, 5.5, 6, 7, 8, 9),
)


@dataclass
class Scale:
    """Limits in value units, lo < hi. `cut_low` and `cut_high` say that values lie beyond them."""

    log: bool
    lo: float
    hi: float
    cut_low: bool = False
    cut_high: bool = False
    constant: bool = False
    floor: float = 0.0  # on a log scale the least positive value: what is not positive is drawn there
    notes: list = field(default_factory=list)

    def forward(self, values):
        """Value units to drawing units; NaN stays NaN. Values beyond a cut stay beyond it."""
        if not self.log:
            return np.asarray(values)
        low, high = self.span
        drawn = np.log10(np.maximum(values, self.floor))
        # Without a cut the limits are the extremes: a rounding error must not push one out.
        return np.clip(drawn, -np.inf if self.cut_low else low, np.inf if self.cut_high else high)

    def backward(self, drawn):
        """Drawing units to value units."""
        return 10.0 ** np.asarray(drawn) if self.log else np.asarray(drawn)

    def held(self, values):
        """As forward, with what lies beyond the limits held at them."""
        return np.clip(self.forward(values), *self.span)

    def position(self, value):
        """One value in drawing units."""
        return math.log10(value) if self.log else float(value)

    @property
    def span(self):
        """The limits in drawing units."""
        return self.position(self.lo), self.position(self.hi)

    def round_values(self, count):
        """At most about `count` round values within the limits, ascending."""
        if self.log:
            values = _log_values(self.lo, self.hi, count)
            if len(values) >= min(3, count):
                return values
        return _linear_values(self.lo, self.hi, count)

    def minor(self):
        """Values of the small ticks of a log scale: 2 to 9 in every decade, unless there are many."""
        if not self.log or self.hi / self.lo > 1e7:
            return []
        decades = range(math.floor(math.log10(self.lo)), math.ceil(math.log10(self.hi)) + 1)
        every = (m * 10.0**e for e in decades for m in range(1, 10))
        return [v for v in every if self.lo <= v <= self.hi]

    def ticks(self, count=7):
        """(values, labels) for an axis or a colour bar."""
        values = self.round_values(count)
        if self.log and len(values) > count:
            values = values[:: math.ceil(len(values) / count)]
        return values, labels(values, self.log)


def choose(values, name, log=None, vmin=None, vmax=None, whole=False):
    """The scale for finite float64 `values` (NaN is skipped; at least one is finite).

    `log` None decides by itself: see is_crowded; a percentage is never logarithmic. Where a hundredth of many points
    would take more than half of the scale, it is cut before them, and says so; not if `whole`.
    """
    finite = values[np.isfinite(values)]
    low, high = float(finite.min()), float(finite.max())
    notes = []
    if log is None:
        log = low > 0 and not is_percent(name) and is_crowded(finite, vmin, vmax, whole)
    elif log and high <= 0:
        raise PlotError(f"--log needs positive values: {name} reaches {number(high)} at most")
    if log and low <= 0:
        positive = finite[finite > 0]
        count = finite.size - positive.size
        low = float(positive.min())
        notes.append(f"{grouped(count)} of {grouped(finite.size)} points are ≤ 0, drawn as the least positive")
    if finite.size >= MANY and not whole and not is_percent(name):
        few = np.log10(np.maximum(finite, low)) if log else finite
        if vmax is None and (end := _end_before_extremes(few)) is not None:
            vmax = float(finite[few <= end].max())
        if log and vmin is None and (end := _end_before_extremes(-few)) is not None:
            vmin = float(finite[few >= -end].min())
    lo, hi, cuts = _limits(finite, name, log, low, high, vmin, vmax)
    if lo < -1e300 or hi > 1e300:  # the width of the range would overflow
        raise PlotError(
            f"{name} goes from {number(low)} to {number(high)}, too far to draw: cut it with --vmin and --vmax"
        )
    asked = vmin is not None or vmax is not None
    least = 1e-12 if asked or name == "value" else ROUNDING  # "value": of a function, in float64
    constant = not hi - lo > least * max(abs(hi), abs(lo))
    if constant:
        notes.append(f"every value is {number(lo)}" if hi == lo else
                     f"all values lie within {number(hi - lo)} of {number(lo)}, which is rounding: drawn as one value")
        pad = 0.5 * abs(lo) or 0.5
        lo, hi, log = lo - pad, hi + pad, False
    return Scale(log, lo, hi, cuts[0] is not None, cuts[1] is not None, constant, low,
                 notes + [text for text in cuts if text])


def is_crowded(finite, vmin=None, vmax=None, whole=False):
    """Whether two fifths of the values to be drawn lie in the lowest tenth of a linear scale, and a log scale spreads them."""
    shown = finite[(finite >= (-np.inf if vmin is None else vmin)) & (finite <= (np.inf if vmax is None else vmax))]
    if vmax is None and not whole and finite.size >= MANY and (end := _end_before_extremes(finite)) is not None:
        shown = shown[shown <= end]
    if not shown.size:
        return False
    low, middle, high = (float(value) for value in np.quantile(shown, (0.0, MOST, 1.0)))
    return middle - low < LOWEST * (high - low) and high > LEAST_RATIO * low


def _end_before_extremes(drawn):
    """Where the scale of these values, in drawing units, ends at its upper side: None where that is at the largest."""
    low, end, high = np.quantile(drawn, (0.0, 1.0 - FEW, 1.0), method="lower")
    end += 0.25 * (end - low)  # with what lies close to the many
    return end if high - end > EXTREME * (high - low) and end > low else None


def _limits(finite, name, log, low, high, vmin, vmax):
    """(lo, hi, (note on the low cut or None, note on the high cut or None))."""
    if log and vmin is not None and vmin <= 0:
        raise PlotError(f"--vmin must be above 0 on a log scale, not {number(vmin)}")
    lo = low if vmin is None else vmin
    hi = high if vmax is None else vmax
    if lo > hi or (lo == hi and low != high):
        raise PlotError(
            f"nothing of {name} lies between --vmin and --vmax: it goes from {number(low)} to {number(high)}"
        )
    return lo, hi, (
        _cut_note(finite < lo, "below", lo, "down to", low) if lo > low else None,
        _cut_note(finite > hi, "above", hi, "up to", high) if hi < high else None,
    )


def _cut_note(beyond, side, limit, reach, extreme):
    count = int(np.count_nonzero(beyond))
    return (
        f"cut at {number(limit)}: {grouped(count)} of {grouped(beyond.size)} points lie {side} it"
        f" ({reach} {number(extreme)})"
    )


def _linear_values(lo, hi, count):
    locator = MaxNLocator(max(count, 1), steps=[1, 2, 2.5, 5, 10], min_n_ticks=1)
    slack = 1e-9 * (hi - lo)
    return [float(v) for v in locator.tick_values(lo, hi) if lo - slack <= v <= hi + slack]


def _log_values(lo, hi, count):
    first, last = math.floor(math.log10(lo)), math.ceil(math.log10(hi))
    best = []
    for mantissas in MANTISSAS:
        values = [m * 10.0**e for e in range(first, last + 1) for m in mantissas]
        values = [v for v in values if lo * (1 - 1e-9) <= v <= hi * (1 + 1e-9)]
        if best and len(values) > count:
            break
        best = values
    if len(best) > count:  # more decades than levels
        best = best[:: math.ceil(len(best) / count)]
    return best


def number(value):
    """A number in running text, at most four digits."""
    return labels([value])[0]


def labels(values, log=False):
    """Labels that tell the values apart: as few digits as do that, at least those of 0.001 steps.

    On a log scale whole decades outside 0.001 … 10 000 are written as powers of ten.
    """
    for digits in range(4, 17):
        texts = [f"{value:.{digits}g}" for value in values]
        if len(set(texts)) == len(set(values)):
            break
    return [_pretty(text, log) for text in texts]


def _pretty(text, log):
    mantissa, exponent = text, None
    if "e" in text:
        mantissa, exponent = text.split("e")
    value = float(text)
    if log and value > 0 and not 1e-3 <= value < 2e4:
        exponent = exponent or str(math.floor(math.log10(value)))
        mantissa = f"{value / 10.0 ** int(exponent):.4g}"
    if exponent is None:
        return mantissa.replace("-", "\N{MINUS SIGN}")
    mantissa = mantissa.replace("-", "\N{MINUS SIGN}")
    power = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"10{power}" if mantissa == "1" else f"{mantissa}×10{power}"
