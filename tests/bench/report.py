"""Figures of one run, and the table that shows them."""
import statistics
import sys
from dataclasses import asdict, dataclass


@dataclass
class Bar:
    """What a figure must meet: its ratio to the baseline at least or at most, or its p50 at most."""
    kind: str  # "ratio >=", "ratio <=" or "<="
    value: float

    def __str__(self):
        return {"ratio >=": f"≥ {self.value:g}×", "ratio <=": f"≤ {self.value:g}×", "<=": f"≤ {self.value:g}"}[self.kind]


def ratio_at_least(value):
    return Bar("ratio >=", value)


def ratio_at_most(value):
    return Bar("ratio <=", value)


def at_most(value):
    return Bar("<=", value)


@dataclass
class Figure:
    what: str
    unit: str
    p50: float
    p95: float  # the worse tail: of times the high one, of rates the low one
    samples: int
    baseline: float | None = None
    ratio: float | None = None
    bar: Bar | None = None
    section: str = ""

    @property
    def met(self):
        if self.bar is None:
            return None
        if self.bar.kind == "ratio >=":
            return self.ratio >= self.bar.value
        return (self.ratio if self.bar.kind == "ratio <=" else self.p50) <= self.bar.value


def percentile(values, percent):
    """The smallest value that `percent` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def figure(what, unit, values, baselines=None, bar=None, rate=False):
    """A figure of `values`. With as many baselines as values they are pairs, measured one right after the other, and the
    ratio is the median of the pairs': it holds although the machine is busier at one time than at another."""
    p50 = statistics.median(values)
    made = Figure(what, unit, p50, percentile(values, 5 if rate else 95), len(values), bar=bar)
    if baselines:
        made.baseline = statistics.median(baselines)
        pairs = len(values) == len(baselines)
        made.ratio = (statistics.median(ours / theirs for ours, theirs in zip(values, baselines)) if pairs
                      else p50 / made.baseline)
    return made


class Report:
    """Prints each row when it is known, under the headings of its section."""
    COLUMNS = (("p50", 10), ("p95", 10), ("unit", 7), ("baseline", 10), ("ratio", 7), ("bar", 8), ("ok?", 5))
    WHAT = 36

    def __init__(self):
        self.figures = []
        self.title = ""

    def section(self, title, baseline):
        self.title = title
        print(f"\n{title}" + (f"   (baseline: {baseline})" if baseline else ""))
        print(f"  {'what':<{self.WHAT}}" + "".join(self.align(name, name, width) for name, width in self.COLUMNS), flush=True)

    @staticmethod
    def align(name, text, width):
        return f" {text:<{width - 1}}" if name == "unit" else f"{text:>{width}}"

    def add(self, made):
        made.section = self.title
        self.figures.append(made)
        cells = {"p50": number(made.p50), "p95": number(made.p95), "unit": made.unit, "baseline": number(made.baseline),
                 "ratio": "" if made.ratio is None else f"{made.ratio:.2f}", "bar": "" if made.bar is None else str(made.bar),
                 "ok?": {None: "", True: "ok", False: "NO"}[made.met]}
        print(f"  {made.what:<{self.WHAT}}" + "".join(self.align(name, cells[name], width) for name, width in self.COLUMNS),
              flush=True)

    def met(self):
        return [made for made in self.figures if made.met]

    def missed(self):
        return [made for made in self.figures if made.met is False]

    def to_json(self):
        return [{**asdict(made), "met": made.met} for made in self.figures]


def number(value):
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def note(text):
    print(f"  {text}", flush=True)


def give_up(what, hint):
    print(f"bench: {what}\n  try: {hint}", file=sys.stderr)
    sys.exit(1)
