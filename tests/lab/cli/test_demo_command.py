"""`minivdit demo`: what it leaves and what it prints."""


def test_the_demo_leaves_its_pictures_and_prints_its_marks(run, capsys, tmp_path):
    assert run("demo", "--preset", "tiny", "--minutes", 0.01, "--prompts", 4) == 0
    printed = capsys.readouterr().out
    for name in ("clips.gif", "summary.png", "report.json", "explorer.html", "run/model.safetensors"):
        assert (tmp_path / "demo" / name).stat().st_size > 0
    names = [line.split()[0] for line in printed.splitlines() if line.startswith("   ") and " 0." in line]
    assert names == ["digit_frames", "digit", "direction", "obeys", "flawless", "one_class", "on_path"]
    assert "steps are too few to learn digits" in printed and "Expect grey squares instead of digits" in printed
    assert "Next:" in printed and "minivdit sample" in printed
