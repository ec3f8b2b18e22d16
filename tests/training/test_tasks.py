"""The tasks: what they draw, what they count as error, and all stages from start to end."""

import dataclasses
import types

import numpy as np
import pytest

from minivdit import autograd as ag
from minivdit import diffusion
from minivdit.base.errors import InputError
from minivdit.data import parse
from minivdit.data.grammar import COLOURS, DIRECTIONS, SPEEDS, most_words
from minivdit.data.moving_mnist import HELD_OUT
from minivdit.lab.pipeline.train import train_stage
from minivdit.models import Autoencoder, CaptionReader, TextEncoder, Tokenizer, VideoDiT
from minivdit.nn import fingerprint
from minivdit.training import checkpoint, presets, stages
from minivdit.training.checkpoint import load_checkpoint
from minivdit.training.gradients import GradientWorkers
from minivdit.training.loop import Run, train
from minivdit.training.tasks import LATER, AutoencoderTask, DiffusionSettings, TextTask, TransformerTask

TINY = presets.get("tiny")
IN_COLOUR = presets.override(TINY, ["data.colors=true", "autoencoder.image_channels=3"])


def trained(stage, preset, *networks, path=None, **given):
    """What a stage gives that is trained as the preset says: the network itself."""
    task = getattr(stages, f"{stage}_task")(preset, *networks, **given)
    return train_stage(stage, task, preset, path, progress=False).model


@pytest.fixture(scope="module")
def autoencoder():
    return trained("autoencoder", presets.override(TINY, ["autoencoder_training.steps=100"]))


def make_task(autoencoder, batch=6, **settings):
    tokenizer = Tokenizer()
    model = VideoDiT(TINY.transformer, len(tokenizer), np.random.default_rng(0))
    clips = TINY.data.clips()
    return TransformerTask(model, autoencoder, tokenizer, clips, batch, DiffusionSettings(**settings))


def equal(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def test_autoencoder_learns_and_its_latents_are_normalised(autoencoder):
    video = TINY.data.clips("test").batch(np.random.default_rng(1), 40).video
    latents = autoencoder.encode(video)
    assert latents.shape == (40, 4, 4, 4, 4)
    # Measured on other clips of one frame, so close to 0 and 1 but not exactly.
    assert np.abs(latents.mean(axis=(0, 1, 2, 3))).max() < 0.2
    assert np.abs(latents.std(axis=(0, 1, 2, 3)) - 1).max() < 0.2
    error = ((autoencoder.decode(latents) - video) ** 2).mean()
    assert error < 0.7 * video.var()  # better than the best even grey


def test_neither_loss_depends_on_the_number_of_shards(autoencoder):
    frames = AutoencoderTask(autoencoder, TINY.data.clips(num_frames=1), 12)
    clips = make_task(autoencoder, batch=12)
    for task in (frames, clips):
        batch = task.batch(np.random.default_rng(3))
        results = [GradientWorkers(task.loss, task.parameters, shards)(batch) for shards in (1, 4)]
        assert results[0][0] == pytest.approx(results[1][0], rel=1e-4)
        for name, whole in results[0][1].items():
            scale = np.abs(whole).max() + 1e-6
            assert np.abs(results[1][1][name] - whole).max() < 2e-3 * scale, name


def test_batches_repeat_and_differ(autoencoder):
    task = make_task(autoencoder)
    one, two, other = (task.batch(np.random.default_rng(seed)) for seed in (7, 7, 8))
    assert equal(one, two)
    assert not any(np.array_equal(one[name], other[name]) for name in ("video", "noise", "level"))


def test_captions_are_hidden_at_their_share(autoencoder):
    task = make_task(autoencoder, batch=400, caption_dropout=0.25)
    tokens = task.batch(np.random.default_rng(0))["tokens"]
    empty = (tokens == task.tokenizer.encode([""])).all(axis=1).mean()
    assert 0.17 < empty < 0.33
    tokens = make_task(autoencoder, batch=50, caption_dropout=0.0).batch(np.random.default_rng(0))["tokens"]
    assert not (tokens == task.tokenizer.encode([""])).all(axis=1).any()


def test_a_fresh_model_has_the_loss_of_answering_zero(autoencoder):
    """Velocity is noise - clean, both of variance 1: answering 0 costs about 2; predicting noise or clean about 1."""
    for prediction, curve, expected in (
        ("velocity", "rectified_flow", 2.0),
        ("noise", "ddpm_cosine", 1.0),
        ("clean", "rectified_flow", 1.0),
    ):
        task = make_task(autoencoder, batch=32, curve=curve, prediction=prediction, weighting="plain")
        loss, extras = task.loss(task.batch(np.random.default_rng(0)))
        assert loss.item() == pytest.approx(expected, rel=0.15)
        assert extras["error"].shape == extras["level"].shape == (32, 4)


@pytest.mark.parametrize(
    ("curve", "prediction"),
    [
        ("rectified_flow", "velocity"),
        ("rectified_flow", "clean"),
        *(("ddpm_cosine", kind) for kind in diffusion.PREDICTIONS),
    ],
)
def test_a_model_that_knows_the_answer_has_no_loss(autoencoder, prediction, curve):
    task = make_task(autoencoder, prediction=prediction, curve=curve)
    batch = task.batch(np.random.default_rng(0))
    clean = autoencoder.encode(batch["video"])
    answer = task.process.target(clean, batch["noise"], batch["level"])
    task.model = lambda noisy, level, tokens: ag.Tensor(answer)
    assert task.loss(batch)[0].item() < 1e-10
    task.model = lambda noisy, level, tokens: ag.Tensor(answer + 0.1)
    assert task.loss(batch)[0].item() > 1e-3


def test_given_frames_are_shown_clean_and_not_asked_about(autoencoder):
    task = make_task(autoencoder, batch=16, shared=0.0, given=1.0, independent=0.0)
    batch = task.batch(np.random.default_rng(0))
    given = batch["level"] == 0
    assert given.any(axis=1).all() and not given.all(axis=1).any()
    assert (batch["weight"][given] == 0).all()
    assert batch["weight"].mean() == pytest.approx(1.0, rel=1e-5)
    seen = {}

    def model(noisy, level, tokens):
        seen["noisy"] = noisy
        return ag.Tensor(noisy * 0 + np.where(given, 1e3, 0)[:, :, None, None, None].astype(np.float32))

    task.model = model
    loss, _ = task.loss(batch)
    assert loss.item() < 10  # the absurd answers for given frames don't count
    assert np.array_equal(seen["noisy"][given], autoencoder.encode(batch["video"])[given])


def mixed_task(autoencoder):
    """Clips of 4, 2 and 1 frames, square and wide."""
    preset = presets.override(TINY, ["data.shapes=1x16x16:0.3, 2x16x32:0.4", "finetuning.steps=6"])
    return stages.finetuning_task(preset, autoencoder, stages.transformer_task(TINY, autoencoder).model)


def test_batches_of_several_shapes_are_learnt_from(autoencoder):
    task, seen = mixed_task(autoencoder), set()
    for seed in range(12):
        batch = task.batch(np.random.default_rng(seed))
        seen.add(batch["video"].shape[1:4])
        assert batch["level"].shape == batch["video"].shape[:2] and len(batch["tokens"]) == len(batch["video"])
        assert np.isfinite(task.loss(batch)[0].item())
    assert seen == {(4, 16, 16), (1, 16, 16), (2, 16, 32)}


def test_the_levels_of_a_batch_are_shifted_by_its_clips_length(autoencoder):
    """Odds, level / (1 - level), grow with the square root of the tokens: 4 in a clip of 1x16x16, else 16."""
    usual, grown = mixed_task(autoencoder), mixed_task(autoencoder)
    grown.settings = dataclasses.replace(usual.settings, shift_tokens=8)
    assert grown.process.curve.shift == usual.process.curve.shift  # a level means the same noise at every length
    for seed in range(6):
        one, other = (task.batch(np.random.default_rng(seed)) for task in (usual, grown))
        tokens = 4 if one["video"].shape[1] == 1 else 16
        drawn = one["level"] > 0
        odds = [batch["level"][drawn] / (1 - batch["level"][drawn].astype(float)) for batch in (one, other)]
        np.testing.assert_allclose(odds[1], (tokens / 8) ** 0.5 * odds[0], rtol=1e-3)
        assert ((other["level"] > 0) == drawn).all() and (one["noise"] == other["noise"]).all()


@pytest.mark.parametrize("make_task", [make_task, mixed_task])
def test_transformer_training_resumes_bit_for_bit(tmp_path, autoencoder, make_task):
    settings = dataclasses.replace(TINY.training, steps=6)
    straight = Run(make_task(autoencoder), settings, threads=1)
    first = [state.loss for state in train(straight)]
    stopped = Run(make_task(autoencoder), settings, threads=2)
    for state in train(stopped):
        if state.step == 3:
            break
    checkpoint.save_checkpoint(tmp_path / "run.safetensors", stopped.state(), stopped.about())
    resumed = Run(make_task(autoencoder), settings, threads=2)
    resumed.resume(tmp_path / "run.safetensors")
    assert [state.loss for state in train(resumed)] == first[3:]
    for group in ("weights", "average", "optimizer"):
        assert equal(straight.state()[group], resumed.state()[group]), group


def make_text_task(batch=16, num_digits=(1, 2)):
    tokenizer, generator = Tokenizer(), np.random.default_rng(0)
    text = TextEncoder(len(tokenizer), 32, 1, 2, generator)
    clips = dataclasses.replace(TINY.data, num_digits=num_digits).clips()
    return TextTask(CaptionReader(text, 2, generator), tokenizer, clips, batch)


def test_questions_about_captions_have_the_answers_that_the_caption_gives():
    task = make_text_task(batch=200)
    batch = task.batch(np.random.default_rng(0))
    later = 0
    for tokens, (way, pace), answers in zip(batch["tokens"], batch["questions"], batch["answers"]):
        words = task.tokenizer.decode(tokens).split()
        later += words[0] == "then"
        motions = parse(" ".join(words[words[0] == "then" :]))
        assert pace == 10 + way
        (asked,) = [motion for motion in motions if motion.digit == way]
        assert answers.tolist() == [[*DIRECTIONS].index(asked.direction), len(DIRECTIONS) + SPEEDS.index(asked.speed)]
        assert not {(digit, direction) for digit, direction, *_ in motions} & set(HELD_OUT)
    assert 30 < later < 70  # of 200


def test_in_colour_a_third_question_asks_for_the_colour():
    task = stages.text_task(IN_COLOUR)
    batch = task.batch(np.random.default_rng(0))
    assert batch["questions"].shape == (8, 3) and task.model.answers[-7:] == ("", *COLOURS)
    for tokens, questions, answers in zip(batch["tokens"], batch["questions"], batch["answers"]):
        words = task.tokenizer.decode(tokens).split()
        (asked,) = parse(" ".join(words[words[0] == "then" :]))
        assert questions.tolist() == [asked.digit, 10 + asked.digit, 20 + asked.digit]
        assert [task.model.answers[answer] for answer in answers] == [asked.direction, asked.speed, asked.colour]
    _, extras = task.loss(batch)
    assert [*extras] == ["direction", "speed", "colour"] and extras["colour"].shape == (8,)


def test_all_stages_are_trained_in_colour():
    model = trained("autoencoder", IN_COLOUR)
    assert model.config.image_channels == 3
    text = trained("text", IN_COLOUR).text
    task = stages.transformer_task(IN_COLOUR, model, text=text)
    assert task.batch(np.random.default_rng(0))["video"].shape == (8, 4, 16, 16, 3)
    for state in train(Run(task, dataclasses.replace(IN_COLOUR.training, steps=2), threads=1)):
        assert np.isfinite(state.loss)
    assert task.tokenizer.encode(["a red 3 moving up"]).shape == (1, most_words(colours=True) + 1)


def test_a_text_encoder_learns_to_answer():
    task = make_text_task(batch=32, num_digits=(1,))
    settings = dataclasses.replace(TINY.text_training, steps=120, batch=32, learning_rate=5e-3)
    means = [state.extras for state in train(Run(task, settings, threads=1))]
    first, last = (np.mean([[m["direction"], m["speed"]] for m in part], axis=0) for part in (means[:5], means[-5:]))
    assert first[0] < 0.3 and first[1] < 0.6, first  # one in 8 ways, one in 3 speeds, and a little luck
    assert last[0] > 0.8 and last[1] > 0.9, last


def test_the_transformer_begins_with_the_words_of_the_text_stage_and_learns_them_further(autoencoder):
    text = trained("text", TINY).text
    task = stages.transformer_task(TINY, autoencoder, text=text)
    assert equal(task.model.text.state_dict(), text.state_dict())
    fresh = stages.transformer_task(TINY, autoencoder)
    names = [name for name in task.parameters if not name.startswith("text.")]
    assert all(np.array_equal(task.parameters[name].data, fresh.parameters[name].data) for name in names)
    assert task.config["text"] == fingerprint(text) and "text" not in fresh.config
    for _ in train(Run(task, dataclasses.replace(TINY.training, steps=4), threads=1)):
        pass
    assert fingerprint(task.model.text) != fingerprint(text)
    assert "text" not in stages.stages_of(presets.override(TINY, ["text_training.steps=0"]))


def test_a_training_goes_on_from_weights_that_know_fewer_words(autoencoder):
    """Their words keep their places; "very", which they don't know, begins as in a fresh network."""
    known = stages.transformer_task(TINY, autoencoder)
    changes = ["data.speeds=slow,normal,very fast", "data.pixels_per_frame=1.6,2.8,4.2,12.6"]
    preset = presets.override(TINY, changes)
    task, fresh = (stages.transformer_task(preset, autoencoder, start=start) for start in (known.model, None))
    assert task.tokenizer.words == [*known.tokenizer.words, "very"] and known.tokenizer.words[-1] == "then"
    before, after, new = (one.model.state_dict() for one in (known, task, fresh))
    table = after.pop("text.embedding.table")
    np.testing.assert_array_equal(table[:-1], before.pop("text.embedding.table"))
    np.testing.assert_array_equal(table[-1:], new["text.embedding.table"][-1:])
    assert equal(before, after)
    assert task.tokenizer.encode(["a 3 moving very quickly up"])[0, 4] == len(table) - 1
    with pytest.raises(InputError, match="'very' asks for a speed that this model hasn't learnt; its fastest digits"):
        known.tokenizer.encode(["a 3 moving very quickly up"])
    reader = stages.text_task(preset).model
    assert reader.answer.weight.shape[1] == len(reader.ANSWERS) == 12


def test_all_stages_and_taking_them_up_again(tmp_path):
    preset = presets.override(TINY, ["autoencoder_training.steps=6", "training.steps=4"])
    paths = [tmp_path / f"{stage}.safetensors" for stage in ("autoencoder", "transformer", "text")]
    stage_one = trained("autoencoder", preset, path=paths[0])
    text = trained("text", preset, path=paths[2]).text
    model = trained("transformer", preset, stage_one, path=paths[1], text=text)
    before = [path.read_bytes() for path in paths]

    text_again = trained("text", preset, path=paths[2]).text
    assert equal(text_again.state_dict(), text.state_dict())
    again = trained("autoencoder", preset, path=paths[0])
    assert fingerprint(again) == fingerprint(stage_one)
    assert equal(again.state_dict(), stage_one.state_dict())  # latent mean and deviation too
    assert np.abs(again.latent_mean.data).max() > 0
    model_again = trained("transformer", preset, again, path=paths[1], text=text_again)
    assert equal(model.state_dict(), model_again.state_dict())
    assert [path.read_bytes() for path in paths] == before

    average = load_checkpoint(paths[1])[0]["average"]
    assert all(np.array_equal(average[f"average.{name}"], p.data) for name, p in model.parameters().items())

    other = Autoencoder(preset.autoencoder, np.random.default_rng(9))
    with pytest.raises(InputError, match=r"config\.autoencoder is \w{8}, here \w{8}"):
        trained("transformer", preset, other, path=paths[1], text=text)
    with pytest.raises(InputError, match=r"config\.text"):
        trained("transformer", preset, stage_one, path=paths[1])
    with pytest.raises(InputError, match=r"config\.transformer\.width is 32, here 64"):
        trained("transformer", presets.override(preset, ["transformer.width=64"]), stage_one, path=paths[1])


def test_finetuning_goes_on_from_the_transformer_and_can_be_taken_up_again(tmp_path, autoencoder):
    preset = presets.override(TINY, ["data.turning=0.5", "data.shapes=2x16x16:0.5", "finetuning.steps=4"])
    path = tmp_path / "finetuning.safetensors"

    def start():
        return stages.transformer_task(preset, autoencoder).model

    model, before = start(), fingerprint(start())
    trained("finetuning", preset, autoencoder, model, path=path)
    assert fingerprint(model) != before
    again, unchanged = start(), path.read_bytes()
    trained("finetuning", preset, autoencoder, again, path=path)
    assert fingerprint(again) == fingerprint(model) and path.read_bytes() == unchanged
    with pytest.raises(InputError, match=r"config\.start"):
        trained("finetuning", preset, autoencoder, again, path=path)  # of other weights
    assert stages.stages_of(TINY)[-1] == stages.stages_of(TINY, from_weights=True)[-1] == "transformer"


def test_fingerprint_sees_every_weight():
    module = types.SimpleNamespace(state_dict=lambda: {"a": np.zeros(3, np.float32), "b": weights})
    weights = np.ones(2, np.float32)
    before = fingerprint(module)
    assert before == fingerprint(module) and len(before) == 8
    weights[1] = np.nextafter(np.float32(1), np.float32(2))
    assert fingerprint(module) != before


def test_a_batch_with_a_turn_in_it_has_two_captions_a_clip(autoencoder):
    task = make_task(autoencoder, batch=6, caption_dropout=0.0)
    assert task.batch(np.random.default_rng(0))["tokens"].ndim == 2
    task.clips = dataclasses.replace(TINY.data, turning=1.0).mixed_clips()
    batch = task.batch(np.random.default_rng(0))
    assert batch["tokens"].shape[:2] == (6, 2) and (batch["tokens"][:, 0] != batch["tokens"][:, 1]).any(axis=1).all()
    loss, _ = task.loss(batch)
    assert np.isfinite(loss.item())
    task.clips = dataclasses.replace(TINY.data, turning=1.0, turns=(2,), num_frames=8).mixed_clips()
    tokens = task.batch(np.random.default_rng(0))["tokens"]  # parts begin at frames 0, 3 and 6
    assert tokens.shape[:2] == (6, 8)
    changes = (tokens[:, 1:] != tokens[:, :-1]).any(axis=2)
    assert (changes == np.isin(np.arange(1, 8), [3, 6])).all()
    with pytest.raises(InputError, match=r"set data\.turning above 0"):
        presets.override(TINY, ["data.turns=2"])


CAUSAL = presets.override(TINY, ["autoencoder.time_factor=4", "data.num_frames=9"])


def test_with_a_causal_autoencoder_the_network_sees_fewer_frames(tmp_path):
    network = trained("autoencoder", CAUSAL)
    video = CAUSAL.data.clips("test").batch(np.random.default_rng(1), 40).video
    latents = network.encode(video)
    assert latents.shape == (40, 3, 4, 4, 4)
    assert np.abs(latents.mean(axis=(0, 1, 2, 3))).max() < 0.5 and np.abs(latents.std() - 1) < 0.3
    task = stages.transformer_task(CAUSAL, network)
    batch = task.batch(np.random.default_rng(0))
    assert batch["video"].shape[1] == 9 and batch["level"].shape[1] == batch["noise"].shape[1] == 3
    loss, extras = task.loss(batch)
    assert np.isfinite(loss.item()) and extras["error"].shape == (8, 3)


def test_with_a_causal_autoencoder_the_loss_does_not_depend_on_the_number_of_shards():
    task = stages.autoencoder_task(CAUSAL)
    batch = task.batch(np.random.default_rng(0))
    assert batch["frames"].shape == (32, 9, 16, 16, 1)
    whole, halves = task.loss(batch)[0].item(), []
    for part in (slice(0, 16), slice(16, 32)):
        halves.append(task.loss({name: array[part] for name, array in batch.items()})[0].item())
    assert np.mean(halves) == pytest.approx(whole, rel=1e-5)


@pytest.mark.parametrize(
    "changes, words",
    [
        (["data.num_frames=8"], "num_frames 8 must be 1 and a multiple of 4, such as 5 or 9"),
        (["transformer.patch_size=2,2,2"], "the number of latent frames 3 must be a multiple of 2"),
    ],
)
def test_lengths_that_a_causal_autoencoder_cannot_code_are_refused(changes, words):
    with pytest.raises(InputError, match=words):
        presets.override(CAUSAL, changes)


EARLY = ["diffusion.early_patterns=frame+time:0.5,window:0.25"]


def test_patterns_change_at_their_shares_of_the_steps(autoencoder):
    task = stages.transformer_task(presets.override(TINY, EARLY), autoencoder)
    batch = task.batch(np.random.default_rng(0))
    for share, patterns in (
        (0, ("frame", "time")),
        (0.49, ("frame", "time")),
        (0.5, ("window",)),
        (0.74, ("window",)),
        (0.75, None),
    ):
        moment = batch | task.stage(share)
        whole, _ = task.loss(moment)
        own = stages.transformer_task(
            presets.override(TINY, [f"transformer.patterns={','.join(patterns or ['joint'])}"]), autoencoder
        )
        own.model.load_state_dict(task.model.state_dict())
        assert own.loss(batch)[0].item() == whole.item()
        assert len(moment["patterns"]) == len(batch["video"])


def test_without_early_patterns_a_batch_and_a_checkpoint_are_as_they_were(autoencoder):
    task = stages.transformer_task(TINY, autoencoder)
    assert task.stage(0.0) == {} and "early_patterns" not in task.config["diffusion"]
    early = stages.transformer_task(presets.override(TINY, EARLY), autoencoder)
    assert early.config["diffusion"]["early_patterns"] == ("frame+time:0.5", "window:0.25")


def test_a_training_whose_patterns_change_goes_on_bit_for_bit(autoencoder, tmp_path):
    preset = presets.override(TINY, [*EARLY, "training.steps=8", "training.warmup=1"])
    for parameter in (whole := stages.transformer_task(preset, autoencoder)).parameters.values():
        parameter.data += 0.1  # a fresh network gives the same whatever the patterns
    start = whole.model.state_dict()
    plain = stages.transformer_task(presets.override(preset, ["diffusion.early_patterns="]), autoencoder)
    plain.model.load_state_dict(start)
    parts = stages.transformer_task(preset, autoencoder)
    parts.model.load_state_dict(start)
    losses = {
        name: [state.loss for state in train(Run(task, preset.training))]
        for name, task in (("early", whole), ("plain", plain))
    }
    run = Run(parts, preset.training)
    for state in train(run):
        if state.step == 5:
            checkpoint.save_checkpoint(tmp_path / "half.safetensors", run.state(), run.about())
            break
    again = stages.transformer_task(preset, autoencoder)
    run = Run(again, preset.training)
    run.resume(tmp_path / "half.safetensors")
    assert [state.loss for state in train(run)] == losses["early"][5:]
    assert equal(again.model.state_dict(), whole.model.state_dict())
    assert losses["early"][0] != losses["plain"][0]


def test_finetuning_has_the_patterns_of_the_end(autoencoder):
    preset = presets.override(TINY, [*EARLY, "finetuning.steps=2"])
    task = stages.transformer_task(preset, autoencoder)
    assert stages.finetuning_task(preset, autoencoder, task.model).stage(0.0) == {}


@pytest.mark.parametrize(
    "value, words",
    [
        ("frame", "doesn't say for which share of the steps; write patterns, a colon"),
        ("frame:0", "doesn't say for which share"),
        ("frame:nan", "doesn't say for which share"),
        ("frame:0.6,joint:0.5", "leave no steps for the patterns that draw: frame:0.6, joint:0.5; lower"),
        ("frame:1", "leave no steps for the patterns that draw"),
        ("fram:0.5", "frame"),
    ],
)
def test_early_patterns_that_make_no_sense_are_refused(value, words):
    with pytest.raises(InputError, match=words):
        presets.override(TINY, [f"diffusion.early_patterns={value}"])


def test_checkpoints_from_before_a_setting_was_there_still_match(autoencoder):
    task, coder = stages.transformer_task(TINY, autoencoder), stages.autoencoder_task(TINY)
    for config in (task.config["transformer"], task.config["diffusion"], coder.config["autoencoder"]):
        assert not {*LATER} & {*config}
    told = stages.transformer_task(presets.override(TINY, ["transformer.control=true"]), autoencoder).config
    assert told["transformer"]["control"] and stages.autoencoder_task(CAUSAL).config["autoencoder"]["time_factor"] == 4
