"""What stands below the steps: how likely each token was, the alignment of both texts, logit lens, masked tokens."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import streamlit as st

from model.measures.probabilities import most_probable, probabilities
from model.trace.check import Probe
from model.trace.decoding import DecodingResult
from model.trace.trace import Trace
from viz.figures import changes as bars
from viz.figures import output as figures
from viz.figures.heads import head_heatmap
from viz.figures.lines import token_lines
from viz.figures.theme import Palette
from viz.frame import model_access
from viz.frame.option_row import option_row
from viz.frame.shown_run import results
from viz.language.messages import escape_markdown, say
from viz.sections.output import player
from viz.widgets import charts, page_check, pickers
from viz.widgets.menus import save_menu

MAX_LENS_TOKENS = 48  # longest text for the logit lens, which computes [vocab] logits per layer and token


def output_summary(trace: Trace, decoded: DecodingResult | None, seen: pickers.SelectedHead, palette: Palette) -> None:
    """Draw the probability of each written token, beside it where each comes from, and the tree of a beam search.

    Args:
        trace: on the whole output; decoded: None where the user wrote it.
        seen: the head that aligns both texts, where it is one of cross-attention.
    """
    ids = trace.ids["decoder"]
    labels = model_access.open_model().labels(ids[trace.prompt_length :], together=True)
    aligned = seen.attention.kind == "cross"
    left, right = st.columns([1, 2] if aligned else [1, 0.01], gap="small")
    with left:
        if labels:
            assert trace.logits is not None
            rows = probabilities(trace.logits[trace.prompt_length - 1 : len(ids) - 1])
            chances = rows[np.arange(len(rows)), ids[trace.prompt_length :]]
            figure = figures.probability_bars(chances, labels, range(trace.prompt_length, len(ids)), palette)
            bits = f"{-float(np.log2(chances).mean()):.2f}"
            charts.chart_with_menu(figure, "probabilities", say("output.probability_look", bits=bits))
    if aligned:
        with right:
            _alignment(trace, seen, palette)
    if decoded is not None and decoded.tree:
        names = model_access.open_model().labels([node.token for node in decoded.tree])
        figure = figures.beam_tree(decoded.tree, names, _winning_path(decoded), palette)
        with st.expander(say("output.tree_title"), icon=":material/account_tree:"):
            charts.chart_with_menu(figure, "tree", say("output.tree_look"))


def _winning_path(decoded: DecodingResult) -> list[int]:
    """Indices of the beam search's nodes from the root to the end of the chosen output; empty if it has not ended."""
    ended = [i for i, node in enumerate(decoded.tree) if node.fate == "ended"]

    def path(i: int) -> list[int]:
        return [*(path(decoded.tree[i].parent) if decoded.tree[i].parent >= 0 else []), i]

    def ids(nodes: list[int]) -> tuple[int, ...]:
        tokens = tuple(decoded.tree[i].token for i in nodes)
        return tokens[:-1] if decoded.ended else tokens

    return next((path(i) for i in ended if ids(path(i)) == decoded.ids), [])


def _alignment(trace: Trace, seen: pickers.SelectedHead, palette: Palette) -> None:
    """Draw one cross-attention head as lines and as a map; rows are labelled by input or predicted token."""
    attention = seen.attention
    rows = option_row(say("output.rows_by"), ("fed", "predicted"), "fed", "rows_by", help=say("output.rows_why"))
    if rows == "predicted" and trace.predicted is not None:
        predicted = (*model_access.open_model().labels(trace.ids["decoder"][1:], together=True), trace.predicted[-1])
        queries = replace(attention.queries, texts=predicted, special=(False,) * len(predicted), inside_word=())
        attention = replace(attention, queries=queries)
    left, right = st.columns([5, 3], gap="small")
    heatmap = head_heatmap(attention, seen.layer, seen.head, palette, fit=True)
    with left:
        charts.chart_with_menu(heatmap, "alignment_map", say("output.alignment_look"))
    with right:
        figure = token_lines(attention, seen.layer, seen.head, palette, beside=heatmap)
        table = save_menu.weights_table(attention, seen.layer, seen.head)
        charts.chart_with_menu(figure, "alignment_lines", say("heads.lines_look"), table=table)


def logit_lens(trace: Trace, palette: Palette) -> None:
    """Draw the likeliest token of each layer's hidden states through the output head; see `results.logit_lens`."""
    stack = list(trace.tokens)[-1]
    st.header(say("output.lens"), anchor=False, help=say("output.lens_why"))
    tokens = trace.tokens[stack]
    if trace.logits is None:
        st.info(say("output.no_head"), icon=":material/info:")
        return
    if len(tokens) > MAX_LENS_TOKENS:
        st.info(say("output.lens_long", most=MAX_LENS_TOKENS), icon=":material/info:")
        return
    target = trace.ids[stack][trace.prompt_length :] if stack == "decoder" else None
    readout = results.logit_lens(model_access.model_input(), target)
    if readout is None:
        st.info(say("output.no_head"), icon=":material/info:")
        return
    page_check.claim(trace, "lens", Probe(lens=readout))
    most, first = figures.MAX_LABELLED_COLUMNS, 0
    if len(tokens) > most:  # each cell needs room for its word
        start = min(max(trace.prompt_length - 1, 0), len(tokens) - most)
        key = f"lens_first_{len(tokens)}"
        first = st.slider(say("output.lens_first"), 0, len(tokens) - most, start, key=key, width=400)
    shown = range(first, min(first + most, len(tokens)))
    ids, chances = (part[:, shown.start : shown.stop] for part in readout)
    labels = model_access.open_model().labels(ids.ravel().tolist())
    best = [labels[i * ids.shape[1] : (i + 1) * ids.shape[1]] for i in range(len(ids))]
    names = [tokens.name(i) for i in shown]
    figure = figures.logit_lens(chances, best, names, (stack, shown), palette)
    charts.chart_with_menu(figure, "lens", say("output.lens_look"))


def masked_token(trace: Trace, palette: Palette) -> None:
    """Draw what a masked language model predicts where one token, chosen by a widget, is masked."""
    st.header(say("output.guess"), anchor=False)
    tokens = trace.tokens["encoder"]
    if trace.logits is None or results.masked_token_logits(model_access.model_input(), min(1, len(tokens) - 1)) is None:
        st.info(say("output.no_guess"), icon=":material/info:")
        return
    st.markdown(say("output.guess_why"))
    place = pickers.pick_token(tokens, say("output.guess_pick"), "guess", start=1)
    logits = results.masked_token_logits(model_access.model_input(), place)
    assert logits is not None
    page_check.claim(trace, "guess", Probe(guess=(place, logits)))
    chances = probabilities(logits)
    best = most_probable(chances, player.NUM_CANDIDATES)
    labels = model_access.open_model().labels(best.tolist())
    title = say("output.guess_title", place=place)
    charts.chart_with_menu(
        bars.candidate_bars(chances[best], None, labels, palette, title), "guesses", say("output.guess_look")
    )
    hidden = trace.ids["encoder"][place]
    true = say("output.guess_true", token=escape_markdown(tokens.texts[place]), chance=f"{chances[hidden]:.1%}")
    charts.noted_markdown(true, "guesses")
