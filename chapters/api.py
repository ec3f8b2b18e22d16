"""The reference of the library, written from its docstrings: one page for each room of `minivdit`."""

import importlib
import inspect
import pkgutil
from pathlib import Path

import minivdit


def rooms():
    """The names of the packages and modules right below minivdit, and with each the modules in it."""
    for found in pkgutil.iter_modules(minivdit.__path__):
        if found.name.startswith("_") or found.name == "benchmarks":
            continue
        name = f"minivdit.{found.name}"
        inside = [part.name for part in pkgutil.iter_modules([str(Path(minivdit.__path__[0]) / found.name)])]
        yield found.name, [name, *(f"{name}.{part}" for part in inside if not part.startswith("_"))]


def members(module):
    """The public functions and classes that a module defines itself, in the order of its text."""
    return [
        (name, thing)
        for name, thing in vars(module).items()
        if not name.startswith("_")
        and getattr(thing, "__module__", None) == module.__name__
        and (inspect.isfunction(thing) or inspect.isclass(thing))
    ]


def signature(name, thing):
    """How it is called, on one line."""
    try:
        return f"{name}{inspect.signature(thing)}"
    except ValueError:
        return name


def described(thing):
    """A docstring as it stands, since its shapes and formulas are laid out by hand."""
    return f"```text\n{inspect.getdoc(thing) or ''}\n```\n"


def page(room, names):
    """The text of one room's page."""
    parts = [f"# minivdit.{room}\n"]
    for name in names:
        module = importlib.import_module(name)
        if name != names[0]:
            parts.append(f"## {name}\n")
        parts.append(described(module))
        for own_name, thing in members(module):
            parts.append(f"### {own_name}\n\n```python\n{signature(own_name, thing)}\n```\n")
            if thing.__doc__:
                parts.append(described(thing))
            for method_name, method in vars(thing).items() if inspect.isclass(thing) else ():
                if inspect.isfunction(method) and not method_name.startswith("_") and method.__doc__:
                    parts.append(f"```python\n{own_name}.{signature(method_name, method)}\n```\n\n{described(method)}")
    return "\n".join(parts)


def write(folder):
    """Write all pages into `folder`."""
    folder = Path(folder)
    folder.mkdir(exist_ok=True)
    for room, names in rooms():
        (folder / f"{room}.md").write_text(page(room, names), encoding="utf-8")
