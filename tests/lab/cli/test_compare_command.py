"""`minivdit compare`, from the command to the report."""

import json


def test_a_comparison_from_the_command_to_the_report(run, refused, capsys, tmp_path):
    tiny = [
        "--preset",
        "tiny",
        "--set",
        "autoencoder_training.steps=2",
        "--set",
        "sampling.steps=1",
        "--digits",
        "strokes",
    ]
    arguments = [*tiny, "--patterns", "framewise,joint", "--seeds", 1, "--steps", 2, "--prompts", 3, "--equal", "steps"]
    assert run("compare", *arguments, "--out", "study") == 0
    printed = capsys.readouterr().out
    assert "equal steps: 2 trainings to do" in printed and "no difference is called" in printed
    for name in ("report.html", "report.md", "report.json", "clips-1.gif", "seed0/joint/model.safetensors"):
        assert (tmp_path / "study" / name).stat().st_size > 0
    before = json.loads((tmp_path / "study" / "report.json").read_text())["tables"][0]
    assert run("compare", "--report-only", "--out", "study", "--equal", "steps") == 0
    assert json.loads((tmp_path / "study" / "report.json").read_text())["tables"][0] == before
    skip = ["--patterns", "joint,skip"]  # which isn't there
    assert "fewer than two patterns" in refused("compare", "--report-only", "--out", "study", *skip)
    assert refused("compare", *arguments, "--out", "study", "--set", "training.batch=4").count("training.batch is 8")
