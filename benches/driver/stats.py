"""How sure one can be that two builds differ."""
import itertools
import math
import statistics
from dataclasses import dataclass

CONFIDENCE = 0.99
# Differences below this are not worth a word, and layouts alone make that much.
EFFECT_MIN = 0.01


@dataclass(frozen=True)
class Interval:
    """A ratio of times, less one: 0.03 is three percent slower."""
    estimate: float
    low: float
    high: float

    @property
    def half_width(self):
        """How far off the estimate may be."""
        return (self.high - self.low) / 2

    def verdict(self):
        """`slower` or `faster` if zero is outside and it is worth a word, else `no difference`."""
        if self.low > 0 and self.estimate >= EFFECT_MIN:
            return "slower"
        if self.high < 0 and self.estimate <= -EFFECT_MIN:
            return "faster"
        return "no difference"


def interval(log_ratios, confidence=CONFIDENCE):
    """Hodges and Lehmann's estimate of the middle of the logarithms, and the interval that Wilcoxon's signed-rank test
    leaves (Hollander, Wolfe, Chicken: Nonparametric Statistical Methods, 3.2 and 3.3). It assumes that samples are
    independent and no side of the middle is favoured; not that noise is normal, which on a shared machine it is not."""
    averages = sorted((a + b) / 2 for a, b in itertools.combinations_with_replacement(log_ratios, 2))
    cut = signed_rank_cut(len(log_ratios), (1 - confidence) / 2)
    low, high = averages[cut], averages[-1 - cut]
    return Interval(*(math.expm1(value) for value in (statistics.median(averages), low, high)))


def signed_rank_cut(n, tail):
    """How many of the smallest averages lie below the interval: the largest c with P(signed rank <= c) <= tail."""
    # The number of sign patterns with each rank sum.
    counts = [1]
    for rank in range(1, n + 1):
        grown = [0] * (len(counts) + rank)
        for total, count in enumerate(counts):
            grown[total] += count
            grown[total + rank] += count
        counts = grown
    below = 0
    for cut, count in enumerate(counts):
        below += count
        if below > tail * 2**n:
            if cut == 0:
                raise ValueError(f"{n} samples cannot be so sure")
            return cut - 1
    raise ValueError(f"a tail of {tail} is no tail")
