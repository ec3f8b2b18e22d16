"""A text-to-video transformer trained from nothing, on one page: data, model, loss, gradients, optimiser, sampling.

python examples/train_in_one_page.py

Small clips need no autoencoder: the transformer sees pixels. It predicts the clean clip, which is nearly all black and
so easier to tell than noise. `minivdit train` adds speed, checkpoints, previews and a stage that compresses the frames.
"""

import os

import numpy as np

from minivdit import autograd, write_grid
from minivdit.data import CaptionedClips, digit_source
from minivdit.diffusion import Process, guided, level_matrix, make, sample, training_levels
from minivdit.models import Tokenizer, VideoDiT, VideoDiTConfig
from minivdit.nn.optim import EMA, MuonAdamW, clip_global_norm, warmup_cosine

STEPS, BATCH = (4, 4) if os.environ.get("MINIVDIT_SHORT") == "1" else (2000, 32)
SCALE = 3  # brings the pixels, from 0 to 1 and mostly 0, nearer to the noise's deviation of 1
CAPTIONS = ["a 3 moving right", "a 7 moving up", "a 0 moving left", "an 8 moving down"]

# Data: 8 frames of 24 x 24 pixels, and what they show in words.
generator = np.random.default_rng(0)
clips = CaptionedClips(digit_source("strokes"), (24, 24), num_frames=8, digit_size=14, num_digits=(1,), synonyms=False)
tokenizer = Tokenizer()

# Model: a token is a box of 8 frames and 6 x 6 pixels. All tokens attend to each other and to the caption's words.
config = VideoDiTConfig(latent_channels=1, patch_size=(8, 6, 6), depth=4, text_depth=1, positions="both")
model = VideoDiT(config, len(tokenizer), generator)
parameters = model.parameters()
optimizer = MuonAdamW(parameters, learning_rate=2e-3, matrix_learning_rate=0.012)
average = EMA(parameters, decay=0.99)
process = Process(make("rectified_flow"), "clean")  # x = (1 - level) * clean + level * noise

for step in range(STEPS):
    batch = clips.batch(generator, BATCH)
    captions = [caption if generator.random() > 0.1 else "" for caption in batch.captions]  # for guidance, see below
    clean = SCALE * batch.video  # (B, T, H, W, 1)
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
    video = sample(denoise, noise, level_matrix(40, *noise.shape[:2]), process, sampler="ddpm", generator=generator)
write_grid("trained.gif", (video / SCALE).clip(0, 1), captions=CAPTIONS)
print("trained.gif: " + ", ".join(CAPTIONS))
