"""Small random models of many families, opened without files."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from model.huggingface.text_model import TextModel

WORDS = ["the", "cat", "sat", "on", "a", "mat", "because", "it", "was", "tired", "le", "chat", "était", "assis", "then"]
TEXT, TARGET = "the cat sat on the mat because the cat was tired", "le chat était assis"
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
GROUPED = {**SMALL, "num_key_value_heads": 2, "head_dim": 8}
GPT = {"n_embd": 32, "n_layer": 2, "n_head": 4}
PAIR = {"d_model": 32, "encoder_layers": 3, "decoder_layers": 2, "encoder_attention_heads": 4}
PAIR |= {"decoder_attention_heads": 4, "encoder_ffn_dim": 37, "decoder_ffn_dim": 37, "decoder_start_token_id": 2}
PAIR |= {"forced_eos_token_id": None}
T5 = {"d_model": 32, "d_kv": 8, "d_ff": 37, "num_layers": 3, "num_decoder_layers": 2, "num_heads": 4}
OPT = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "ffn_dim": 48, "word_embed_proj_dim": 32}
DISTIL = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 37}
MOE = {**GROUPED, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16, "decoder_sparse_step": 1}
HYBRID = {**GROUPED, "layer_types": ["full_attention", "conv"]}
SANDWICH = "attention both 0, feed_forward both 1"
BEFORE, AFTER = "attention before 0, feed_forward before 1", "attention after 0, feed_forward after 1"
PARALLEL = "attention before 0, feed_forward before 0"
DECODER_BEFORE = "attention before 0, cross_attention before 1, feed_forward before 2"
DECODER_AFTER = "attention after 0, cross_attention after 1, feed_forward after 2"

# family: (classes begin with, head class ends with, sizes, kind, norm and state read of each box of the last layer)
FAMILIES: dict[str, tuple[str, str, dict[str, Any], str]] = {
    "bert": ("Bert", "ForMaskedLM", SMALL, AFTER),
    "roberta": ("Roberta", "ForMaskedLM", SMALL, AFTER),
    "albert": ("Albert", "ForMaskedLM", {**SMALL, "embedding_size": 16}, AFTER),
    "distilbert": ("DistilBert", "ForMaskedLM", DISTIL, AFTER),
    "deberta": ("DebertaV2", "ForMaskedLM", SMALL, AFTER),
    "modernbert": ("ModernBert", "ForMaskedLM", SMALL, BEFORE),
    "gpt2": ("GPT2", "LMHeadModel", GPT, BEFORE),
    "gpt-bigcode": ("GPTBigCode", "ForCausalLM", GPT, BEFORE),
    "gpt-j": ("GPTJ", "ForCausalLM", {**GPT, "rotary_dim": 4}, PARALLEL),
    "gpt-neox": ("GPTNeoX", "ForCausalLM", SMALL, PARALLEL),
    "phi": ("Phi", "ForCausalLM", SMALL, PARALLEL),
    "falcon": ("Falcon", "ForCausalLM", {**SMALL, "alibi": False}, PARALLEL),
    "cohere": ("Cohere", "ForCausalLM", GROUPED, PARALLEL),
    "opt": ("OPT", "ForCausalLM", OPT, BEFORE),
    "bloom": ("Bloom", "ForCausalLM", {"hidden_size": 32, "n_layer": 2, "n_head": 4}, BEFORE),
    "mpt": ("Mpt", "ForCausalLM", {"d_model": 32, "n_heads": 4, "n_layers": 2, "max_seq_len": 64}, BEFORE),
    "llama": ("Llama", "ForCausalLM", GROUPED, BEFORE),
    "qwen3": ("Qwen3", "ForCausalLM", GROUPED, BEFORE),
    "granite": ("Granite", "ForCausalLM", {**GROUPED, "residual_multiplier": 0.3, "embedding_multiplier": 2.0}, BEFORE),
    "stablelm": ("StableLm", "ForCausalLM", GROUPED, BEFORE),
    "gemma": ("Gemma", "ForCausalLM", GROUPED, BEFORE),
    "gemma2": ("Gemma2", "ForCausalLM", {**GROUPED, "final_logit_softcapping": 1.0}, SANDWICH),
    "glm4": ("Glm4", "ForCausalLM", GROUPED, SANDWICH),
    "olmo2": ("Olmo2", "ForCausalLM", GROUPED, AFTER),
    "qwen3-moe": ("Qwen3Moe", "ForCausalLM", MOE, "attention before 0, experts before 1"),
    "lfm2": ("Lfm2", "ForCausalLM", HYBRID, "other before 0, feed_forward before 1"),
    "bart": ("Bart", "ForConditionalGeneration", PAIR, DECODER_AFTER),
    "marian": ("Marian", "MTModel", PAIR, DECODER_AFTER),
    "pegasus": ("Pegasus", "ForConditionalGeneration", PAIR, DECODER_BEFORE),
    "t5": ("T5", "ForConditionalGeneration", {**T5, "decoder_start_token_id": 0}, DECODER_BEFORE),
}  # fmt: skip


def tokenizer() -> PreTrainedTokenizerFast:
    """One token a word."""
    vocabulary = {word: i for i, word in enumerate(["<pad>", "<s>", "</s>", "<mask>", "<unk>", *WORDS])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    marks = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "mask_token": "<mask>"}
    return PreTrainedTokenizerFast(tokenizer_object=made, unk_token="<unk>", model_max_length=40, **marks)


@cache
def small_model(family: str) -> TextModel:
    """An opened model of a family, for whoever only reads it, the same one each time; see `new_model`."""
    return new_model(family)


def new_model(family: str) -> TextModel:
    """An opened model of a family; its weights are large enough that every box matters."""
    name, head, sizes, _ = FAMILIES[family]
    pieces = tokenizer()
    marks = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    torch.manual_seed(3)
    config = getattr(transformers, f"{name}Config")(vocab_size=len(pieces), **(marks | sizes))
    module = getattr(transformers, name + head)(config)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.dim() > 1:
                parameter.mul_(3)
            else:
                parameter.add_(0.1 * torch.randn_like(parameter))  # gains and biases that do something
    return TextModel(module, pieces, "cpu")
