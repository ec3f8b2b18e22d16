import numpy as np
import pytest

from minivdit.diffusion import CURVES, Process, make, sample, uniform_levels, with_known


@pytest.mark.parametrize("kind", ["noise", "velocity", "clean"])
@pytest.mark.parametrize("name", sorted(CURVES))
def test_the_prediction_is_right_where_the_clean_sample_is_known(name, kind):
    generator, process = np.random.default_rng(0), Process(make(name), kind)
    clean, noise, wrong = (generator.standard_normal((2, 3, 4, 4, 1)) for _ in range(3))
    known = generator.random(clean.shape) < 0.5
    level = np.array([[0.2, 0.5, 0.9], [0.9, 0.0, 0.4]])
    x = process.mix(clean, noise, level)
    prediction = with_known(lambda x, level: wrong, known, clean, process)(x, level)
    np.testing.assert_array_equal(prediction[~known], wrong[~known])
    believed, _ = process.to_clean_and_noise(prediction, x, level)
    np.testing.assert_allclose(believed[known], clean[known], atol=1e-6)


@pytest.mark.parametrize("sampler", ["euler", "ddim", "ddpm", "dpm_solver"])
def test_known_parts_end_clean_with_every_sampler(sampler):
    generator, process = np.random.default_rng(1), Process(make("rectified_flow", shift=3.0))
    clean, noise = (generator.standard_normal((2, 3, 4, 4, 1)) for _ in range(2))
    known = generator.random(clean.shape) < 0.5
    denoise = with_known(lambda x, level: 0 * x, known, clean, process)
    end = sample(denoise, noise, uniform_levels(5), process, sampler=sampler, generator=generator)
    np.testing.assert_allclose(end[known], clean[known], atol=1e-10)
    assert np.abs(end - clean)[~known].mean() > 0.5
