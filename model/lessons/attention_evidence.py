"""Measurements of attention maps, head outputs and values, for the claims of lessons."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from model.arrays.types import Array
from model.assets import ASSETS
from model.lessons.claim_fields import ClaimFields, claim_attention, claim_row, claim_trace, token_position
from model.maps.entropy import entropy_bits
from model.measures.copying import coverage
from model.measures.heads.head_characters import head_characters
from model.measures.heads.head_roles import role_scores, special_mass, token_positions
from model.measures.heads.head_steps import HeadSteps, head_steps
from model.measures.hidden_states import cosine_similarities
from model.measures.structure.atom_map import MappedAtoms, atom_tokens, mapped_atoms
from model.measures.structure.contacts import ContactPrecision, contact_precision
from model.measures.structure.linked_tokens import Followed, follows, linked_program
from model.measures.structure.track_shares import TrackShares, track_shares
from model.structures.clip_tracks import covered_patches, read_tracks
from model.structures.protein import bundled, known_structure
from model.structures.reaction import known_map, read_reaction
from model.tokenization.text_layout import place_tokens, sentences
from model.trace.attention import Attention
from model.trace.lens import Lens


def weight(lens: Lens, claim: ClaimFields) -> float:
    """Attention weight of `query` on `key`."""
    attention, row = claim_row(lens, claim)
    return float(row[token_position(attention.keys, claim["key"])])


def strongest_key(lens: Lens, claim: ClaimFields) -> str:
    """The key token with the largest weight in the row of `query`."""
    attention, row = claim_row(lens, claim)
    return attention.key_tokens[int(row.argmax())]


def strongest_keys_of_all_heads(lens: Lens, claim: ClaimFields) -> list[str]:
    """The key token with the largest weight in the row of `query`, for each head of all layers."""
    attention = claim_attention(lens, claim)
    query = token_position(attention.queries, claim["query"])
    best = [attention.weights(layer)[:, query].argmax(-1) for layer in range(attention.num_layers)]
    return [attention.key_tokens[int(key)] for row in best for key in row]


def track_share(lens: Lens, claim: ClaimFields) -> float:
    """Of what patches on a known track look at beside themselves, the share on the same track."""
    return float(_tracks(lens, claim).shares[claim["layer"], claim["head"]])


def even_track_share(lens: Lens, claim: ClaimFields) -> float:
    """What `track_share` would be if every patch looked everywhere alike."""
    return _tracks(lens, claim).chance


def _tracks(lens: Lens, claim: ClaimFields) -> TrackShares:
    trace = claim_trace(lens, claim)
    if trace.picture is None:
        raise KeyError("the model sees no clip")
    tracks = read_tracks(trace.text, trace.picture.frames)
    return track_shares(trace.attentions[claim["kind"]], covered_patches(tracks, trace.picture))


def mapped_product_atoms(lens: Lens, claim: ClaimFields) -> int:
    """Number of product atoms of a known reaction that look most at the atom they come from."""
    return int(_mapped(lens, claim).hits[claim["layer"], claim["head"]])


def mapped_in_order(lens: Lens, claim: ClaimFields) -> int:
    """How many of them the first free atom of the same element would get right."""
    return _mapped(lens, claim).in_order


def _mapped(lens: Lens, claim: ClaimFields) -> MappedAtoms:
    attention, reaction = claim_attention(lens, claim), read_reaction(claim["text"])
    tokens, true = atom_tokens(attention.queries, claim["text"], reaction), known_map(claim["text"])
    if tokens is None or true is None:
        raise KeyError("the map of this reaction is not known")
    return mapped_atoms(attention, reaction, tokens, true)


def touching_pairs(lens: Lens, claim: ClaimFields) -> int:
    """Of a head's strongest pairs of residues, as many as there are residues, how many touch in the known structure."""
    return int(_contacts(lens, claim).hits[claim["layer"], claim["head"]])


def nearest_touching_pairs(lens: Lens, claim: ClaimFields) -> int:
    """How many of as many pairs touch that are nearest in the chain."""
    return _contacts(lens, claim).nearest


def _contacts(lens: Lens, claim: ClaimFields) -> ContactPrecision:
    attention, known = claim_attention(lens, claim), known_structure(claim["text"], bundled())
    residues = token_positions(attention.queries, specials=False)
    if known is None or len(residues) != len(known.sequence):
        raise KeyError("the structure of this protein is not known")
    return contact_precision(attention, residues, known.contacts)


def character_share(lens: Lens, claim: ClaimFields) -> float:
    """Share of a head's attention that goes where its character says: "copies", "induction", … as `what` names it."""
    return float(_character(lens, claim)[claim["layer"], claim["head"]])


def best_character_share(lens: Lens, claim: ClaimFields) -> float:
    """The largest `character_share` of all heads of a kind."""
    return float(np.nanmax(_character(lens, claim)))


def _character(lens: Lens, claim: ClaimFields) -> Array:
    trace, kind = claim_trace(lens, claim), claim["kind"]
    ids = trace.ids.get("encoder" if kind == "encoder" else "decoder")
    found = {one.name: one.share for one in head_characters(trace.attentions[kind], ids)}
    return found[claim["what"]]


def covered_share(lens: Lens, claim: ClaimFields) -> float:
    """Share of a layer's cross-attention, mean of its heads, on one sentence of the source; `part` counts from 0."""
    trace = claim_trace(lens, claim)
    attention = trace.attentions["cross"]
    placed = place_tokens(attention.keys, trace.text)
    weights = attention.weights(claim["layer"]).mean(axis=0)
    shares, _ = coverage(weights, sentences(placed), [not one.special for one in placed])
    return float(shares[claim["part"]])


def links_followed(lens: Lens, claim: ClaimFields) -> int:
    """Number of links of a `relation` of a program that a head follows."""
    return int(_followed(lens, claim).hits[claim["layer"], claim["head"]])


def links_followed_best(lens: Lens, claim: ClaimFields) -> int:
    """The most that any head follows, less what the best fixed offset does."""
    found = _followed(lens, claim)
    return int(found.hits.max()) - found.offset_hits


def _followed(lens: Lens, claim: ClaimFields) -> Followed:
    trace = claim_trace(lens, claim)
    text = f"{trace.text}{trace.output or ''}"
    links = linked_program(text, trace.tokens["decoder"], causal=True).links
    return follows(trace.attentions["decoder"], links[claim["relation"]], (0,))


def row_entropy(lens: Lens, claim: ClaimFields) -> float:
    """Entropy of the row of `query` in bits; the mean over all rows where the claim has no `query`."""
    if "query" in claim:
        return float(entropy_bits(claim_row(lens, claim)[1]))
    return float(entropy_bits(claim_attention(lens, claim).weights(claim["layer"])[claim["head"]]).mean())


def row_sum(lens: Lens, claim: ClaimFields) -> float:
    """Sum of the row of `query`, rounded to five decimals."""
    return round(float(claim_row(lens, claim)[1].sum()), 5)


def largest_future_weight(lens: Lens, claim: ClaimFields) -> float:
    """The largest weight that any head of any layer gives a later token; 0 under a causal mask."""
    attention = claim_attention(lens, claim)
    return max(float(np.triu(attention.weights(i), 1).max()) for i in range(attention.num_layers))


def masked_cells(lens: Lens, claim: ClaimFields) -> int:
    """Number of cells that the mask of a layer forbids."""
    return int((~claim_attention(lens, claim).mask(claim["layer"])).sum())


def special_token_mass(lens: Lens, claim: ClaimFields) -> float:
    """Share of a head's attention on special tokens, from 0 to 1."""
    return special_mass(claim_attention(lens, claim), claim["layer"], claim["head"])


def role_score(lens: Lens, claim: ClaimFields) -> float:
    """Mean weight of a head on the "previous", "same" or "next" token, as `role` says."""
    return float(role_scores(claim_attention(lens, claim), claim["layer"])[claim["role"]][claim["head"]])


def strongest_role(lens: Lens, claim: ClaimFields) -> float:
    """Share of typed tokens that look hardest at the "previous", "same" or "next" one, as `role` says, in a head.

    Raises:
        KeyError: no typed token has such a neighbour.
    """
    attention = claim_attention(lens, claim)
    offset = {"previous": -1, "same": 0, "next": 1}[claim["role"]]
    strongest = attention.weights(claim["layer"])[claim["head"]].argmax(-1)
    queries = [
        i for i in token_positions(attention.queries, specials=False) if 0 <= i + offset < len(attention.key_tokens)
    ]
    if not queries:
        raise KeyError(f"no token has a {claim['role']} one")
    return float(np.mean([strongest[i] == i + offset for i in queries]))


def heads_on_first_token(lens: Lens, claim: ClaimFields) -> float:
    """Share of all heads of a kind that give the first token more than half of their attention.

    The mean over the rows that may look at other tokens.

    Raises:
        KeyError: the text has one token only.
    """
    attention = claim_attention(lens, claim)
    if len(attention.query_tokens) < 2:
        raise KeyError("one token has no other to look at")
    means = [attention.weights(layer)[:, 1:, 0].mean(-1) for layer in range(attention.num_layers)]
    return float((np.stack(means) > 0.5).mean())


def cell_step(lens: Lens, claim: ClaimFields) -> float:
    """The "dots", "scaled" or "weights" of one cell, as `number` says, rounded to two decimals."""
    attention, steps = _head_steps(lens, claim)
    return round(float(getattr(steps, claim["number"])[token_position(attention.keys, claim["key"])]), 2)


def output_value_similarity(lens: Lens, claim: ClaimFields) -> float:
    """Cosine similarity of a head's output for `query` and its value of `key`."""
    attention, steps = _head_steps(lens, claim)
    pair = np.stack([steps.output, steps.values[token_position(attention.keys, claim["key"])]])
    return float(cosine_similarities(pair)[0, 1])


def relative_value_norm(lens: Lens, claim: ClaimFields) -> float:
    """Norm of a head's value of `key`, divided by the mean norm of its other values."""
    attention = claim_attention(lens, claim)
    norms = np.linalg.norm(attention.value(claim["layer"])[claim["head"]], axis=-1)
    position = token_position(attention.keys, claim["key"])
    return float(norms[position] / np.delete(norms, position).mean())


def alignment_accuracy(lens: Lens, claim: ClaimFields) -> float:
    """Share of words whose aligned source word has a head's largest weight when the word is fed in."""
    head = (claim["layer"], claim["head"])
    return next(float(one["fed_in"]) for one in _alignment_scores() if (one["layer"], one["head"]) == head)


def best_alignment_head(lens: Lens, claim: ClaimFields) -> tuple[int, int]:
    """Layer and head with the largest `alignment_accuracy`."""
    best = max(_alignment_scores(), key=lambda one: float(one["fed_in"]))
    return best["layer"], best["head"]


def _head_steps(lens: Lens, claim: ClaimFields) -> tuple[Attention, HeadSteps]:
    """The attention of a claim, and all steps of the formula for its `query`."""
    attention = claim_attention(lens, claim)
    query = token_position(attention.queries, claim["query"])
    return attention, head_steps(attention, claim["layer"], claim["head"], query)


def _alignment_scores() -> list[dict[str, Any]]:
    """Scores of each cross-attention head of the bundled model, measured by `model.translator.scoring`."""
    scores: list[dict[str, Any]] = json.loads((ASSETS / "en-fr" / "scores.json").read_text())["alignment"]
    return scores
