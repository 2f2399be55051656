# SPDX-License-Identifier: LGPL-2.1-or-later
"""A strict reader of Prometheus' text format: what it accepts, any scraper does.

https://prometheus.io/docs/instrumenting/exposition_formats, and the rules of "promtool check
metrics" for names and units.
"""

import math
import re

NAME = r"[a-z][a-z0-9_]*"
LABEL = rf'({NAME})="((?:[^"\\\n]|\\[\\n"])*)"'
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? ([0-9]+(?:\.[0-9]+)?)")
HEAD = re.compile(rf"# (HELP|TYPE) ({NAME}) (.+)")
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("",), "gauge": ("",)}


class Family:
    """A metric: its type, and its samples by name and labels."""

    def __init__(self, name):
        self.name = name
        self.type = None
        self.samples = {}

    def add(self, name, labels, value):
        """Takes a sample, which has to be the first one of its name and labels."""
        assert name in [self.name + suffix for suffix in SUFFIXES[self.type]], name
        key = (name, tuple(sorted(labels)))
        assert key not in self.samples, key
        assert len({label for label, _ in labels}) == len(labels), labels
        self.samples[key] = value

    def check(self):
        """What has to hold once all samples are there."""
        assert self.type in SUFFIXES, self.name
        assert (self.type == "counter") == self.name.endswith("_total"), self.name
        if self.type == "histogram":
            self._check_histogram()

    def _check_histogram(self):
        assert self.name.endswith("_seconds"), self.name
        series = {}
        for (name, labels), value in self.samples.items():
            others = tuple(label for label in labels if label[0] != "le")
            kind = name.removeprefix(self.name)
            series.setdefault(others, {}).setdefault(kind, []).append((dict(labels), value))
        for kinds in series.values():
            assert sorted(kinds) == ["_bucket", "_count", "_sum"]
            buckets = [(float(labels["le"]), value) for labels, value in kinds["_bucket"]]
            assert buckets == sorted(buckets)
            assert [value for _, value in buckets] == sorted(value for _, value in buckets)
            assert math.isinf(buckets[-1][0])
            assert buckets[-1][1] == kinds["_count"][0][1]


def parse(text):
    """The families by their names; an assertion fails where the format is broken."""
    families, family = {}, None
    assert text.endswith("\n")
    for line in text[:-1].split("\n"):
        head = HEAD.fullmatch(line)
        if head and head[1] == "HELP":
            assert head[2] not in families, line
            family = families[head[2]] = Family(head[2])
        elif head:
            assert family.name == head[2] and not family.type and not family.samples, line
            family.type = head[3]
        else:
            sample = SAMPLE.fullmatch(line)
            assert sample, line
            family.add(sample[1], re.findall(LABEL, sample[2] or ""), float(sample[7]))
    for each in families.values():
        each.check()
    return families
