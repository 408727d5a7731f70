"""The two lanes of raw events, and the numbers under which the partitions of both are known.

Live events go through the topic `raw`, imports and what a flood is diverted to through `raw_historic`. Both have the
same number of partitions n and the same keys, so that partition p of both holds the same visitors. Everything derived
knows a raw partition by one *number*: 0 to n-1 are those of `raw`, n to 2n-1 those of `raw_historic`. It stands in
`raw_partition` of records and rows, and it is the partition of the derived topics. So a raw record is known by number
and offset alone, and each derived partition holds records of one raw partition, in its order: nothing that follows has
to know of lanes, and nothing live waits behind what is historic.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from core.settings import Settings
from core.topics import Topics

Lane = Literal["live", "historic"]


@dataclass(frozen=True, slots=True)
class Lanes:
    """Topics of both lanes, and their number of partitions each."""

    live: str
    historic: str
    partitions: int

    @classmethod
    def of(cls, settings: Settings) -> Lanes:
        names = Topics.named(settings.topic_prefix)
        return cls(names.raw, names.raw_historic, settings.partitions)

    @property
    def numbers(self) -> range:
        """All, live ones first."""
        return range(2 * self.partitions)

    def both(self, home: int) -> tuple[int, int]:
        """The numbers of partition `home` of both lanes, live first."""
        return home, home + self.partitions

    def home(self, number: int) -> int:
        """The partition that `number` is of its topic: the same keys have the same one in both lanes."""
        return number % self.partitions

    def lane(self, number: int) -> Lane:
        return "live" if number < self.partitions else "historic"

    def topic(self, number: int) -> str:
        return self.live if number < self.partitions else self.historic

    def number(self, topic: str, partition: int) -> int:
        """Raises ValueError if `topic` is none of the two."""
        if topic not in {self.live, self.historic}:
            raise ValueError(f"{topic} is no raw topic")
        return partition if topic == self.live else partition + self.partitions
