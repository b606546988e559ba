"""The sections of the Output page: decoding, its steps, the alignment of both texts, logit lens, masked tokens."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import streamlit as st

from model.generation.decoding import METHODS, Decoding, DecodingResult
from model.measures.probabilities import most_probable, probabilities
from model.trace.trace import Target, Trace
from viz.figures import changes as bars
from viz.figures import output as figures
from viz.figures.heads import head_heatmap
from viz.figures.lines import token_lines
from viz.figures.theme import Palette
from viz.frame import model_access, results, session
from viz.frame.option_row import option_row
from viz.language.messages import abbreviated, escape_markdown, say
from viz.widgets import charts, headings, pickers, save_menu

FORCED = "forced"
NUM_CANDIDATES = 10  # likeliest tokens drawn for a step
MAX_LENS_TOKENS = 48  # longest text for the logit lens, which computes [vocab] logits per layer and token


def pick_decoding() -> tuple[Decoding | None, str]:
    """The decoding method and its parameters, chosen by widgets; or None, and the output that the user typed."""
    method = option_row(say("output.method"), [*METHODS, FORCED], METHODS[0], "method")
    st.caption(say(f"output.{method}_why"))
    if method == FORCED:
        return None, st.text_input(say("output.forced"), key="forced_output", bind="query-params")
    decoding = Decoding(method)
    columns = st.columns(4)
    longest = columns[0].number_input(say("output.longest"), 1, 100, 20, key="longest", bind="query-params")
    if method == "sample":
        temperature = columns[1].slider(say("output.temperature"), 0.1, 3.0, 1.0, 0.1, key="t", bind="query-params")
        top_k = columns[2].number_input(say("output.top_k"), 0, 1000, 0, key="top_k", bind="query-params")
        top_p = columns[3].slider(say("output.top_p"), 0.05, 1.0, 1.0, 0.05, key="top_p", bind="query-params")
        seed = columns[0].number_input(say("output.seed"), 0, 10_000, 0, key="seed", bind="query-params")
        decoding = replace(decoding, temperature=temperature, top_k=int(top_k), top_p=top_p, seed=int(seed))
    if method == "beam":
        decoding = replace(
            decoding, beams=columns[1].slider(say("output.beams"), 1, 8, 4, key="beams", bind="query-params")
        )
    return replace(decoding, max_new_tokens=int(longest)), ""


def generated_trace(decoding: Decoding | None, forced: str) -> tuple[Trace, DecodingResult | None]:
    """The trace of the generated or typed output, and the result of decoding; None where the user wrote the output.

    Args:
        forced: the typed output.

    Raises:
        Halt: nothing was typed, and the page asks for it.
    """
    text = st.session_state.text
    if decoding is None:
        if not forced.strip():
            st.info(say("output.type_it"), icon=":material/edit:")
            raise session.Halt
        target: Target = (
            forced if model_access.open_model().is_encoder_decoder or forced[:1].isspace() else f" {forced}"
        )
        return results.traces((text,), (target,), edits=model_access.applied_edits(warn=True))[0], None
    decoded = results.decode(text, decoding)
    return results.traces((text,), (decoded.ids,), edits=model_access.applied_edits(warn=True))[0], decoded


def output_summary(trace: Trace, decoded: DecodingResult | None, palette: Palette) -> None:
    """Draw the output, the probability of each of its tokens, and the tree of a beam search.

    Args:
        trace: on the whole output; decoded: None where the user wrote it.
    """
    ids = trace.ids["decoder"]
    labels = model_access.open_model().labels(ids[trace.prompt_length :])
    with st.container(border=True):
        model_input, written = escape_markdown(abbreviated(trace.text)), escape_markdown(trace.output or "")
        st.markdown(f"**{model_input}** → **{written or say('changes.empty')}**")
        if decoded is not None:
            st.caption(say("output.ended" if decoded.ended else "output.cut"))
    headings.edits_and_notes(trace)
    if labels:
        assert trace.logits is not None
        rows = probabilities(trace.logits[trace.prompt_length - 1 : len(ids) - 1])
        chances = rows[np.arange(len(rows)), ids[trace.prompt_length :]]
        figure = figures.probability_bars(chances, labels, palette)
        mean_log2 = float(np.log2(chances).mean())
        charts.chart_with_menu(figure, "probabilities", say("output.probability_look", bits=f"{-mean_log2:.2f}"))
    if decoded is not None and decoded.tree:
        names = model_access.open_model().labels([node.token for node in decoded.tree])
        figure = figures.beam_tree(decoded.tree, names, _winning_path(decoded), palette)
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


def decoding_step(trace: Trace, palette: Palette) -> None:
    """Draw one decoding step: the tokens before it, the candidates, and the last token's attention in every head."""
    ids, lens = trace.ids["decoder"], model_access.open_model()
    labels = lens.labels(ids)
    steps = len(ids) - trace.prompt_length + 1
    if steps > 1:
        if st.session_state.get("step", 0) >= steps:
            del st.session_state["step"]
        step = st.slider(say("output.step_pick"), 0, steps - 1, 0, key="step", bind="query-params")
    else:
        step = 0
    row = trace.prompt_length - 1 + step
    st.markdown(say("output.so_far", tokens=" · ".join(escape_markdown(label) for label in labels[: row + 1][-30:])))
    assert trace.logits is not None
    chances = probabilities(trace.logits[row])
    best = most_probable(chances, NUM_CANDIDATES)
    next_label = labels[row + 1] if row + 1 < len(ids) else None
    left, right = st.columns([2, 3])
    with left:
        figure = bars.candidate_bars(
            chances[best], None, lens.labels(best.tolist()), palette, say("output.candidates_title", step=step)
        )
        charts.chart_with_menu(figure, "step_candidates", say("output.candidates_look"))
        if next_label is not None:
            chance = chances[ids[row + 1]]
            st.markdown(say("output.taken", token=escape_markdown(next_label), chance=f"{chance:.1%}"))
    with right:
        kinds = [kind for kind in trace.attentions if kind != "encoder"]
        attention = trace.attentions[option_row(say("pick.kind"), kinds, kinds[-1], "step_kind")]
        charts.chart_with_menu(figures.query_heatmap(attention, row, palette), "looks", say("output.looks_look"))


def cross_attention_alignment(trace: Trace, palette: Palette) -> None:
    """Draw one cross-attention head as lines and as a map; rows are labelled by input or predicted token."""
    attention = trace.attentions.get("cross")
    if attention is None:
        return
    st.header(say("output.alignment"), anchor=False)
    labels_by = option_row(say("output.rows_by"), ("fed", "predicted"), "fed", "rows_by")
    st.caption(say("output.rows_why"))
    columns = st.columns(2)
    chosen = {}
    for column, field, count in (
        (columns[0], "layer", attention.num_layers),
        (columns[1], "head", attention.num_heads),
    ):
        start = min(pickers.default_head("cross")[field == "head"], count - 1)
        chosen[field] = column.selectbox(
            say(f"pick.{field}"), range(count), start, key=f"cross_{field}", bind="query-params"
        )
    if labels_by == "predicted" and trace.predicted is not None:
        predicted = (*model_access.open_model().labels(trace.ids["decoder"][1:]), trace.predicted[-1])
        queries = replace(attention.queries, texts=predicted, special=(False,) * len(predicted), inside_word=())
        attention = replace(attention, queries=queries)
    left, right = st.columns(2)
    with left:
        figure = token_lines(attention, chosen["layer"], chosen["head"], palette)
        table = save_menu.weights_table(attention, chosen["layer"], chosen["head"])
        charts.chart_with_menu(figure, "alignment_lines", say("heads.lines_look"), table=table)
    with right:
        figure = head_heatmap(attention, chosen["layer"], chosen["head"], palette)
        charts.chart_with_menu(figure, "alignment_map", say("output.alignment_look"))


def logit_lens(trace: Trace, palette: Palette) -> None:
    """Draw the likeliest token of each layer's hidden states through the output head; see `results.logit_lens`."""
    stack = list(trace.tokens)[-1]
    st.header(say("output.lens"), anchor=False)
    st.markdown(say("output.lens_why"))
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
    ids, chances = readout
    labels = model_access.open_model().labels(ids.ravel().tolist())
    best = [labels[i * ids.shape[1] : (i + 1) * ids.shape[1]] for i in range(len(ids))]
    names = [tokens.name(i) for i in range(len(tokens))]
    charts.chart_with_menu(figures.logit_lens(chances, best, names, palette), "lens", say("output.lens_look"))


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
    chances = probabilities(logits)
    best = most_probable(chances, NUM_CANDIDATES)
    labels = model_access.open_model().labels(best.tolist())
    title = say("output.guess_title", place=place)
    charts.chart_with_menu(
        bars.candidate_bars(chances[best], None, labels, palette, title), "guesses", say("output.guess_look")
    )
    hidden = trace.ids["encoder"][place]
    st.markdown(say("output.guess_true", token=escape_markdown(tokens.texts[place]), chance=f"{chances[hidden]:.1%}"))
