"""`minivdit explore` writes a page."""


def test_explore_writes_a_page(run, refused, capsys, trained, tmp_path):
    weights = ["--weights", trained / "model.safetensors", "--steps", 2]
    command = ["explore", "a 3 moving right", "--restrict", "framewise,perframe", "--moments", 9]
    assert run(*command, "--out", "page.html", *weights) == 0
    printed = capsys.readouterr()
    assert "page.html: joint, framewise, perframe; 0.0 MB" in printed.out and "4 steps of training" in printed.err
    assert "there are 2 denoising steps, so the page shows 2, not 9" in printed.err
    assert "not what it learns" in (tmp_path / "page.html").read_text(encoding="utf-8")
    (tmp_path / "folder.html").mkdir()
    assert "could not write" in refused("explore", "a 3 moving right", "--out", "folder.html", *weights)
