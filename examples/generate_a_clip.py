"""From a sentence to a GIF, in four lines.

python examples/generate_a_clip.py
"""

from minivdit.generation import TextToVideo
from minivdit.lab.display import write_grid

prompts = ["a 0 moving right", "a 7 moving up and left", "the digit two drifts slowly upwards"]

model = TextToVideo.load()  # the weights that come with the package; or TextToVideo.load("runs/mine/model.safetensors")
video = model.generate(prompts, seed=1)  # float32 (3, T, H, W, 1) in [0, 1]
write_grid("clips.gif", video, captions=prompts)

print(f"clips.gif: {len(video)} clips of {video.shape[1]} frames, {video.shape[2]} x {video.shape[3]} pixels")
