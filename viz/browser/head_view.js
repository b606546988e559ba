// The large head, in the browser: pointing at a tile, or an arrow key, shows that head in the map, its heading, its lines and
// its reading at once, without the server; a click or key tells the server, whose own figures then replace what lies over.
//
// What `viz.sections.heads.head_view.message` makes comes as globalThis.headlightHeads: length of the header (uint32), the header
// (JSON), then, deflated, 256 colours (RGBA) and a byte a cell [head, row, column] of one layer, 255 where masked. Other layers
// are taken from the picture of all heads. Which head the server shows stands in `.chosen-head` on the page; what is said of
// each head, and which ones are changed, in `.heads-said`; which tiles are to be lit in `.found-heads`.
const MAP = ".st-key-heatmap", LINES = ".st-key-lines", TILES = ".st-key-mosaic", OVERLAY = ".st-key-overlay"
const SVG = "http://www.w3.org/2000/svg"
const LEAST = 0.02 // weaker weights draw no line, as on the server
const TYPING = "input, textarea, select, [contenteditable=true], [role=radio], [role=slider], [role=combobox], [role=listbox], [role=menu], [role=dialog]"
let here = null // the newest data; the listeners below are there once for all of them
let tiles = null // the picture of all heads: {href, pen}
let answered = null // the timer that ends `answering`
let painted = null // what lies over the server's picture: {at, href, under: {href}}; at: {layer, head}
let due = null // the head that the server has yet to be told of
let over = null // the head whose tile the pointer is on
let said = { text: "", said: {}, marks: {} } // of the heads, read from the page
const followed = new WeakMap() // picture of all heads -> the emitter of its events; another one after it was drawn anew

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
  if (over) show(over) // the pointer was there first
}

// Steps 0 to 254 of the colour scale, 255 where masked. [row, column], row by row
function shades({ layer, head }) {
  const { rows, columns, thumb, step } = here, gd = plot(TILES)
  if (layer === here.layer) return here.cells.subarray(head * rows * columns, (head + 1) * rows * columns)
  if (!here.whole || !tiles || !tilesOf(gd)) return null
  const [left, top] = tilePlace(gd, layer, head).map(place => place * step + (step - thumb) / 2)
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

// Once the server's own picture is there, nothing lies over it. Streamlit puts another figure in the place of the one before,
// so the whole page is watched, as long as something lies over the map.
const replaced = new MutationObserver(() => {
  const href = mapImage()?.getAttribute("href")
  if (painted && href && ![painted.href, painted.under.href].includes(href)) uncovered()
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
    if (painted) image.setAttribute("href", under.href)
    return uncovered()
  }
  const cells = shades(at)
  if (!cells) return
  painted = { at, cells, href: picture(cells), under }
  image.setAttribute("href", painted.href) // `glide.js` sees it
  document.body.setAttribute("data-painted", "") // the style sheet: no hover text, whose numbers are still another head's
  replaced.observe(document.body, { subtree: true, childList: true })
  replaced.observe(found(MAP), { subtree: true, childList: true, attributes: true })
  follow()
}

// Heading, tile, lines and reading of the head that the map shows.
function follow() {
  const at = shown()
  if (!at || !here) return
  const heading = found(".st-key-head_title h2")
  if (heading) {
    const name = here.heading.replace("{layer}", here.layerNames[at.layer]).replace("{head}", at.head)
    const end = heads().said[`${at.layer}.${at.head}`]
    const text = end ? `${name} · ${end}` : name
    const span = heading.querySelector("span") ?? heading
    if (span.textContent.replaceAll("\u2060", "") !== text) span.textContent = text
  }
  // Which layer of the model it is, in the strip of its layers.
  const strip = found(".here"), stacks = strip?.querySelectorAll(".here-stack") ?? []
  if (strip) {
    const slices = stacks[strip.dataset.stack === "decoder" ? stacks.length - 1 : 0].children
    for (const slice of slices) slice.toggleAttribute("data-here", slice.dataset.layer === String(here.layerNames[at.layer]))
  }
  drawTiles()
  const focus = document.documentElement.dataset
  const row = focus.focusStack === here.stack && focus.focus !== "" ? here.places[0].indexOf(Number(focus.focus)) : -1
  tellLines()
  tintPicture()
  read(row)
}

function heads() {
  const text = found(".heads-said")?.dataset.heads ?? ""
  if (text !== said.text) said = text ? { text, ...JSON.parse(text) } : { text, said: {}, marks: {} }
  return said
}

// The server answers in a tenth of a second. Streamlit would have what is to be replaced begin to fade at once, each
// element for itself, which took 15 of a click's 140 milliseconds.
function answering() {
  clearTimeout(answered)
  document.body.setAttribute("data-answering", "")
  answered = setTimeout(() => document.body.removeAttribute("data-answering"), 400)
}

const tileAt = event => tileUnder(event.target.closest?.(`${TILES} .js-plotly-plot`), event.clientX, event.clientY)

// The head that an entry of the list of found heads opens.
function foundHead(event) {
  const [layer, head] = event.target.closest?.("[data-open]")?.dataset.open.split(".").map(Number) ?? []
  return head === undefined ? null : { layer, head }
}

function pick(at) {
  show(at)
  answering()
  if (globalThis.headlightPick) globalThis.headlightPick("head", [at.layer, at.head])
  else due = at // right after loading: said once the page listens
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
  // Plotly makes the click of a touch itself, at no place; a touch that scrolls is cancelled.
  document.addEventListener("pointerup", event => {
    const at = event.pointerType === "touch" ? tileAt(event) : null
    if (at) pick(at)
  }, true)
  document.addEventListener("click", event => {
    const at = event.pointerType === "touch" ? null : tileAt(event) ?? foundHead(event)
    if (at) pick(at)
    else if (event.target.closest?.(".st-key-head_keys")) answering()
  }, true)
  document.addEventListener("headlight-focus", follow)
  document.addEventListener("headlight-drawn", () => {
    const image = mapImage()
    if (painted && image?.getAttribute("href") !== painted.href) uncovered() // another page, or a map drawn anew
    else follow()
  })
  document.addEventListener("keydown", event => {
    const [row, step] = {
      ArrowRight: ["head", 1], ArrowLeft: ["head", -1], ArrowDown: ["layer", 1], ArrowUp: ["layer", -1],
    }[event.key] ?? []
    const typing = event.target.closest?.(TYPING) || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey
    const at = shown()
    const open = (event.key === "Enter" || event.key === " ") && foundHead(event)
    if (open) {
      event.preventDefault()
      pick(open)
    }
    if (!row || typing || !here || !at || !found(".st-key-head_keys")) return
    const count = row === "head" ? here.heads : here.layers
    event.preventDefault() // nothing scrolls
    pick({ ...at, [row]: (at[row] + step + count) % count })
  }, true)
}

async function take() {
  const data = globalThis.headlightHeads
  if (!data) return
  if (due && globalThis.headlightPick) {
    globalThis.headlightPick("head", [due.layer, due.head])
    due = null
  }
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
