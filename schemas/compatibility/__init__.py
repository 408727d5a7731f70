"""Whether data written with one Avro schema can be read with another, and what a compatibility mode asks of a version.

`types` reads a schema's JSON into a graph, `resolution` applies the rules of Avro 1.12 ("Schema Resolution") to two of
them, `modes` says which pairs of versions a mode compares. What Avro calls compatible and analysts do not is
`schemas.lint`'s to say.
"""

from schemas.compatibility.modes import MODES, Mode, Violation, check
from schemas.compatibility.resolution import Incompatibility, Rule, can_read

__all__ = ["MODES", "Incompatibility", "Mode", "Rule", "Violation", "can_read", "check"]
