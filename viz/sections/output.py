"""The sections of the Output page: how tokens are chosen, one step at a time, the logit lens, and masked words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import streamlit as st

from model.generation.decoding import METHODS, Decoded, Decoding
from model.measures.probabilities import likeliest, probabilities
from model.trace.trace import Target, Trace
from viz.figures import changes as bars
from viz.figures import output as figures
from viz.figures.heads import head_heatmap
from viz.figures.lines import token_lines
from viz.figures.theme import Palette
from viz.frame import results, session
from viz.frame.option_row import choice
from viz.language.messages import brief, plain, say
from viz.widgets import charts, headings, pickers, save_menu

FORCED = "forced"
SHOWN = 10  # candidates of a step
LONGEST_LENS = 48  # tokens up to which the logit lens is worked out: a row of the vocabulary a layer and token


def choose() -> tuple[Decoding | None, str]:
    """Ask how the output is to be written; None and a text where the reader writes it."""
    method = choice(say("output.method"), [*METHODS, FORCED], METHODS[0], "method")
    st.caption(say(f"output.{method}_why"))
    if method == FORCED:
        return None, st.text_input(say("output.forced"), key="forced_output", bind="query-params")
    how = Decoding(method)
    columns = st.columns(4)
    longest = columns[0].number_input(say("output.longest"), 1, 100, 20, key="longest", bind="query-params")
    if method == "sample":
        temperature = columns[1].slider(say("output.temperature"), 0.1, 3.0, 1.0, 0.1, key="t", bind="query-params")
        top_k = columns[2].number_input(say("output.top_k"), 0, 1000, 0, key="top_k", bind="query-params")
        top_p = columns[3].slider(say("output.top_p"), 0.05, 1.0, 1.0, 0.05, key="top_p", bind="query-params")
        seed = columns[0].number_input(say("output.seed"), 0, 10_000, 0, key="seed", bind="query-params")
        how = replace(how, temperature=temperature, top_k=int(top_k), top_p=top_p, seed=int(seed))
    if method == "beam":
        how = replace(how, beams=columns[1].slider(say("output.beams"), 1, 8, 4, key="beams", bind="query-params"))
    return replace(how, longest=int(longest)), ""


def written(how: Decoding | None, forced: str) -> tuple[Trace, Decoded | None]:
    """The run of what was written, and how it was found where it was not the reader who wrote it."""
    text = st.session_state.text
    if how is None:
        if not forced.strip():
            st.info(say("output.type_it"), icon=":material/edit:")
            raise session.Halt
        target: Target = forced if session.lens().is_pair or forced[:1].isspace() else f" {forced}"
        return session.batch((text,), (target,), edits=session.edits(warn=True))[0], None
    decoded = results.decode(text, how)
    return session.batch((text,), (decoded.ids,), edits=session.edits(warn=True))[0], decoded


def whole(trace: Trace, decoded: Decoded | None, palette: Palette) -> None:
    """The output, how likely each of its tokens was, and the tree of a beam search."""
    ids = trace.ids["decoder"]
    labels = session.lens().labels(ids[trace.given :])
    with st.container(border=True):
        st.markdown(f"**{plain(brief(trace.text))}** → **{plain(trace.output or '') or say('changes.empty')}**")
        if decoded is not None:
            st.caption(say("output.ended" if decoded.ended else "output.cut"))
    headings.told(trace)
    if labels:
        assert trace.logits is not None
        rows = probabilities(trace.logits[trace.given - 1 : len(ids) - 1])
        chances = rows[np.arange(len(rows)), ids[trace.given :]]
        drawn = figures.probabilities(chances, labels, palette)
        mean = float(np.log2(chances).mean())
        charts.draw(drawn, "probabilities", say("output.probability_look", bits=f"{-mean:.2f}"))
    if decoded is not None and decoded.tree:
        names = session.lens().labels([node.token for node in decoded.tree])
        drawn = figures.beam_tree(decoded.tree, names, _way(decoded), palette)
        charts.draw(drawn, "tree", say("output.tree_look"))


def _way(decoded: Decoded) -> list[int]:
    """The nodes of the text that won, found from its end."""
    ended = [i for i, node in enumerate(decoded.tree) if node.fate == "ended"]

    def way(i: int) -> list[int]:
        return [*(way(decoded.tree[i].parent) if decoded.tree[i].parent >= 0 else []), i]

    def ids(nodes: list[int]) -> tuple[int, ...]:
        tokens = tuple(decoded.tree[i].token for i in nodes)
        return tokens[:-1] if decoded.ended else tokens

    return next((way(i) for i in ended if ids(way(i)) == decoded.ids), [])


def step_by_step(trace: Trace, palette: Palette) -> None:
    """One step: the tokens so far, the candidates, and what every head looked at to choose."""
    ids, lens = trace.ids["decoder"], session.lens()
    labels = lens.labels(ids)
    steps = len(ids) - trace.given + 1
    if steps > 1:
        if st.session_state.get("step", 0) >= steps:
            del st.session_state["step"]
        step = st.slider(say("output.step_pick"), 0, steps - 1, 0, key="step", bind="query-params")
    else:
        step = 0
    row = trace.given - 1 + step
    st.markdown(say("output.so_far", tokens=" · ".join(plain(label) for label in labels[: row + 1][-30:])))
    assert trace.logits is not None
    chances = probabilities(trace.logits[row])
    best = likeliest(chances, SHOWN)
    taken = labels[row + 1] if row + 1 < len(ids) else None
    left, right = st.columns([2, 3])
    with left:
        drawn = bars.candidates(
            chances[best], None, lens.labels(best.tolist()), palette, say("output.candidates_title", step=step)
        )
        charts.draw(drawn, "step_candidates", say("output.candidates_look"))
        if taken is not None:
            chance = chances[ids[row + 1]]
            st.markdown(say("output.taken", token=plain(taken), chance=f"{chance:.1%}"))
    with right:
        kinds = [kind for kind in trace.attentions if kind != "encoder"]
        attention = trace.attentions[choice(say("pick.kind"), kinds, kinds[-1], "step_kind")]
        charts.draw(figures.looks(attention, row, palette), "looks", say("output.looks_look"))


def alignment(trace: Trace, palette: Palette) -> None:
    """One head between two sentences, its rows named by the token fed in or by the one that was predicted."""
    attention = trace.attentions.get("cross")
    if attention is None:
        return
    st.header(say("output.alignment"), anchor=False)
    by = choice(say("output.rows_by"), ("fed", "predicted"), "fed", "rows_by")
    st.caption(say("output.rows_why"))
    columns = st.columns(2)
    kept = {}
    for column, field, count in (
        (columns[0], "layer", attention.num_layers),
        (columns[1], "head", attention.num_heads),
    ):
        start = min(pickers.opens_at("cross")[field == "head"], count - 1)
        kept[field] = column.selectbox(
            say(f"pick.{field}"), range(count), start, key=f"cross_{field}", bind="query-params"
        )
    if by == "predicted" and trace.predicted is not None:
        ahead = (*session.lens().labels(trace.ids["decoder"][1:]), trace.predicted[-1])
        queries = replace(attention.queries, texts=ahead, special=(False,) * len(ahead), inside=())
        attention = replace(attention, queries=queries)
    left, right = st.columns(2)
    with left:
        drawn = token_lines(attention, kept["layer"], kept["head"], palette)
        table = save_menu.cells(attention, kept["layer"], kept["head"])
        charts.draw(drawn, "alignment_lines", say("heads.lines_look"), table=table)
    with right:
        drawn = head_heatmap(attention, kept["layer"], kept["head"], palette)
        charts.draw(drawn, "alignment_map", say("output.alignment_look"))


def logit_lens(trace: Trace, palette: Palette) -> None:
    """What each layer would say if it were the last."""
    stack = list(trace.tokens)[-1]
    st.header(say("output.lens"), anchor=False)
    st.markdown(say("output.lens_why"))
    tokens = trace.tokens[stack]
    if trace.logits is None:
        st.info(say("output.no_head"), icon=":material/info:")
        return
    if len(tokens) > LONGEST_LENS:
        st.info(say("output.lens_long", most=LONGEST_LENS), icon=":material/info:")
        return
    target = trace.ids[stack][trace.given :] if stack == "decoder" else None
    found = results.logit_lens(session.given(), target)
    if found is None:
        st.info(say("output.no_head"), icon=":material/info:")
        return
    ids, chances = found
    labels = session.lens().labels(ids.ravel().tolist())
    best = [labels[i * ids.shape[1] : (i + 1) * ids.shape[1]] for i in range(len(ids))]
    names = [tokens.name(i) for i in range(len(tokens))]
    charts.draw(figures.logit_lens(chances, best, names, palette), "lens", say("output.lens_look"))


def masked_word(trace: Trace, palette: Palette) -> None:
    """Hide a token from a model that learned to guess hidden ones, and see what it guesses."""
    st.header(say("output.guess"), anchor=False)
    tokens = trace.tokens["encoder"]
    if trace.logits is None or results.guess(session.given(), min(1, len(tokens) - 1)) is None:
        st.info(say("output.no_guess"), icon=":material/info:")
        return
    st.markdown(say("output.guess_why"))
    place = pickers.pick_token(tokens, say("output.guess_pick"), "guess", start=1)
    logits = results.guess(session.given(), place)
    assert logits is not None
    chances = probabilities(logits)
    best = likeliest(chances, SHOWN)
    labels = session.lens().labels(best.tolist())
    title = say("output.guess_title", place=place)
    charts.draw(bars.candidates(chances[best], None, labels, palette, title), "guesses", say("output.guess_look"))
    hidden = trace.ids["encoder"][place]
    st.markdown(say("output.guess_true", token=plain(tokens.texts[place]), chance=f"{chances[hidden]:.1%}"))
