"""An option that would have no effect is refused before any work, with a line that says why."""

import shlex

import pytest

from minivdit.lab.cli import main as cli


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("train --steps 5", "--steps has no effect without the name of a preset"),
        ("train tiny --show --minutes 5", "--minutes has no effect with --show"),
        ("train tiny --steps 5 --set training.steps=6", "training.steps is set twice"),
        ("train tiny --steps 5 --minutes 1", "training.steps has no effect with --minutes"),
        ("train tiny --minutes 1 --set text_training.steps=9", "text_training.steps has no effect with --minutes"),
        (
            "train tiny --set finetuning.batch=9",
            "finetuning.batch has no effect on a training without the stage finetuning",
        ),
        ("train small --start small --set autoencoder_loss.kl=1", "autoencoder_loss.kl has no effect on a training"),
        ("train small --start small --set text_training.steps=0", "text_training.steps has no effect on a training"),
        ("train tiny --data .", "--data has no effect with strokes"),
        ("sample 'a 3' --out strip.png --fps 4", "--fps has no effect for a .png"),
        ("keyframes --at 0 a.png --at 0 b.png", "--at 0 is given twice"),
        ("keyframes --at 3 a.png --at 03 b.png", "--at 3 is given twice"),
        ("explore 'a 3' --weights small --restrict joint", "small have the pattern joint anyway"),
        ("evaluate --digits strokes --data .", "--data has no effect with strokes"),
        ("compare --digits strokes --data .", "--data has no effect with strokes"),
        ("study --worlds ball --digits mnist", "--digits has no effect without the world of digits"),
        ("study --digits strokes --data .", "--data has no effect with strokes"),
        ("study --recipes luma --digits strokes --data .", "--data has no effect with strokes"),
        ("study --recipes luma --patterns joint,skip", "--patterns has no effect with --recipes"),
        ("study --prompts 9", "--prompts has no effect without --recipes"),
        ("scaling --digits strokes --data .", "--data has no effect with strokes"),
        ("data download --count 5", "--count has no effect on a download"),
        ("data --digits strokes --data .", "--data has no effect with strokes"),
        ("bench gpu --threads 2", "--threads has no effect on a GPU"),
    ],
)
def test_what_has_no_effect_is_refused(capsys, monkeypatch, tmp_path, command, expected):
    monkeypatch.chdir(tmp_path)
    assert cli.main(shlex.split(command)) == 2
    assert expected in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_usual_value_and_a_switch_that_turns_a_stage_off_are_welcome(capsys):
    usual = ["train", "tiny", "--kernels", "on", "--set", "text_training.steps=0", "--show"]
    assert cli.main(usual) == 0 and "text_training.steps=0" in capsys.readouterr().out
