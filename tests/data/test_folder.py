"""What lies in a folder of clips, and what is said of each: found, or named in one line."""

import json
import os

import pytest

from minivdit.base.errors import InputError
from minivdit.data.folder import list_clips


def lay(folder, *names, **texts):
    """Files (no clip is opened here); texts: 'metadata_csv' is metadata.csv, 'a_txt' is a.txt."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    for name, text in texts.items():
        (folder / ".".join(name.rsplit("_", 1))).write_text(text, encoding="utf-8")
    return folder


def jsonl(*lines):
    return "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)


def captions(listing):
    return {entry.name: entry.caption for entry in listing.clips}


def test_every_kind_of_clip_is_found_in_the_order_of_numbers(tmp_path):
    lay(
        tmp_path,
        "10.gif",
        "9.gif",
        "a.PNG",
        "b.webp",
        "c.mp4",
        "d.webm",
        "e.npy",
        "f.npz",
        "dance/1.png",
        "dance/2.png",
    )
    lay(tmp_path, "more/deep/x.gif", "more/y.gif", ".hidden.gif", ".git/z.gif")
    listing = list_clips(tmp_path)
    assert [entry.name for entry in listing.clips] == [
        *("9.gif", "10.gif", "a.PNG", "b.webp", "c.mp4", "d.webm", "dance", "e.npy", "f.npz"),
        *("more/deep/x.gif", "more/y.gif"),
    ]
    assert not listing.problems and not listing.notes
    assert [entry.size for entry in listing.clips if entry.name in ("9.gif", "dance")] == [1, 2]


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_captions_stand_in_metadata(tmp_path, kind):
    lay(tmp_path, "a.gif", "b.gif", "dance/1.png", "more/c.gif", "more/1.png")
    if kind == "jsonl":
        pairs = (("a.gif", "A ball, and 🔴"), ("dance", 'she said "go"'), ("more/1.png", "deep"))
        text = jsonl(*({"file_name": name, "text": text, "fps": 3} for name, text in pairs), "")
    else:
        text = '\ufefffile_name,fps,text\na.gif,3,"A ball, and 🔴"\ndance,3,"she said ""go"""\nmore/1.png,3,deep\n'
    lay(tmp_path, **{f"metadata_{kind}": text})
    listing = list_clips(tmp_path)
    assert captions(listing) == {
        "a.gif": "A ball, and 🔴",
        "b.gif": None,
        "dance": 'she said "go"',
        "more/1.png": "deep",
        "more/c.gif": None,
    }
    assert not listing.problems


def test_metadata_of_a_folder_within_speaks_of_that_one(tmp_path):
    lay(tmp_path, "train/1.png", "train/2.png")
    lay(tmp_path / "train", metadata_jsonl=jsonl({"file_name": "1.png", "text": "one"}))
    assert captions(list_clips(tmp_path)) == {"train/1.png": "one", "train/2.png": None}  # no clip of two frames


def test_captions_stand_beside_clips_and_metadata_comes_first(tmp_path):
    lay(tmp_path, "a.gif", "b.gif", "dance/1.png", a_txt=" beside a \n", b_txt="beside b", dance_txt="a dance")
    lay(tmp_path, stray_txt="nobody", metadata_jsonl=jsonl({"file_name": "b.gif", "text": "told"}))
    listing = list_clips(tmp_path)
    assert captions(listing) == {"a.gif": "beside a", "b.gif": "told", "dance": "a dance"}
    assert listing.notes == ["stray.txt stands beside no clip, and is left aside"]


@pytest.mark.skipif(os.name == "nt", reason="Windows makes links for some only, and no pipes")
def test_links_that_lead_nowhere_and_pipes_are_named_and_not_waited_for(tmp_path):
    lay(tmp_path, "a.gif", "b.gif", "c/1.png")
    (tmp_path / "a.txt").symlink_to("gone.txt")
    (tmp_path / "loop.gif").symlink_to("loop.gif")
    os.mkfifo(tmp_path / "b.txt")
    os.mkfifo(tmp_path / "c" / "metadata.jsonl")
    listing = list_clips(tmp_path)
    assert captions(listing) == {"a.gif": None, "b.gif": None, "c": None}
    names = ["a.txt", "b.txt", "loop.gif", "c/metadata.jsonl"]
    assert listing.problems == [f"{name} is a link that leads nowhere, or no file at all; remove it" for name in names]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("not json", "metadata.jsonl, line 2, is no JSON object"),
        ("[1]", "line 2, is no JSON object"),
        ("[" * 5000, "line 2, is no JSON object"),
        ({"text": "a"}, "line 2, has no file_name"),
        ({"file_name": 3, "text": "a"}, "line 2, has no file_name"),
        ({"file_name": "b.gif", "caption": "a"}, "has no text for b.gif (it has caption); call the caption 'text'"),
        ({"file_name": "b.gif", "text": 3}, "line 2, has a text that is 3"),
        ({"file_name": "gone.gif", "text": "a"}, "line 2, names gone.gif, which isn't there"),
        ({"file_name": "notes.pdf", "text": "a"}, "line 2, names notes.pdf, which is no clip"),
        ({"file_name": "../b.gif", "text": "a"}, "line 2, names ../b.gif, which lies outside of the folder"),
        ({"file_name": "/etc/passwd", "text": "a"}, "which lies outside of the folder"),
        (
            {"file_name": "a.gif", "text": "other"},
            "line 2, names a.gif again, and metadata.jsonl, line 1, says otherwise",
        ),
        ({"file_name": "b.gif", "text": "w" * 41}, "b.gif: its caption has a word of 41 letters"),
        ({"file_name": "b.gif", "text": "w " * 600}, "b.gif: a caption of 1,200 characters is too long"),
        ({"file_name": "b.gif", "text": "上" * 900}, "b.gif: a caption of 1,799 characters is too long"),
        ('{"file_name": "b.gif", "text": "\\ud83d"}', "b.gif: '\\ud83d' holds characters that aren't text"),
    ],
)
def test_a_line_that_says_nothing_is_named(tmp_path, line, expected):
    lay(tmp_path, "a.gif", "b.gif", "notes.pdf", metadata_jsonl=jsonl({"file_name": "a.gif", "text": "a ball"}, line))
    listing = list_clips(tmp_path)
    (problem,) = listing.problems
    assert expected in problem and "\n" not in problem
    doubled, spoilt = "again" in problem, problem.startswith("b.gif")
    assert [entry.name for entry in listing.clips] == ["a.gif"] * (not doubled) + ["b.gif"] * (not spoilt)


def test_a_line_that_is_there_twice_is_noted(tmp_path):
    same = {"file_name": "a.gif", "text": "a ball"}
    listing = list_clips(lay(tmp_path, "a.gif", metadata_jsonl=jsonl(same, same)))
    assert captions(listing) == {"a.gif": "a ball"} and not listing.problems
    assert listing.notes == ["metadata.jsonl, line 2, says of a.gif what metadata.jsonl, line 1, says"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "metadata.csv has no column 'file_name'"),
        (b"file_name,caption\na.gif,x\n", "metadata.csv has no column 'text'"),
        (b"file_name,text\na.gif,a red, round ball\n", "metadata.csv, line 2, has more columns than the first line"),
        (b"file_name,text\na.gif\n", "no text"),
        ("file_name,text\na.gif,é\n".encode("latin-1"), "metadata.csv can't be read"),
        (b'file_name,text\na.gif,"' + b"x" * 200_000 + b'"\n', "metadata.csv can't be read"),
    ],
)
def test_a_table_that_is_none_is_named(tmp_path, content, expected):
    lay(tmp_path, "a.gif")
    (tmp_path / "metadata.csv").write_bytes(content)
    listing = list_clips(tmp_path)
    if expected == "no text":  # a short line ends before its caption
        assert captions(listing) == {"a.gif": None} and not listing.problems
    else:
        (problem,) = listing.problems
        assert problem.startswith(expected)


def test_texts_that_are_none_are_named(tmp_path):
    lay(tmp_path, "a.gif", "b.gif", b_txt="x" * 70_000)
    (tmp_path / "a.txt").write_bytes("é".encode("latin-1"))
    assert list_clips(tmp_path).problems == [
        "a.gif: a.txt is no text in UTF-8; save it anew",
        "b.gif: b.txt is too long for a caption; shorten it",
    ]


def test_nothing_is_silently_left_out(tmp_path):
    lay(tmp_path, "a.gif", "paper.pdf", "odd/1.png", "odd/notes.md", "empty/readme.txt", ".secret.gif")
    lay(tmp_path, metadata_jsonl=jsonl({"file_name": ".secret.gif", "text": "a"}, {"file_name": "empty", "text": "a"}))
    if hasattr(tmp_path, "symlink_to"):
        (tmp_path / "linked").symlink_to(tmp_path / "odd", target_is_directory=True)
    listing = list_clips(tmp_path)
    assert [entry.name for entry in listing.clips] == ["a.gif", "odd/1.png"]
    told = "\n".join(listing.problems + listing.notes)
    for name in (
        "paper.pdf is no clip",
        "odd/notes.md is no clip",
        "linked links to",
        "empty/readme.txt stands beside no",
    ):
        assert name in told
    assert "names .secret.gif, which is hidden" in told and "names empty, which holds no pictures" in told


def test_frames_that_lie_loose_are_noted(tmp_path):
    lay(tmp_path, "1.png", "2.png")
    listing = list_clips(tmp_path)
    assert len(listing.clips) == 2 and "if they are the frames of one" in listing.notes[0]


def test_a_folder_without_clips_is_refused(tmp_path):
    with pytest.raises(InputError, match="there is no folder"):
        list_clips(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"there are no clips in .*; clips are \.gif"):
        list_clips(lay(tmp_path, "notes.md"))


def test_a_changed_file_has_another_state(tmp_path):
    lay(tmp_path, "a.gif", "dance/1.png")
    before = {entry.name: entry.state for entry in list_clips(tmp_path).clips}
    assert before == {entry.name: entry.state for entry in list_clips(tmp_path).clips}
    (tmp_path / "a.gif").write_bytes(b"xx")
    lay(tmp_path, "dance/2.png")
    after = {entry.name: entry.state for entry in list_clips(tmp_path).clips}
    assert before.keys() == after.keys() and all(before[name] != after[name] for name in before)
