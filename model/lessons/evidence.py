"""The sorts of claims that lessons can make, each with the function that measures it on a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from model.lessons import attention_evidence, model_evidence
from model.lessons.claim_fields import ClaimFields
from model.trace.lens import Lens

# Keys are the values of `sort` in lesson files; `assets/lessons/README.md` lists the fields that each needs.
MEASURES: Mapping[str, Callable[[Lens, ClaimFields], Any]] = {
    "weight": attention_evidence.weight,
    "strongest": attention_evidence.strongest_key,
    "strongest_anywhere": attention_evidence.strongest_keys_of_all_heads,
    "entropy": attention_evidence.row_entropy,
    "row_sum": attention_evidence.row_sum,
    "ahead": attention_evidence.largest_future_weight,
    "forbidden": attention_evidence.masked_cells,
    "sinks": attention_evidence.special_token_mass,
    "touching": attention_evidence.touching_pairs,
    "touching_nearest": attention_evidence.nearest_touching_pairs,
    "does": attention_evidence.character_share,
    "does_most": attention_evidence.best_character_share,
    "covered": attention_evidence.covered_share,
    "links": attention_evidence.links_followed,
    "links_ahead": attention_evidence.links_followed_best,
    "from_source": model_evidence.source_words,
    "hidden": model_evidence.guessed_when_hidden,
    "mapped": attention_evidence.mapped_product_atoms,
    "mapped_in_order": attention_evidence.mapped_in_order,
    "on_track": attention_evidence.track_share,
    "on_track_evenly": attention_evidence.even_track_share,
    "role": attention_evidence.role_score,
    "follows": attention_evidence.strongest_role,
    "first_token": attention_evidence.heads_on_first_token,
    "output": model_evidence.output,
    "same_output": model_evidence.same_output,
    "tokens": model_evidence.stack_tokens,
    "count": model_evidence.token_count,
    "chance": model_evidence.top_probability,
    "next_token": model_evidence.predicted_token,
    "likely": model_evidence.next_token_probability,
    "likeness": model_evidence.token_similarity,
    "adds": model_evidence.added_share,
    "kept": model_evidence.embedding_similarity,
    "firing": model_evidence.active_neurons,
    "lens_token": model_evidence.logit_lens_token,
    "last_layer": model_evidence.answered_by_last_layer,
    "arithmetic": attention_evidence.cell_step,
    "same_as_value": attention_evidence.output_value_similarity,
    "value_size": attention_evidence.relative_value_norm,
    "matters": model_evidence.silencing_effect,
    "matters_most": model_evidence.most_effective_head,
    "aligned": attention_evidence.alignment_accuracy,
    "best_aligner": attention_evidence.best_alignment_head,
    "near_places": model_evidence.position_similarity,
    "shape": model_evidence.model_size,
    "counted": model_evidence.sequential_calls,
}
