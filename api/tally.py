"""What a process's ingest has taken and refused since it started; counted in its event loop."""

from collections import Counter
from collections.abc import Iterator

from domain import metering
from domain.metering import Family
from domain.snapshots import Admitted


class Tally:
    """Counts of samples and batches."""

    def __init__(self) -> None:
        self.accepted = self.batches = self.duplicates = 0
        self.refused: Counter[str] = Counter()

    def note(self, admitted: Admitted, *, is_duplicate: bool) -> None:
        """A batch that was answered with 202."""
        self.batches += 1
        if is_duplicate:
            self.duplicates += 1
        else:
            self.accepted += admitted.accepted
        for refusal in admitted.refusals:
            self.refused[refusal.reason] += refusal.count

    def families(self) -> Iterator[Family]:
        """As figures."""
        yield metering.counter("metrist_samples_accepted", "Samples acknowledged, repetitions left out", self.accepted)
        yield metering.counters("metrist_samples_refused", "Samples refused one by one", "reason", self.refused)
        yield metering.counter("metrist_batches_accepted", "Bodies of snapshots answered with 202", self.batches)
        yield metering.counter(
            "metrist_batches_repeated", "Of these, repetitions that were stored before", self.duplicates
        )
