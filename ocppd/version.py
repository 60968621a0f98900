"""The version of ocppd. setup.cfg is its one source; it is read from the metadata of the installation."""

from __future__ import annotations

from importlib import metadata


def version() -> str:
    """Such as `0.1.0`; `0+unknown` in a checkout that is not installed."""
    try:
        return metadata.version("ocppd")
    except metadata.PackageNotFoundError:
        return "0+unknown"
