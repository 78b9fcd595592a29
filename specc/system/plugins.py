"""What installed packages add to specc: entry points named `KIND.NAME`, each loaded when a spec names it.

Which there are is read from the packages' metadata, without importing any of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, version
from typing import Generic, TypeVar

GROUP = "specc.plugins"
OFF = "SPECC_PLUGINS"  # set to `none`, there are none: so that documentation is the same on every machine

KINDS = ("op", "family", "head", "loss", "task", "dataset", "augmentation", "optimizer", "knob", "instruction", "log")

T = TypeVar("T")


class PluginError(ValueError):
    """What a package adds cannot be used."""

    def __init__(self, message: str, help: str) -> None:
        super().__init__(message)
        self.help = help


@cache
def offers() -> Mapping[tuple[str, str], tuple[EntryPoint, ...]]:
    """The entry points of every kind and name."""
    found: dict[tuple[str, str], tuple[EntryPoint, ...]] = {}
    for entry in () if os.environ.get(OFF) == "none" else entry_points(group=GROUP):
        kind, _, name = entry.name.partition(".")
        found[kind, name] = (*found.get((kind, name), ()), entry)
    return found


def described() -> list[str]:
    """What each package adds, a line each, and what nobody asks for because there is no such kind."""
    added: dict[str, list[str]] = {}
    for (kind, name), entries in offers().items():
        for entry in entries:
            what = f"{kind} {name}" if kind in KINDS and name else f"`{entry.name}`, which is of no kind that there is"
            added.setdefault(f"{package(entry)} {_version(entry)}", []).append(what)
    return [f"{name}: {', '.join(what)}" for name, what in added.items()]


used: dict[str, str] = {}  # packages that something was loaded of, with their versions


def package(entry: EntryPoint) -> str:
    """The name of the package that an entry point belongs to."""
    return entry.dist.name if entry.dist else entry.value


def _version(entry: EntryPoint) -> str:
    return entry.dist.version if entry.dist else ""


def missing(name: str) -> bool:
    """Whether no package of this name is installed."""
    try:
        version(name)
    except (PackageNotFoundError, ValueError):  # the latter for what no package can be called
        return True
    return False


class Registry(Mapping[str, T], Generic[T]):
    """Things of one kind by name: specc's own, then those that installed packages add."""

    def __init__(self, kind: str, base: type, own: Mapping[str, T]) -> None:
        self.kind, self.base, self.own = kind, base, own
        self.taken = set(own)  # names that no package may give
        self.classes = all(isinstance(thing, type) for thing in own.values())  # or else instances of the base
        self.loaded: dict[str, T] = {}  # of those that packages add
        self._faults: dict[str, PluginError] = {}

    @property
    def added(self) -> list[str]:
        """The names that packages add."""
        return [name for kind, name in offers() if kind == self.kind]

    def origin(self, name: str) -> str:
        """The package, or packages, that add a thing."""
        return ", ".join(map(package, offers()[self.kind, name]))

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*self.own, *self.added]))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return name in self.own or (self.kind, name) in offers()

    def __getitem__(self, name: str) -> T:
        entries = offers().get((self.kind, name), ())
        if not entries:
            return self.own[name]
        if name not in self.loaded and name not in self._faults:
            try:
                self.loaded[name] = self._load(name, entries)
            except PluginError as error:  # tried once, as an import may take long
                self._faults[name] = error
        if name in self._faults:
            raise self._faults[name]
        return self.loaded[name]

    def usable(self) -> dict[str, T]:
        """All that can be loaded."""
        return {name: self[name] for name in self if not self.fault(name)}

    def usable_added(self) -> dict[str, T]:
        """What packages add and can be loaded."""
        return {name: thing for name, thing in self.usable().items() if name not in self.own}

    def fault(self, name: str) -> PluginError | None:
        """Why a thing cannot be used that a package adds."""
        try:
            self.get(name)
        except PluginError as error:
            return error
        return None

    def _load(self, name: str, entries: tuple[EntryPoint, ...]) -> T:
        packages = [*(["specc"] if name in self.taken else []), *map(package, entries)]
        thing = f"the {self.kind} `{name}`"
        if len(packages) > 1:
            message = f"{thing} is there more than once: in {' and in '.join(f'`{each}`' for each in packages)}"
            raise PluginError(message, f"uninstall all but one, or switch plug-ins off: {OFF}=none")
        try:
            found = entries[0].load()
        except (Exception, SystemExit) as error:
            message = f"{thing} of `{packages[0]}` cannot be imported: {type(error).__name__}: {error}"
            raise PluginError(message, _help(error, packages[0])) from error
        if not self._fits(found):
            what = "a subclass" if self.classes else "an instance"
            message = f"{thing} of `{packages[0]}` is not {what} of `{self.base.__name__}`: {entries[0].value}"
            raise PluginError(message, f"a mistake in `{packages[0]}`: see docs/extending.md")
        if getattr(found, "name", name) != name:
            message = f"{thing} of `{packages[0]}` calls itself `{found.name}`"
            raise PluginError(message, f"a mistake in `{packages[0]}`: both names have to be the same")
        used[packages[0]] = _version(entries[0])
        loaded: T = found
        return loaded

    def _fits(self, found: object) -> bool:
        if isinstance(found, type):
            return self.classes and issubclass(found, self.base)
        return not self.classes and isinstance(found, self.base)


def _help(error: BaseException, package: str) -> str:
    """What to do about a package that does not import."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"`{package}` needs the module `{error.name.partition('.')[0]}`, which is not installed"
    return f"a mistake in `{package}`, or another version of it is needed"
