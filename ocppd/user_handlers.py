"""Finds the class that `--handlers` names. Imports what the user wrote; knows nothing of what it does.

Three forms: `module:Class`, `package.module.Class`, `path/to/file.py:Class`. The directory of configs.json is searched
first, then where the daemon was started, then what Python finds by itself.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from ocppd.central import vendors
from ocppd.central.handler_names import check_names, check_signatures
from ocppd.central.handlers import CentralSystemHandlers
from ocppd.errors import StartFailed


def load_handlers(spec: str, directories: Sequence[Path]) -> tuple[CentralSystemHandlers, tuple[str, ...]]:
    """An instance of the class that `spec` names, and a warning per handler that is never called.

    Raises StartFailed with one line that names what was searched, or where the user's own code failed.
    """
    module_name, class_name = _split(spec)
    if module_name.endswith(".py"):
        module = _load_file(spec, module_name, directories)
    else:
        module = _load_module(spec, module_name, directories)
    handlers = getattr(module, class_name, None)
    if handlers is None:
        raise StartFailed(f"--handlers {spec}: {module.__file__ or module_name} has no class {class_name}")
    if not (isinstance(handlers, type) and issubclass(handlers, CentralSystemHandlers)):
        raise StartFailed(f"--handlers {spec}: {class_name} must be a subclass of ocppd.central.handlers.CentralSystemHandlers")
    warnings = tuple(f"{handlers.__qualname__}.{name.name} is never called: {name.reason}" for name in check_names(handlers))
    try:
        made = handlers()
    except (Exception, SystemExit) as error:
        raise StartFailed(f"--handlers {spec}: making a {class_name} failed: {_where(error)}") from error
    check_signatures(made)
    vendors.check_vendor_methods(made)
    return made, warnings


def _split(spec: str) -> tuple[str, str]:
    module_name, colon, class_name = spec.rpartition(":")
    if not colon:
        module_name, _, class_name = spec.rpartition(".")
    if not module_name or not class_name.isidentifier():
        raise StartFailed(f"--handlers {spec}: expected module:Class, package.module.Class or path/to/file.py:Class")
    return module_name, class_name


def _load_file(spec: str, name: str, directories: Sequence[Path]) -> ModuleType:
    candidates = [directory / name for directory in directories]
    path = next((candidate for candidate in candidates if candidate.is_file()), None)
    if path is None:
        raise StartFailed(f"--handlers {spec}: no such file; searched {', '.join(str(candidate) for candidate in candidates)}")
    # A file that is called like a module of Python's own must not take its place.
    module_name = f"ocppd_user_{path.stem}" if path.stem in sys.stdlib_module_names else path.stem
    module_spec = importlib.util.spec_from_file_location(module_name, path)
    if module_spec is None or module_spec.loader is None:
        raise StartFailed(f"--handlers {spec}: {path} is no Python file")
    module = importlib.util.module_from_spec(module_spec)
    _search_first([path.parent])
    sys.modules[module_spec.name] = module
    try:
        module_spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise StartFailed(f"--handlers {spec}: importing it failed: {_where(error)}") from error
    return module


def _load_module(spec: str, name: str, directories: Sequence[Path]) -> ModuleType:
    _search_first(directories)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            searched = ", ".join([*(str(directory) for directory in directories), "Python's own path"])
            raise StartFailed(f"--handlers {spec}: no module named {error.name}; searched {searched}") from error
        raise StartFailed(f"--handlers {spec}: importing it failed: {_where(error)}") from error
    except (Exception, SystemExit) as error:
        raise StartFailed(f"--handlers {spec}: importing it failed: {_where(error)}") from error


def _search_first(directories: Sequence[Path]) -> None:
    """Put the directories before everything else, where they stay: handlers may import their neighbours later."""
    for directory in reversed(directories):
        if str(directory) in sys.path:
            sys.path.remove(str(directory))
        sys.path.insert(0, str(directory))


def _where(error: BaseException) -> str:
    """The error in one line, with the place in the user's own code."""
    text = " ".join(traceback.format_exception_only(error)[-1].split())
    if isinstance(error, SyntaxError):
        return f"{text} ({error.filename}, line {error.lineno})"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _is_ours(frame.filename)]
    return f"{text} ({frames[-1].filename}, line {frames[-1].lineno})" if frames else text


def _is_ours(filename: str) -> bool:
    """Whether a line is of Python's import, of the decorator that found the mistake, or of this module."""
    return filename.startswith("<frozen ") or filename in (vendors.__file__, __file__)
