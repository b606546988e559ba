"""Hugging Face text models as opened models: loading, tracing, generation and probes.

`transformers.AttentionInterface` passes every attention call of a model to `model.attention.formula.attention`.
Families that do not use the interface run with their own eager attention, which returns weights but no q, k and v, and
allows no edits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from model.arrays.types import Array
from model.attention import projections
from model.attention.devices import dtype_name, find_device
from model.attention.edit_plan import EditPlan, apply_edits, plan_edits
from model.attention.record import Record, record
from model.huggingface.answers import WORDS, head_kind
from model.huggingface.decomposition import boxes, take_pass_apart
from model.huggingface.generation import check_readable, forced_first_id, generate, output_start
from model.huggingface.inputs import Encoding, encode_batch, length_of
from model.huggingface.loading.pairs import encoder_of_pair, other_half
from model.huggingface.loading.weights import attend_in_full, decoder_start_id, load_pretrained, max_input_tokens
from model.huggingface.positions import measure_schemes
from model.huggingface.probes import contact_regression, guess, layer_logits, outputs
from model.huggingface.recording.call_names import name_attention_calls
from model.huggingface.recording.detection import describe_other_layers, detect_interface, takes_cache
from model.huggingface.recording.eager_run import library_attentions
from model.huggingface.recording.hooks import hook_last_block, hook_positions, number_layers
from model.huggingface.recording.layers import recorded_layers, weights_only_layers
from model.huggingface.recording.trial import trial_ids, try_tracing
from model.huggingface.recording.windows import Stage
from model.huggingface.tracing import TracedBatch, model_notes
from model.huggingface.verification import verify_run
from model.measures.heads.head_effects import head_effects
from model.measures.logit_lens import logit_lens
from model.positions.scheme import PositionScheme
from model.tokenization.encoding import encode, input_choices
from model.tokenization.labels import label_ids, labels_apart
from model.tokenization.languages import find_languages
from model.tokenization.length import OWN_LIMIT
from model.trace.check import Check
from model.trace.decoding import Decoding, DecodingResult
from model.trace.edits import UNCHANGED, Edits, Head
from model.trace.layer_inputs import MultiHeadLayer, NotMultiHead
from model.trace.recorded_layer import RecordedLayer
from model.trace.trace import Target, Trace
from model.trace.typed_text import InputChoices, TypedText, as_typed
from model.turns import slices


class TextModel:
    """A Hugging Face model with its tokenizer; a `model.trace.lens.Lens`.

    Attributes:
        writes: whether it predicts a next token.
        head: what its head answers, of `model.huggingface.answers`.
        max_tokens: the longest text that is read; model_max_tokens: what the model itself takes.
        full_tokens: the longest text whose tokens all look at all others; None where that is no limit.
        uses_interface: False where the family does not use the attention interface, so q, k and v are not recorded.
        single_stack: what a single stack is, "encoder" or "decoder", by its masks.
        has_sinks: True where part of the attention goes to no token (attention sinks), so rows sum to less than 1.
        heads: attention kind -> (layers, heads); empty where edits are not possible.
        layer_index: attention kind -> which layer of the model each attention layer is.
        trial_tokens: tokens that attend to each other in the trial run at opening.
        hidden_kinds: kinds of attention that the model has but does not show.
        other_layers: the layers without attention and what they are, as text; "" where there are none.
    """

    takes = "text"
    take_pass_apart, boxes, length_of = take_pass_apart, boxes, length_of
    other_half, adapter = "", ""  # what the other encoder of a pair such as CLIP reads; the adapter that was merged
    head_effects, logit_lens, contact_regression = head_effects, logit_lens, contact_regression
    heads: Mapping[str, tuple[int, int]]
    full_tokens: int | None = None
    trial_tokens = 0
    frames_of_tokens: tuple[int, ...] = ()
    stage: Stage | None = None  # the one that is shown, of a model with several

    def __init__(self, module: Any, tokenizer: Any, device: str) -> None:
        self.module = module.to(device).eval()
        self.tokenizer = tokenizer
        self.device = device
        self.config = module.config
        # An encoder that was saved alone keeps the configuration of its pair.
        alone = type(module).__name__.endswith("EncoderModel")
        self.is_encoder_decoder = bool(self.config.is_encoder_decoder) and not alone
        self.head = head_kind(self.module)
        self.model_max_tokens = max_input_tokens(self.module, tokenizer)
        self.max_tokens, self.full_tokens = min(self.model_max_tokens, OWN_LIMIT), attend_in_full(self.module)
        self.decoder_start = decoder_start_id(self.module, tokenizer) if self.is_encoder_decoder else -1
        self.languages = None
        if self.is_encoder_decoder:
            self.languages = find_languages(tokenizer, self.decoder_start, forced_first_id(self.module))
        self._schemes: dict[str, PositionScheme] = {}
        self._install_attention()
        try_tracing(self)

    def _install_attention(self) -> None:
        """Route attention through the one attention function, hook positions and the last layer, set capabilities."""
        self.single_stack = "encoder"
        self.dtype = dtype_name(self.module)
        self.layer_index: Mapping[str, Sequence[int]] = {}
        self.has_sinks = any(name.endswith(".sinks") for name, _ in self.module.named_parameters())
        number_layers(self.module)
        self._detect_interface()
        self.other_layers = describe_other_layers(self.config, self.layer_index)
        self.can_move_positions = hook_positions(self.module)
        self.last_block = hook_last_block(self.module.get_decoder() if self.is_encoder_decoder else self.module)
        self.writes = self.head == WORDS and (self.is_encoder_decoder or self.single_stack == "decoder")
        self.choices = self._find_choices()

    def _find_choices(self) -> InputChoices:
        """What may be chosen for a typed text."""
        return input_choices(self.tokenizer, self.languages, self.writes)

    @classmethod
    def open(
        cls,
        name: str | Path,
        device: str = "auto",
        dtype: torch.dtype = torch.float32,
        adapter: Path | None = None,
    ) -> TextModel:
        """A model from a hub name or a folder. No code that comes with the weights is executed.

        Args:
            adapter: the folder of a LoRA adapter to merge into the model's weights.

        Raises:
            ValueError: there is no such device, no tokenizer, or weights are missing.
            OSError: there is no such model.
        """
        whole, tokenizer, merged = load_pretrained(name, dtype, adapter)
        module = encoder_of_pair(whole, "text")
        lens = cls(module, tokenizer, find_device(device))
        lens.other_half, lens.adapter = other_half(whole, module), merged
        return lens

    def trace(
        self,
        text: str,
        target: Target = None,
        edits: Edits | None = None,
        *,
        pair: str | None = None,
        chat: bool = False,
        marks: bool = True,
        source_language: str | None = None,
        target_language: str | None = None,
    ) -> Trace:
        """The trace of one pass: attention, hidden states and logits of every layer.

        Args:
            text: what the encoder reads, or a decoder-only model's prompt.
            target: encoder-decoder: the output to force, as text or as ids; decoder-only: what follows the prompt.
            edits: changes to the pass; None and `Edits()` change nothing.
            pair: a second sentence, for models trained on pairs: ids and token types as `tokenizer(text, pair)`.
            chat: read the text as a user's turn of the model's chat template.
            marks: read marks typed by hand, such as "[MASK]", as the marks; False spells them out.
            source_language, target_language: codes of a multilingual model, such as "fr_XX"; None for its own.

        Raises:
            InputError: a text is blank or too long, or an edit cannot be applied.
        """
        typed = TypedText(text, pair, chat, marks, source_language, target_language)
        return self.trace_batch([typed], [target], edits)[0]

    def trace_batch(
        self,
        texts: Sequence[str | TypedText],
        targets: Sequence[Target],
        edits: Edits | None = None,
    ) -> tuple[Trace, ...]:
        """Traces of several texts, run as one padded batch; those of shorter ones include "<pad>" tokens.

        With edits each text runs alone: edits name positions, which padding must not move.
        """
        if edits and len(texts) > 1:
            pairs = zip(texts, targets, strict=True)
            return tuple(self.trace_batch([text], [target], edits)[0] for text, target in pairs)
        inputs, encoded = self._inputs(texts, targets, plan := plan_edits(self, edits))
        # The continuation of a prompt reuses the keys and values of this pass.
        continues = [*targets] == [None] and self.writes and not self.is_encoder_decoder
        use_cache = continues and plan is None and self.uses_interface
        with torch.inference_mode(), apply_edits(plan), record() as recorded, slices():
            result = self.run(self.module, inputs, eager=not self.uses_interface, cached=use_cache)
        batch = TracedBatch(self, inputs, result, recorded, plan, edits or UNCHANGED)
        rows = zip(targets, encoded, strict=True)
        return tuple(batch.trace(row, target, one, continues=use_cache) for row, (target, one) in enumerate(rows))

    def _inputs(
        self, texts: Sequence[str | TypedText], targets: Sequence[Target], plan: EditPlan | None
    ) -> tuple[dict[str, Tensor], list[Encoding]]:
        """As `model.huggingface.inputs.encode_batch`."""
        return encode_batch(self, texts, targets, plan)

    def positions(self, stack: str | None = None) -> PositionScheme:
        """The positional encoding of a stack, "encoder" or "decoder"; by default of the one that reads the text."""
        if not self._schemes:  # two threads may both measure them; the results are equal
            self._schemes = measure_schemes(self)
        return self._schemes.get(stack or "", next(iter(self._schemes.values())))

    def run(self, module: Any, inputs: dict[str, Tensor], eager: bool, cached: bool = False) -> Any:
        """The library's output object of one pass of `module`, a copy of the model's, with all hidden states.

        Args:
            inputs: its keyword arguments; eager: return all weights, too; cached: return keys and values.
        """
        encoder = module.get_encoder() if self.is_encoder_decoder else None
        cache = {"use_cache": cached} if cached or takes_cache(module) else {}
        with name_attention_calls(encoder, self.single_stack, self.stage):
            return module(**inputs, output_hidden_states=True, output_attentions=eager, return_dict=True, **cache)

    def _detect_interface(self) -> None:
        """Set the attention implementation, and what its calls in a test pass show: heads, and the stack's kind."""
        found = detect_interface(self)
        self.uses_interface, self.single_stack = found.uses_interface, found.single_stack
        self.layer_index, self.hidden_kinds, self.trial_tokens = found.layer_index, found.hidden_kinds, found.tokens
        self.heads = found.heads if found.uses_interface else {}

    def dummy_inputs(self) -> dict[str, Tensor]:
        """A short input that runs every layer, with a token that repeats."""
        ids = trial_ids(self.config.get_text_config(), self.head, self.max_tokens).to(self.device)
        # With the mask of padding, as a text is read: some families build their causal mask of it alone (AIMv2).
        inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        return inputs | ({"decoder_input_ids": ids} if self.is_encoder_decoder else {})

    def notes(self) -> tuple[tuple[str, str], ...]:
        """Notes (id, detail) that hold for every trace of this model."""
        return model_notes(self)

    def verify(self, *run: Any, **options: Any) -> Check:
        """The verdict of `model.verification.references.huggingface_reference` on one sentence; see `verify_run`."""
        return verify_run(self, *run, **options)

    def find_projections(
        self, inputs: dict[str, Tensor], row: int, plan: EditPlan | None, recorded: RecordedLayer
    ) -> MultiHeadLayer | NotMultiHead:
        """The multi-head layer around a recorded call, from one more pass."""
        with apply_edits(plan):
            return projections.find_projections(
                self.module, partial(self.run, inputs=inputs, eager=False), row, recorded
            )

    def layers_of(self, result: Any, recorded: Record, rows: int) -> dict[str, list[list[RecordedLayer]]]:
        """Kind -> sentence of the batch -> layer."""
        if self.uses_interface:
            return recorded_layers(recorded, rows)
        return weights_only_layers(
            library_attentions(result, self.single_stack if not self.is_encoder_decoder else None), rows
        )

    def decode(self, text: str | TypedText, how: Decoding, edits: Edits | None = None) -> DecodingResult:
        """The output for a text, or its continuation, with a chosen decoding method."""
        encoded = encode(self.tokenizer, text, "text", self.max_tokens, model_limit=self.model_max_tokens)
        check_readable(self, encoded)
        start = output_start(self, as_typed(text).target_language) if self.is_encoder_decoder else None
        return generate(self, encoded.ids, how, plan_edits(self, edits), start=start)

    def labels(self, ids: Sequence[int], together: bool = False) -> tuple[str, ...]:
        """Readable label of each id on its own, told from the others; together: as tokens of one text."""
        return label_ids(self.tokenizer, ids).texts if together else labels_apart(self.tokenizer, ids)

    def guess(self, text: str | TypedText, position: int, edits: Edits | None = None) -> Array | None:
        """Logits [vocab] of a position whose token is masked; None where the model was not trained for that."""
        plan = plan_edits(self, edits)
        return guess(self, self._inputs([text], [None], plan)[0], position, plan)

    def outputs(
        self, text: str | TypedText, target: Target = None, edits: Edits | None = None, silenced: Sequence[Head] = ()
    ) -> tuple[Tensor, bool]:
        """Output for one text, from one pass or from one pass for each silenced head.

        Args:
            silenced: heads to silence, one a pass; empty for one pass without.

        Returns:
            Logits [pass, token, vocab] and True; without an output head the last hidden states [pass, token, d_model]
            and False.
        """
        plan = plan_edits(self, edits)
        return outputs(self, self._inputs([text], [target], plan)[0], plan, silenced)

    def layer_logits(
        self, text: str | TypedText, target: Target = None, edits: Edits | None = None
    ) -> Iterator[Tensor] | None:
        """Logits from each layer's states through the output head (logit lens, nostalgebraist 2020).

        Returns:
            Some layers at a time, [layer, token, vocab], from the embeddings up; None where the model has no output
            head.
        """
        plan = plan_edits(self, edits)
        return layer_logits(self, self._inputs([text], [target], plan)[0], plan)
