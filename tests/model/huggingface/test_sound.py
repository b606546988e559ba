"""Models that hear: the contract of the other families, what a sound file may be, and what their outputs begin with."""

from __future__ import annotations

import copy
import io
import json
import wave
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from transformers import GenerationConfig

import model
from model.catalog import store
from model.catalog.entries import CATALOG
from model.errors import InputError, ModelError
from model.huggingface.sound.sound_files import read_sound
from model.huggingface.sound.sound_model import SoundModel
from model.huggingface.sound.speech_start import speech_start
from model.maps.words import join_silence, merge_words
from model.structures import media
from model.trace.decoding import Decoding
from model.trace.edits import Edits
from model.trace.typed_text import SpokenSound
from tests.model.huggingface.small_models import SPECIAL, OpenedFamilies, save, tokenizer

SOUND = Path("assets/sounds/four_tones.wav")
RATE = 16_000
SMALL = {"encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4, "decoder_attention_heads": 4}
SMALL |= {"d_model": 32, "encoder_ffn_dim": 37, "decoder_ffn_dim": 37, "max_target_positions": 24}
HIDDEN = {"hidden_size": 32, "intermediate_size": 37, "encoder_num_hidden_layers": 2, "decoder_num_hidden_layers": 2}
HIDDEN |= {"encoder_num_attention_heads": 4, "decoder_num_attention_heads": 4, "max_position_embeddings": 24}
# family: (class, further sizes, what prepares sounds, its settings, seconds from one moment to the next)
FAMILIES: dict[str, tuple[str, dict[str, Any], str, dict[str, Any], float]] = {
    "whisper": (
        "WhisperForConditionalGeneration",
        SMALL
        | {
            "num_mel_bins": 8,
            "max_source_positions": 150,
            "suppress_tokens": [5, 220],
            "begin_suppress_tokens": [9, 50256],
        },
        "WhisperFeatureExtractor",
        {"feature_size": 8, "chunk_length": 3},
        0.02,
    ),
    "speech_to_text": (
        "Speech2TextForConditionalGeneration",
        # A position of the encoder is one of its table's only where 0 is no padding.
        SMALL | {"conv_channels": 16, "max_source_positions": 400, "pad_token_id": 1, "decoder_start_token_id": 2},
        "Speech2TextFeatureExtractor",
        {},
        0.04,
    ),
    "moonshine": (
        "MoonshineForConditionalGeneration",
        HIDDEN,
        "Wav2Vec2FeatureExtractor",
        {"return_attention_mask": True},
        0.024,
    ),
}


def build(family: str, folder: Path) -> None:
    """Save a small random model of a family, with what prepares its sounds, to a folder."""
    name, sizes, extractor, settings, _ = FAMILIES[family]
    torch.manual_seed(3)
    pieces, module = tokenizer(), getattr(transformers, name)
    config = module.config_class(**{"vocab_size": len(pieces), "decoder_start_token_id": 1, **SPECIAL, **sizes})
    save(module(config), folder, pieces, getattr(transformers, extractor)(**settings))


def many_languages(folder: Path) -> Path:
    """The folder of a small Whisper, whose settings then list languages and tasks, as those of multilingual ones do."""
    file = folder / "generation_config.json"
    settings = json.loads(file.read_text(encoding="utf-8"))
    settings |= {"lang_to_id": {"<|en|>": 6, "<|fr|>": 7}, "task_to_id": {"transcribe": 8, "translate": 9}}
    # What is derived from a model's configuration is read without ids of languages.
    settings |= {"no_timestamps_token_id": 10, "is_multilingual": True, "_from_model_config": False}
    file.write_text(json.dumps(settings), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> OpenedFamilies:
    return OpenedFamilies(build, lambda family: tmp_path_factory.mktemp(family))


def wav(samples: np.ndarray, rate: int = RATE, width: int = 2, channels: int = 1) -> bytes:
    """The content of a WAV file. samples: between -1 and 1"""
    levels = np.repeat(samples, channels) * (2 ** (8 * width - 1) - 1)
    whole = (levels.round().astype("<i4") << (32 - 8 * width)).view(np.uint8).reshape(-1, 4)[:, 4 - width :]
    if width == 1:
        whole = (levels.round() + 128).astype(np.uint8)
    file = io.BytesIO()
    with wave.open(file, "wb") as opened:
        opened.setnchannels(channels), opened.setsampwidth(width), opened.setframerate(rate)
        opened.writeframes(whole.tobytes())
    return file.getvalue()


def tone(seconds: float, hertz: float = 440, rate: int = RATE) -> np.ndarray:
    found: np.ndarray = 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_a_sound_is_shown_inside_and_equals_the_librarys_own_run(opened: OpenedFamilies, family: str) -> None:
    lens: SoundModel = opened[family]
    assert lens.takes == "sound"
    assert lens.uses_interface
    trace = lens.trace(str(SOUND))
    assert trace.text == str(SOUND)
    assert list(trace.attentions) == ["encoder", "decoder", "cross"]
    assert not trace.of_text
    with wave.open(str(SOUND)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768
    # Padding for the families that do not fill up by themselves changes nothing for one sound.
    inputs = dict(lens.extractor(samples, sampling_rate=RATE, return_tensors="pt"))
    with torch.inference_mode():
        module = type(lens.module).from_pretrained(lens.config._name_or_path, attn_implementation="eager").eval()
        ids = torch.tensor([trace.ids["decoder"]])
        mask = {"attention_mask": inputs["attention_mask"]} if family != "whisper" else {}
        result = module(
            **{lens.main: inputs[lens.main]}, **mask, decoder_input_ids=ids, output_attentions=True, return_dict=True
        )
    for kind in trace.attentions:
        name = f"{kind}_attentions"
        for layer, expected in enumerate(getattr(result, name)):
            np.testing.assert_allclose(trace.attentions[kind].weights(layer), expected[0], atol=1e-4)
    assert trace.logits is not None
    np.testing.assert_allclose(trace.logits, result.logits[0], atol=1e-4 * float(result.logits.abs().max()))
    dict(trace.neurons)  # computed, they are compared, too
    check = trace.verify()
    assert check.ok, check
    assert check.independent
    assert not check.uncompared
    for stack in ("encoder", "decoder"):
        blocks = trace.blocks(stack)
        assert blocks.error < 1e-4
        assert [len(layer.blocks) for layer in blocks.layers] == [2 if stack == "encoder" else 3] * 2


@pytest.mark.parametrize("family", FAMILIES)
def test_tokens_of_the_encoder_are_moments(opened: OpenedFamilies, family: str) -> None:
    lens, step = opened[family], FAMILIES[family][-1]
    trace = lens.trace(wav(np.concatenate([tone(0.6), tone(0.6, 300)])))
    assert trace.sound is not None
    assert trace.sound.step == pytest.approx(step)
    tokens, heard = trace.tokens["encoder"], len(trace.sound.loudness)
    assert tokens.texts[:3] == tuple(f"{i * step:.2f} s" for i in range(3))
    assert heard == pytest.approx(1.2 / step, abs=3)
    assert sum(tokens.special) == len(tokens) - heard
    assert (len(tokens) == 150) == (family == "whisper")
    np.testing.assert_allclose(trace.sound.loudness[:-1], 0.5, atol=0.01)


def test_the_encoders_stream_is_a_sound_and_its_positions(opened: OpenedFamilies) -> None:
    tables = {"whisper": "encoder.embed_positions.weight", "speech_to_text": "weights", "moonshine": None}
    for family, table in tables.items():
        lens = opened[family]
        stack = lens.trace(str(SOUND)).blocks("encoder")
        if table is None:  # it turns queries and keys
            assert stack.positions is None
            continue
        if table == "weights":  # its first two rows stand for padding
            expected = lens.module.model.encoder.embed_positions.weights[2 : 2 + len(stack.states[0])].numpy()
        else:
            expected = dict(lens.module.model.named_parameters())[table].detach().numpy()
        np.testing.assert_allclose(stack.positions, expected, atol=1e-5)
        np.testing.assert_allclose(stack.embedding + stack.positions, stack.states[0], atol=1e-5)


def test_the_silence_behind_a_sound_is_one_token_whose_weight_is_the_sum(opened: OpenedFamilies) -> None:
    trace = opened["whisper"].trace(wav(tone(1)))
    whole = trace.attentions["cross"]
    joined = join_silence(whole)
    assert joined.key_tokens[-2:] == ("0.98 s", "1.00–3.00 s")
    assert len(joined.keys) == 51
    assert joined.query_tokens == whole.query_tokens
    weights = whole.weights(1)
    np.testing.assert_allclose(joined.weights(1)[..., :50], weights[..., :50], atol=1e-6)
    np.testing.assert_allclose(joined.weights(1)[..., 50], weights[..., 50:].sum(-1), atol=1e-6)
    np.testing.assert_allclose(joined.weights(1).sum(-1), 1, atol=1e-5)
    asking = join_silence(trace.attentions["encoder"])
    np.testing.assert_allclose(
        asking.weights(0)[:, 50, 50], trace.attentions["encoder"].weights(0)[:, 50:, 50:].sum(-1).mean(-1), atol=1e-6
    )
    assert len(merge_words(whole).keys) == 51  # word pieces are joined in the output alone
    full = opened["whisper"].trace(wav(tone(3))).attentions["cross"]
    assert join_silence(full) is full


def test_a_batch_gives_each_sound_its_own_numbers(opened: OpenedFamilies) -> None:
    for family in FAMILIES:
        # Growing louder: Speech2Text divides by how much a sound changes.
        louder = [one * np.linspace(0.2, 1, len(one)) for one in (tone(1.2), tone(0.7, 300))]
        lens, sounds = opened[family], [wav(one) for one in louder]
        alone = [lens.trace(one, target="le chat") for one in sounds]
        both = lens.trace_batch(sounds, ["le chat", "le chat était"])
        again = lens.trace(sounds[1], target="le chat était")
        np.testing.assert_allclose(both[0].attentions["cross"].weights(1).sum(-1), 1, atol=1e-5)
        count = len(again.tokens["encoder"])
        # Whatever stands beside it: convolutions must not reach over the end of a sound into a batch's padding.
        np.testing.assert_allclose(
            both[1].attentions["cross"].weights(1)[..., :count], again.attentions["cross"].weights(1), atol=2e-4
        )
        assert len(both[0].sound.loudness) == len(alone[0].sound.loudness)  # type: ignore[union-attr]
        assert all(trace.verify().ok for trace in both)


def test_edits_change_the_run_and_the_check_repeats_them(opened: OpenedFamilies) -> None:
    lens = opened["whisper"]
    plain = lens.trace(str(SOUND), target="le chat")
    for edits in (Edits(heads={("cross", 1, 2): 0.0}), Edits(temperature={"decoder": 2.0})):
        trace = lens.trace(str(SOUND), "le chat", edits)
        assert np.abs(trace.logits - plain.logits).max() > 1e-4  # type: ignore[operator]
        assert trace.verify().ok
    effects, words = lens.head_effects(str(SOUND), "le chat")
    assert words
    assert effects["cross"].shape == (2, 4)
    assert {stack: len(layers) for stack, layers in lens.boxes().items()} == {"encoder": 2, "decoder": 2}


def test_the_output_is_what_the_library_generates(opened: OpenedFamilies) -> None:
    for family in FAMILIES:
        lens = opened[family]
        heard = lens.read(str(SOUND))
        settings = {} if family == "whisper" else {"max_new_tokens": 20}
        expected = lens.module.generate(**heard.inputs, do_sample=False, num_beams=1, **settings)[0].tolist()
        trace = lens.trace(str(SOUND))
        written = list(trace.ids["decoder"][trace.prompt_length :])
        expected = expected[1:] if expected[:1] == [lens.decoder_start] else expected
        ends = {lens.module.generation_config.eos_token_id}
        expected = expected[: next((i for i, one in enumerate(expected) if one in ends), len(expected))]
        count = min(len(expected), len(written))
        assert bool(expected) == bool(written)
        assert written[:count] == expected[:count]


def test_positions_of_both_stacks_are_read_off(opened: OpenedFamilies) -> None:
    schemes = {family: [opened[family].positions(one) for one in ("encoder", "decoder")] for family in FAMILIES}
    assert [one.kind for one in schemes["whisper"]] == ["sinusoidal", "learned"]
    assert [one.kind for one in schemes["speech_to_text"]] == ["sinusoidal", "sinusoidal"]
    assert [one.kind for one in schemes["moonshine"]] == ["rotary", "rotary"]
    for scheme in (*schemes["whisper"], *schemes["speech_to_text"]):
        assert scheme.error is not None
        assert scheme.error < 1e-4


def test_a_model_in_memory_hears_with_its_processor(opened: OpenedFamilies) -> None:
    lens = opened["whisper"]
    module = type(lens.module).from_pretrained(lens.config._name_or_path)
    wrapped = model.wrap(module, transformers.WhisperProcessor(lens.extractor, lens.tokenizer))
    assert wrapped.takes == "sound"
    assert wrapped.trace(str(SOUND)).output == lens.trace(str(SOUND)).output


def test_labels_of_moments_are_checked(opened: OpenedFamilies) -> None:
    trace = opened["whisper"].trace(str(SOUND))
    tokens = trace.tokens["encoder"]
    shifted = replace(tokens, texts=(*tokens.texts[1:], tokens.texts[0]))
    attentions = dict(trace.attentions)
    attentions["encoder"] = replace(attentions["encoder"], queries=shifted, keys=shifted)
    attentions["cross"] = replace(attentions["cross"], keys=shifted)
    wrong = replace(trace, tokens={**trace.tokens, "encoder": shifted}, attentions=attentions)
    assert "labels" in [part.name for part in wrong.verify().wrong_parts]


LANGUAGES = {"<|en|>": 60, "<|fr|>": 61}
TASKS = {"transcribe": 70, "translate": 71}
STARTS: dict[str, tuple[dict[str, Any], list[int]]] = {
    "nothing said": ({}, [1]),
    "English alone": ({"no_timestamps_token_id": 80}, [1, 80]),
    "the old way": ({"forced_decoder_ids": [[1, 60], [2, 70], [3, 80]], "no_timestamps_token_id": 80}, [1, 60, 70, 80]),
    "the old way, English alone": ({"forced_decoder_ids": [[1, 80]], "no_timestamps_token_id": 80}, [1, 80]),
    "language and task": (
        {"language": "french", "task": "translate", "lang_to_id": LANGUAGES, "task_to_id": TASKS}
        | {"no_timestamps_token_id": 80},
        [1, 61, 71, 80],
    ),
    "language": ({"language": "<|fr|>", "lang_to_id": LANGUAGES, "task_to_id": TASKS}, [1, 61, 70]),
}


@pytest.mark.parametrize("case", STARTS)
def test_an_output_begins_as_the_settings_say(opened: OpenedFamilies, case: str) -> None:
    fields, expected = STARTS[case]
    lens = opened["whisper"]
    settings = GenerationConfig(decoder_start_token_id=1, return_timestamps=False, **fields)
    assert speech_start(1, settings, lens.config).ids(None) == expected
    heard = lens.read(str(SOUND)).inputs["input_features"]
    theirs = lens.module._retrieve_init_tokens(heard, 1, settings, lens.config, heard.shape[-1], {})
    assert theirs[0].tolist() == expected


def test_the_language_is_heard_where_none_is_set(opened: OpenedFamilies) -> None:
    lens = opened["whisper"]
    settings = GenerationConfig(
        decoder_start_token_id=1, lang_to_id=LANGUAGES, task_to_id=TASKS, forced_decoder_ids=[[1, None], [2, 70]]
    )
    settings.return_timestamps = False
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lens.module, "generation_config", settings)
        heard = lens.read(str(SOUND))
        assert heard.start.languages == (60, 61)
        theirs = lens.module._retrieve_init_tokens(heard.inputs["input_features"], 1, settings, lens.config, 300, {})
        assert lens._begin(heard, None)[0] == theirs[0].tolist()


@pytest.mark.parametrize(("language", "task"), [("fr", None), ("en", "translate"), (None, "translate"), (None, None)])
def test_language_and_task_are_chosen_as_the_library_takes_them(
    opened: OpenedFamilies, tmp_path: Path, language: str | None, task: str | None
) -> None:
    if "languages" not in opened:
        build("whisper", tmp_path)
        opened["languages"] = model.load(str(many_languages(tmp_path)), device="cpu")
    lens = opened["languages"]
    assert (lens.choices.source_languages, lens.choices.source) == (("en", "fr"), None)
    assert (lens.choices.tasks, lens.choices.task) == (("transcribe", "translate"), "transcribe")
    trace = lens.trace(str(SOUND), source_language=language, task=task)
    settings = copy.deepcopy(lens.module.generation_config)
    settings.language, settings.task, settings.return_timestamps = language, task, False
    heard = lens.read(str(SOUND)).inputs["input_features"]
    theirs = lens.module._retrieve_init_tokens(heard, 1, settings, lens.config, 300, {})[0].tolist()
    assert list(trace.ids["decoder"][: trace.prompt_length]) == theirs
    decoded = lens.decode(SpokenSound(str(SOUND), language, task), Decoding(max_new_tokens=20))
    assert [*decoded.ids][:3] == [*trace.ids["decoder"][trace.prompt_length :]][:3]
    assert trace.verify().ok


def test_a_language_that_is_not_heard_gets_a_sentence(opened: OpenedFamilies) -> None:
    for chosen, reason in (({"source_language": "fr"}, "no_language_heard"), ({"task": "translate"}, "no_task")):
        with pytest.raises(InputError) as caught:
            opened["whisper"].trace(str(SOUND), **chosen)
        assert caught.value.reason == reason


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_wav_files_of_every_width_are_read_without_another_library(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "find_spec", lambda name: None)
    expected = tone(0.3)
    found = read_sound(wav(expected, width=width, channels=2), RATE, 30)
    np.testing.assert_allclose(found, expected, atol=0.01 if width == 1 else 1e-4)


def test_a_sound_is_brought_to_the_models_rate() -> None:
    for rate in (8_000, 44_100, 48_000):
        found = read_sound(wav(tone(1, 400, rate), rate), RATE, 30)
        np.testing.assert_allclose(found, tone(1, 400), atol=1e-3)


def encoded(samples: np.ndarray, container: str, codec: str, layout: str) -> bytes:
    """A sound as a file of a kind that PyAV writes. samples: between -1 and 1"""
    av = pytest.importorskip("av")
    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        stream = out.add_stream(codec, rate=RATE)
        for start in range(0, len(samples), 1024):
            part = samples[None, start : start + 1024]
            part = part.astype(np.float32) if layout == "fltp" else (part * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(part), format=layout, layout="mono")
            frame.sample_rate, frame.pts = RATE, start
            for packet in stream.encode(frame):
                out.mux(packet)
        for packet in stream.encode(None):
            out.mux(packet)
    return file.getvalue()


@pytest.mark.parametrize(
    ("container", "codec", "layout"), [("flac", "flac", "s16"), ("mp3", "libmp3lame", "fltp"), ("ogg", "flac", "s16")]
)
def test_other_kinds_of_sound_are_decoded(
    container: str, codec: str, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = encoded(tone(1), container, codec, layout)
    found = read_sound(content, RATE, 30)
    waves = np.abs(np.fft.rfft(found))
    assert round(int(waves.argmax()) * RATE / len(found)) == 440
    with pytest.raises(InputError, match=r"cannot be read|shorter|no sound"):
        read_sound(content[: len(content) // 20], RATE, 30)
    monkeypatch.setattr(media, "find_spec", lambda name: None)
    with pytest.raises(InputError) as caught:
        read_sound(content, RATE, 30)
    assert caught.value.reason == "sound_library"


BAD = {
    "sound_none": b"This is a letter, and no sound.",
    "sound_missing": "nowhere.wav",
    "sound_silent": wav(np.zeros(RATE)),
    "sound_short": wav(tone(0.02)),
    "sound_long": wav(np.zeros(RATE // 4 * 3600), RATE // 4, width=1),
    "sound_broken": wav(tone(1))[:9000],
    "sound_heavy": bytes(20_000_001),
}


@pytest.mark.parametrize("reason", BAD)
def test_what_is_no_sound_gets_a_sentence(reason: str) -> None:
    with pytest.raises(InputError) as caught:
        read_sound(BAD[reason], RATE, 30)
    assert caught.value.reason == reason
    assert "Traceback" not in str(caught.value)


def test_a_sound_that_never_changes_gets_a_sentence_where_changes_are_heard(opened: OpenedFamilies) -> None:
    with pytest.raises(InputError) as caught:
        opened["speech_to_text"].trace(wav(tone(0.7, 300)))
    assert caught.value.reason == "sound_even"


def test_a_folder_without_what_prepares_sounds_is_refused(tmp_path: Path) -> None:
    build("whisper", tmp_path)
    assert store.input_kind(tmp_path) == "sound"
    (tmp_path / "preprocessor_config.json").unlink()
    assert store.input_kind(tmp_path) == "text"
    with pytest.raises(ModelError, match="how sounds are prepared") as caught:
        model.load(str(tmp_path), device="cpu")
    assert caught.value.reason == "sound"


def test_the_catalogue_offers_a_model_of_speech() -> None:
    entry = CATALOG["whisper-tiny"]
    assert (entry.takes, entry.kinds, entry.task) == ("sound", ("sound",), "sound")
