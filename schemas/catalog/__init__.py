"""The contracts as a static site, for people who read neither Avro nor code.

`subjects` reads the registry, `fields`, `history`, `queries` and `snippets` say one thing each about a subject, `site`
makes pages of it, `folder` writes them. No page holds a time or anything of this machine, so that a site can be
committed and compared.
"""

from schemas.catalog.folder import Written, write
from schemas.catalog.site import build

__all__ = ["Written", "build", "write"]
