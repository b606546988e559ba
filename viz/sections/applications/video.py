"""The Video page: the frames beside each other, what a patch looks at in all of them, and what moves, where known."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from html import escape

import streamlit as st

from model.measures.structure.track_shares import TrackShares, track_shares
from model.structures.clip_tracks import Track, covered_patches, patch_at, read_tracks
from model.trace.attention import Attention
from model.trace.tokens import Picture, Tokens
from model.trace.trace import Trace
from viz.browser.resources import BROWSER, script
from viz.figures.clips import clip_frames, frame_images, track_name
from viz.figures.head_bars import head_bars
from viz.figures.theme import Palette
from viz.frame import session
from viz.frame.shown_run.all_heads import measured
from viz.language.messages import say
from viz.saving import tables
from viz.widgets import charts, page_check, pickers
from viz.widgets import tinted_text as widget
from viz.widgets.menus import save_menu

_play = st.components.v2.component("headlight_clip", js=script("clip"))


def require_picture(trace: Trace) -> Picture:
    """The picture or the frames that a model sees.

    Raises:
        Halt: it reads texts, and the page says so.
    """
    if trace.picture is None:
        session.halt(say("video.texts" if trace.sound is None else "sounds.no_picture"), of_input=True)
    return trace.picture


def draw(trace: Trace, picture: Picture, selected: pickers.SelectedHead, palette: Palette) -> None:
    """The frames, tinted by the head on screen; beside them one at large, and the heads that stay on what moves."""
    attention = selected.attention
    tracks = read_tracks(trace.text, picture.frames)
    paths = [[patch_at(picture, i, *at) for i, at in enumerate(track.middles)] for track in tracks]
    start = paths[0][0] if paths else patch_at(picture, 0, 0.5, 0.5)
    row = pickers.chosen_row(attention, start)
    st.html(BROWSER / "clip.css")
    left, right = st.columns([3, 2])
    with left:
        st.html(frames_html(picture, attention.queries, tracks))
        if picture.frames > 1:
            st.html('<div class="clip-play"></div>')
        found = widget.draw_head(trace, selected, row)
        title = say("video.figure", layer=selected.layer, head=selected.head, token=attention.queries.name(row))
        table = partial(tables.focus_table, found.weights, attention.queries, attention.keys, row, one_text=True)
        figure = clip_frames(picture, found.weights[row], row, tracks, title, palette)
        notes = [
            say("video.look" if ":" in attention.query_tokens[picture.first] else "video.look_one"),
            say("video.marked") if tracks else "",
        ]
        widget.register_figure(found, row, figure, "frames", " ".join(filter(None, notes)), table)
        save_menu.menu("frames")
    with right:
        if picture.frames > 1:
            st.html('<div class="clip-screen" aria-hidden="true"></div>')
        if tracks:
            _stays_on_track(trace, attention, picture, tracks, selected, palette)
        elif picture.frames > 1:
            st.caption(say("video.no_track"))
    words = {name: say(f"whole.{name}") for name in ("play", "pause", "back", "on")}
    words["frame"] = say("video.frame", frame="{frame}")
    size = picture.rows // picture.frames * picture.columns
    data = {"words": words, "frames": picture.frames, "size": size, "first": picture.first, "paths": paths}
    _play(key="script_clip", data=data)


def frames_html(picture: Picture, tokens: Tokens, tracks: Sequence[Track]) -> str:
    """The frames as HTML: a picture each, its patches as tokens that can be pointed at, and boxes around what moves."""
    side, across = picture.rows // picture.frames, picture.columns
    marks = "".join(_patch(tokens, place, tokens.texts[place]) for place in range(picture.first))
    frames = []
    for number, source in enumerate(frame_images(picture)):
        first = picture.first + number * side * across
        patches = "".join(_patch(tokens, place) for place in range(first, first + side * across))
        boxes = "".join(_box(track, number, kind) for kind, track in enumerate(tracks))
        name = f'<p class="clip-name">{escape(say("video.frame", frame=number))}</p>' if picture.frames > 1 else ""
        frames.append(
            f'<div class="clip-frame" data-frame="{number}">{name}<div class="clip-room"><img alt="" src="{source}">'
            f'<div class="clip-patches" style="grid-template-columns: repeat({across}, 1fr); '
            f'grid-template-rows: repeat({side}, 1fr)">{patches}</div>{boxes}</div></div>'
        )
    marks = f'<div class="clip-marks">{marks}</div>' if marks else ""
    kind = "clip-frames" if picture.frames > 1 else "clip-frames one"
    label = escape(say("video.title"))
    return (
        f'<div class="tinted" data-across="{across}" role="group" aria-label="{label}">{marks}'
        f'<div class="{kind}">{"".join(frames)}</div></div>'
    )


def _patch(tokens: Tokens, place: int, text: str = "") -> str:
    label = "" if text else f' aria-label="{escape(tokens.texts[place])}"'
    tab = 0 if place == 0 else -1  # the arrow keys go on from there
    return (
        f'<span class="read-token" tabindex="{tab}" role="button"{label} data-stack="encoder" '
        f'data-place="{place}">{escape(text)}</span>'
    )


def _box(track: Track, frame: int, kind: int) -> str:
    left, top, right, bottom = (100 * float(at) for at in track.boxes[frame])
    size = f"left: {left:.1f}%; top: {top:.1f}%; width: {right - left:.1f}%; height: {bottom - top:.1f}%"
    return f'<span class="clip-track kind-{kind % 3}" style="{size}" title="{escape(track_name(track))}"></span>'


def _stays_on_track(
    trace: Trace,
    attention: Attention,
    picture: Picture,
    tracks: Sequence[Track],
    selected: pickers.SelectedHead,
    palette: Palette,
) -> None:
    """How much of the attention of what moves stays on it, of this head and of all, against even attention."""

    def measure(maps: Attention) -> TrackShares:
        return track_shares(maps, covered_patches(tracks, picture))

    found = measured(trace, attention, ("track",), measure, lambda made: made.shares.nbytes)
    if not found.queries:
        return
    share = found.shares[selected.layer, selected.head]
    what = ", ".join(track_name(track) for track in tracks)
    said = say("video.verdict", what=what, share=f"{share:.0%}", chance=f"{found.chance:.0%}")
    charts.announced_markdown(said, ahead="tracks")
    head, lines = (selected.layer, selected.head), {say("video.chance"): found.chance}
    words = say("video.bars_title"), say("video.on_track")
    figure = head_bars(found.shares, attention.layer_index, head, *words, lines, palette)
    page_check.claim(trace, "tracks", page_check.bars_of_heads_error(figure, found.shares, attention, head, lines))
    charts.chart_with_menu(figure, "tracks", say("video.bars_look"))
