// Maps, bars, lines and dots glide from what was drawn to what is drawn now, in whatever figure of the page, where both speak
// of the same things: the same kinds of traces over the same labels, in the same room. Where the labels are others, the figure
// jumps.
//
// What was seen before is kept of each figure, and under its key, since Streamlit may put a new figure in the place of the one
// before; Plotly paints some elements anew and throws others out.
const GLIDE = 150 // milliseconds
const WHAT = { // -> [its elements, the attribute that says where and how they are drawn]
  maps: [".hm image, .imagelayer image", "href"],
  bars: [".barlayer .point > path", "d"],
  lines: [".scatterlayer .lines > path", "d"],
  dots: [".scatterlayer .points > path", "transform"],
}
const ANY = Object.values(WHAT).map(([selector]) => selector).join(", ")
const MOST = 400 // moving bars, lines or dots; more jump or fade, since each is an animation of its own
const known = new WeakMap() // figure -> what was seen of it, as `seen` returns it
const latest = new Map() // key -> the same of the figure that was drawn last under it
let watch = null // the observer of all figures, made once

const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches
// "M0,1.5L2,3Z" -> "MLZ": paths of the same commands glide point by point.
const commands = path => path.replace(/[^A-Za-z]+/g, "")
const fade = (element, from, to) => element.animate([{ opacity: from }, { opacity: to }], GLIDE)
const glide = (element, from, to) => element.animate([from, to], { duration: GLIDE, easing: "ease-out" })

// What a figure speaks of: kinds of its traces, labels of its axes or, where these have none, in its meta, and the room in
// pixels of those that have labels: numbers at an axis, wider than before, take some of its room.
function subject(gd) {
  const layout = gd._fullLayout, axes = Object.keys(layout).filter(name => /^[xy]axis\d*$/.test(name)).sort()
  const labels = axes.map(name => {
    const { ticktext, _length } = layout[name]
    return ticktext ? [ticktext, Math.round(_length)] : null
  })
  return JSON.stringify([[...new Set((gd.data ?? []).map(trace => trace.type ?? "scatter"))], labels, layout.meta?.labels])
}

// What was seen lies over what is seen now, and goes. Plotly takes every picture in its layers for one of its own, and fails at
// one that it did not draw: what goes stands beside the layer.
function leave(old, parent, before) {
  old.classList.add("fading")
  parent.insertBefore(old, before)
  fade(old, getComputedStyle(old).opacity, 0).onfinish = () => old.remove()
}

function glideMap({ element, was: now }, { was }) {
  if (!was || was === now) return
  const before = element.cloneNode()
  before.setAttribute("href", was)
  const layer = element.closest(".imagelayer, .heatmaplayer") ?? element.parentNode
  leave(before, layer.parentNode, layer.nextSibling)
}

const alike = ({ was: now }, { was }) => was && now && ![was, now].includes("M0,0Z") && commands(was) === commands(now)

function glidePath(one, old) {
  if (one.was !== old.was && alike(one, old)) glide(one.element, { d: `path("${old.was}")` }, { d: `path("${one.was}")` })
}

function glideDot({ element, was: now }, { was }) {
  const moved = [was, now].map(one => /^translate\(([-\d.e]+),\s*([-\d.e]+)\)$/.exec(one))
  if (was === now || !moved[0] || !moved[1]) return
  const [from, to] = moved.map(([, x, y]) => ({ transform: `translate(${x}px, ${y}px)` }))
  glide(element, from, to)
}

// What stood for the same thing before: what has the same name, and of those that are left over, if they are as many, the
// next. [[now, before or null], ...], and those before that nothing stands for now.
function paired(now, before) {
  const left = new Map(before.map(one => [one.name, one]))
  const pairs = now.map(one => {
    const old = left.get(one.name) ?? null
    left.delete(one.name)
    return [one, old]
  })
  const open = pairs.filter(([, old]) => !old), rest = [...left.values()]
  if (open.length !== rest.length) return [pairs, rest]
  open.forEach((pair, i) => { pair[1] = rest[i] })
  return [pairs, []]
}

function glideLines(now, before) {
  const room = now[0]?.element.closest(".scatterlayer")
  if (!room || JSON.stringify(now.map(({ was }) => was)) === JSON.stringify(before.map(({ was }) => was))) return
  const [pairs, gone] = paired(now, before), come = new Set(), going = new Map() // groups; group before -> its copy
  for (const [one, old] of pairs) {
    if (old && alike(one, old)) glidePath(one, old)
    else {
      if (old) gone.push(old)
      come.add(one.element.parentNode)
    }
  }
  for (const group of come) fade(group, 0, 1)
  for (const { element, was, group, style, opacity } of gone) {
    const copy = element.cloneNode(), trace = going.get(group) ?? document.createElementNS("http://www.w3.org/2000/svg", "g")
    copy.setAttribute("d", was)
    copy.setAttribute("style", style)
    trace.style.opacity = opacity
    trace.append(copy)
    going.set(group, trace)
  }
  for (const trace of going.values()) leave(trace, room, null)
}

function glideDots(now, before) {
  const [pairs] = paired(now, before), moving = pairs.filter(([one, old]) => one.was !== old?.was)
  if (moving.length > MOST) return new Set(moving.map(([one]) => one.element.parentNode)).forEach(dots => fade(dots, 0, 1))
  for (const [one, old] of moving) old ? glideDot(one, old) : fade(one.element, 0, 1)
}

// Lines and dots have a name: that of their trace and their number in it, or their number among all that have none.
function named(elements) {
  const count = new Map()
  const all = elements.map(one => {
    const trace = one.element.closest(".trace"), called = trace?.__data__?.[0]?.trace?._input?.name ?? ""
    const number = count.get(called) ?? 0
    count.set(called, number + 1)
    const looks = { style: one.element.getAttribute("style") ?? "", opacity: trace?.style.opacity || 1 }
    return { ...one, called, number, group: one.element.parentNode, ...looks }
  })
  return all.map(one => ({ ...one, name: `${one.called} ${one.number}${one.called ? "" : ` of ${count.get("")}`}` }))
}

// The elements of a figure and how each is drawn; null while it is empty.
function seen(gd, key) {
  const state = { key, subject: subject(gd), overlaid: gd.hasAttribute("data-overlaid") }
  for (const [what, [selector, attribute]] of Object.entries(WHAT)) {
    const drawn = [...gd.querySelectorAll(selector)].filter(one => !one.closest(".fading"))
    const found = drawn.map(element => ({ element, was: element.getAttribute(attribute) }))
    state[what] = what === "lines" || what === "dots" ? named(found) : found
  }
  if (!Object.keys(WHAT).some(what => state[what].length)) return null
  known.set(gd, state)
  latest.set(key, state)
  // Plotly's `href` has a namespace, for which no filter of attributes can ask.
  for (const { element } of state.maps) watch?.observe(element, { attributes: true })
  return state
}

// A figure that was drawn anew, or put in the place of another.
function look(gd) {
  const key = known.get(gd)?.key ?? gd.closest("[class*='st-key-']")?.className.match(/st-key-(\S+)/)[1]
  const before = known.get(gd) ?? latest.get(key), now = seen(gd, key)
  if (!now || !before || before.subject !== now.subject || still()) return
  for (const what of ["maps", "bars"]) {
    if (now[what].length !== before[what].length || now[what].length > MOST) continue
    now[what].forEach((one, i) => (what === "maps" ? glideMap : glidePath)(one, before[what][i]))
  }
  if (before.overlaid) return // other lines lie over these, and fade by themselves
  if (now.lines.length + before.lines.length <= 2 * MOST) glideLines(now.lines, before.lines)
  glideDots(now.dots, before.dots)
}

function lookAt(changes) {
  const touched = new Set()
  for (const { target, type, attributeName } of changes) {
    const gd = target.closest?.(".js-plotly-plot")
    if (!gd?._fullLayout || target.closest(".fading, .hoverlayer, .focus-marks, .head-lines, .tile-marks")) continue
    if (type === "attributes" && !(["href", "d", "transform"].includes(attributeName) && target.matches(ANY))) continue
    touched.add(gd)
  }
  for (const gd of touched) if (gd.isConnected) look(gd)
}

export default function () {
  if (watch) return
  watch = new MutationObserver(lookAt)
  for (const gd of document.querySelectorAll(".js-plotly-plot")) if (gd._fullLayout) look(gd)
  watch.observe(document.body, { subtree: true, childList: true, attributes: true, attributeFilter: ["d", "transform"] })
}
