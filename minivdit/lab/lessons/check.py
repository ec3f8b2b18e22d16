"""The checks of all exercises: `check.ch01_sine(my_sine)`. Those of a chapter are in the file of its number."""
# ruff: noqa: F401 (everything here is imported to be found here)

from .ch00 import ch00_backwards, ch00_beside, ch00_spread
from .ch01 import ch01_gradcheck, ch01_matmul, ch01_rms_norm, ch01_sine, ch01_unbroadcast
from .ch02 import ch02_adamw, ch02_conv, ch02_linear, ch02_precision_and_recall, ch02_soft_cross_entropy
from .ch03 import ch03_beta, ch03_clean, ch03_level_of, ch03_noisier
from .ch04 import ch04_ddim_step, ch04_deviations, ch04_energy, ch04_train, ch04_uncertainty
from .ch05 import ch05_attention, ch05_merge, ch05_pullback, ch05_visible
from .ch06 import ch06_near, ch06_rotate, ch06_tokens, ch06_unpatchify
from .ch07 import ch07_fold, ch07_gate, ch07_norm, ch07_parameters
from .ch08 import ch08_bind, ch08_cross, ch08_guide, ch08_merge, ch08_rise
from .ch09 import ch09_level, ch09_linear, ch09_normalise, ch09_psnr, ch09_tokens
from .ch10 import ch10_hue, ch10_left, ch10_noise, ch10_paired, ch10_rolls
from .ch11 import ch11_blocks, ch11_distance, ch11_sliding, ch11_spent
from .ch12 import ch12_block, ch12_budget, ch12_longest, ch12_pairs
from .ch13 import ch13_backward, ch13_blocks, ch13_causal, ch13_padding, ch13_tile
from .ch14 import ch14_latents, ch14_outwards, ch14_rounds, ch14_truth
from .ch15 import ch15_causal, ch15_compress, ch15_skiparse, ch15_strata, ch15_waste
from .ch16 import ch16_floor, ch16_levels, ch16_steps, ch16_strengths
from .ch17 import ch17_bits, ch17_gather, ch17_heads, ch17_join, ch17_seconds
from .ch18 import ch18_conv, ch18_memory, ch18_pairs, ch18_unshift
