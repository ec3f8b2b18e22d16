"""What each tab asks for, and the command line that its values make.

A tab is a command; its inputs are options of that command, and what they are called and explained is the command's own
help. So the page accepts what the command line accepts, and refuses in the same words.
"""

import argparse
import shlex

from ...base.errors import InputError

# Tab: (command, its own inputs that are seen at once, those that are folded away). With weights among them, it draws
# with several, side by side.
TABS = {
    "Draw": ("sample", "", "frames size overlap recursive path pan"),
    "Side by side": ("sample", "weights", "frames size"),
    "Animate": ("animate", "image", "frames fit pan move brush"),
    "Keyframes": ("keyframes", "at", "frames fit"),
    "Extend": ("extend", "clip", "frames backwards context_noise fit"),
    "Interpolate": ("interpolate", "clip", "factor fit"),
    "Connect": ("connect", "before after", "frames fit"),
    "Loop": ("loop", "", "image frames fit"),
    "Edit": ("edit", "clip level", "fit"),
    "Inpaint": ("inpaint", "clip mask", "first last resample fit"),
}
SHARED = ("prompt", "weights", "seed", "steps", "guidance", "sampler", "negative", "fps")  # of all tabs
FILES = ("image", "clip", "before", "after")
# What is painted: on the first frame of what, and what that means.
BRUSHED = {
    "mask": ("clip", "Paint where to draw anew; with nothing painted, everywhere."),
    "brush": (
        "image",
        "Paint what is to move by `move`, while nothing else does.",
    ),
}
TIMES = 3  # as many keyframes can be given


def actions(parser):
    """{name: what argparse knows of it} of a command's arguments and options."""
    return {action.dest: action for action in parser._actions}


def command_lines(commands, tab, values):
    """The command lines of a tab, [[command, word, ...]]: one for each of its weights.

    commands: {name: Parser}. values: {name: value} of its own inputs and of those that all share; see `command_words`.
    """
    command = TABS[tab][0]
    pairs = [(values.get(f"time {number}") or "", values.get(f"file {number}") or "") for number in range(TIMES)]
    values = {**values, "at": [pair for pair in pairs if any(pair)] or None}
    if not all(map(all, values["at"] or ())):
        raise InputError("a keyframe is a time and a picture; give both, or neither")
    several = values["weights"] if isinstance(values["weights"], list) else [values["weights"]]
    if not several:
        raise InputError("no weights are chosen; choose one or more")
    return [[command, *command_words(commands[command], {**values, "weights": one})] for one in several]


def command_words(parser, values):
    """The words after `minivdit COMMAND` that say these values ({name: value}); what is as usual isn't said.

    Values are texts as they are typed, or booleans; None and "" are as usual, but a caption may be "". InputError where
    one is missing.
    """
    arguments, options = [], []
    for name, action in actions(parser).items():
        value = values.get(name)
        if name == "prompt" and value == "":  # says nothing, which is all that some weights know
            arguments.append(value)
        elif value in (None, "", str(action.default)) or value is False:
            if action.required:
                raise InputError(f"{name} is missing: {action.help}")
        elif not action.option_strings:
            arguments.append(str(value))
        elif value is True:
            options.append(action.option_strings[0])
        elif action.nargs == 2:
            options += [word for pair in value for word in (action.option_strings[0], *map(str, pair))]
        else:
            options += _option(action.option_strings[0], str(value))
    # What a visitor types is never an option, whatever it begins with.
    plain = not any(word.startswith("-") for word in arguments)
    return [*arguments, *options] if plain else [*options, "--", *arguments]


def _option(name, value):
    return [f"{name}={value}"] if value.startswith("-") else [name, value]


def command_line(words):
    """The whole line, to copy into a terminal."""
    return " ".join(["minivdit", *map(_quoted, words)])


def _quoted(word):
    simple = " " in word and word.isprintable() and not set(word) & set('"$`\\!')
    return f'"{word}"' if simple else shlex.quote(word)


def component(gr, action):
    """What Gradio shows for one option."""
    name, text = action.dest, (action.help or "").replace("%%", "%")
    label = {"first": "from", "last": "to"}.get(name, name.replace("_", " "))
    how = {"label": label, "info": text[:1].upper() + text[1:]}
    if isinstance(action, argparse._StoreTrueAction):
        return gr.Checkbox(**how)
    if action.choices:
        return gr.Dropdown([("as usual", ""), *((choice, choice) for choice in action.choices)], value="", **how)
    if name in FILES:
        from ...data.reading import CLIPS

        return gr.File(label=f"{name}: {action.help}", file_types=list(CLIPS), type="filepath", height=120)
    return gr.Textbox("" if action.default in (None, []) else str(action.default), max_length=1000, **how)
