"""For normally distributed data the best denoiser is known in closed form, and so is where sampling must end."""

import numpy as np
import pytest

from minivdit.base.errors import InputError
from minivdit.diffusion import (
    PREDICTIONS,
    SAMPLERS,
    Process,
    curves,
    level_matrix,
    resampled,
    sample,
    steps,
    uniform_levels,
)

MEAN, DEVIATION = 0.4, 0.5
CURVES = {name: curves.make(name) for name in curves.CURVES} | {"shifted": curves.make("rectified_flow", shift=3.0)}
EVERY_CURVE = pytest.mark.parametrize("curve", CURVES.values(), ids=CURVES)
EVERY_SAMPLER = pytest.mark.parametrize("sampler", SAMPLERS)


def best_denoiser(process):
    """The expected clean sample given x, for pixels that are independent normals, as the process predicts it."""
    curve = process.curve

    def denoise(x, noise_level):
        level = np.asarray(noise_level, np.float64)
        alpha, sigma = curve.alpha(level)[..., None, None, None], curve.sigma(level)[..., None, None, None]
        variance = (alpha * DEVIATION) ** 2 + sigma**2
        clean = MEAN + alpha * DEVIATION**2 / variance * (x - alpha * MEAN)
        noise = sigma / variance * (x - alpha * MEAN)
        return process.target(clean, noise, level).astype(x.dtype)

    return denoise


def exact(curve, x, start, end):
    """Where the probability flow carries x from one level to another."""

    def spread(level):
        return np.hypot(curve.alpha(level) * DEVIATION, curve.sigma(level))

    return curve.alpha(end) * MEAN + spread(end) / spread(start) * (x - curve.alpha(start) * MEAN)


def noise_clip(seed=0, shape=(2, 3, 40, 50, 1), dtype=np.float32):
    return np.random.default_rng(seed).standard_normal(shape, dtype=dtype)


def start_for(curve, kind):
    """Noise prediction can't start where nothing of the clean sample is left."""
    return 0.995 if kind == "noise" and curve.alpha(1.0) == 0 else 1.0


# Every sampler: its options, and from how many steps on it comes close to the data.
CONVERGING = [
    ("euler", {}, 20),
    ("ddim", {}, 20),
    ("ddim", {"eta": 0.5}, 20),
    ("ddpm", {}, 20),
    ("dpm_solver", {}, 10),
]


def test_every_sampler_is_tried_on_gaussian_data():
    assert {name for name, *_ in CONVERGING} == set(SAMPLERS)


STATISTICS = 0.007  # what the standard deviation of this many independent pixels wanders by chance


@EVERY_CURVE
@pytest.mark.parametrize("kind", PREDICTIONS)
@pytest.mark.parametrize(("sampler", "options", "few"), CONVERGING)
def test_noise_becomes_the_data_and_more_steps_come_closer(curve, kind, sampler, options, few):
    noise, start, process = noise_clip(), start_for(curve, kind), Process(curve, kind)

    def error(number):
        x = sample(
            best_denoiser(process),
            noise,
            uniform_levels(number, start),
            process,
            sampler=sampler,
            generator=np.random.default_rng(1),
            **options,
        )
        assert x.dtype == np.float32 and x.shape == noise.shape
        assert x.mean() == pytest.approx(MEAN, abs=0.03)
        return abs(x.std() / DEVIATION - 1)

    coarse, fine = error(few), error(4 * few)
    assert fine < 0.5 * coarse + STATISTICS
    assert fine < 0.1


@EVERY_CURVE
@pytest.mark.parametrize(("sampler", "order"), [("euler", 1), ("ddim", 1), ("dpm_solver", 2)])
def test_order_of_convergence_to_the_exact_flow(curve, sampler, order):
    """Twice the steps: half the error at first order, a quarter at second. Away from the ends, in float64."""
    x, process = noise_clip(shape=(1, 2, 5, 5, 1), dtype=np.float64), Process(curve, "clean")
    wanted = exact(curve, x, 0.95, 0.3)

    def error(number):
        levels = np.linspace(0.95, 0.3, number + 1)
        result = sample(best_denoiser(process), x, levels, process, sampler=sampler)
        return np.abs(result - wanted).max()

    errors = np.array([error(number) for number in (64, 128, 256)])
    measured = np.log2(errors[:-1] / errors[1:])
    np.testing.assert_allclose(measured, order, atol=0.1)
    assert errors[-1] < {1: 0.01, 2: 2e-5}[order]


@EVERY_CURVE
@EVERY_SAMPLER
def test_any_prediction_gives_the_same_clip(curve, sampler):
    def run(kind):
        process, x, levels = Process(curve, kind), noise_clip(dtype=np.float64), uniform_levels(10, 0.99)
        generator = np.random.default_rng(2)
        return sample(best_denoiser(process), x, levels, process, sampler=sampler, generator=generator)

    clean = run("clean")
    assert clean.std() > 0.1
    np.testing.assert_allclose(run("velocity"), clean, atol=1e-4)  # the denoiser sees its level in x's own dtype
    np.testing.assert_allclose(run("noise"), clean, atol=1e-4)


def test_euler_is_ddim_on_rectified_flow_and_ddim_at_eta_1_is_ddpm():
    flow, cosine = CURVES["shifted"], CURVES["ddpm_cosine"]

    def run(curve, **options):
        process, generator = Process(curve), np.random.default_rng(3)
        return sample(best_denoiser(process), noise_clip(), uniform_levels(12), process, generator=generator, **options)

    np.testing.assert_allclose(run(flow, sampler="euler"), run(flow, sampler="ddim"), atol=1e-5)
    np.testing.assert_allclose(run(cosine, sampler="ddpm"), run(cosine, sampler="ddim", eta=1.0), atol=1e-5)
    assert not np.allclose(run(cosine, sampler="euler"), run(cosine, sampler="ddim"), atol=1e-3)


@pytest.mark.parametrize("sampler", ["euler", "ddim", "dpm_solver"])
def test_shifting_the_levels_is_shifting_the_curve(sampler):
    """A network trained without shift can be sampled as if it had one."""
    plain, bent = Process(CURVES["rectified_flow"]), Process(CURVES["shifted"])
    on_levels = sample(best_denoiser(plain), noise_clip(), uniform_levels(9, shift=3.0), plain, sampler=sampler)
    on_curve = sample(best_denoiser(bent), noise_clip(), uniform_levels(9), bent, sampler=sampler)
    np.testing.assert_allclose(on_levels, on_curve, atol=1e-5)


@EVERY_CURVE
@EVERY_SAMPLER
@pytest.mark.parametrize("kind", ["velocity", "clean"])
def test_given_frames_come_back_to_the_last_bit(curve, sampler, kind):
    x = noise_clip(4, (2, 4, 6, 5, 3))
    x[0, 0, 0, 0] = [0.0, -0.0, 1e-30]  # a sum with 0 would turn -0 into +0
    given = np.array([[True, False, False, True], [False, True, False, False]])
    process, levels, generator = Process(curve, kind), level_matrix(6, 2, 4, given), np.random.default_rng(5)
    walk = steps(best_denoiser(process), x, levels, process, sampler=sampler, generator=generator)
    for step in walk:
        assert step.x[given].tobytes() == x[given].tobytes()
        assert step.clean[given].tobytes() == x[given].tobytes()
        assert (step.levels[given] == 0).all()
        assert np.isfinite(step.x).all()
    assert step.index == 5 and not np.isclose(step.x[~given], x[~given]).all(axis=(1, 2, 3)).any()


@EVERY_SAMPLER
@pytest.mark.parametrize("name", ["zero_terminal_snr", "rectified_flow", "ddpm_linear"])
def test_frames_that_go_down_in_turn_end_like_frames_that_go_down_alone(sampler, name):
    """Rolling levels: while one frame moves the others wait, unchanged and without losing their history."""
    process, x = Process(CURVES[name]), noise_clip(6, (1, 2, 8, 8, 1))
    alone = uniform_levels(8)
    waiting = np.empty((17, 1, 2), np.float32)
    waiting[0] = 1
    waiting[1::2, 0, 0], waiting[2::2, 0, 0] = alone[1:], alone[1:]  # frame 0 moves in odd steps
    waiting[1::2, 0, 1], waiting[2::2, 0, 1] = alone[:-1], alone[1:]  # frame 1 in even ones

    def run(levels):
        generator = np.random.default_rng(7)
        return list(steps(best_denoiser(process), x, levels, process, sampler=sampler, generator=generator))

    in_turn, together = run(waiting), run(alone)
    np.testing.assert_array_equal(in_turn[0].x[:, 1], x[:, 1])
    np.testing.assert_array_equal(in_turn[1].x[:, 0], in_turn[0].x[:, 0])
    if sampler != "ddpm":  # its fresh noise is drawn in another order
        np.testing.assert_allclose(in_turn[-1].x, together[-1].x, atol=1e-6)
    assert in_turn[-1].x.std() == pytest.approx(together[-1].x.std(), abs=0.08)


@EVERY_SAMPLER
def test_each_step_tells_what_it_did(sampler):
    process, x, seen = Process(CURVES["ddpm_cosine"]), noise_clip(), []

    def denoise(x, noise_level):
        assert noise_level.shape == x.shape[:2] and noise_level.dtype == x.dtype == np.float32
        seen.append(noise_level.copy())
        return best_denoiser(process)(x, noise_level)

    def walk():
        generator = np.random.default_rng(8)
        return steps(denoise, x, uniform_levels(4), process, sampler=sampler, generator=generator)

    first = walk()
    assert not seen  # nothing runs before it is asked for
    done = list(first)
    assert [step.index for step in done] == [0, 1, 2, 3]
    np.testing.assert_allclose([level[0, 0] for level in seen], [1, 0.75, 0.5, 0.25])
    np.testing.assert_allclose([step.levels[1, 2] for step in done], [0.75, 0.5, 0.25, 0])
    np.testing.assert_allclose(done[0].clean, MEAN, atol=1e-3)  # from pure noise, the mean is all there is to say
    if sampler != "dpm_solver" and sampler != "euler":
        np.testing.assert_allclose(done[-1].x, done[-1].clean, atol=1e-6)
    np.testing.assert_array_equal(list(walk())[-1].x, done[-1].x)


def test_fresh_noise_comes_from_the_generator_alone():
    process = Process(CURVES["rectified_flow"])

    def run(seed, sampler="ddpm", **options):
        options |= {"sampler": sampler, "generator": np.random.default_rng(seed)}
        return sample(best_denoiser(process), noise_clip(), uniform_levels(5), process, **options)

    np.testing.assert_array_equal(run(1), run(1))
    assert not np.allclose(run(1), run(2))
    np.testing.assert_array_equal(run(1, "ddim", eta=0.0), run(2, "ddim", eta=0.0))
    assert not np.allclose(run(1, "ddim", eta=0.3), run(2, "ddim", eta=0.3))


@EVERY_SAMPLER
def test_a_mixture_of_points_is_reached_point_by_point(sampler):
    """Four points in the plane: every sample ends on one of them, and on each about equally often."""
    points = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]], np.float64)
    curve = CURVES["ddpm_cosine"]

    def denoise(x, noise_level):
        level = np.asarray(noise_level, np.float64)[..., None, None, None, None]
        alpha, sigma = curve.alpha(level), curve.sigma(level)
        log_weight = -((x[..., None, :] - alpha * points) ** 2).sum(axis=-1, keepdims=True) / (2 * sigma**2)
        weight = np.exp(log_weight - log_weight.max(axis=-2, keepdims=True))
        return ((weight * points).sum(axis=-2) / weight.sum(axis=-2)).astype(x.dtype)

    x = sample(
        denoise,
        noise_clip(9, (1, 1, 20, 20, 2)),
        uniform_levels(40),
        Process(curve, "clean"),
        sampler=sampler,
        generator=np.random.default_rng(10),
    ).reshape(-1, 2)
    distance = np.linalg.norm(x[:, None] - points, axis=-1)
    assert (distance.min(axis=1) < 0.05).mean() > 0.98
    assert np.bincount(distance.argmin(axis=1), minlength=4).min() > 70


@EVERY_CURVE
@EVERY_SAMPLER
def test_levels_that_rise_again_end_at_the_same_data_without_a_call_of_the_network(curve, sampler):
    process, x, asked = Process(curve), noise_clip(), []
    levels = resampled(level_matrix(40, 2, 3, [True, False, False]), 2)

    def denoise(x, noise_level):
        asked.append(noise_level[0, 1])
        return best_denoiser(process)(x, noise_level)

    def walk(seed):
        generator = np.random.default_rng(seed)
        return list(steps(denoise, x, levels, process, sampler=sampler, generator=generator))

    done = walk(1)
    assert [step.index for step in done] == list(range(40 + 2 * 12)) and len(asked) == len(done) == len(levels) - 3
    times = np.unique(np.round(asked, 3), return_counts=True)[1]  # from light to heavy
    np.testing.assert_array_equal(times, [1] * 20 + [3] * 12 + [1] * 8)
    assert done[-1].x[:, 0].tobytes() == x[:, 0].tobytes()
    drawn = done[-1].x[:, 1:]
    once = sample(
        best_denoiser(process), x, uniform_levels(40), process, sampler=sampler, generator=np.random.default_rng(1)
    )
    assert drawn.mean() == pytest.approx(MEAN, abs=0.03) and drawn.std() == pytest.approx(once.std(), abs=0.02)
    assert not np.allclose(drawn, walk(2)[-1].x[:, 1:])  # fresh noise comes in


def test_noise_that_comes_in_where_levels_rise_brings_x_to_its_due_spread():
    """From a perfect sample at level 0.4 up to 0.9: mean and deviation are those of clean data under that noise."""
    for curve in CURVES.values():
        process, generator = Process(curve), np.random.default_rng(3)
        clean = MEAN + DEVIATION * noise_clip(4)
        x, seen = process.mix(clean, noise_clip(5), np.float32(0.4)), []

        def denoise(x, noise_level, seen=seen, process=process):
            seen.append(x)
            return best_denoiser(process)(x, noise_level)

        sample(denoise, x, np.array([0.4, 0.9, 0.0]), process, generator=generator)
        spread = np.hypot(curve.alpha(0.9) * DEVIATION, curve.sigma(0.9))
        assert len(seen) == 1 and seen[0].dtype == np.float32
        assert seen[0].mean() == pytest.approx(curve.alpha(0.9) * MEAN, abs=0.03)
        assert seen[0].std() == pytest.approx(spread, rel=0.02)


def test_clip_bounds_the_predicted_clean_sample():
    process = Process(CURVES["rectified_flow"])
    for step in steps(best_denoiser(process), noise_clip(), uniform_levels(6, 0.9), process, clip=(0.3, 0.5)):
        assert step.clean.min() == np.float32(0.3) and step.clean.max() == 0.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sampler": "heun"}, "'heun' is not a sampler; choose one of euler, ddim, ddpm, dpm_solver"),
        ({"sampler": "ddpm"}, "ddpm draws fresh noise: pass generator="),
        ({"sampler": "ddim", "eta": 0.5}, "ddim with eta above 0 draws fresh noise"),
        ({"sampler": "ddim", "eta": 1.5}, r"eta lies in \[0, 1\]"),
        ({"prediction": "noise"}, "predict velocity or clean, or start below level 1"),
        ({"levels": np.array([0.0, 0.5])}, "no frame may end at a higher level"),
        ({"levels": np.array([1, 0.5, 0.8, 0]), "sampler": "ddim"}, "ddim with rising levels draws fresh noise"),
        (
            {"levels": np.array([[[1, 1, 1]] * 2, [[0.5, 0.5, 1]] * 2, [[0.8, 0.8, 0]] * 2])},
            "may rise or fall, not both",
        ),
        ({"levels": np.ones((3, 2, 4))}, r"give \(steps \+ 1,\) or \(steps \+ 1, 2, 3\)"),
        ({"levels": np.ones(1)}, "at least 1 step"),
        ({"levels": 0.5}, "at least 1 step"),
        ({"levels": np.array([1.2, 0.5])}, r"a noise level lies in \[0, 1\]"),
    ],
)
def test_bad_settings_are_refused_before_anything_runs(options, message):
    settings = {"levels": uniform_levels(4), "prediction": "velocity"} | options
    process = Process(CURVES["zero_terminal_snr"], settings.pop("prediction"))

    def never(x, noise_level):
        raise AssertionError("the network was called")

    with pytest.raises(InputError, match=message):
        steps(never, noise_clip(), settings.pop("levels"), process, **settings)


def test_a_denoiser_of_the_wrong_shape_is_named():
    with pytest.raises(ValueError, match=r"denoise returned shape \(2, 3, 40, 50\)"):
        sample(lambda x, t: x[..., 0], noise_clip(), uniform_levels(2), Process(CURVES["rectified_flow"]))
