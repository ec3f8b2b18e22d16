"""Every ability of one network, each a few lines, and one picture for each.

python examples/every_ability.py

All of them are the same sampling loop: some frames (or parts of frames) are given, the others are drawn to fit.

Beside each picture stand shares of frames: those that show as many digits as asked for, and those that show the digit
asked for; and shares of clips: those that obey their caption, where that says how a clip sets off.
"""

import numpy as np

from minivdit.data import CaptionedClips, DigitMotion, digit_source
from minivdit.generation import TextToVideo
from minivdit.lab.display import write_grid, write_strips
from minivdit.lab.evaluation import drift, going_on, observe, prompt_metrics, read_captions, seam

model = TextToVideo.load()
length, size, digit_size = model.settings.num_frames, model.settings.size, model.settings.digit_size

# Real clips to start from: digits that training didn't see (MNIST if it is at hand, else drawn by strokes).
asked = [[DigitMotion(0, "down", "fast")], [DigitMotion(3, "right")], [DigitMotion(7, "up and left")]]
maker = CaptionedClips(digit_source("auto", "test"), size, length, digit_size, (1,), synonyms=False)
clips = maker.render(np.random.default_rng(0), asked)
real, captions = clips.video, clips.captions
others = ["a 6 moving quickly down", "an 8 moving right", "a 2 moving up and left"]
right_half = np.zeros(size, bool)
right_half[:, size[1] // 2 :] = True
step = max(2, (length - 1) // 3)
height, width = size

follow = going_on(captions, digit_size)  # after a bounce a caption is false: ask for what is seen
back = going_on(captions, digit_size, before=length - length // 2)

in_turn = ["a 0 moving right, then up", "a 3 moving down, then right"]
drawn = {  # name: (clips, the captions they should obey)
    "real": (real, captions),
    "generate": (model.generate(captions), captions),
    "animate": (model.animate(real[:, 0], captions), captions),
    "keyframes": (model.keyframes({time: real[:, time] for time in range(0, length, step)}, captions), captions),
    "extend": (model.extend(real, follow, num_frames=length), captions),
    "extend_backwards": (model.extend(real, back, num_frames=length, backwards=True), captions),
    "interpolate": (model.interpolate(real[:, ::2], captions), captions),
    "connect": (model.connect(real[:1], real[:1, ::-1], going_on(captions[0], digit_size)), captions[:1]),
    "loop": (model.loop(follow, seed=2), captions),
    "edit": (model.edit(real, others, level=0.8), others),
    "inpaint": (model.inpaint(real, right_half, captions), captions),
    "captions_in_turn": (model.generate(in_turn), ["a 0 moving right", "a 3 moving down"]),
    "longer": (model.generate(captions, num_frames=2 * length), captions),
    "wider": (model.generate(captions, size=(height, width + width // 2)), captions),
}
for name, (video, asked) in drawn.items():
    write_strips(f"{name}.png", video)
    write_grid(f"{name}.gif", video, columns=len(video))
    scores = prompt_metrics(observe(video, digit_size, 1), read_captions(asked, video.shape[2:4]))
    shares = {mark: np.nanmean(scores[mark]) for mark in ("number", "digit_frames", "obeys")}
    if name in ("extend_backwards", "loop", "captions_in_turn"):  # they needn't set off, or go on, as the caption says
        del shares["obeys"]
    print(f"{name}.png, {name}.gif: {len(video)} clips of {video.shape[1]} frames, {video.shape[2]}x{video.shape[3]}:")
    print("   ", ", ".join(f"{mark} {share:.2f}" for mark, share in shares.items()))

jump, median = seam(drawn["loop"][0])
print("loop: the jump at the seam is", ", ".join(f"{j / m:.2f}" for j, m in zip(jump, median)), "of a median step")
for name, values in drift(drawn["extend"][0], digit_size, 1, length // 2).items():
    print(f"extend: {name} over halves of a clip's length", values.mean(axis=0).round(2))
