// One focus token for the whole page: pointing at a row of a figure, or at a word, shows that token's row in every figure
// at once, without the server; a click fixes it, and the server follows.
//
// A figure says in `layout.meta.focus` where its tokens stand: a list of
//   {axis: "y" | "x", stack: "encoder" | "decoder", at: [coordinate, ...], places: [token, ...], half, span: [from, to]?}
// `half` is half of a token's extent along the axis, `span` the part of the other axis that is marked (all of it if absent).
// With {still: true} a click leaves the focus where it is.
// {axis: "grid", stack, rows, columns, first}: tokens in rows and columns from (0, 0) on, the first of them at place `first`.
// {axis: "lines", ...}: lines from queries to keys, as `line_figures.js` says.
// With {pick: name} a click chooses the token under that name on the server, and leaves the focus where it is.
// A word on the page carries data-stack and data-place.
const root = document.documentElement
let fixed = null // {stack, place} that the server shows
let focus = null // what the pointer or the keyboard is on, else `fixed`
let tell = null // sends a fixed token to the server
let due = null // the newest pointer event that waits for a frame
const watched = new WeakMap() // figure -> the emitter of its events; another one after it was drawn anew

const same = (one, two) => one?.stack === two?.stack && one?.place === two?.place
const linked = gd => gd?._fullLayout && Array.isArray(gd.layout?.meta?.focus)
const figures = () => [...document.querySelectorAll(".js-plotly-plot")].filter(linked)

function axesOf(gd, mark) {
  const { xaxis, yaxis } = gd._fullLayout
  return mark.axis === "y" ? [yaxis, xaxis] : [xaxis, yaxis]
}

function tokenAt(gd, event) {
  const box = gd.getBoundingClientRect()
  for (const mark of gd.layout.meta.focus) {
    if (mark.axis === "lines") {
      const line = lineAt(gd, mark, event.clientX - box.left, event.clientY - box.top)
      if (line) return line
      continue
    }
    const [along, across] = axesOf(gd, mark)
    if (mark.axis === "grid") {
      const column = Math.round(along.p2l(event.clientX - box.left - along._offset))
      const row = Math.round(across.p2l(event.clientY - box.top - across._offset))
      const inside = row >= 0 && column >= 0 && row < mark.rows && column < mark.columns
      if (inside) return { stack: mark.stack, place: mark.first + row * mark.columns + column }
      continue
    }
    const down = mark.axis === "y"
    const pixel = (down ? event.clientY - box.top : event.clientX - box.left) - along._offset
    const aside = (down ? event.clientX - box.left : event.clientY - box.top) - across._offset
    if (pixel < 0 || pixel > along._length) continue
    if (mark.span && (across.p2l(aside) < Math.min(...mark.span) || across.p2l(aside) > Math.max(...mark.span))) continue
    const value = along.p2l(pixel)
    const found = mark.at.findIndex(at => Math.abs(at - value) <= mark.half)
    if (found >= 0) return { stack: mark.stack, place: mark.places[found], pick: mark.pick, still: mark.still }
  }
  return null
}

function tokenOf(event) {
  const word = event.target.closest?.("[data-place]")
  if (word) return { stack: word.dataset.stack, place: Number(word.dataset.place) }
  const gd = event.target.closest?.(".js-plotly-plot")
  return linked(gd) ? tokenAt(gd, event) : null
}

function markFigure(gd) {
  const svg = [...gd.querySelectorAll(".main-svg")].at(-1)
  if (!svg) return
  let layer = svg.querySelector(":scope > .focus-marks")
  if (!layer) {
    layer = document.createElementNS("http://www.w3.org/2000/svg", "g")
    layer.setAttribute("class", "focus-marks")
    svg.insertBefore(layer, svg.querySelector(":scope > .hoverlayer"))
  }
  layer.replaceChildren()
  drawLines(gd)
  if (!focus) return
  for (const mark of gd.layout.meta.focus) {
    if (mark.axis === "lines") continue
    const found = mark.stack === focus.stack ? placeIn(mark, focus.place) : -1
    if (found < 0) continue
    const [along, across] = axesOf(gd, mark)
    if (mark.axis === "grid") {
      const [row, column] = [Math.floor(found / mark.columns), found % mark.columns]
      const edges = (axis, at) => [at - 0.5, at + 0.5].map(value => axis._offset + axis.l2p(value))
      layer.append(rectangle(edges(along, column), edges(across, row)))
      continue
    }
    const ends = [mark.at[found] - mark.half, mark.at[found] + mark.half].map(at => along._offset + along.l2p(at))
    const sides = (mark.span ? mark.span.map(at => across.l2p(at)) : [0, across._length]).map(at => across._offset + at)
    const [x, y] = mark.axis === "y" ? [sides, ends] : [ends, sides]
    layer.append(rectangle(x, y))
  }
}

// Where a mark has a token, from 0, or -1.
function placeIn(mark, place) {
  if (mark.axis !== "grid") return mark.places.indexOf(place)
  const at = place - mark.first
  return at >= 0 && at < mark.rows * mark.columns ? at : -1
}

function rectangle(x, y) {
  const box = document.createElementNS("http://www.w3.org/2000/svg", "rect")
  box.setAttribute("class", "focus-mark")
  box.setAttribute("x", Math.min(...x))
  box.setAttribute("y", Math.min(...y))
  box.setAttribute("width", Math.abs(x[1] - x[0]))
  box.setAttribute("height", Math.abs(y[1] - y[0]))
  return box
}

// The text on a cell stands beside it, or under it where there is no room: Plotly lets it begin in the middle of the cell.
function aside(gd, { points }) {
  const point = points?.[0], label = gd.querySelector(".hoverlayer .hovertext")
  if (!label || point?.data?.type !== "heatmap") return
  const half = axis => Math.abs(axis.l2p(1) - axis.l2p(0)) / 2
  const { xaxis, yaxis } = { ...gd._fullLayout, ...point }
  // Its frame begins at the cell and goes to a side; without room at either it lies across the cell.
  const side = /^M0,0L(-?)/.exec(label.querySelector("path")?.getAttribute("d"))
  label.style.translate = side ? `${side[1]}${half(xaxis)}px 0` : `0 ${half(yaxis) + 14}px`
}

// Whether a figure is new, or was drawn anew: from now on it is marked whenever it is drawn.
function watch(gd) {
  if (!gd.on || watched.get(gd) === gd._ev) return false
  watched.set(gd, gd._ev)
  const fit = () => { thinLabels(gd); fitTitles(gd) }
  fit()
  gd.on("plotly_afterplot", () => {
    fit()
    if (linked(gd)) markFigure(gd)
  })
  gd.on("plotly_hover", event => aside(gd, event))
  return true
}

function draw() {
  for (const gd of figures()) {
    watch(gd)
    markFigure(gd)
  }
  const words = focus ? [...document.querySelectorAll(`[data-place="${focus.place}"][data-stack="${focus.stack}"]`)] : []
  for (const word of document.querySelectorAll("[data-focused]")) if (!words.includes(word)) word.removeAttribute("data-focused")
  for (const word of words) word.setAttribute("data-focused", "")
}

function set(token) {
  const next = token ?? fixed
  if (same(next, focus) && root.dataset.focus === String(next?.place ?? "")) return
  focus = next
  root.dataset.focus = focus?.place ?? ""
  root.dataset.focusStack = focus?.stack ?? ""
  draw()
  document.dispatchEvent(new CustomEvent("headlight-focus", { detail: focus }))
}

function fix(token) {
  if (token?.pick) return tell?.("pick", [token.pick, token.place])
  if (!token || token.still || same(token, fixed)) return
  fixed = token
  set(token)
  // On Heads only the large head is drawn anew, whose component has a way of its own.
  const pick = (document.querySelector(".st-key-flip") && globalThis.headlightPick) || tell
  pick?.("token", [token.stack, token.place])
}

function listen() {
  const look = event => {
    if (!due) requestAnimationFrame(() => { const last = due; due = null; set(tokenOf(last)) })
    due = event
  }
  document.addEventListener("pointermove", look, { capture: true, passive: true })
  document.addEventListener("pointerdown", look, { capture: true, passive: true })
  root.addEventListener("pointerleave", () => set(null))
  // Plotly makes the click of a touch itself, at no place.
  document.addEventListener("pointerup", event => event.pointerType === "touch" && fix(tokenOf(event)), true)
  document.addEventListener("focusin", event => event.target.closest?.("[data-place]") && set(tokenOf(event)), true)
  document.addEventListener("focusout", event => event.target.closest?.("[data-place]") && set(null), true)
  document.addEventListener("click", event => fix(tokenOf(event)), true)
  document.addEventListener("keydown", event => {
    const word = event.target.closest?.("[data-place]")
    if (!word || (event.key !== "Enter" && event.key !== " ")) return
    event.preventDefault()
    fix(tokenOf(event))
  }, true)
  // Another script moves the focus: {token, tell}, and with `tell` the server follows.
  document.addEventListener("headlight-point", ({ detail: { token, tell: telling } }) => {
    fixed = token
    set(token)
    if (telling) tell?.("token", [token.stack, token.place])
  })
  document.addEventListener("headlight-lines", () => figures().forEach(drawLines))
  // Figures come and go with every run of the page.
  let waiting = null
  const ours = ".clip-play, .clip-screen, .focus-marks, .box-marks, .whole-panel, .whole-play, .tile-marks, .head-lines, .hoverlayer, .live-reading, .text-said, #said, .live-tint, .fading, #change-menu"
  new MutationObserver(changes => {
    if (changes.every(one => one.target.closest?.(ours) || [...one.addedNodes, ...one.removedNodes].every(node => node.matches?.(ours)))) return
    for (const gd of figures()) if (watch(gd)) markFigure(gd) // in the frame in which it is first seen
    waiting ??= setTimeout(() => {
      waiting = null
      draw()
      document.dispatchEvent(new Event("headlight-drawn"))
    }, 80)
  }).observe(document.body, { childList: true, subtree: true })
}

let listening = false
export default function ({ data, setTriggerValue }) {
  tell = (name, value) => setTriggerValue(name, value)
  fixed = data?.place === null || data?.place === undefined ? null : { stack: data.stack, place: data.place }
  if (!listening) listen()
  listening = true
  set(null)
}
