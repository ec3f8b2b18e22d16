"""The video transformer and the autoencoder's encoder in JAX: pure functions of a dict of weights.

The dict has minivdit's names and layouts; tables of positions are minivdit's, too. Only attention between all tokens is
there (`joint`).
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

from ...base.errors import InputError
from ...models.patches import patch_grid, rotary_angles, sincos_positions


def linear(w, name, x):
    """x @ weight, + bias where there is one."""
    y = x @ w[f"{name}.weight"]
    return y + w[f"{name}.bias"] if f"{name}.bias" in w else y


def rms_norm(w, name, x):
    """Rows to root mean square 1, times the learned scale."""
    return x * jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-6) * w[f"{name}.weight"]


def layer_norm(x):
    """Rows to mean 0 and variance 1."""
    x = x - x.mean(-1, keepdims=True)
    return x * jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-6)


def mlp(w, name, x):
    return linear(w, f"{name}.down", jax.nn.gelu(linear(w, f"{name}.up", x), approximate=True))


def rotate(x, tables):
    """x (B, N, h, d): each pair (x[i], x[i + d/2]) is rotated by its angle."""
    (first, second), (cos, sin) = jnp.split(x, 2, axis=-1), tables
    return jnp.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)


def split_heads(x, parts, heads):
    """(B, N, parts * D) -> `parts` arrays (B, N, h, d)."""
    return [a.reshape(*a.shape[:2], heads, -1) for a in jnp.split(x, parts, axis=-1)]


def self_attention(w, name, heads, x, tables=None, mask=None):
    """x (B, N, D); tables: rotary_angles, cosine and sine (N, 1, d/2); mask (B, 1, 1, N)."""
    q, k, v = split_heads(linear(w, f"{name}.qkv", x), 3, heads)
    if f"{name}.q_norm.weight" in w:
        q, k = rms_norm(w, f"{name}.q_norm", q), rms_norm(w, f"{name}.k_norm", k)
    if tables is not None:
        q, k = rotate(q, tables), rotate(k, tables)
    return linear(w, f"{name}.out", jax.nn.dot_product_attention(q, k, v, mask=mask).reshape(x.shape))


def cross_attention(w, name, heads, x, text, mask):
    """x (B, N, D) attends to text (B, L, D)."""
    (q,) = split_heads(linear(w, f"{name}.q", x), 1, heads)
    k, v = split_heads(linear(w, f"{name}.kv", text), 2, heads)
    q, k = rms_norm(w, f"{name}.q_norm", q), rms_norm(w, f"{name}.k_norm", k)
    return linear(w, f"{name}.out", jax.nn.dot_product_attention(q, k, v, mask=mask).reshape(x.shape))


def waves(values, width, longest=10000.0):
    """Cosines and sines of values (...) -> (..., width)."""
    angles = values[..., None] * longest ** -(np.arange(width // 2, dtype=np.float32) / (width // 2))
    return jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], axis=-1)


def read_text(config, w, tokens, mask):
    """The words (B, L, D) and their mean (B, D)."""
    x, length, width = w["text.embedding.table"][tokens], tokens.shape[1], config.width
    tables = rotary_angles((length, 1, 1), width // config.heads) if config.text_positions == "rotary" else None
    if tables is None:
        x = x + waves(np.arange(length, dtype=np.float32), width) * math.sqrt(2 / width)
    for i in range(config.text_depth):
        name = f"text.blocks.{i}"
        y = rms_norm(w, f"{name}.attention_norm", x)
        x = x + self_attention(w, f"{name}.attention", config.heads, y, tables, mask)
        x = x + mlp(w, f"{name}.mlp", rms_norm(w, f"{name}.mlp_norm", x))
    x, present = rms_norm(w, "text.norm", x), (tokens != 0)[..., None]
    return x, (x * present).sum(1) / present.sum(1)


def network(config, w, latents, level, tokens):
    """The VideoDiT: latents (B, T, H, W, C), level (B, T), tokens (B, L) -> the prediction, of the shape of latents."""
    if set(config.patterns) != {"joint"} or config.causal:
        raise InputError("the JAX twin has attention between all tokens only; leave --jax out")
    (batch, *shape, channels), (pt, ph, pw), heads = latents.shape, config.patch_size, config.heads
    t, h, w_ = grid = patch_grid(shape, config.patch_size)
    x = latents.reshape(batch, t, pt, h, ph, w_, pw, channels).transpose(0, 1, 3, 5, 2, 4, 6, 7)
    x = linear(w, "patch_in", x.reshape(batch, t * h * w_, -1))  # (B, N, D)
    if config.positions != "rotary":
        x = x + sincos_positions(grid, config.width)
    tables = None if config.positions == "sincos" else rotary_angles(grid, config.width // heads)
    mask = (tokens != 0)[:, None, None, :]
    text, mean = read_text(config, w, tokens, mask)
    told = linear(w, "level_in", waves(1000 * level, 64).reshape(batch, t, -1))
    condition = linear(w, "level_out", jax.nn.silu(told)) + linear(w, "text_pooled", mean)[:, None]
    condition = jax.nn.silu(condition)[:, :, None]  # (B, T', 1, D)

    x = x.reshape(batch, t, h * w_, -1)
    flat = lambda a: a.reshape(batch, t * h * w_, -1)
    for i in range(config.depth):
        name = f"blocks.{i}"
        shift1, scale1, gate1, shift2, scale2, gate2 = jnp.split(linear(w, f"{name}.modulation", condition), 6, axis=-1)
        y = flat(layer_norm(x) * (1 + scale1) + shift1)
        x = x + gate1 * self_attention(w, f"{name}.attention", heads, y, tables).reshape(x.shape)
        y = cross_attention(w, f"{name}.cross_attention", heads, flat(layer_norm(x)), text, mask)
        x = x + y.reshape(x.shape)
        x = x + gate2 * mlp(w, f"{name}.mlp", layer_norm(x) * (1 + scale2) + shift2)
    shift, scale = jnp.split(linear(w, "final_modulation", condition), 2, axis=-1)
    x = linear(w, "patch_out", layer_norm(x) * (1 + scale) + shift)
    x = x.reshape(batch, t, h, w_, pt, ph, pw, channels).transpose(0, 1, 4, 2, 5, 3, 6, 7)
    return x.reshape(latents.shape)


def conv(w, name, x, stride=1, padding=1):
    """x (n, H, W, C), weight (h, w, in, out)."""
    how = {"dimension_numbers": ("NHWC", "HWIO", "NHWC"), "padding": [(padding, padding)] * 2}
    return jax.lax.conv_general_dilated(x, w[f"{name}.weight"], (stride, stride), **how) + w[f"{name}.bias"]


def encode(w, video):
    """The autoencoder's means for a video (B, T, H, W, C), normalised."""
    x, level = video.reshape(-1, *video.shape[2:]) * 2 - 1, 0
    while f"down.{level}.weight" in w:
        x, level = jax.nn.silu(conv(w, f"down.{level}", x, stride=2)), level + 1
    y = jax.nn.silu(conv(w, "encoder_middle.conv1", jax.nn.silu(rms_norm(w, "encoder_middle.norm", x))))
    x = conv(w, "to_latent", x + conv(w, "encoder_middle.conv2", y), padding=0)
    mean = (jnp.split(x, 2, axis=-1)[0] - w["latent_mean"]) / w["latent_deviation"]
    return mean.reshape(*video.shape[:2], *mean.shape[1:])
