"""A clip on its way out of the noise: a sampler yields every step, so each one can be looked at.

python examples/watch_the_denoising.py

The picture shows, from top to bottom, what the model believes the clean clip to be at ever lower noise: first where
something moves, then which digit it is, at last the strokes.
"""

from minivdit.generation import TextToVideo
from minivdit.lab.display import write_strips

model = TextToVideo.load()
way = list(model.denoise("a 3 moving right", seed=1, steps=40))  # each has .index, .levels, .x and .clean

shown = [way[index] for index in (0, 4, 9, 19, 29, 39)]
believed = [model.decode(step.clean)[0] for step in shown]  # latents to video (T, H, W, 1)
write_strips("denoising.png", believed, [f"step {step.index + 1}" for step in shown])

print(f"denoising.png: {len(shown)} of {len(way)} steps")
