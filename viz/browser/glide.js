// Maps, bars and lines glide from what was drawn to what is drawn now, in whatever figure of the page, where both speak of the
// same things: the same kinds of traces over the same labels, in the same room. Where the labels are others, the figure jumps.
//
// What was seen before is told by the old value of an attribute where a figure is painted anew, and by the elements of the
// figure before where Streamlit puts a new one in its place, under the same key.
const GLIDE = 150 // milliseconds
const MAP = ".hm image, .imagelayer image", BAR = ".barlayer .point > path", LINES = ".scatterlayer .lines"
const MOST = 400 // moving bars and lines; more jump, since each is an animation of its own
const known = new WeakMap() // figure -> what was seen of it: {gd, key, subject, maps, bars, lines}
const latest = new Map() // key -> the same of the figure that was drawn last under it
let watch = null // the observer of all figures, made once

const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches
// "M0,1.5L2,3Z" -> "MLZ": paths of the same commands glide point by point.
const commands = path => path.replace(/[^A-Za-z]+/g, "")
const fade = (element, from, to) => element.animate([{ opacity: from }, { opacity: to }], GLIDE)

// What a figure speaks of: kinds of its traces, labels of its axes, and their room in pixels.
function subject(gd) {
  const layout = gd._fullLayout, axes = Object.keys(layout).filter(name => /^[xy]axis\d*$/.test(name)).sort()
  const labels = axes.map(name => [layout[name].ticktext ?? null, Math.round(layout[name]._length)])
  return JSON.stringify([[...new Set((gd.data ?? []).map(trace => trace.type ?? "scatter"))], labels])
}

// What was seen lies over what is seen now, and goes. Plotly takes every picture in its layers for one of its own, and fails at
// one that it did not draw: what goes stands beside the layer.
function leave(old, parent, before) {
  old.classList.add("fading")
  parent.insertBefore(old, before)
  fade(old, getComputedStyle(old).opacity, 0).onfinish = () => old.remove()
}

function glideMap(image, href) {
  if (!href || href === image.getAttribute("href")) return
  const before = image.cloneNode()
  before.setAttribute("href", href)
  const layer = image.closest(".imagelayer, .heatmaplayer") ?? image.parentNode
  leave(before, layer.parentNode, layer.nextSibling)
}

function glidePath(path, old) {
  const now = path.getAttribute("d")
  if (!old || !now || old === now || [old, now].includes("M0,0Z") || commands(old) !== commands(now)) return
  path.animate([{ d: `path("${old}")` }, { d: `path("${now}")` }], { duration: GLIDE, easing: "ease-out" })
}

// old: groups of lines, each with a copy; now: those that are there.
function glideLines(old, now) {
  const pathsOf = groups => groups.flatMap(group => [...group.querySelectorAll("path")]).map(path => [path, path.getAttribute("d")])
  const before = pathsOf(old.map(([group]) => group)), after = pathsOf(now), room = now[0]?.closest(".scatterlayer")
  if (!room || JSON.stringify(before.map(([, d]) => d)) === JSON.stringify(after.map(([, d]) => d))) return
  if (before.length === after.length && after.every(([, d], i) => commands(d) === commands(before[i][1])))
    return after.forEach(([path], i) => glidePath(path, before[i][1]))
  now.forEach(group => fade(group, 0, 1))
  for (const [group, copy] of old) {
    const trace = document.createElementNS("http://www.w3.org/2000/svg", "g")
    trace.style.opacity = group.closest(".trace")?.style.opacity || 1
    trace.append(copy)
    leave(trace, room, null)
  }
}

// Its elements, which keep what they showed when Plotly has thrown them out.
function seen(gd, key) {
  const all = selector => [...gd.querySelectorAll(selector)].filter(one => !one.closest(".fading"))
  const state = { gd, key, subject: subject(gd), maps: all(MAP), bars: all(BAR), lines: all(LINES) }
  known.set(gd, state)
  latest.set(key, state)
  // Plotly's `href` has a namespace, for which no filter of attributes can ask.
  for (const image of state.maps) watch?.observe(image, { attributes: true, attributeOldValue: true })
  return state
}

function meet(gd) {
  const key = gd.closest("[class*='st-key-']")?.className.match(/st-key-(\S+)/)[1]
  const old = latest.get(key), now = seen(gd, key)
  if (!old || old.subject !== now.subject || still()) return
  const [bars, maps] = [[...now.bars], [...now.maps]]
  if (maps.length === old.maps.length) maps.forEach((image, i) => glideMap(image, old.maps[i].getAttribute("href")))
  if (bars.length === old.bars.length && bars.length <= MOST) bars.forEach((bar, i) => glidePath(bar, old.bars[i].getAttribute("d")))
  if (!old.gd.hasAttribute("data-overlaid")) glideLines(old.lines.map(group => [group, group.cloneNode(true)]), now.lines)
}

function lookAt(changes) {
  const touched = new Set(), painted = new Map() // figure -> {element -> its attribute before}
  for (const change of changes) {
    const gd = change.target.closest?.(".js-plotly-plot")
    if (!gd?._fullLayout || change.target.closest(".fading, .hoverlayer, .focus-marks, .head-lines, .tile-marks")) continue
    if (change.type === "attributes" && !["href", "d"].includes(change.attributeName)) continue
    touched.add(gd)
    if (change.type === "childList" || !known.has(gd) || !change.target.matches(`${MAP}, ${BAR}`)) continue
    const before = painted.get(gd) ?? painted.set(gd, new Map()).get(gd)
    if (!before.has(change.target)) before.set(change.target, change.oldValue) // the first of several is what was seen
  }
  for (const gd of touched) {
    const before = known.get(gd)
    if (!before) {
      if (gd.isConnected && gd.querySelector(`${MAP}, ${BAR}, ${LINES}`)) meet(gd)
      continue
    }
    const all = painted.get(gd) ?? [], now = seen(gd, before.key)
    if (before.subject !== now.subject || still() || all.size > MOST) continue
    for (const [element, old] of all) element.matches(MAP) ? glideMap(element, old) : glidePath(element, old)
  }
}

export default function () {
  if (watch) return
  watch = new MutationObserver(lookAt)
  for (const gd of document.querySelectorAll(".js-plotly-plot")) if (gd._fullLayout) meet(gd)
  watch.observe(document.body, { subtree: true, childList: true, attributes: true, attributeFilter: ["d"], attributeOldValue: true })
}
