# %% [markdown]
r"""
# Solutions to chapter 15

Worked answers to the exercises of [chapter 15](../15_the_systems.ipynb). Try them yourself first.
"""

# %%
import numpy as np

from minivdit import autograd as ag
from minivdit.lab.lessons import check
from minivdit.lab.lessons.ch15 import walks
from minivdit.models.causal_autoencoder import CausalConv

# %% [markdown]
r"""
**1. A layer that halves time, as the clip comes in.** The state is the last two frames, and whether the number of the
next frame is even or odd. Without the second part the answer is right only for chunks of even length.
"""


# %%
def causal_half(x, kernel, state):
    before, odd = (x[[0, 0]], 0) if state is None else state
    padded = np.concatenate([before, x])
    y = kernel[0] * padded[2:] + kernel[1] * padded[1:-1] + kernel[2] * padded[:-2]
    return y[odd::2], (padded[-2:], (odd + len(x)) % 2)


check.ch15_causal(causal_half)

# %% [markdown]
r"""
**2. What padding wastes.** Along three axes the shares multiply: a clip of half the length, height and width fills an eighth.
"""


# %%
def padded_share(shapes):
    shapes = np.array(shapes)
    filled = shapes.prod(axis=1).sum() / (len(shapes) * shapes.max(axis=0).prod())
    return 1 - filled


check.ch15_waste(padded_share)

# %% [markdown]
r"""
**3. Skiparse.** The first label is the place modulo k. The second is the number of the run modulo k.
"""


# %%
def skiparse(tokens, k):
    place = np.arange(tokens)
    return place % k, place // k % k


check.ch15_skiparse(skiparse)

# %% [markdown]
r"""
**4. Strata, one in each.** One number in each interval, in random order. Sorted levels would give the first clips of every batch low
levels. If a batch is cut into shards, some workers would only see clean clips.
"""


# %%
def stratified_levels(batch, generator):
    return (generator.permutation(batch) + generator.random(batch)) / batch


check.ch15_strata(stratified_levels)

# %% [markdown]
r"""
**5. Train a causal compressor.** The six numbers of a frame contain only three independent ones and some noise. So the
numbers of *two* frames fit into one latent. The latents have half the length in time, but what is saved is the
repetition within each frame. Latent t is made from frames 2 t - 1 and 2 t, and latent 0 from frame 0 twice. Two
matrices are enough, trained by gradient descent:
"""


# %%
def in_pairs(clips):  # (B, T, C) -> (B, 1 + (T - 1) / 2, 2 C)
    return np.concatenate([clips[:, :1], clips], axis=1).reshape(len(clips), -1, 2 * clips.shape[-1])


def train_compressor(clips, steps=400, rate=0.2):
    generator = np.random.default_rng(0)
    pairs = in_pairs(clips)[:, 1:].reshape(-1, 12)
    down, up = (ag.Tensor(0.3 * generator.standard_normal(shape), requires_grad=True) for shape in ((12, 6), (6, 12)))
    momentum = [0.0, 0.0]
    for _ in range(steps):
        loss = ag.mean_squared_error(ag.Tensor(pairs) @ down @ up, pairs)
        for number, gradient in enumerate(ag.gradients(loss, [down, up])):
            momentum[number] = 0.9 * momentum[number] + gradient
            (down, up)[number].data -= rate * momentum[number]
    encode = lambda clips: in_pairs(clips) @ down.data
    decode = lambda latents: (latents @ up.data).reshape(len(latents), -1, 6)[:, 1:]
    return encode, decode


check.ch15_compress(train_compressor)

# %% [markdown]
r"""
The best that any two matrices can do is known: keep the six directions in which pairs of frames vary most. The singular
value decomposition finds them. How near does the training come to this?
"""

# %%
generator = np.random.default_rng(1)
mixing = np.linalg.qr(generator.standard_normal((6, 6)))[0][:3] * 2**0.5
clips, new = walks(generator, mixing, 500), walks(generator, mixing, 500)
encode, decode = train_compressor(clips)
directions = np.linalg.svd(in_pairs(clips)[:, 1:].reshape(-1, 12), full_matrices=False)[2][:6].T
best = (in_pairs(new) @ directions @ directions.T).reshape(len(new), -1, 6)[:, 1:]
every_second = new.copy()
every_second[:, 1::2] = (new[:, :-2:2] + new[:, 2::2]) / 2
for name, rebuilt in (("every second frame", every_second), ("trained", decode(encode(new))), ("best", best)):
    print(f"{name:20} mean squared error {((rebuilt - new) ** 2).mean():.4f}")

# %% [markdown]
r"""
**6. Break it.** Without `past`, the first k - 1 = 2 outputs of the second piece see zeros instead of the true frames. Every
further layer spreads the damage by two frames, so with three layers 6 outputs are wrong. The first piece stays right
because nothing is missing before it. In a clip one would see a jump wherever a piece begins.
"""

# %%
x = generator.standard_normal((1, 24, 1, 1, 1), dtype=np.float32)  # (B, T, H, W, C)
layers = [CausalConv(1, 1, generator, kernel=1) for _ in range(3)]  # over time only
whole, cut = x, np.split(x, [12], axis=1)
for number, layer in enumerate(layers, start=1):
    whole, cut = layer(whole).data, [layer(piece).data for piece in cut]
    wrong = np.flatnonzero(~np.isclose(np.concatenate(cut, axis=1), whole, atol=1e-5))
    print(f"{number} layers, pieces of 12 frames: wrong at {wrong.tolist()}")
    assert wrong.tolist() == list(range(12, 12 + 2 * number))

# %% [markdown]
r"""
**7. An open question.** One way is to ask for a thing with a detail that the prompt leaves open, such as the colour of
a hat. Let the thing leave the picture and come back, or move fast. Count how often the detail changes, as chapter 10
does. If it changes more often for fast things, direct links between different places may be missing. But a strong
compression of time, little training on fast motion, or drawing the clip in pieces would have the same effect. So this
is evidence, and not a proof.
"""
