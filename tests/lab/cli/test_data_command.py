"""`minivdit data`: the training clips shown."""

import numpy as np


def test_data_preview_shows_the_classic_clips_too(run, capsys, tmp_path):
    import imageio.v3 as imageio

    assert run("data", "--size", "24x40", "--frames", 5, "--count", 2, "--digits", "strokes", "--digit-size", 12) == 0
    assert "digits: strokes; captioned clips: 5 frames of 24x40" in capsys.readouterr().out
    preview = tmp_path / "data-preview"
    assert sorted(path.name for path in preview.iterdir()) == ["captioned.gif", "captioned.png", "classic.gif"]
    classic = imageio.imread(preview / "classic.gif", plugin="pillow", mode="L")
    assert len(classic) == 20 and np.ptp(classic) > 200
