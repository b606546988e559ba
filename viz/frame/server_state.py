"""State of the server that all sessions share: the result cache, the opened models, and locks around the processor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from math import prod
from typing import Any
from weakref import WeakSet

import psutil

from model import load
from model.catalog.opening import check_model_fits
from model.catalog.trial import check_texts, load_after_trial
from model.memory.cached_layers import with_cached_layers
from model.memory.keyed_traces import Turn, held_run, keep_turn, let_go, without_arrays
from model.memory.model_registry import ModelRegistry, detach_from_model
from model.memory.result_cache import ResultCache, is_awaited
from model.remote.transport import backend_address
from model.tokenization.length import cap_tokens
from model.trace.check import MAP_SIDE
from model.trace.edits import Edits
from model.trace.lens import Lens
from model.trace.trace import Target, Trace
from model.trace.typed_text import ModelInput, TypedText
from model.turns import Turns, holds_turn, slices
from model.verification.finite import check_finite
from viz.frame.limits import policy

CACHE_BYTES = 650_000_000  # of cached runs, maps and pictures, and of the figures on all pages
MODELS_AND_RESULTS_BYTES = 0.8 * psutil.virtual_memory().total  # beyond that, open models take from the results

# Tokens × layers that may be asked for at once: 2,000 tokens through 30 layers; 530 where others wait, for whom a pass
# takes about a second then.
MAX_TOKEN_LAYERS, MAX_TOKEN_LAYERS_SHARED = 60_000, 16_000
SHORT_PASS = 12_000  # letters × layers of a pass that takes a moment: 400 letters through 30 layers
SHORT_TEXT = 400  # letters of a text whose figures take a moment
DEFAULT_LAYERS = 12  # of a model that does not tell
SHOWN_BYTES = 50_000  # of a trace without its arrays: labels, ids and shapes

# One forward pass at a time: two would share the cores and both end later. Long work gives way between its slices.
_model_turns = Turns()
_figure_turns = Turns()  # of the large map of one click
# One page of a long text at a time, whose run it holds, or one check of such a run, which lets the pages go first.
_long_turns = Turns()
# One page at a time of a run that is being checked: the check holds that run anyway, and may take a minute.
_beside_check_turns = Turns()
_checked_texts: set[str] = set()


def _load(name: str, device: str) -> Lens:
    """An opened model; one that is not of the catalogue has passed a trial, and long texts are refused where there are
    many layers.
    """
    if backend_address():
        return load(name, device)
    lens = load_after_trial(name, device)
    cap_tokens(lens, MAX_TOKEN_LAYERS_SHARED if policy.is_known_shared() else MAX_TOKEN_LAYERS)
    return lens


class ShownFigures(dict[str, Any]):
    """The figures of one session's page by key; counted as long as the session holds them.

    Attributes:
        nbytes: their size.
    """

    __hash__ = object.__hash__  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.nbytes = 0
        _shown.add(self)


def _check_fits(name: str, *beside: str) -> None:
    """As `check_model_fits`; with a remote backend, which opens the models itself, nothing is checked."""
    if not backend_address():
        check_model_fits(name, *beside)


# At module level, and made once by the import: `st.cache_resource` is emptied by a message that any browser may send.
# Each has a lock of its own.
_shown: WeakSet[ShownFigures] = WeakSet()


def _held_elsewhere() -> int:
    """Bytes of the results' budget that are not theirs: the figures of all pages, and what open models take of it."""
    models = _model_registry.bytes - int(MODELS_AND_RESULTS_BYTES - CACHE_BYTES)
    return sum(figures.nbytes for figures in list(_shown)) + max(models, 0)


_result_cache = ResultCache(CACHE_BYTES, _held_elsewhere)
_model_registry = ModelRegistry(_load, _check_fits, evict_results=_result_cache.clear)


def result_cache() -> ResultCache:
    """The cache of computed results, shared by all sessions: equal inputs are computed once."""
    return _result_cache


def model_registry() -> ModelRegistry:
    """The registry of opened models, shared by all sessions."""
    return _model_registry


def drop_all() -> None:
    """Drop all opened models and computed results and free their memory, as for a server that has just started."""
    _result_cache.clear()
    _model_registry.evict_all()


@contextmanager
def running_model(name: str, device: str, letters: int | None = None) -> Iterator[Lens]:
    """A context with a model for one forward pass: no other pass runs meanwhile, and the registry keeps the model.

    Short passes go first, also between the layers and words of long ones: what hooks a module hooks a copy of its own,
    and what is set for a pass is set for its thread. With a remote backend (`model.remote`)
    passes are not serialized: the backend schedules them.

    Args:
        letters: of the input; None where the work is long whatever it is.
    """
    with model_registry().pinned(name, device) as model:
        layers = sum(layers for layers, _ in model.heads.values()) or DEFAULT_LAYERS
        short = letters is not None and layers * letters <= SHORT_PASS
        with _in_turn(short):
            yield model


@contextmanager
def computing(text: str) -> Iterator[None]:
    """A context for work on the maps of all layers of a run, which others' passes go before where the text is long.

    What is read must be at hand before (`without_cache`): who computes it may wait for this turn.
    """
    with _in_turn(short=False) if is_long(len(text)) else nullcontext():
        yield


@contextmanager
def _in_turn(short: bool) -> Iterator[None]:
    """A context that one session at a time is in, where this process computes, and that rests between layers."""
    with nullcontext() if backend_address() else _model_turns.held(short), slices():
        yield


@contextmanager
def working_model(name: str, device: str, text: ModelInput | None = None) -> Iterator[Lens]:
    """As `running_model`, for more than a pass: the page lets go of its runs, and of its turn among long texts.

    Args:
        text: that the work is on; None where it is long whatever it is.
    """
    let_go()
    with running_model(name, device, None if text is None else letters_of([text])) as model:
        yield model


def letters_of(texts: Iterable[object]) -> int:
    """The letters of those inputs that are texts."""
    parts = (part for text in texts for part in ((text.text, text.pair) if isinstance(text, TypedText) else (text,)))
    return sum(len(part) for part in parts if isinstance(part, str))


def is_long(letters: int) -> bool:
    """Whether a page of a text takes a turn: its run holds much memory. Not with a remote backend, which holds it."""
    return letters > SHORT_TEXT and not backend_address()


@contextmanager
def long_page(texts: Iterable[str] = ()) -> Iterator[None]:
    """A context that one page of a long text at a time is in.

    Who holds another turn, or computes what others wait for, goes without: they might wait for each other for ever.
    A page of a run that is being checked does not wait for its check.

    Args:
        texts: of the page's run.
    """
    turns = _long_turns if _checked_texts.isdisjoint(texts) else _beside_check_turns
    with nullcontext() if holds_turn() or is_awaited() else turns.held(short=True):
        yield


@contextmanager
def _long_check(texts: Sequence[str]) -> Iterator[None]:
    """A context around the check of a run of long texts; pages of other runs go first, or wait for its end."""
    with _long_turns.held():
        _checked_texts.update(texts)
        try:
            yield
        finally:
            _checked_texts.difference_update(texts)


def one_at_a_time(text: str) -> AbstractContextManager[object]:
    """A context that one session at a time enters, for work between a click and its figure.

    Without it, thirty simultaneous clicks would all be answered at the end of the total time instead of one by one.
    Long texts wait for each other only, until the page ends. With a remote backend it does nothing.

    Args:
        text: that the figure is of.
    """
    if is_long(len(text)):
        keep_turn(partial(long_page, (text,)))
        return nullcontext()
    return nullcontext() if backend_address() else _figure_turns.held(short=True)


def cached_traces(
    name: str, device: str, texts: tuple[ModelInput, ...], targets: tuple[Target, ...], edits: Edits
) -> tuple[Trace, ...]:
    """The traces of a batch of texts or pictures, from the result cache or computed by one forward pass.

    They hold no arrays (`without_arrays`), so sessions may keep them: what is read is found in the cache, or the pass
    is made again where it has left the cache.

    Args:
        name: catalog id, hub id or folder of the model.
        device: as `model.load` takes it.
        texts: the inputs of the batch; a picture is a path or the bytes of its file.
        targets: forced output of each input, None for the model's own.
        edits: changes applied during the pass.

    Raises:
        InputError: a text or picture cannot be fed to the model.
        ModelError: the model cannot be opened.
    """
    letters = letters_of([*texts, *targets])
    read = [one for text in texts if isinstance(one := text.text if isinstance(text, TypedText) else text, str)]
    page_turn = partial(long_page, read) if is_long(letters) else nullcontext
    keep_turn(page_turn)
    key = ("run", name, device, texts, targets, edits.text())
    shown = shown_traces(name, device, texts, targets, edits)
    if shown is None:
        arguments = (name, device, texts, targets, edits)
        run, cache = held_run(arguments, partial(_cached_runs, *arguments)), result_cache()
        turn = partial(running_model, name, device, letters)
        check_turn = partial(_long_check, read) if is_long(letters) else nullcontext
        shown = tuple(
            with_cached_layers(
                without_arrays(trace, partial(_whole, page_turn, row, *arguments), turn, check_turn), cache
            )
            for row, trace in enumerate(run)
        )
        shown = cache.get(("shown", key), partial(_same, shown), lambda traces: sum(map(_shown_bytes, traces)))
    return shown


def shown_traces(
    name: str, device: str, texts: tuple[ModelInput, ...], targets: tuple[Target, ...], edits: Edits
) -> tuple[Trace, ...] | None:
    """As `cached_traces`, where the pass has been made; else None."""
    found: tuple[Trace, ...] | None = _result_cache.find(("shown", ("run", name, device, texts, targets, edits.text())))
    return found


def _same(traces: tuple[Trace, ...]) -> tuple[Trace, ...]:
    return traces


def _shown_bytes(trace: Trace) -> int:
    """Size of a trace without its arrays, with the small maps that its check will hold."""
    shapes = [
        (layer.shape[0], *(min(side, MAP_SIDE) for side in layer.shape[1:3]))
        for one in trace.attentions.values()
        for layer in one.layers
    ]
    return SHOWN_BYTES + 4 * sum(map(prod, shapes))


def _whole(turn: Turn, row: int, *run: Any) -> Trace:
    """A trace with its arrays. run: as `cached_traces`"""
    return held_run(run, partial(_cached_runs, *run), turn)[row]


def _cached_runs(
    name: str, device: str, texts: tuple[ModelInput, ...], targets: tuple[Target, ...], edits: Edits
) -> tuple[Trace, ...]:
    """As `cached_traces`, with their arrays: only the cache and who computes with them hold these."""

    def make() -> tuple[Trace, ...]:
        if not backend_address():  # before the model is taken: who waits for it does not wait for this
            check_texts(name, [*texts, *targets, *(other for other, _ in edits.patched.values())])
        with running_model(name, device, letters_of([*texts, *targets])) as model:
            traces = model.trace_batch(texts, targets, edits)
        if not backend_address():  # the backend has looked at its own
            check_finite(traces)
        reopen = partial(model_registry().get, name, device)
        return tuple(detach_from_model(trace, reopen) for trace in traces)

    key = ("run", name, device, texts, targets, edits.text())
    return result_cache().get(key, make, lambda traces: sum(trace.nbytes for trace in traces))
