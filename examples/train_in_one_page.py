"""A text-to-video transformer trained from nothing, on one page: data, model, loss, gradients, optimiser, sampling.

python examples/train_in_one_page.py

It takes 13 minutes on one core of a Xeon. Digits can be read and move as asked; some still change on their way.
Only the autoencoder, which compresses the frames, is one that ships. `minivdit train` adds speed, checkpoints, previews
and stages before: they train the autoencoder and teach the words.
"""

import os

import numpy as np

from minivdit import autograd, load, write_grid
from minivdit.data import CaptionedClips, digit_source
from minivdit.diffusion import Process, guided, level_matrix, make, sample, training_levels
from minivdit.models import Tokenizer, VideoDiT, VideoDiTConfig
from minivdit.nn.optim import EMA, MuonAdamW, clip_global_norm, warmup_cosine

STEPS, BATCH = (4, 4) if os.environ.get("MINIVDIT_SHORT") == "1" else (2000, 16)
CAPTIONS = ["a 3 moving right", "a 7 moving up", "a 0 moving left", "an 8 moving down"]

# Data: 8 frames of 32 x 32 pixels, and what they show in words. The autoencoder makes 8 x 8 latents of a frame.
generator = np.random.default_rng(0)
clips = CaptionedClips(
    digit_source("strokes"), (32, 32), num_frames=8, digit_size=16, num_digits=(1,), speeds=("normal",), synonyms=False
)
autoencoder, tokenizer = load("small").autoencoder, Tokenizer()

# Model: a token is a box of 2 frames and 2 x 2 latents. All tokens attend to each other and to the caption's words.
config = VideoDiTConfig(latent_channels=4, patch_size=(2, 2, 2), text_depth=1, positions="both")
model = VideoDiT(config, len(tokenizer), generator)
parameters = model.parameters()
optimizer = MuonAdamW(parameters, learning_rate=2e-3, matrix_learning_rate=0.012)
average = EMA(parameters, decay=0.99)
process = Process(make("rectified_flow", shift=3.0), "velocity")  # x = (1 - level) * clean + level * noise

for step in range(STEPS):
    batch = clips.batch(generator, BATCH)
    captions = [caption if generator.random() > 0.1 else "" for caption in batch.captions]  # for guidance, see below
    clean = autoencoder.encode(batch.video)  # (B, T, h, w, 4)
    noise = generator.standard_normal(clean.shape, dtype=np.float32)
    level = training_levels(generator, *clean.shape[:2], shared=1, given=0, independent=0)  # (B, T)
    predicted = model(process.mix(clean, noise, level), level, tokenizer.encode(captions))
    loss = autograd.mean_squared_error(predicted, process.target(clean, noise, level))
    gradients = dict(zip(parameters, autograd.gradients(loss, parameters.values())))
    clip_global_norm(gradients, 1.0)
    optimizer.step(gradients, warmup_cosine(step, 50, STEPS))
    average.update()
    if step % 100 == 0 or step == STEPS - 1:
        print(f"step {step + 1}: loss {loss.item():.4f}", flush=True)

# Sampling: from pure noise, in 40 steps. Guidance goes further in the direction in which captions change a prediction.
noise = generator.standard_normal((len(CAPTIONS), *clean.shape[1:]), dtype=np.float32)
words, no_words = tokenizer.encode(CAPTIONS), tokenizer.encode([""] * len(CAPTIONS))
with average.applied(), autograd.no_grad():
    denoise = guided(lambda *inputs: model(*inputs).data, words, no_words, guidance_scale=2)
    latents = sample(denoise, noise, level_matrix(40, *noise.shape[:2]), process, sampler="ddpm", generator=generator)
write_grid("trained.gif", autoencoder.decode(latents), captions=CAPTIONS)
print("trained.gif: " + ", ".join(CAPTIONS))
