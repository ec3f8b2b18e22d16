"""The same networks and optimisers in plain PyTorch: the yardstick of the benchmarks and of the parity tests.

Only the benchmarks import PyTorch, and nothing else needs it. It is written the way a good
PyTorch user writes: fused attention without a mask where all tokens see each other, one modulation a frame,
tables of positions made once. Nothing is shared with minivdit but the names of the weights: attention patterns
are masks over all pairs of tokens here, convolutions are channels-first. `load` copies weights over by name and
`arrays` brings gradients or weights back.
"""

import functools
import itertools
import math

import torch
import torch.nn.functional as F
from torch import nn

# --- weights ---------------------------------------------------------------------------------------------


def load(twin, state):
    """Copy minivdit's state_dict (name -> NumPy array) into the twin; the names must match exactly."""
    named = dict(_with_layouts(twin))
    assert named.keys() == state.keys(), named.keys() ^ state.keys()
    with torch.no_grad():
        for name, (tensor, to_torch, _) in named.items():
            tensor.copy_(to_torch(torch.tensor(state[name])))
    return twin


def arrays(twin):
    """name -> NumPy array in minivdit's layout."""
    return {name: to_ours(tensor).detach().numpy() for name, (tensor, _, to_ours) in _with_layouts(twin)}


def gradient_arrays(twin):
    """name -> gradient in minivdit's layout, for the trainable weights."""
    trainable = {name: entry for name, entry in _with_layouts(twin) if isinstance(entry[0], nn.Parameter)}
    return {name: to_ours(tensor.grad).cpu().numpy() for name, (tensor, _, to_ours) in trainable.items()}


def _with_layouts(twin):
    """Yield name, (tensor, function to PyTorch's layout, function back) for every weight and buffer."""
    same = lambda a: a
    transposed = lambda a: a.T
    for path, module in twin.named_modules():
        for own, tensor in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
            there = back = same
            if isinstance(module, nn.Linear) and own == "weight":  # ours: (in, out)
                there = back = transposed
            elif isinstance(module, nn.Conv2d) and own == "weight":  # ours: (height, width, in, out)
                there, back = (lambda a: a.permute(3, 2, 0, 1)), (lambda a: a.permute(2, 3, 1, 0))
            elif isinstance(module, nn.Embedding):
                own = "table"
            yield (f"{path}.{own}" if path else own), (tensor, there, back)


# --- patterns and positions ------------------------------------------------------------------------------


@functools.lru_cache(maxsize=64)
def pattern_mask(pattern, occurrence, grid, causal):
    """(N, N), True where the row's token may look at the column's, straight from each pattern's definition.

    None where every token sees every other, for which PyTorch has its fastest attention.
    """
    if pattern == "joint" and not causal:
        return None
    frames, height, width = grid
    t, y, x = (a.flatten() for a in torch.meshgrid(*map(torch.arange, grid), indexing="ij"))
    i = torch.arange(frames * height * width)
    name, _, argument = pattern.partition(":")
    if name == "frame":
        keys = [t]
    elif name == "time":
        keys = [y, x]
    elif name == "joint":
        keys = []
    elif name == "window":
        sides = [int(side) for side in (argument or "2x2x2").split("x")]
        shifts = [side // 2 if occurrence % 2 and side < length else 0 for side, length in zip(sides, grid)]
        keys = [(a + shift).div(side, rounding_mode="floor") for a, side, shift in zip((t, y, x), sides, shifts)]
    elif name == "skip":
        step = int(argument or 2)
        keys = [i.remainder(step)] if occurrence % 2 == 0 else [i.div(step, rounding_mode="floor").remainder(step)]
    mask = torch.ones(len(i), len(i), dtype=torch.bool)
    for key in keys:
        mask &= key[:, None] == key[None, :]
    if causal:
        mask &= t[None, :] <= t[:, None]
    return mask


@functools.lru_cache(maxsize=64)
def position_waves(grid, width):
    """Fixed positions (N, width) for all tokens of a grid (T, H, W)."""
    places = torch.meshgrid(*map(torch.arange, grid), indexing="ij")
    return torch.cat([waves(a.flatten(), part, 32.0) for a, part in zip(places, split_axes(width))], -1)


def waves(values, width, longest=10000.0):
    """Cosines and sines of values (...) -> (..., width)."""
    steps = torch.arange(width // 2, dtype=torch.float64, device=values.device)
    frequencies = longest ** -(steps / max(width // 2, 1))
    angles = values.double()[..., None] * frequencies
    return F.pad(torch.cat([angles.cos(), angles.sin()], -1), (0, width % 2)).float()


def split_axes(width):
    third = width // 3
    return width - 2 * third, third, third


@functools.lru_cache(maxsize=64)
def rotation(grid, head_width, longest=32.0):
    """Cosines and sines (N, 1, head_width / 2) of the angles by which the pairs of q and k are rotated."""
    places = [a.flatten().double() for a in torch.meshgrid(*map(torch.arange, grid), indexing="ij")]
    angles = [
        place[:, None] * longest ** -(torch.arange(part, dtype=torch.float64) / max(part, 1))
        for place, part in zip(places, split_axes(head_width // 2))
    ]
    angles = torch.cat(angles, -1)[:, None, :]
    return angles.cos().float(), angles.sin().float()


def rotate(x, tables):
    """x (B, N, h, d): each pair (x[i], x[i + d/2]) is rotated by its angle."""
    (first, second), (cos, sin) = x.chunk(2, dim=-1), tables
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


# --- the transformer -------------------------------------------------------------------------------------


class MLP(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width)

    def forward(self, x):
        return self.down(F.gelu(self.up(x), approximate="tanh"))


class SelfAttention(nn.Module):
    def __init__(self, width, heads, qk_norm=True):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.q_norm = nn.RMSNorm(width // heads, eps=1e-6) if qk_norm else nn.Identity()
        self.k_norm = nn.RMSNorm(width // heads, eps=1e-6) if qk_norm else nn.Identity()
        self.out = nn.Linear(width, width)

    def forward(self, x, mask, tables=None):
        q, k, v = (a.unflatten(-1, (self.heads, -1)) for a in self.qkv(x).chunk(3, dim=-1))  # (B, N, h, d)
        q, k = self.q_norm(q), self.k_norm(k)
        if tables is not None:
            q, k = rotate(q, tables), rotate(k, tables)
        q, k, v = (a.transpose(1, 2) for a in (q, k, v))
        return self.out(F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2))


class CrossAttention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(width, width, bias=False)
        self.kv = nn.Linear(width, 2 * width, bias=False)
        self.q_norm = nn.RMSNorm(width // heads, eps=1e-6)
        self.k_norm = nn.RMSNorm(width // heads, eps=1e-6)
        self.out = nn.Linear(width, width)

    def forward(self, x, text, mask):
        q = self.q_norm(self.q(x).unflatten(-1, (self.heads, -1)))
        k, v = (a.unflatten(-1, (self.heads, -1)) for a in self.kv(text).chunk(2, dim=-1))
        q, k, v = (a.transpose(1, 2) for a in (q, self.k_norm(k), v))
        return self.out(F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2))


class TextBlock(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.attention_norm = nn.RMSNorm(width, eps=1e-6)
        self.attention = SelfAttention(width, heads)
        self.mlp_norm = nn.RMSNorm(width, eps=1e-6)
        self.mlp = MLP(width, 4 * width)

    def forward(self, x, mask, tables=None):
        x = x + self.attention(self.attention_norm(x), mask, tables)
        return x + self.mlp(self.mlp_norm(x))


class TextEncoder(nn.Module):
    def __init__(self, vocabulary, width, depth, heads, positions):
        super().__init__()
        self.head_width, self.positions = width // heads, positions
        self.embedding = nn.Embedding(vocabulary, width)
        self.blocks = nn.ModuleList(TextBlock(width, heads) for _ in range(depth))
        self.norm = nn.RMSNorm(width, eps=1e-6)

    def forward(self, tokens):
        present = tokens != 0
        x, tables, length, width = self.embedding(tokens), None, tokens.shape[1], self.embedding.embedding_dim
        if self.positions == "rotary":
            tables = [table.to(x.device) for table in rotation((length, 1, 1), self.head_width)]
        else:
            x = x + waves(torch.arange(length, device=x.device), width) * math.sqrt(2 / width)
        for block in self.blocks:
            x = block(x, present[:, None, None, :], tables)
        x = self.norm(x)
        mean = (x * present[..., None]).sum(1) / present.sum(1, keepdim=True)
        return x, mean


class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        width = config.width
        self.modulation = nn.Linear(width, 6 * width)
        self.attention = SelfAttention(width, config.heads, config.qk_norm)
        self.cross_attention = CrossAttention(width, config.heads)
        self.mlp = MLP(width, config.mlp_ratio * width)

    def forward(self, x, condition, text, text_mask, mask, tables):
        """x (B, T, S, D) by frames of S tokens; condition (B, T, 1, D)."""
        normalise = lambda a: F.layer_norm(a, a.shape[-1:], eps=1e-6)
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(condition).chunk(6, dim=-1)
        seen = self.attention((normalise(x) * (1 + scale1) + shift1).flatten(1, 2), mask, tables)
        x = x + gate1 * seen.view_as(x)
        x = x + self.cross_attention(normalise(x).flatten(1, 2), text, text_mask).view_as(x)
        return x + gate2 * self.mlp(normalise(x) * (1 + scale2) + shift2)


class VideoDiT(nn.Module):
    def __init__(self, config, vocabulary):
        super().__init__()
        self.config = config
        width, patch = config.width, math.prod(config.patch_size) * config.latent_channels
        self.patch_in = nn.Linear(patch, width)
        self.text = TextEncoder(vocabulary, width, config.text_depth, config.heads, config.text_positions)
        self.level_in = nn.Linear(64 * config.patch_size[0], width)
        self.level_out = nn.Linear(width, width)
        self.text_pooled = nn.Linear(width, width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.final_modulation = nn.Linear(width, 2 * width)
        self.patch_out = nn.Linear(width, patch)

    def forward(self, latents, noise_level, tokens):
        config = self.config
        batch, *shape, channels = latents.shape
        pt, ph, pw = config.patch_size
        t, h, w = grid = (shape[0] // pt, shape[1] // ph, shape[2] // pw)

        boxes = latents.unfold(1, pt, pt).unfold(2, ph, ph).unfold(3, pw, pw)  # (B, t, h, w, C, pt, ph, pw)
        x = self.patch_in(boxes.movedim(4, -1).flatten(4).flatten(1, 3))
        if config.positions != "rotary":
            x = x + position_waves(grid, config.width)
        x = x.unflatten(1, (t, h * w))
        tables = None if config.positions == "sincos" else rotation(grid, config.width // config.heads)

        text, mean = self.text(tokens)
        text_mask = (tokens != 0)[:, None, None, :]
        level = self.level_out(F.silu(self.level_in(waves(1000 * noise_level, 64).unflatten(1, (t, pt)).flatten(2))))
        condition = F.silu(level + self.text_pooled(mean)[:, None])[:, :, None]  # (B, T, 1, D)

        earlier = {}  # pattern -> how many blocks had it
        for number, block in enumerate(self.blocks):
            pattern = config.patterns[number % len(config.patterns)]
            mask = pattern_mask(pattern, earlier.get(pattern, 0), grid, config.causal)
            earlier[pattern] = earlier.get(pattern, 0) + 1
            x = block(x, condition, text, text_mask, mask, tables)

        shift, scale = self.final_modulation(condition).chunk(2, dim=-1)
        x = self.patch_out(F.layer_norm(x, x.shape[-1:], eps=1e-6) * (1 + scale) + shift)
        boxes = x.view(batch, t, h, w, pt, ph, pw, channels)
        return torch.einsum("bthwijkc->btihjwkc", boxes).reshape(latents.shape)


# --- the autoencoder -------------------------------------------------------------------------------------


class ResidualBlock(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.norm = nn.RMSNorm(channels, eps=1e-6)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x):
        normalised = self.norm(x.movedim(1, -1)).movedim(-1, 1)
        return x + self.conv2(F.silu(self.conv1(F.silu(normalised))))


class Autoencoder(nn.Module):
    """Takes and gives frames (n, H, W, C), channels last like ours; inside it is channels-first."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        channels, latent = config.channels, config.latent_channels
        inputs = (config.image_channels, *channels[:-1])
        self.down = nn.ModuleList(nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in zip(inputs, channels))
        self.encoder_middle = ResidualBlock(channels[-1])
        self.to_latent = nn.Conv2d(channels[-1], 2 * latent, 1)
        self.from_latent = nn.Conv2d(latent, channels[-1], 3, padding=1)
        self.decoder_middle = ResidualBlock(channels[-1])
        widths = channels[::-1]
        self.up = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in itertools.pairwise(widths))
        self.to_pixels = nn.Conv2d(channels[0], 4 * config.image_channels, 3, padding=1)
        self.register_buffer("latent_mean", torch.zeros(latent))
        self.register_buffer("latent_deviation", torch.ones(latent))

    def distribution(self, frames):
        x = frames.movedim(-1, 1) * 2 - 1
        for conv in self.down:
            x = F.silu(conv(x))
        return self.to_latent(self.encoder_middle(x)).movedim(1, -1).chunk(2, dim=-1)

    def encode(self, video):
        mean, _ = self.distribution(video.flatten(0, 1))
        return ((mean - self.latent_mean) / self.latent_deviation).unflatten(0, video.shape[:2])

    def reconstruct(self, latents):
        x = F.silu(self.decoder_middle(self.from_latent(latents.movedim(-1, 1))))
        for conv in self.up:
            x = F.silu(conv(F.interpolate(x, scale_factor=2, mode="nearest")))
        x = self.to_pixels(x).unflatten(1, (4, -1)).transpose(1, 2).flatten(1, 2)  # pixel_shuffle's channel order
        return F.pixel_shuffle(x, 2).movedim(1, -1) * 0.5 + 0.5


# --- Muon ------------------------------------------------------------------------------------------------


class Muon(torch.optim.Optimizer):
    """Keller Jordan's Muon in float32, for weights (out, in); `parts` matrices may lie one below the other."""

    def __init__(self, weights, lr, momentum=0.95):
        super().__init__([{"params": [weight], "parts": parts} for weight, parts in weights], dict(lr=lr))
        self.momentum = momentum

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for weight in group["params"]:
                buffer = self.state[weight].setdefault("momentum", torch.zeros_like(weight))
                buffer.mul_(self.momentum).add_(weight.grad)
                update = weight.grad + self.momentum * buffer
                for piece, part in zip(weight.chunk(group["parts"]), update.chunk(group["parts"])):
                    rows, columns = part.shape
                    piece.sub_(orthogonalised(part), alpha=group["lr"] * max(1, rows / columns) ** 0.5)


def orthogonalised(matrix, steps=5):
    x = matrix / (matrix.norm() + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x
