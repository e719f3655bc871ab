"""What the scripts share that run several suites of other people: their options, what they print, how they end."""

import argparse
import sys
from pathlib import Path

from clusters import Kafka, Ours


def options(suites):
    """The broker, or Apache Kafka in its place, and perhaps one of the suites."""
    options = argparse.ArgumentParser()
    options.add_argument("broker")
    options.add_argument("--kafka", metavar="JARS")
    options.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "azimuth")
    options.add_argument("--suite", choices=suites)
    asked = options.parse_args()
    return asked, [asked.suite] if asked.suite else list(suites)


def cluster(asked, **layout):
    return Kafka(asked.kafka, **layout) if asked.kafka else Ours(str(Path(asked.broker).resolve()), **layout)


def counts(kinds):
    return ", ".join(f"{kinds.count(kind)} {kind}" for kind in ("passed", "failed", "skipped"))


class Tally:
    """Outcomes of suites, each a kind and why by the name of its test; `known` says why a test cannot pass, by its name."""

    def __init__(self, known):
        self.known, self.total, self.unexpected = known, [], 0

    def add(self, suite, outcomes):
        for test, (kind, why) in outcomes.items():
            if kind == "failed":
                self.unexpected += test not in self.known
                print(f"{suite}: {test} FAILED {self.known.get(test, why)}")
        kinds = [kind for kind, _ in outcomes.values()]
        self.total += kinds
        print(f"{suite}: {counts(kinds)}", flush=True)

    def close(self):
        print(counts(self.total))
        sys.exit(self.unexpected > 0)
