"""What stands behind the studio's page: command lines made from its inputs, run step by step, without a browser."""

import importlib.util
import shlex
import sys
import threading

import numpy as np
import pytest

from minivdit.base.errors import InputError
from minivdit.data.reading import open_clip, read_mask
from minivdit.lab import studio as room
from minivdit.lab.cli import main as cli
from minivdit.lab.display import write_clip
from minivdit.lab.studio.drawing import Drawn, Moment, Printed, while_it_works
from minivdit.lab.studio.inputs import SHARED, TABS, actions, command_line, command_lines

# Of no use on a page: it writes its own files, and shows single clips.
LEFT_OUT = {"help", "out", "plain", "count", "index", "device", "kernels"}
LEFT_OUT_OF = {"Draw": {"brush", "move"}, "Side by side": {"overlap", "recursive", "path", "pan", "brush", "move"}}
TYPED = {
    "seed": "7",
    "steps": "6",
    "guidance": "2.5",
    "sampler": "ddim",
    "negative": "a 1 moving up",
    "fps": "5",
    "frames": "6",
    "size": "16x24",
    "overlap": "2",
    "path": "8,8 8,16",
    "pan": "-1,0.5",
    "move": "0,-1",
    "brush": "b.png",
    "fit": "pad",
    "factor": "3",
    "level": "0.4",
    "first": "1",
    "last": "2",
    "mask": "m $x.png",
    "resample": "2",
    "context_noise": "0.3",
    "backwards": True,
    "image": "a b.png",
    "clip": "a.gif",
    "before": "a.gif",
    "after": "b.gif",
    "time 0": "0",
    "file 0": "a.png",
    "time 2": "3",
    "file 2": "b.png",
    "prompt": "a 3 moving right",
    "weights": "one",
}


def values_of(tab):
    """Something typed into every input of a tab."""
    _, first, more = TABS[tab]
    own = {*first.split(), *more.split(), *SHARED}
    return {name: value for name, value in TYPED.items() if name.split()[0] in own or ("at" in own and " " in name)}


def draw(studio, tab, **values):
    lines = command_lines(studio.commands, tab, {"weights": studio.weights[0], "prompt": "a 3 moving right"} | values)
    *moments, drawn = [moment for moment in studio.draw(lines) if moment]
    assert all(isinstance(moment, Moment) for moment in moments) and isinstance(drawn, Drawn)
    return lines, moments, drawn


@pytest.fixture
def clip(tmp_path):
    """A clip in a file."""
    path = tmp_path / "clip.gif"
    write_clip(path, np.random.default_rng(0).integers(0, 255, (4, 16, 24, 1), np.uint8))
    return str(path)


@pytest.mark.parametrize("tab", TABS)
def test_every_option_of_a_command_is_on_the_page(tab, commands):
    command, first, more = TABS[tab]
    shown = [*first.split(), *more.split(), *(name for name in SHARED if name not in first.split())]
    assert len(shown) == len(set(shown))
    assert {*shown, *LEFT_OUT_OF.get(tab, ())} == actions(commands[command]).keys() - LEFT_OUT


def test_every_ability_has_a_tab(commands):
    drawing = {name for name, parser in commands.items() if {"out", "plain"} <= actions(parser).keys()}
    assert {command for command, _, _ in TABS.values()} == drawing


@pytest.mark.parametrize("tab", TABS)
def test_the_line_to_copy_says_what_was_typed(tab, commands):
    values = values_of(tab)
    (line,) = command_lines(commands, tab, values)
    words = shlex.split(command_line(line))
    assert words[0] == "minivdit"
    options = cli.build_parser().parse_args(words[1:])
    assert options.command == TABS[tab][0]
    usual = {action.dest: action.default for action in actions(commands[options.command]).values()}
    for name, typed in values.items():
        if " " not in name:
            found = getattr(options, name)
            assert found != usual[name], name
            kind = actions(commands[options.command])[name].type
            if callable(kind) and isinstance(typed, str):
                typed = kind(typed)
            assert found in (typed, [typed])
    if tab == "Keyframes":
        assert options.at == [["0", "a.png"], ["3", "b.png"]]


def test_what_is_as_usual_isnt_said(commands):
    (line,) = command_lines(commands, "Edit", {"prompt": "a 3", "weights": "joint", "clip": "a.gif", "level": "0.7"})
    assert command_line(line) == 'minivdit edit a.gif "a 3" --weights joint'


def test_an_empty_caption_is_one(commands):
    (line,) = command_lines(commands, "Draw", {"prompt": "", "weights": "joint"})
    assert command_line(line) == "minivdit sample '' --weights joint"


@pytest.mark.parametrize("captions", [["a red ball", "a blue ring"], []])
def test_captions_to_try_are_those_that_the_weights_learnt(commands, make_model, tmp_path, captions):
    page = pytest.importorskip("minivdit.lab.studio.page", reason="Gradio is missing: pip install 'minivdit[studio]'")
    model = make_model(digit_size=0)
    model.notes["captions"] = captions
    model.save(tmp_path / "own.safetensors")
    studio = room.Studio(commands, [str(tmp_path / "own.safetensors")], folder=tmp_path)
    assert page.captions_to_try(studio) == tuple(captions or [""])
    assert page.captions_to_try(room.Studio(commands, folder=tmp_path)) == page.CAPTIONS


def test_what_is_typed_is_never_an_option(commands, tmp_path):
    caption = f"--out={tmp_path / 'stolen.gif'}"
    (line,) = command_lines(commands, "Draw", {"prompt": caption, "weights": "joint", "negative": "--help"})
    options = cli.build_parser().parse_args(line)
    assert options.prompt == [caption] and options.negative == "--help" and options.out == "clip.gif"


@pytest.mark.parametrize(
    ("tab", "values", "expected"),
    [
        ("Draw", {"prompt": None}, "prompt is missing"),
        ("Animate", {}, "image is missing: a picture, or a clip"),
        ("Connect", {"before": "a.gif"}, "after is missing"),
        ("Keyframes", {"time 0": "0"}, "give both, or neither"),
        ("Keyframes", {}, "at is missing"),
        ("Side by side", {"weights": []}, "no weights are chosen"),
    ],
)
def test_what_is_missing_is_said(tab, values, expected, commands):
    with pytest.raises(InputError, match=expected):
        command_lines(commands, tab, {"weights": "joint", "prompt": "a 3"} | values)


def test_a_clip_is_seen_step_by_step_and_is_the_commands_own(studio, tmp_path, monkeypatch, capsys):
    for limit in ("PAUSE", "SHARE"):  # every step, however fast they are
        monkeypatch.setattr(f"minivdit.lab.studio.drawing.{limit}", 0)
    ((command, *words),), moments, drawn = draw(studio, "Draw", seed="5", steps="8")
    assert [(moment.done, moment.total) for moment in moments] == [(done, 8) for done in range(1, 9)]
    seen = [moment.clips["a 3 moving right"] for moment in moments]
    assert all(clip.shape == (1, 4, 16, 24, 1) for clip in seen)
    assert len({clip.tobytes() for clip in seen}) == 8
    out = tmp_path / "own.gif"
    assert cli.main([command, "--out", str(out), *words]) == 0
    assert out.read_bytes() == drawn.first.read_bytes() == drawn.gif.read_bytes()
    assert "clip.gif: 1 x 4 frames of 16x24, seed 5" in drawn.said and str(drawn.gif.parent) not in drawn.said
    np.testing.assert_allclose(open_clip(out).video, seen[-1][0], atol=0.51 / 255)  # the last step is the clip


def test_an_mp4_is_there_where_pyav_is(studio):
    _, _, drawn = draw(studio, "Draw", steps="1")
    if importlib.util.find_spec("av") is None:
        assert drawn.mp4 is None
    else:
        assert (open_clip(drawn.mp4).video == open_clip(drawn.gif).video).all()


def test_several_weights_draw_side_by_side(studio, monkeypatch):
    monkeypatch.setattr("minivdit.lab.studio.drawing.PAUSE", 0)
    lines, moments, drawn = draw(studio, "Side by side", weights=studio.side_by_side, steps="2")
    assert [moment.name for moment in moments] == ["one", "one", "two", "two"]
    assert list(moments[-1].clips) in ([], ["one", "two"])
    both = [open_clip(f"{drawn.gif}#{number}") for number in range(2)]
    assert [clip.caption for clip in both] == ["one", "two"] and (both[0].video == both[1].video).all()
    assert [shlex.split(command_line(line))[-1] for line in studio.with_outputs(lines)] == studio.side_by_side
    assert [line[2] for line in studio.with_outputs(lines)] == ["clip1.gif", "clip2.gif"]


def test_a_tab_draws_from_files(studio, clip, monkeypatch):
    monkeypatch.setattr("minivdit.lab.studio.drawing.PAUSE", 0)
    _, moments, drawn = draw(studio, "Inpaint", clip=clip, first="2", last="3", steps="3", prompt="")
    given, made = open_clip(clip).video, open_clip(drawn.gif).video
    assert (made[:2] == given[:2]).all() and not (made[2:] == given[2:]).all()
    for moment in moments:
        for seen in moment.clips.values():
            assert (seen[0, :2] == given[:2]).all()  # what is given stays in each step


@pytest.mark.parametrize("tab", ["Draw", "Animate"])
def test_the_explorer_shows_what_was_just_drawn(tab, studio, clip):
    _, _, drawn = draw(studio, tab, image=clip, steps="5", seed="2")
    *moments, found = [moment for moment in studio.explore(drawn) if moment]
    (recording,) = found.recordings
    np.testing.assert_allclose(recording.video, open_clip(drawn.gif).video, atol=0.6 / 255)
    assert moments and sorted(recording.steps) == [0, 1, 3, 4] and "a 3 moving right" in found.html()


def test_what_has_no_one_map_of_attention_says_so(studio):
    _, _, drawn = draw(studio, "Draw", frames="6", overlap="2", steps="1")
    with pytest.raises(InputError, match="draw it without overlap"):
        list(studio.explore(drawn))


def test_errors_are_the_sentences_of_the_commands(studio, tmp_path):
    with pytest.raises(InputError, match="doesn't know 'xylophone'"):
        draw(studio, "Draw", prompt="a xylophone")
    with pytest.raises(InputError, match="'0' is not a whole number from 1"):
        draw(studio, "Draw", steps="0")
    broken = tmp_path / "broken.gif"
    broken.write_bytes(b"GIF89a but no more")
    with pytest.raises(InputError, match="can't be read as a picture or a clip"):
        draw(studio, "Edit", clip=str(broken))


def test_closing_stops_the_drawing_at_its_next_step_and_another_one_can_begin(studio):
    count, out = 100_000, sys.stdout
    lines = command_lines(studio.commands, "Draw", {"prompt": "a 3", "weights": studio.weights[0], "steps": str(count)})
    drawing = studio.draw(lines)
    moment = next(moment for moment in drawing if moment)
    drawing.close()
    _, _, drawn = draw(studio, "Draw", steps="1")  # it has waited for the other one
    assert moment.done < count and drawn.gif.exists() and sys.stdout is out
    assert not [thread for thread in threading.enumerate() if thread.name == "minivdit-studio" and thread.is_alive()]


def test_only_one_is_at_work():
    began, go_on = threading.Event(), threading.Event()

    def first(show):
        began.set()
        go_on.wait()
        show("first")

    one, other = while_it_works(first), while_it_works(lambda show: show("other"))
    assert next(one) is None and began.is_set()
    assert next(other) is None  # it waits
    go_on.set()
    assert next(thing for thing in one if thing) == "first"
    one.close()
    assert next(thing for thing in other if thing) == "other"


def test_an_error_in_the_work_is_raised_and_silence_is_heard(monkeypatch):
    monkeypatch.setattr("minivdit.lab.studio.drawing.BEAT", 0.01)
    go_on = threading.Event()

    def work(show):
        go_on.wait()
        show("something")
        raise ZeroDivisionError

    heard = while_it_works(work)
    assert next(heard) is None
    go_on.set()
    assert next(thing for thing in heard if thing) == "something"
    with pytest.raises(ZeroDivisionError):
        list(heard)


@pytest.mark.parametrize("pause, seen", [(1000.0, [1]), (0.0, list(range(1, 13)))])
def test_the_page_is_not_flooded_with_steps(studio, monkeypatch, pause, seen):
    monkeypatch.setattr("minivdit.lab.studio.drawing.PAUSE", pause)
    _, moments, _ = draw(studio, "Draw", steps="12")
    assert [moment.done for moment in moments] == seen


def test_only_what_this_thread_prints_is_taken(capsys):
    with Printed() as mine:
        print("mine")
        other = threading.Thread(target=print, args=("other",))
        other.start()
        other.join()
    assert mine.getvalue() == "mine\n" and capsys.readouterr().out == "other\n"


def test_without_gradio_the_error_names_the_cure(studio, monkeypatch, capsys):
    monkeypatch.setattr(room.importlib.util, "find_spec", lambda name: None)
    assert cli.main(["studio", "--no-browser"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "pip install 'minivdit[studio]'" in error


def test_unknown_weights_are_refused_at_once(capsys):
    assert cli.main(["studio", "--weights", "nowhere"]) == 2
    assert "no weights at nowhere" in capsys.readouterr().err


def test_weights_of_other_sizes_cant_stand_side_by_side(studio, tiny, make_model, tmp_path):
    file = str(tmp_path / "other.safetensors")
    make_model(size=(16, 16)).save(file)
    with pytest.raises(InputError, match="draw clips of different sizes"):
        draw(studio, "Side by side", weights=[tiny[0], file])


def test_what_was_painted_is_a_mask_of_the_clips_size(clip, tmp_path):
    pytest.importorskip("gradio")
    from minivdit.lab.studio.page import background, painted

    canvas = background(clip)["value"]["background"]
    factor = canvas.shape[0] // 16
    assert canvas.shape == (16 * factor, 24 * factor, 3)
    layer = np.zeros((*canvas.shape[:2], 4), np.uint8)
    layer[5 * factor : 7 * factor, 2 * factor + 1] = 255  # a thin line in two pixels, one above the other
    mask = read_mask(painted({"layers": [layer]}, clip, tmp_path / "mask.png"))
    expected = np.zeros((16, 24), bool)
    expected[5:7, 2] = True
    assert (mask == expected).all()
    assert painted({"layers": [0 * layer]}, clip, tmp_path / "none.png") is None
    assert painted(None, clip, tmp_path / "none.png") is None and not (tmp_path / "none.png").exists()
