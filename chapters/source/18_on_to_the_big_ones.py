# %% [markdown]
r"""
# 18. On to the big ones: PyTorch, diffusers, and the systems of the field

*About 60 minutes with the exercises. Runs in half a minute.*

**You'll do:** write the transformer once more, in PyTorch. Carry the trained weights over, train a step there, and
carry them back. Let the scheduler of diffusers draw the same clip. Find each part of this project in diffusers,
CogVideoX and Open-Sora. Count the weights and tokens of large models.

**You'll learn:** that a model is its weights and a few formulas, whatever library runs it. Where two libraries differ
without an error. Which settings of a scheduler give the same steps. What changes when a model becomes five thousand
times larger.

**You need:** [chapter 4](04_removing_noise.ipynb), [chapter 7](07_the_transformer_block.ipynb) and [chapter
8](08_text_guidance.ipynb).

This is the only chapter that uses PyTorch and [diffusers](references.md#diffusers), the library in which most open
models are published. `pip install 'minivdit[bridge]'` brings both. Without them the cells that need them say so and do
nothing. The exercises still work, because they are about arrays.

![Weights go to PyTorch and back; a sampler here and a scheduler there draw equal clips](pictures/18.svg)
"""

# %%
import math
import types
import warnings

import matplotlib.pyplot as plt
import numpy as np

from minivdit import autograd as ag
from minivdit import diffusion
from minivdit.generation import TextToVideo
from minivdit.lab.display import draw_strip
from minivdit.lab.lessons import check, installed, size
from minivdit.models import costs
from minivdit.models.patches import rotary_angles, sincos_positions, wave_features

if installed("torch"):
    import torch
    import torch.nn.functional as F
    from torch import nn
else:
    nn = types.SimpleNamespace(Module=object)  # so that the classes below can be defined, though not used

warnings.filterwarnings("ignore", message="IProgress not found")  # a progress bar that nobody asked for
plt.style.use("seaborn-v0_8-colorblind")
generator = np.random.default_rng(0)
model = TextToVideo.load("joint")
config, settings = model.transformer.config, model.settings
assert set(config.patterns) == {"joint"} and config.text == "cross" and config.text_positions == "rotary"

# %% [markdown]
r"""
## The same network in PyTorch

You know every operation from these chapters. PyTorch has each under another name:

| here | in PyTorch | differs in |
|---|---|---|
| `ag.linear`, weight (in, out) | `nn.Linear`, weight (out, in) | **the layout of the weight** |
| `ag.attention` | `F.scaled_dot_product_attention` | a mask is boolean, True where a query may look |
| `ag.rms_norm` | `nn.RMSNorm` | **eps**: ours is 1e-6, its default is another |
| `ag.layer_norm` | `F.layer_norm` | eps: ours is 1e-6, its default 1e-5 |
| `ag.gelu` | `F.gelu(..., approximate="tanh")` | **the default is the exact one** |
| `ag.embedding`, `table` | `nn.Embedding`, `weight` | the name |
| `ag.gradients(loss, weights)` | `loss.backward()`, then `weight.grad` | where the gradients are put |

PyTorch raises no error if you forget the second or the third in bold, or the first one for a square weight. The module
below computes with joint attention, which is what the weights `joint` were trained with. Positions and the waves that
describe a noise level aren't learnt, so we take the tables of this project. The module's attributes have the names that
the weights have here. (The twin for all patterns, which the benchmarks use, is in
`minivdit/lab/benchmarks/torch_twin.py`.)
"""


# %%
class MLP(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x):
        return self.down(F.gelu(self.up(x), approximate="tanh"))


class Attention(nn.Module):
    """x (B, N, D) looks at itself, or with cross=True at words (B, L, D)."""

    def __init__(self, width, heads, cross=False):
        super().__init__()
        self.heads = heads
        if cross:
            self.q, self.kv = nn.Linear(width, width, bias=False), nn.Linear(width, 2 * width, bias=False)
        else:
            self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.q_norm, self.k_norm = (nn.RMSNorm(width // heads, eps=1e-6) for _ in range(2))
        self.out = nn.Linear(width, width)

    def forward(self, x, words=None, mask=None, angles=None):
        q, k, v = self.qkv(x).chunk(3, -1) if words is None else (self.q(x), *self.kv(words).chunk(2, -1))
        q, k, v = (a.unflatten(-1, (self.heads, -1)).transpose(1, 2) for a in (q, k, v))  # (B, h, N, d)
        q, k = (rotate(a, angles) for a in (self.q_norm(q), self.k_norm(k)))
        seen = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.out(seen.transpose(1, 2).flatten(2))


def rotate(x, angles):
    """Each pair (x[i], x[i + d/2]) of x (B, h, N, d) by its angle, given as cosines and sines (N, d/2)."""
    if angles is None:
        return x
    (first, second), (cos, sin) = x.chunk(2, -1), angles
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1)


def angles_of(grid, head_width):
    return [torch.from_numpy(table[:, 0]) for table in rotary_angles(grid, head_width)]


def norm(x):
    return F.layer_norm(x, x.shape[-1:], eps=1e-6)


# %%
class TextBlock(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.attention_norm, self.mlp_norm = (nn.RMSNorm(width, eps=1e-6) for _ in range(2))
        self.attention, self.mlp = Attention(width, heads), MLP(width, 4 * width)

    def forward(self, x, mask, angles):
        x = x + self.attention(self.attention_norm(x), mask=mask, angles=angles)
        return x + self.mlp(self.mlp_norm(x))


class Block(nn.Module):
    def __init__(self, width, heads, mlp_ratio):
        super().__init__()
        self.modulation = nn.Linear(width, 6 * width)
        self.attention, self.cross_attention = Attention(width, heads), Attention(width, heads, cross=True)
        self.mlp = MLP(width, mlp_ratio * width)

    def forward(self, x, condition, words, mask, angles):
        """x (B, T, S, D) by frames, condition (B, T, 1, D): one modulation for each frame."""
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(condition).chunk(6, -1)
        y = (norm(x) * (1 + scale1) + shift1).flatten(1, 2)
        x = x + gate1 * self.attention(y, angles=angles).view_as(x)
        x = x + self.cross_attention(norm(x).flatten(1, 2), words, mask).view_as(x)
        return x + gate2 * self.mlp(norm(x) * (1 + scale2) + shift2)


class Transformer(nn.Module):
    def __init__(self, config, vocabulary):
        super().__init__()
        self.config, width, heads = config, config.width, config.heads
        patch = math.prod(config.patch_size) * config.latent_channels
        self.patch_in, self.patch_out = nn.Linear(patch, width), nn.Linear(width, patch)
        self.level_in, self.level_out = nn.Linear(64 * config.patch_size[0], width), nn.Linear(width, width)
        self.text_pooled, self.final_modulation = nn.Linear(width, width), nn.Linear(width, 2 * width)
        text_blocks = nn.ModuleList(TextBlock(width, heads) for _ in range(config.text_depth))
        embedding, last = nn.Embedding(vocabulary, width), nn.RMSNorm(width, eps=1e-6)
        self.text = nn.ModuleDict({"embedding": embedding, "blocks": text_blocks, "norm": last})
        self.blocks = nn.ModuleList(Block(width, heads, config.mlp_ratio) for _ in range(config.depth))

    def forward(self, latents, level, tokens):
        """latents (B, T, H, W, C), level (B, T), tokens (B, L) -> the prediction, shaped like latents."""
        (B, T, H, W, C), (pt, ph, pw), width = latents.shape, self.config.patch_size, self.config.width
        grid = t, h, w = T // pt, H // ph, W // pw
        x = latents.view(B, t, pt, h, ph, w, pw, C).permute(0, 1, 3, 5, 2, 4, 6, 7)
        x = self.patch_in(x.flatten(4).flatten(2, 3))  # (B, t, S, D)
        if self.config.positions != "rotary":
            x = x + torch.from_numpy(sincos_positions(grid, width)).view(t, h * w, width)
        head_width = width // self.config.heads
        angles = None if self.config.positions == "sincos" else angles_of(grid, head_width)

        words, present = self.text["embedding"](tokens), tokens != 0
        mask = present[:, None, None]  # (B, 1, 1, L)
        for block in self.text["blocks"]:
            words = block(words, mask, angles_of((tokens.shape[1], 1, 1), head_width))
        words = self.text["norm"](words)
        mean = (words * present[..., None]).sum(1) / present.sum(1, keepdim=True)
        waves = torch.from_numpy(wave_features(1000 * level.numpy(), 64)).view(B, t, -1)
        condition = self.level_out(F.silu(self.level_in(waves))) + self.text_pooled(mean)[:, None]
        condition = F.silu(condition)[:, :, None]  # (B, t, 1, D)

        for block in self.blocks:
            x = block(x, condition, words, mask, angles)
        shift, scale = self.final_modulation(condition).chunk(2, -1)
        x = self.patch_out(norm(x) * (1 + scale) + shift).view(B, t, h, w, pt, ph, pw, C)
        return x.permute(0, 1, 4, 2, 5, 3, 6, 7).reshape(latents.shape)


# %% [markdown]
r"""
## Carry the weights over, and back

This is a linear layer here and in PyTorch, for a row $x$ of a batch:

$$y = x\,W + b \quad\text{(here, } W \text{ is in} \times \text{out)}, \qquad y = x\,A^\top + b \quad\text{(PyTorch, } A \text{ is out} \times \text{in)}.$$

So $A = W^\top$. Biases, the scales of norms and the table of words stay as they are. A loop carries one weight after
the other. If it left one out, we would notice it, because `load_state_dict` wants every name exactly once.
"""


# %%
def to_torch(state):
    """Our state_dict, name -> array, as PyTorch's, name -> tensor."""
    carried = {}
    for name, array in state.items():
        if name.endswith("embedding.table"):
            carried[name.replace("table", "weight")] = torch.tensor(array)
        else:
            carried[name] = torch.tensor(array.T if array.ndim == 2 else array)
    return carried


def from_torch(state):
    """The inverse."""
    carried = {}
    for name, tensor in state.items():
        if name.endswith("embedding.weight"):
            carried[name.replace("weight", "table")] = tensor.numpy().copy()
        else:
            carried[name] = np.ascontiguousarray(tensor.numpy().T if tensor.ndim == 2 else tensor.numpy())
    return carried


if installed("torch"):
    ours = model.transformer.state_dict()
    twin = Transformer(config, len(model.tokenizer))
    twin.load_state_dict(to_torch(ours))
    back = from_torch(twin.state_dict())
    assert back.keys() == ours.keys() and all(np.array_equal(back[name], ours[name]) for name in ours)
    print(f"{sum(weight.numel() for weight in twin.parameters()):,} weights there and back, equal to the last bit")

# %% [markdown]
r"""
**Claim.** Both networks are the same function. We give them the same input: two clips of noise and two captions. In the
second clip every frame has a noise level of its own. "Equal" can't mean to the last bit, because sums are added up in
another order. We divide the largest difference by the largest entry.
"""

# %%
side, frames = settings.size[0] // model.autoencoder.config.factor, settings.num_frames
noisy = generator.standard_normal((2, frames, side, side, config.latent_channels), dtype=np.float32)
levels = np.stack([np.full(frames, 0.6), np.linspace(0, 1, frames)]).astype(np.float32)
tokens = model.tokenizer.encode(["a 3 moving right", "a 7 moving up and a 1 moving left"])


def predict_here():
    with ag.no_grad():
        return model.transformer(noisy, levels, tokens).data


def predict_there():
    with torch.no_grad():
        return twin(torch.from_numpy(noisy), torch.from_numpy(levels), torch.from_numpy(tokens)).numpy()


def difference(a, b):
    """The largest difference, as a share of the largest entry."""
    return np.abs(a - b).max() / np.abs(b).max()


if installed("torch"):
    print(f"largest difference: {difference(predict_here(), predict_there()):.1e} of the largest entry")
    assert difference(predict_here(), predict_there()) < 1e-4

# %% [markdown]
r"""
Such a difference comes from rounding. A float32 has 24 bits, so each operation is off by about 1e-7, and some hundred
operations follow each other.

Now we carry weights back, after one step of training in PyTorch. Our `ag.gradients` returns the gradients. PyTorch's
`backward` puts each gradient beside its weight. We compare them all, let PyTorch's AdamW make its step, and carry the
changed weights back. Then both networks must agree again, but on another function than before.
"""

# %%
if installed("torch"):
    target = generator.standard_normal(noisy.shape, dtype=np.float32)
    weights = model.transformer.parameters()
    loss = ag.mean_squared_error(model.transformer(noisy, levels, tokens), target)
    gradients = dict(zip(weights, ag.gradients(loss, list(weights.values()))))

    optimiser = torch.optim.AdamW(twin.parameters(), lr=1e-3)
    their_loss = F.mse_loss(
        twin(torch.from_numpy(noisy), torch.from_numpy(levels), torch.from_numpy(tokens)), torch.from_numpy(target)
    )
    their_loss.backward()
    theirs = from_torch({name: weight.grad for name, weight in twin.named_parameters()})
    worst = max(difference(gradients[name], theirs[name]) for name in gradients)
    print(f"loss here {loss.data:.6f}, there {their_loss:.6f}; gradients differ by at most {worst:.1e}")
    assert worst < 1e-3

    before = predict_here()
    optimiser.step()
    model.transformer.load_state_dict(from_torch(twin.state_dict()))
    after = predict_here()
    print(f"the step changed the prediction by {difference(after, before):.0%}; "
          f"here and there now differ by {difference(after, predict_there()):.1e}")  # fmt: skip
    assert difference(after, predict_there()) < 1e-4 < difference(after, before)

    model.transformer.load_state_dict(ours)  # the shipped weights again
    twin.load_state_dict(to_torch(ours))

# %% [markdown]
r"""
So you can try an idea here, where you can read everything, and train it in PyTorch on many GPUs.

## The scheduler of diffusers

diffusers divides sampling into the same parts. Our *sampler* is called [*scheduler*](glossary.md#scheduler) there. It
has a list of timesteps, and `step` leads from one to the next. For [rectified flow](glossary.md#rectified-flow), with
the predicted velocity $v$ and falling noise levels $\sigma_0 = 1 > \sigma_1 > \dots > \sigma_n = 0$, Euler's step is

$$x_{k+1} = x_k + (\sigma_{k+1} - \sigma_k)\; v(x_k, \sigma_k)$$

`FlowMatchEulerDiscreteScheduler` computes this step. To make equal steps, we have to pass our levels, because its own
list is different: it begins at 1 and ends at 1/1000 before the final 0. It also applies the shift $s$ of chapter 3
itself:

$$\sigma = \frac{s\,t}{1 + (s-1)\,t}$$

So we pass the shift and the unshifted levels $t$, without the last, which is 0. The scheduler's timesteps are
$1000\,\sigma$. But our network was trained with $t$ as its input, so we also keep our own list.
"""

# %%
STEPS, SCALE, CAPTION = size(40, 4), settings.guidance_scale, ["a 3 moving right"]
words = np.concatenate([model.tokenizer.encode(CAPTION), model.tokenizer.encode([""])])
noise = generator.standard_normal((1, *noisy.shape[1:]), dtype=np.float32)
way = diffusion.uniform_levels(STEPS)  # 1, ..., 0


def denoise_here(x, level, words):
    with ag.no_grad():
        return model.transformer(x, level, words).data


guided = diffusion.guided(denoise_here, words[:1], words[1:], SCALE)
clip_here = diffusion.sample(guided, noise, way, settings.process, sampler="euler")

if installed("torch", "diffusers"):
    from diffusers import FlowMatchEulerDiscreteScheduler

    scheduler = FlowMatchEulerDiscreteScheduler(shift=settings.shift)
    scheduler.set_timesteps(sigmas=way[:-1])
    assert np.allclose(scheduler.sigmas, settings.process.curve.sigma(way), atol=1e-6)
    x = torch.from_numpy(noise)
    for timestep, level in zip(scheduler.timesteps, way):
        with torch.no_grad():
            told = torch.full((2, frames), float(level))
            conditional, unconditional = twin(torch.cat([x, x]), told, torch.from_numpy(words)).chunk(2)
        x = scheduler.step(unconditional + SCALE * (conditional - unconditional), timestep, x).prev_sample
    clip_there = x.numpy()

    print(f"after {STEPS} steps the latents differ by {difference(clip_here, clip_there):.1e} of the largest entry")
    assert difference(clip_here, clip_there) < 1e-3
    figure, rows = plt.subplots(2, 1, figsize=(9, 1.9), layout="constrained")
    for axes, latents, label in zip(rows, (clip_here, clip_there), ("here", "PyTorch,\ndiffusers")):
        draw_strip(axes, model.autoencoder.decode(latents)[0], label=label)
    plt.show()

# %% [markdown]
r"""
You can't see a difference between the two rows. The differences of single calls add up over the steps, and
[guidance](glossary.md#classifier-free-guidance) makes them larger. But they stay far below what an eye notices.

## Which scheduler is which sampler

Every sampler here has a counterpart. The settings below make the steps equal. Most published models use other settings.
A wrong setting raises no error, but the clip is slightly wrong.

| here | diffusers | settings that make it equal |
|---|---|---|
| `euler`, `rectified_flow` | `FlowMatchEulerDiscreteScheduler` | `shift`, and `set_timesteps(sigmas=levels[:-1])` |
| `ddim` | `DDIMScheduler` | `timestep_spacing="trailing"`, `clip_sample=False` |
| `ddpm` | `DDPMScheduler` | the same, and `variance_type="fixed_small"` |
| `dpm_solver` | `DPMSolverMultistepScheduler` | `timestep_spacing="trailing"`, `final_sigmas_type="zero"` |
| curve `ddpm_linear` | `beta_schedule="linear"` | the default |
| curve `ddpm_cosine` | `beta_schedule="squaredcos_cap_v2"` | |
| curve `zero_terminal_snr` | `rescale_betas_zero_snr=True` | not with noise prediction: see `Process.require` |
| prediction `noise`, `velocity`, `clean` | `prediction_type="epsilon"`, `"v_prediction"`, `"sample"` | |

`trailing` takes the timesteps 999, 899, ... for ten steps, which are our levels 1, 0.9, ... (entry $i$ of the table is
level $(i+1)/1000$). With the usual spacing, `leading`, the first timestep isn't the one of pure noise. [Lin et al.
2023](references.md#lin-2023) showed what this costs. We check the table with an arbitrary function as the denoiser,
because steps can be compared without a trained network.
"""


# %%
def any_network(x, level):
    return np.tanh(0.7 * x + np.asarray(level)[..., None, None, None] / 2).astype(np.float32)


def by_scheduler(scheduler, x, **options):
    """The clip that a scheduler makes of x with `any_network`; its timestep i is our level (i + 1) / 1000."""
    scheduler.set_timesteps(10)
    x = torch.from_numpy(x)
    for timestep in scheduler.timesteps:
        level = np.full(x.shape[:2], (float(timestep) + 1) / 1000, np.float32)
        x = scheduler.step(torch.from_numpy(any_network(x.numpy(), level)), timestep, x, **options).prev_sample
    return x.numpy()


class SameNoise:
    """Draws as a torch.Generator of this seed does, for samplers that add fresh noise."""

    def __init__(self, seed):
        self.generator = torch.Generator().manual_seed(seed)

    def standard_normal(self, shape, dtype):
        return torch.randn(shape, generator=self.generator).numpy().astype(dtype)


if installed("torch", "diffusers"):
    from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler

    curves = {
        "ddpm_linear": {},
        "ddpm_cosine": {"beta_schedule": "squaredcos_cap_v2"},
        "zero_terminal_snr": {"rescale_betas_zero_snr": True},
    }
    solver = {"final_sigmas_type": "zero", "lower_order_final": False}
    start = generator.standard_normal((2, 3, 4, 4, 5), dtype=np.float32)
    for curve, settings_of_curve in curves.items():
        process = diffusion.Process(diffusion.make(curve), "velocity")
        for sampler, scheduler, options in (
            ("ddim", DDIMScheduler, {"clip_sample": False}),
            ("ddpm", DDPMScheduler, {"clip_sample": False, "variance_type": "fixed_small"}),
            ("dpm_solver", DPMSolverMultistepScheduler, solver),
        ):
            common = {"timestep_spacing": "trailing", "prediction_type": "v_prediction", **settings_of_curve}
            fresh = {"generator": torch.Generator().manual_seed(1)} if sampler == "ddpm" else {}
            theirs = by_scheduler(scheduler(**common, **options), start, **fresh)
            ours_again = diffusion.sample(
                any_network, start, diffusion.uniform_levels(10), process, sampler=sampler, generator=SameNoise(1)
            )
            print(f"{sampler:10} {curve:18} {scheduler.__name__:28} differ by {difference(ours_again, theirs):.0e}")
            assert difference(ours_again, theirs) < 1e-3

# %% [markdown]
r"""
One difference is larger than the rest: `dpm_solver` on `zero_terminal_snr`. At level 1 the signal-to-noise ratio is 0,
and the solver works with its logarithm. We make a first-order step there. diffusers replaces the 0 by a tiny number.

## Who plays which part

This table helps you to find your way in three other repositories. The names are those of diffusers 0.42, of the
CogVideo repository (folder `sat`) and of Open-Sora 2.0 ([diffusers](references.md#diffusers), [CogVideo's
code](references.md#cogvideo-code), [Open-Sora's code](references.md#open-sora-code)).

| part | here | diffusers (`src/diffusers/`) | CogVideoX (`sat/`) | Open-Sora 2.0 (`opensora/`) |
|---|---|---|---|---|
| transformer | `VideoDiT` | `CogVideoXTransformer3DModel` in `models/transformers/cogvideox_transformer_3d.py` | `DiffusionTransformer` in `dit_video_concat.py` | `MMDiTModel` in `models/mmdit/model.py` |
| block | `SequenceBlock` | `CogVideoXBlock`, same file | `AdaLNMixin`, same file | `DoubleStreamBlock`, `SingleStreamBlock` in `models/mmdit/layers.py` |
| modulation, with experts | `modulation`, `word_modulation` | `CogVideoXLayerNormZero` in `models/normalization.py` | in `AdaLNMixin` | `Modulation` |
| patches | `patchify` | `CogVideoXPatchEmbed` in `models/embeddings.py` | `ImagePatchEmbeddingMixin` | `pack`, `unpack` in `utils/sampling.py` |
| positions | `rotary_angles` | `get_3d_rotary_pos_embed` in `models/embeddings.py` | `Rotary3DPositionEmbeddingMixin` | `EmbedND` |
| timestep | `wave_features` | `Timesteps`, `TimestepEmbedding` | in `DiffusionTransformer` | `timestep_embedding`, `MLPEmbedder` |
| text encoder | `TextEncoder` | T5, from transformers | `FrozenT5Embedder` in `sgm/modules/encoders/modules.py` | `HFEmbedder` (T5 and CLIP) in `models/text/conditioner.py` |
| autoencoder | `CausalAutoencoder`, `Autoencoder` | `AutoencoderKLCogVideoX` in `models/autoencoders/` | `VideoAutoencoderInferenceWrapper` in `vae_modules/autoencoder.py` | `AutoencoderKLCausal3D` in `models/hunyuan_vae/` |
| noise schedule | `diffusion.make` | in the scheduler | `ZeroSNRDDPMDiscretization` | `get_schedule` in `utils/sampling.py` |
| sampler | `samplers.py` | `CogVideoXDDIMScheduler`, `CogVideoXDPMScheduler` in `schedulers/` | `VPSDEDPMPP2MSampler` in `sgm/modules/diffusionmodules/sampling.py` | `I2VDenoiser` in `utils/sampling.py` |
| guidance | `guided` | in the pipeline | `DynamicCFG` in `guiders.py` there | in `I2VDenoiser` |
| loss | `mean_squared_error` | in your training script | `VideoDiffusionLoss` in `loss.py` there | `get_batch_loss` in `utils/train.py` |
| all together | `TextToVideo` | `CogVideoXPipeline` in `pipelines/cogvideo/` | `SATVideoDiffusionEngine` in `diffusion_video.py` | `prepare_api` in `utils/sampling.py` |

Three conventions differ from ours, and each can cause mistakes when you carry weights. There, clips are (B, C, T, H, W)
or (B, T, C, H, W), and channels aren't last. CogVideoX in diffusers rotates neighbouring entries, $2i$ and $2i+1$,
while we rotate the entries $i$ and $i + d/2$ (exercise 2). And there, all frames share one timestep. Here each frame
has its own level.

## What changes at scale

The formulas stay the same. We can count without loading weights, because on PyTorch's device `meta` a tensor has only a
shape and no numbers. The defaults of diffusers' classes are the sizes of the published models ([Wan
2025](references.md#wan-2025)). For CogVideoX-5B we pass what its configuration says (`sat/configs/cogvideox_5b.yaml`).
Tokens follow from the clip, the autoencoder's factors (4 in time, the first frame by itself; 8 in space) and patches of
1 x 2 x 2.
"""


# %%
def tokens_of(frames, height, width, shrink=(4, 8, 8), patch=2):
    return (1 + (frames - 1) // shrink[0]) * (height // shrink[1] // patch) * (width // shrink[2] // patch)


own_grid = (frames, side // config.patch_size[1], side // config.patch_size[2])
counted = {"this project": (model.transformer.parameter_count(), math.prod(own_grid))}
if installed("torch", "diffusers"):
    from diffusers import CogVideoXTransformer3DModel, HunyuanVideoTransformer3DModel, WanTransformer3DModel

    large = (
        ("CogVideoX-2B", CogVideoXTransformer3DModel, {}, (49, 480, 720)),
        ("CogVideoX-5B", CogVideoXTransformer3DModel, {"num_layers": 42, "num_attention_heads": 48}, (49, 480, 720)),
        ("HunyuanVideo", HunyuanVideoTransformer3DModel, {}, (129, 720, 1280)),
        ("Wan 2.1", WanTransformer3DModel, {}, (81, 720, 1280)),
    )
    for name, kind, options, clip in large:
        with torch.device("meta"):
            network = kind(**options)
        counted[name] = sum(weight.numel() for weight in network.parameters()), tokens_of(*clip)

first = counted["this project"]
print(f"{'':14}{'weights':>16}{'times':>8}{'tokens':>10}{'pairs, times':>14}{'to train':>12}")
for name, (weights_of, tokens_of_clip) in counted.items():
    print(f"{name:14}{weights_of:16,}{weights_of / first[0]:8,.0f}{tokens_of_clip:10,}"
          f"{(tokens_of_clip / first[1]) ** 2:14,.0f}{16 * weights_of / 2**30:9.2f} GiB")  # fmt: skip

# %% [markdown]
r"""
*Times* compares with this project. *Pairs, times* says how many times as many scores one attention has. *To train* is
the memory of weights, gradients and AdamW, without activations: 16 bytes a weight in mixed precision. Those are 2 for
the weight in 16 bits, 2 for its gradient, and 12 for three numbers in 32 bits: the weight again, and Adam's two
averages ([Rajbhandari et al. 2020](references.md#rajbhandari-2020)). A GPU has about 80 GB. So large models need some
things that small ones don't need:

- **Parallelism.** The batch is split, as in our shards. The 16 bytes are split over the GPUs (ZeRO, FSDP). Single
  matrices are split (tensor parallelism, [Shoeybi et al. 2019](references.md#shoeybi-2019)). And since one *clip* no
  longer fits, its tokens are split as well, with keys and values sent round ([Liu et al. 2023](references.md#liu-2023),
  and `opensora/acceleration/parallel_states.py`). [Chapter 17](17_beyond_one_machine.ipynb) builds all but the
  matrices.
- **Text encoder.** It isn't trained with the rest, but taken from a language model. CogVideoX reads 226 tokens with
  T5-XXL, whose encoder is larger than CogVideoX-2B's transformer. The cell below computes its size from its shape (24
  layers of width 4,096, inner width 10,240). HunyuanVideo uses a multimodal language model ([Kong et al.
  2024](references.md#kong-2024)).
- **3D autoencoder.** It also shrinks time, by 4 in CogVideoX and HunyuanVideo and by 8 in Movie Gen ([Polyak et al.
  2024](references.md#polyak-2024)). Ours does so in the preset `causal`. The autoencoder of the weights `joint` works
  frame by frame.
- **Data.** CogVideoX trained on about 35 million clips and 2 billion images ([Yang et al.
  2024](references.md#yang-2024)); Open-Sora 2.0 on 70 million clips in its first stage ([Peng et al.
  2025](references.md#peng-2025)); Movie Gen on the order of 100 million clips and a billion images. Our clips are made
  anew for every batch, and cost almost nothing.
- **Stages.** Training begins with small and short clips. Open-Sora 2.0's training cost 200,000 dollars. More than half
  of this, 2,240 GPU days, went into the first stage, at 256 pixels. Movie Gen, with 30 billion weights, is trained on
  up to 73,000 tokens a clip.
"""

# %%
width, inner, layers, vocabulary = 4096, 10_240, 24, 32_128  # the encoder of t5-v1_1-xxl
t5 = vocabulary * width + layers * (4 * width**2 + 3 * width * inner)  # q, k, v, out; a gated MLP has three matrices
block = costs.block_flops(tokens_of(49, 480, 720), 3072)
ours_block = costs.block_flops(math.prod(own_grid), config.width)
print(f"T5-XXL's encoder: {t5:,} weights; ours: {model.transformer.text.parameter_count():,}")
print(f"one block of CogVideoX-5B on one clip: {block / 1e12:.1f} TFLOP, {block / ours_block:,.0f} times one of ours")

# %% [markdown]
r"""
## Exercises

Worked solutions are in [solutions/18_on_to_the_big_ones](solutions/18_on_to_the_big_ones.ipynb).

**1. A convolution's weight.** Our convolutions keep their kernel as (height, width, in, out). `nn.Conv2d` wants (out,
in, height, width), and `nn.Conv3d` (out, in, time, height, width). Return our array, given PyTorch's, for kernels with
any number of axes after (out, in).
"""


# %%
def conv_from_torch(weight):
    pass  # fill me in, about 2 lines


check.ch18_conv(conv_from_torch)

# %% [markdown]
r"""
**2. Other pairs.** Ours rotates the entries i and i + d/2 of a head, diffusers' CogVideoX the entries 2i and 2i + 1.
`weight` is the weight of the queries, in our layout (in, heads * d). We want to use it in a network like CogVideoX.
Return it with its columns in another order inside each head, so that pair i here is pair i there. (If keys get the same
order, all scores stay the same.)
"""


# %%
def interleaved(weight, heads):
    pass  # fill me in, about 3 lines


check.ch18_pairs(interleaved)

# %% [markdown]
r"""
**3. Back from sigma.** A pipeline of diffusers gives its network the timestep $1000\,\sigma$, after the shift. Our
network wants the level $t$ before the shift. Return the levels (n,), given the timesteps (n,) and the shift.
"""


# %%
def levels_from_timesteps(timesteps, shift):
    pass  # fill me in, about 2 lines


check.ch18_unshift(levels_from_timesteps)

# %% [markdown]
r"""
**4. Does it fit?** ZeRO's stage 1 splits the 12 bytes of the optimiser over all GPUs. Stage 2 also splits the
gradients, and stage 3 the weights, too. Stage 0 splits nothing. The other bytes are on every GPU. How many bytes does
each of `gpus` GPUs hold for `parameters` weights?
"""


# %%
def bytes_on_each(parameters, gpus, stage):
    pass  # fill me in, about 4 lines


check.ch18_memory(bytes_on_each)

# %% [markdown]
r"""
**5. Break the bridge.** (No check.) Change one thing in the module or in `to_torch`, carry the weights over, and print
the difference. Try these four changes: `eps=1e-5` in the norms; the exact GELU; no transposition; no `angles` in the
blocks of the text encoder. Which changes raise an error, and why not all of them? Which one changes the output least,
and would you notice it in a clip?

**6. Further.** (Open.) `SequenceBlock` with `expert_modulation` is close to `CogVideoXBlock`. Read both, build one of
each with the same sizes, and list what keeps their outputs from being equal. Then try to carry the weights over. How
many lines does this take?
"""

# %% [markdown]
r"""
## In practice

- **Draw a clip** with diffusers:
  `pipe = CogVideoXPipeline.from_pretrained("THUDM/CogVideoX-2b", torch_dtype=torch.float16)`,
  `pipe.enable_model_cpu_offload()`, `pipe(prompt, num_frames=49, guidance_scale=6).frames[0]`. (We haven't run it: the
  weights are many gigabytes.) Its authors state that it needs at least 4 GB of GPU memory with all savings switched on,
  and 90 seconds for a clip on an A100 ([CogVideo's code](references.md#cogvideo-code)).
- **Fine-tune** with low-rank updates (LoRA): two thin matrices are trained beside each frozen one. Start from
  `finetune/` in the CogVideo repository. Before you train, check that the unchanged model gives the same output, as in
  this chapter.
- **Weights** are published as safetensors files with a configuration, here and there. If you publish a model in another
  library, also publish a comparison of the outputs, layer by layer.

## Further reading

- [diffusers](references.md#diffusers): one file for each model and scheduler, made to be read.
- [Peng et al. 2025](references.md#peng-2025) for the bill of a large training, [Polyak et al.
  2024](references.md#polyak-2024) for everything around it.
- Here: `minivdit/lab/benchmarks/torch_twin.py` and `tests/parity/`. The tests compare outputs, gradients and ten
  optimiser steps of every pattern with PyTorch, and every sampler with diffusers.

This is the last chapter. In [the map](README.md#the-map) you can see which chapters you have skipped.
"""
