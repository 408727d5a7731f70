"""Our schemas in an external registry: put there, and its ids used on our topics instead of those of `lock.json`.

Our own schema files stay the truth: nothing is decoded by what the registry answers.
"""

from __future__ import annotations

from collections.abc import Iterator

from core.errors import ConfigError
from core.settings import Settings
from core.topics import Topics
from schemas import framing
from schemas.external import ExternalRegistry, Known, Reference
from schemas.registry import Registry, Schema, bundled
from schemas.registry_view import text
from schemas.subjects import topic_subjects

# Beside the state folder's own files, and hidden: a folder that holds nothing else is still a new one.
CACHE_FILE = ".schema-registry.json"


def connect(settings: Settings) -> ExternalRegistry:
    """Raises ConfigError if the URL is none."""
    return ExternalRegistry(
        settings.schema_registry_url,
        user=settings.schema_registry_user,
        password=settings.schema_registry_password,
        cache=settings.state_dir / CACHE_FILE,
    )


def install(settings: Settings) -> None:
    """Name the records of this process as the external registry does, if one is set.

    To be called once, before anything is encoded or decoded.

    Raises:
        UnavailableError: it is not known what the registry calls them, and it does not answer.
        ConfigError: the registry does not have them, refuses us, or its ids cannot be told from ours.
    """
    if not settings.schema_registry_url:
        return
    registry, names = connect(settings), {}
    for topic_subject, subject in topic_subjects(Topics.named(settings.topic_prefix)).items():
        for version in bundled().versions(subject):
            schema = bundled().get(subject, version)
            names[schema.id] = [framing.Name(each.id, each.guid) for each in _names(registry, topic_subject, schema)]
    framing.use(names)


def publish(registry: Registry, external: ExternalRegistry, topics: Topics) -> Iterator[tuple[Schema, Known]]:
    """Register every released schema there, those that others refer to first; again is harmless.

    Records of our topics go under `<topic>-value`, all else under its own name.

    Raises:
        UnavailableError, RefusedError, ConfigError: as `ExternalRegistry.lookup`; what was registered stays.
    """
    there: dict[tuple[str, int], Known] = {}
    of_topics = topic_subjects(topics)
    for schema in _referenced_first(registry):
        references = tuple(
            Reference(each["name"], known.subject, known.version)
            for each in schema.source.get("references", ())
            for known in [there[each["subject"], each["version"]]]
        )
        # One schema may be that of several topics.
        for subject in [name for name, of in of_topics.items() if of == schema.subject] or [schema.subject]:
            known = external.register(subject, text(schema), references)
            there[schema.subject, schema.version] = known
            yield schema, known


def _names(registry: ExternalRegistry, subject: str, schema: Schema) -> list[Known]:
    known = registry.names(subject, text(schema))
    if not known:
        found = registry.lookup(subject, text(schema))
        known = [found] if found else []
    if not known:
        raise ConfigError(
            f"the schema registry at {registry.url} has no {schema.label} under {subject}",
            hint="`sluice schemas publish` registers what is released.",
        )
    return known


def _referenced_first(registry: Registry) -> Iterator[Schema]:
    done: set[tuple[str, int]] = set()

    def visit(schema: Schema) -> Iterator[Schema]:
        if (schema.subject, schema.version) in done:
            return
        done.add((schema.subject, schema.version))
        for each in schema.source.get("references", ()):
            yield from visit(registry.get(each["subject"], each["version"]))
        yield schema

    for schema in registry.schemas():
        if not schema.draft:
            yield from visit(schema)
