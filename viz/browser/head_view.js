// The large head, in the browser: pointing at a tile, or an arrow key, shows that head in the map, its heading, its lines and
// its reading at once, without the server; a click or key tells the server, whose own figures then replace what lies over.
//
// What `viz.sections.head_view.message` makes comes as globalThis.headlightHeads: length of the header (uint32), the header
// (JSON), then, deflated, 256 colours (RGBA) and a byte a cell [head, row, column] of one layer, 255 where masked. Other layers
// are taken from the picture of all heads. Which head the server shows stands in `.chosen-head` on the page.
const MAP = ".st-key-heatmap", LINES = ".st-key-lines", TILES = ".st-key-mosaic"
const SVG = "http://www.w3.org/2000/svg"
const LEAST = 0.02 // weaker weights draw no line, as on the server
const GLIDE = 150 // milliseconds
let here = null // the newest data; the listeners below are there once for all of them
let tiles = null // the picture of all heads: {href, pen}
let answered = null // the timer that ends `answering`
let painted = null // what lies over the server's picture: {at, href, under: {href}}; at: {layer, head}
let over = null // the head whose tile the pointer is on

const found = selector => document.querySelector(selector)
const plot = place => found(`${place} .js-plotly-plot`)
const mapImage = () => found(`${MAP} .hm image`)
const same = (one, two) => one && two && one.layer === two.layer && one.head === two.head
const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches

function chosen() {
  const mark = found(".chosen-head")
  return mark ? { layer: Number(mark.dataset.layer), head: Number(mark.dataset.head) } : null
}
const shown = () => painted?.at ?? chosen()

async function inflated(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))
  return new Uint8Array(await new Response(stream).arrayBuffer())
}

function canvas(width, height) {
  const made = Object.assign(document.createElement("canvas"), { width, height })
  return made.getContext("2d", { willReadFrequently: true })
}

async function lookAtTiles() {
  const href = found(`${TILES} .imagelayer image`)?.getAttribute("href")
  if (!href || tiles?.href === href) return
  const loaded = Object.assign(new Image(), { src: href })
  await loaded.decode()
  const pen = canvas(loaded.width, loaded.height)
  pen.drawImage(loaded, 0, 0)
  tiles = { href, pen }
}

// Steps 0 to 254 of the colour scale, 255 where masked. [row, column], row by row
function shades({ layer, head }) {
  const { rows, columns, thumb, step, transposed } = here
  if (layer === here.layer) return here.cells.subarray(head * rows * columns, (head + 1) * rows * columns)
  if (!here.whole || !tiles) return null
  const [across, down] = transposed ? [layer, head] : [head, layer]
  const [left, top] = [across, down].map(place => place * step + (step - thumb) / 2)
  const tile = new Uint32Array(tiles.pen.getImageData(left, top, thumb, thumb).data.buffer)
  const middle = (i, length) => Math.min(thumb - 1, Math.floor(((i + 0.5) * thumb) / length))
  const made = new Uint8Array(rows * columns)
  for (let i = 0; i < made.length; i++) {
    const [row, column] = [Math.floor(i / columns), i % columns]
    made[i] = here.steps.get(tile[middle(row, rows) * thumb + middle(column, columns)]) ?? 255
  }
  return made
}

function picture(cells) {
  const pen = canvas(here.columns, here.rows)
  const pixels = pen.createImageData(here.columns, here.rows)
  const colours = new Uint32Array(pixels.data.buffer)
  cells.forEach((shade, i) => { colours[i] = here.colours[shade] })
  pen.putImageData(pixels, 0, 0)
  return pen.canvas.toDataURL()
}

// The weights of one row of the head that is shown: exact where the server drew it, else from the colour's step.
function rowWeights(row) {
  const { columns } = here
  if (!painted) {
    const z = plot(MAP)?._fullData?.[0]?.z
    return z?.[row] ? { weights: Array.from(z[row], one => (Number.isFinite(one) ? one : null)), exact: true } : null
  }
  return { weights: Array.from(painted.cells.subarray(row * columns, (row + 1) * columns), one => (one === 255 ? null : one / 254)), exact: false }
}

// Once the server's own picture is there, nothing lies over it.
const replaced = new MutationObserver(() => {
  const image = mapImage()
  if (painted && image && image.getAttribute("href") !== painted.href) uncovered()
})

function uncovered() {
  painted = null
  replaced.disconnect()
  document.body.removeAttribute("data-painted")
  follow()
}

function show(at) {
  const image = mapImage()
  if (!here || !image || !at || at.head >= here.heads || at.layer >= here.layers || same(painted?.at, at)) return
  const under = painted?.under ?? { href: image.getAttribute("href") }
  if (same(chosen(), at)) {
    if (painted) put(image, under.href)
    return uncovered()
  }
  const cells = shades(at)
  if (!cells) return
  painted = { at, cells, href: picture(cells), under }
  put(image, painted.href)
  document.body.setAttribute("data-painted", "") // the style sheet: no hover text, whose numbers are still another head's
  replaced.observe(found(MAP), { subtree: true, childList: true, attributes: true, attributeFilter: ["href"] })
  follow()
}

function put(image, href) {
  if (!still()) {
    const before = image.cloneNode()
    before.classList.add("fading")
    image.after(before)
    before.animate([{ opacity: 1 }, { opacity: 0 }], GLIDE).onfinish = () => before.remove()
  }
  image.setAttribute("href", href)
}

// Heading, tile, lines and reading of the head that the map shows.
function follow() {
  const at = shown()
  if (!at || !here) return
  const heading = found(".st-key-head_title h2")
  if (heading) {
    const text = here.heading.replace("{layer}", at.layer).replace("{head}", at.head)
    const span = heading.querySelector("span") ?? heading
    if (span.textContent !== text) span.textContent = text
  }
  boxTile(at)
  const focus = document.documentElement.dataset
  const row = focus.focusStack === here.stack && focus.focus !== "" ? here.places[0].indexOf(Number(focus.focus)) : -1
  drawLines(row)
  read(row)
}

function boxTile({ layer, head }) {
  const gd = plot(TILES), tile = gd?.layout?.meta?.tiles
  const svg = gd && [...gd.querySelectorAll(".main-svg")].at(-1)
  if (!svg || !tile) return
  let box = svg.querySelector(":scope > .tile-box")
  if (!box) {
    box = document.createElementNS(SVG, "rect")
    box.setAttribute("class", "tile-box")
    svg.append(box)
    gd.on?.("plotly_afterplot", () => boxTile(shown() ?? { layer, head }))
  }
  const { xaxis, yaxis } = gd._fullLayout
  const [across, down] = tile.transposed ? [layer, head] : [head, layer]
  const [x, right] = [across - 0.5, across + 0.5].map(at => xaxis._offset + xaxis.l2p(at))
  const [y, bottom] = [down - 0.5, down + 0.5].map(at => yaxis._offset + yaxis.l2p(at))
  for (const [name, value] of Object.entries({ x, y, width: right - x, height: bottom - y })) box.setAttribute(name, value)
}

// Lines of the shown head over the server's, where head or row differ from those the server drew.
function drawLines(row) {
  const gd = plot(LINES), ends = gd?.layout?.meta?.lines
  const svg = gd && [...gd.querySelectorAll(".main-svg")].at(-1)
  if (!svg || !ends || !here) return
  let layer = svg.querySelector(":scope > .head-lines")
  const needed = painted || row !== ends.row
  gd.toggleAttribute("data-overlaid", !!needed)
  layer?.remove()
  if (!needed) return
  layer = document.createElementNS(SVG, "g")
  layer.setAttribute("class", "head-lines")
  const { xaxis, yaxis } = gd._fullLayout
  const at = (axis, value) => axis._offset + axis.l2p(value)
  const made = []
  for (let query = 0; query < ends.left.length; query++)
    rowWeights(query)?.weights.forEach((weight, key) => { if (weight >= LEAST) made.push([query, key, weight]) })
  made.sort((one, two) => (one[0] === row) - (two[0] === row) || one[2] - two[2])
  for (const [query, key, weight] of made.slice(-150)) {
    const line = document.createElementNS(SVG, "line")
    const strong = query === row
    line.setAttribute("x1", at(xaxis, 0))
    line.setAttribute("x2", at(xaxis, 1))
    line.setAttribute("y1", at(yaxis, ends.left[query]))
    line.setAttribute("y2", at(yaxis, ends.right[key]))
    line.setAttribute("class", strong ? "strong" : "")
    line.setAttribute("stroke-width", 1 + 6 * weight)
    line.setAttribute("opacity", (row >= 0 && !strong ? 0.25 : 1) * Math.min(1, 0.15 + weight))
    layer.append(line)
  }
  svg.append(layer)
}

// One sentence on where the focused token looks, in the words that the server uses.
function read(row) {
  const place = found(".st-key-reading [data-testid=stMarkdownContainer]")
  if (!place) return
  let live = place.querySelector(":scope > .live-reading")
  const served = found(".chosen-head")?.dataset.row
  const asIs = !painted && (row < 0 || String(here.places[0][row]) === served)
  const looked = asIs || row < 0 ? null : rowWeights(row)
  place.toggleAttribute("data-live", !!looked)
  if (!looked) return live?.remove()
  if (!live) {
    live = document.createElement("p")
    live.className = "live-reading"
    place.append(live)
  }
  const at = shown()
  const order = looked.weights.map((weight, key) => [weight ?? -1, key]).sort((one, two) => two[0] - one[0])
  const named = order.slice(0, 3).filter(([weight], i) => weight >= 0 && (i === 0 || weight >= 0.005))
  const about = looked.exact ? "" : "≈ "
  const keys = named.map(([weight, key]) => here.reading.key.replace("{key}", here.names[1][key]).replace("{weight}", about + here.reading.percent.replace("{n}", Math.round(100 * weight))))
  const next = here.next?.[row]
  const text = here.reading.row.replace("{layer}", at.layer).replace("{head}", at.head).replace("{query}", here.names[0][row]).replace("{keys}", keys.join(", "))
  live.textContent = next ? `${text} ${here.reading.next.replaceAll("{query}", here.names[0][row]).replace("{next}", next)}` : text
}

// The server answers in a tenth of a second. Streamlit would have what is to be replaced begin to fade at once, each
// element for itself, which took 15 of a click's 140 milliseconds.
function answering() {
  clearTimeout(answered)
  document.body.setAttribute("data-answering", "")
  answered = setTimeout(() => document.body.removeAttribute("data-answering"), 400)
}

function tileAt(event) {
  const gd = event.target.closest?.(`${TILES} .js-plotly-plot`), tile = gd?.layout?.meta?.tiles
  if (!tile || !gd._fullLayout) return null
  const box = gd.getBoundingClientRect(), { xaxis, yaxis } = gd._fullLayout
  const across = Math.round(xaxis.p2l(event.clientX - box.left - xaxis._offset))
  const down = Math.round(yaxis.p2l(event.clientY - box.top - yaxis._offset))
  const [layer, head] = tile.transposed ? [across, down] : [down, across]
  return layer >= 0 && head >= 0 && layer < tile.layers && head < tile.heads ? { layer, head } : null
}

function pick(at) {
  show(at)
  answering()
  globalThis.headlightPick?.("head", [at.layer, at.head])
  if (innerWidth <= 640) found(".st-key-head_title")?.scrollIntoView({ behavior: still() ? "auto" : "smooth" })
}

function listen() {
  document.addEventListener("pointermove", event => {
    lookAtTiles() // they may be drawn later than the data comes
    const at = event.pointerType === "touch" ? null : tileAt(event)
    if (at) show(at)
    else if (over) show(chosen())
    over = at
  }, { capture: true, passive: true })
  document.addEventListener("click", event => {
    const at = tileAt(event)
    if (at) pick(at)
    else if (event.target.closest?.(".st-key-head_keys")) answering()
  }, true)
  document.addEventListener("headlight-focus", follow)
  document.addEventListener("keydown", event => {
    const [row, step] = {
      ArrowRight: ["head", 1], ArrowLeft: ["head", -1], ArrowDown: ["layer", 1], ArrowUp: ["layer", -1],
    }[event.key] ?? []
    const typing = event.target.closest?.("input, textarea, [role=radio], [role=slider], [role=combobox], [role=menu]")
    const at = shown()
    if (!row || typing || !here || !at || !found(".st-key-head_keys")) return
    const count = row === "head" ? here.heads : here.layers
    answering()
    show({ ...at, [row]: (at[row] + step + count) % count })
  }, true)
}

async function take() {
  const data = globalThis.headlightHeads
  if (!data) return
  const bytes = new Uint8Array(data.buffer ?? data, data.byteOffset ?? 0, data.byteLength)
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true)
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)))
  const body = await inflated(bytes.subarray(4 + length))
  if (data !== globalThis.headlightHeads) return // a newer one came meanwhile
  const colours = new Uint32Array(body.buffer, 0, 256)
  here = { ...header, colours, cells: body.subarray(4 * 256), steps: new Map(Array.from(colours, (colour, i) => [colour, i])) }
  lookAtTiles()
  follow()
}

let listening = false
export default function () {
  if (!listening) {
    listen()
    document.addEventListener("headlight-heads", take)
  }
  listening = true
  take()
}
