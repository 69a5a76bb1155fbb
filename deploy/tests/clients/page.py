"""A simple parser of the text format: one sample per line. Clients are compared with its result."""

import re
from dataclasses import dataclass, field

SAMPLE = re.compile(r"(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)")
LABEL = re.compile(r'(?P<name>\w+)="(?P<value>(?:[^"\\]|\\.)*)"')
ESCAPED = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}


def series(name, labels):
    """Returns a key for a series. Bucket bounds are normalised, because clients write them differently: `1`, `1.0`, `+Inf`, `inf`."""
    return name, frozenset((key, float(value) if key == "le" else value) for key, value in labels.items())


@dataclass
class Page:
    text: str
    types: dict = field(default_factory=dict)
    samples: dict = field(default_factory=dict)

    def __post_init__(self):
        for line in self.text.splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ")
                self.types[name] = kind
            elif line and not line.startswith("#"):
                sample = SAMPLE.fullmatch(line)
                assert sample, f"not a sample: {line!r}"
                labels = {
                    found["name"]: re.sub(r"\\.", lambda escape: ESCAPED[escape[0]], found["value"])
                    for found in LABEL.finditer(sample["labels"] or "")
                }
                key = series(sample["name"], labels)
                assert key not in self.samples, f"duplicate: {line}"
                self.samples[key] = float(sample["value"])

    def histograms(self):
        return {name for name, kind in self.types.items() if kind == "histogram"}

    def buckets(self, name, **labels):
        """Returns the buckets of a histogram as (bound, count), in the order of the page."""
        wanted = set(labels.items())
        found = []
        for (sample, its_labels), value in self.samples.items():
            if sample == f"{name}_bucket" and wanted <= its_labels:
                found.append((dict(its_labels)["le"], value))
        return found

    def value(self, name, **labels):
        return self.samples[series(name, labels)]


# Metrics of the process and its HTTP server, which change with every request.
RESTLESS = ("process_", "promhttp_")


def steady(before, after):
    """Returns the samples that are equal on both pages: a client that read in between must have them."""
    samples = {key: value for key, value in before.samples.items() if not key[0].startswith(RESTLESS)}
    return {key: value for key, value in samples.items() if after.samples.get(key) == value}


def quantile(q, buckets):
    """Calculates `histogram_quantile` as documented."""
    total = buckets[-1][1]
    rank = q * total
    lower, below = 0.0, 0.0
    for bound, count in buckets:
        if count >= rank:
            return lower if bound == float("inf") else lower + (bound - lower) * (rank - below) / (count - below)
        lower, below = bound, count
    raise AssertionError("the last bucket holds all")
