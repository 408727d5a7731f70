"""`sluice processor`: finds a processor in a module of the user's, creates its topics and runs a worker of it."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from types import ModuleType
from typing import Any

import click

from core.errors import ConfigError, SluiceError, UsageError
from core.settings import Settings
from streams.processor.declaration import Processor


@click.command()
@click.argument("target", metavar="MODULE:NAME")
def processor(target: str) -> None:
    """Run a worker of the processor NAME in MODULE. SIGTERM drains it.

    MODULE is looked for in the current folder first. The topics that the processor writes to are created. More
    workers share the partitions if each has an id of its own: SLUICE_STREAMS_WORKER_ID.

    \b
    Example:
      sluice processor shop:big_orders
    """
    from cli.endpoints import effective_settings
    from core.lifecycle import die
    from infra import topics
    from schemas import publishing
    from streams.processor import worker

    found = load(target)
    settings = effective_settings(Settings.from_env(os.environ))
    publishing.install(settings)
    try:
        topics.apply(settings, worker.declared_topics(settings, found))
        worker.run(settings, found)
    except Exception as error:
        if not isinstance(error, SluiceError):
            die("processor.failed")
        raise


def load(target: str) -> Processor[Any]:
    """The processor that `MODULE:NAME` names.

    Raises:
        UsageError: `target` is not of that form.
        ConfigError: there is no such module, it cannot be imported, or has no such processor.
    """
    module_name, _, name = target.partition(":")
    if not module_name or not name:
        raise UsageError(f"{target!r} must be MODULE:NAME", hint="As in: sluice processor shop:big_orders")
    module = _imported(module_name)
    found = getattr(module, name, None)
    if isinstance(found, Processor):
        return found
    known = [key for key, value in vars(module).items() if isinstance(value, Processor)]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if found is not None and not near:
        hint = "A processor is a function under @processor(...)."
    else:
        hint = f"Did you mean {near[0]}?" if near else f"It has: {', '.join(known) or 'none'}."
    raise ConfigError(f"{module_name} has no processor {name}", hint=hint)


def _imported(name: str) -> ModuleType:
    sys.path.insert(0, str(os.getcwd()))  # noqa: PTH109 (sys.path holds text)
    try:
        return importlib.import_module(name)
    except SluiceError:
        raise
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise ConfigError(
                f"there is no module {name}", hint="It is looked for in the current folder, then where Python looks."
            ) from error
        raise _broken(name, error) from error
    except Exception as error:
        raise _broken(name, error) from error


def _broken(name: str, error: Exception) -> ConfigError:
    return ConfigError(
        f"{name} cannot be imported: {type(error).__name__}: {error}", hint=f"`python -c 'import {name}'` shows where."
    )
