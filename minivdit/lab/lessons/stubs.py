"""The chapters and their exercises; chapters/build.py writes this file."""

# {chapter: {exercise: the name of the function that its stub defines}}
STUBS = {
    "00_start_here": {
        "ch00_backwards": "backwards",
        "ch00_beside": "beside",
        "ch00_spread": "spread",
    },
    "01_autograd": {
        "ch01_sine": "sine",
        "ch01_matmul": "matmul",
        "ch01_rms_norm": "rms_norm",
        "ch01_unbroadcast": "unbroadcast",
        "ch01_gradcheck": "gradient_is_right",
    },
    "02_layers_and_learning": {
        "ch02_linear": "linear_pullback",
        "ch02_soft_cross_entropy": "soft_cross_entropy",
        "ch02_conv": "convolve",
        "ch02_adamw": "adamw",
        "ch02_precision_and_recall": "precision_and_recall",
    },
    "03_adding_noise": {
        "ch03_noisier": "noisier",
        "ch03_beta": "beta_of",
        "ch03_level_of": "level_of",
        "ch03_clean": "clean_of",
    },
    "04_removing_noise": {
        "ch04_uncertainty": "uncertainty",
        "ch04_ddim_step": "ddim_step",
        "ch04_deviations": "deviations",
        "ch04_energy": "energy",
        "ch04_train": "predict",
    },
    "05_attention": {
        "ch05_attention": "attention",
        "ch05_pullback": "attention_pullback",
        "ch05_merge": "merge",
        "ch05_visible": "visible_to",
    },
    "06_patches_and_positions": {
        "ch06_unpatchify": "clip_from",
        "ch06_near": "near",
        "ch06_rotate": "rotate",
        "ch06_tokens": "count_tokens",
    },
    "07_the_transformer_block": {
        "ch07_norm": "norm_pullback",
        "ch07_fold": "fold",
        "ch07_gate": "gate_pullback",
        "ch07_parameters": "matrix_parameters",
    },
    "08_text_guidance": {
        "ch08_merge": "merge_pair",
        "ch08_cross": "look_at_words",
        "ch08_guide": "guide",
        "ch08_rise": "rise_of",
        "ch08_bind": "which_way",
    },
    "09_latent_diffusion": {
        "ch09_psnr": "decibels_of_ink",
        "ch09_linear": "numbers_needed",
        "ch09_normalise": "moments",
        "ch09_level": "alpha_bar_as_seen",
        "ch09_tokens": "tokens_of_clip",
    },
    "10_the_consistency_problem": {
        "ch10_hue": "worst_pair",
        "ch10_noise": "noise_handed_on",
        "ch10_left": "left_behind_after",
        "ch10_paired": "interval",
        "ch10_rolls": "roll_fast",
    },
    "11_joint_attention": {
        "ch11_windows": "window_links",
        "ch11_reach": "reach",
        "ch11_distance": "average_distance",
        "ch11_spent": "spent_by_distance",
    },
    "12_the_bill": {
        "ch12_pairs": "pairs_looking_back",
        "ch12_block": "block",
        "ch12_longest": "longest",
        "ch12_budget": "choose",
    },
    "13_the_kernel_ladder": {
        "ch13_backward": "tile_gradients",
        "ch13_causal": "causal_traffic",
        "ch13_padding": "least_padding",
        "ch13_tile": "least_queries",
        "ch13_blocks": "blocks_that_fit",
    },
    "14_every_ability": {
        "ch14_outwards": "outwards",
        "ch14_truth": "with_truth",
        "ch14_latents": "known_latents",
        "ch14_rounds": "new_frames",
    },
    "15_the_systems": {
        "ch15_causal": "causal_half",
        "ch15_waste": "padded_share",
        "ch15_skiparse": "skiparse",
        "ch15_strata": "stratified_levels",
        "ch15_compress": "train_compressor",
    },
    "16_capstone": {
        "ch16_levels": "by_level",
        "ch16_strengths": "strengths",
        "ch16_floor": "floor_of",
        "ch16_steps": "steps_that_fit",
    },
}
