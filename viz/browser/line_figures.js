// Figures of lines from queries to keys: the pointer finds the nearest line, and the lines of the token in focus stand out.
// Sent as one script with `focus.js`, whose names it uses.
//
// Such a figure has {axis: "lines", stack, places, left: [height, ...], right: [height, ...], row} among its marks: heights of
// queries and keys, and the query, from 0, whose lines the server drew strong (-1: none). The lines are those of its traces, or
// what another script puts into `gd.otherLines`: {name, lines: [[query, key, weight], ...]}.
const NEAR = 7 // pixels from the pointer to a line
const MOST_LINES = 150

const lineMark = gd => gd.layout.meta.focus.find(mark => mark.axis === "lines")

function linesOf(gd, mark) {
  if (gd.otherLines) return gd.otherLines.lines
  const found = [], span = 2 * mark.left[0] * mark.left.length
  const nearest = (heights, y) => Math.round((y * heights.length) / span - 0.5)
  for (const trace of gd._fullData) {
    if (trace.mode !== "lines") continue
    for (let i = 0; i + 1 < trace.y.length; i += 3)
      found.push([nearest(mark.left, trace.y[i]), nearest(mark.right, trace.y[i + 1]), (trace.line.width - 1) / 6])
  }
  return found
}

function lineAt(gd, mark, x, y) {
  const { xaxis, yaxis } = gd._fullLayout, share = xaxis.p2l(x - xaxis._offset)
  if (share < 0 || share > 1) return null
  const across = xaxis.l2p(1) - xaxis.l2p(0)
  let found = null, least = Infinity
  for (const [query, key, weight] of linesOf(gd, mark)) {
    const [top, bottom] = [yaxis.l2p(mark.left[query]), yaxis.l2p(mark.right[key])], slope = (bottom - top) / across
    // Of lines that cross under the pointer, the stronger one.
    const apart = Math.abs(yaxis._offset + top + (bottom - top) * share - y) / Math.hypot(1, slope) - 3 * weight
    if (apart < least) [found, least] = [query, apart]
  }
  return least <= NEAR ? { stack: mark.stack, place: mark.places[found] } : null
}

function drawLines(gd) {
  const mark = lineMark(gd), svg = [...gd.querySelectorAll(".main-svg")].at(-1)
  if (!mark || !svg) return
  const row = focus?.stack === mark.stack ? mark.places.indexOf(focus.place) : -1
  const needed = gd.otherLines || row !== mark.row
  const before = svg.querySelector(":scope > .head-lines:not(.leaving)")
  const { xaxis, yaxis } = gd._fullLayout, name = gd.otherLines?.name ?? ""
  const drawn = needed ? JSON.stringify([row, name, xaxis._length, yaxis._length]) : ""
  if (drawn === (before?.dataset.drawn ?? "") && gd.otherLines === gd.drawnLines) return
  gd.drawnLines = gd.otherLines
  gd.toggleAttribute("data-overlaid", !!needed)
  const glides = before && before.dataset.name !== name && !matchMedia("(prefers-reduced-motion: reduce)").matches
  if (glides) {
    before.classList.add("leaving")
    before.animate([{ opacity: 1 }, { opacity: 0 }], 150).onfinish = () => before.remove()
  } else before?.remove()
  if (!needed) return
  const layer = document.createElementNS("http://www.w3.org/2000/svg", "g")
  layer.setAttribute("class", "head-lines")
  Object.assign(layer.dataset, { name, drawn })
  if (glides) layer.animate([{ opacity: 0 }, { opacity: 1 }], 150)
  const at = (axis, value) => axis._offset + axis.l2p(value)
  const lines = [...linesOf(gd, mark)].sort((one, two) => (one[0] === row) - (two[0] === row) || one[2] - two[2])
  for (const [query, key, weight] of lines.slice(-MOST_LINES)) {
    const line = document.createElementNS("http://www.w3.org/2000/svg", "line"), strong = query === row
    const ends = { x1: at(xaxis, 0), x2: at(xaxis, 1), y1: at(yaxis, mark.left[query]), y2: at(yaxis, mark.right[key]) }
    const looks = { class: strong ? "strong" : "", "stroke-width": 1 + 6 * weight }
    looks.opacity = (row >= 0 && !strong ? 0.25 : 1) * Math.min(1, 0.15 + weight)
    for (const [attribute, value] of Object.entries({ ...ends, ...looks })) line.setAttribute(attribute, value)
    layer.append(line)
  }
  svg.append(layer)
}
