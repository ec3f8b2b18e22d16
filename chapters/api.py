"""The reference of the library: a page for each room of `minivdit`, which Sphinx fills from the docstrings."""

import inspect
import pkgutil
import re
from pathlib import Path

import minivdit


def rooms():
    """The rooms: for each the name of its page, and the names of its package and of the modules in it."""
    for found in pkgutil.walk_packages(minivdit.__path__, "minivdit."):
        room = found.name.removeprefix("minivdit.")
        if not found.ispkg or room in ("lab", "lab.benchmarks"):  # these hold no more than rooms, or a yardstick
            continue
        modules = pkgutil.iter_modules(
            [str(Path(found.module_finder.path) / room.rpartition(".")[2])], f"{found.name}."
        )
        public = [part.name for part in modules if not (part.ispkg or part.name.rpartition(".")[2].startswith("_"))]
        yield room, [found.name, *public]


def page(names):
    """The text of one room's page: each of its modules, the room itself first."""
    title, *_ = names
    heads = [f"{title}\n{'=' * len(title)}", *(f"{name}\n{'-' * len(name)}" for name in names[1:])]
    return "\n\n".join(f"{head}\n\n.. automodule:: {name}\n" for head, name in zip(heads, names))


def write(folder):
    """Write all pages into `folder`."""
    folder = Path(folder)
    folder.mkdir(exist_ok=True)
    for room, names in rooms():
        (folder / f"{room}.rst").write_text(page(names), encoding="utf-8")


def markup(text, thing, scopes):
    """A docstring as reStructuredText.

    text: a docstring without its indentation. thing: what it belongs to. scopes: modules or classes in which `names`
    are looked up. Indented lines stay as they are laid out by hand; arguments, which a docstring tells one after
    the other in running text, become a list; `names` become links where they are public in the library.
    """
    return "\n\n".join(
        "::\n\n" + part if part.startswith(" ") else listed(linked(part, scopes), thing) for part in parts(text)
    )


def parts(text):
    """The paragraphs of a text, and what is indented below or between their lines; numbered paragraphs as they are."""
    for block in re.split(r"\n{2,}", text.strip("\n")):
        yield from (
            [block] if re.match(r"\d\. ", block) else re.findall(r"(?:^ +.*\n?)+|(?:^\S.*\n?)+", block, flags=re.M)
        )


def linked(text, scopes):
    """The text with each `name` as a link where it is public in the library, as code elsewhere; *stress* stays."""

    def role(match):
        if not match[1]:
            return match[0] if match[2] else "\\" + match[0]
        for scope in scopes:
            thing = getattr(scope, match[1], None)
            home = str(getattr(thing, "__module__", None))
            if home.startswith("minivdit.") and thing.__doc__ and not match[1].startswith("_"):
                return f":py:obj:`{match[1]} <{home}.{thing.__qualname__}>`"
        return f"``{match[1]}``"

    return re.sub(r"`([^`]+)`|(?<!\w)\*(\w+)\*(?!\w)|[*|]|_(?!\w)", role, text)


def listed(paragraph, thing):
    """A paragraph with its arguments, "name: what it is" at the begin of a line or a sentence, as a list."""
    try:
        name = "|".join(inspect.signature(thing).parameters)
    except (TypeError, ValueError):
        name = ""
    if not name:
        return paragraph
    argument = rf"(?:{name})(?:, (?:{name}))*"
    pieces = re.split(rf"(?:^|\n|(?<=[.;)]) )(?={argument}: |Returns )", paragraph)
    item = re.compile(rf"\A({argument}): (.*?);?\Z", re.S)
    return "\n\n".join(
        item.sub(lambda found: f"- **{found[1]}**: " + found[2].replace("\n", "\n  "), piece) for piece in pieces
    )
