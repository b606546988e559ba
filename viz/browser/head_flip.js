// Preview of another head or layer in the heat map while a pointer or the keyboard is on its button, without a request to
// the server. After a click the server's image, which has the same cells, replaces the preview.
// globalThis.headlightHeads has the bytes of `viz.sections.head_flip`: length of the header (uint32), header (JSON), then,
// deflated, 256 colours (RGBA) and a byte a cell [head, row, column] of one layer, 255 where masked. Maps of other layers
// are cut out of the mosaic of all heads on the page.
const MAP = ".st-key-heatmap"
const BUTTON = ".st-key-head [role=radio], .st-key-layer [role=radio]"
let here = null // the newest data; the listeners are added once
let tiles = null // the mosaic of all heads: {href, pen}
let answered = null // timer that ends `answering`
let painted = null // the preview and the server's image that it replaces: {at, href, under: {at, href, title}}; at: {layer, head}

const found = selector => document.querySelector(selector)
const parts = () => [found(`${MAP} .hm image`), found(`${MAP} .gtitle`)]
const number = button => Number(button.textContent.trim())
const same = (one, two) => one && two && one.layer === two.layer && one.head === two.head

function chosen() {
  const [layer, head] = ["layer", "head"].map(row => found(`.st-key-${row} [role=radio][aria-checked=true]`))
  return layer && head ? { layer: number(layer), head: number(head) } : null
}

async function inflated(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))
  return new Uint8Array(await new Response(stream).arrayBuffer())
}

function canvas(width, height) {
  const made = Object.assign(document.createElement("canvas"), { width, height })
  return made.getContext("2d", { willReadFrequently: true })
}

async function lookAtTiles() {
  const href = found(".st-key-mosaic .imagelayer image")?.getAttribute("href")
  if (!href || tiles?.href === href) return
  const loaded = Object.assign(new Image(), { src: href })
  await loaded.decode()
  const pen = canvas(loaded.width, loaded.height)
  pen.drawImage(loaded, 0, 0)
  tiles = { href, pen }
}

function dotted(width, height, shade) {
  const pen = canvas(width, height)
  const pixels = pen.createImageData(width, height)
  const shades = new Uint32Array(pixels.data.buffer)
  for (let i = 0; i < shades.length; i++) shades[i] = shade(Math.floor(i / width), i % width)
  pen.putImageData(pixels, 0, 0)
  return pen.canvas
}

// Canvas with the map of a head, a pixel a cell; null where the browser does not have it.
function cells({ layer, head }) {
  const { rows, columns, colours, thumb, step } = here
  if (layer === here.layer)
    return dotted(columns, rows, (row, column) => colours[here.cells[(head * rows + row) * columns + column]])
  if (!here.whole || !tiles) return null
  const [left, top] = [head, layer].map(place => place * step + (step - thumb) / 2)
  const tile = new Uint32Array(tiles.pen.getImageData(left, top, thumb, thumb).data.buffer)
  const [width, height] = [columns, rows].map(length => Math.min(length, thumb)) // longer sides were pooled to its size
  const middle = (i, length) => Math.floor(((i + 0.5) * thumb) / length)
  return dotted(width, height, (row, column) => tile[middle(row, height) * thumb + middle(column, width)])
}

// A new image from the server ends the preview.
const replaced = new MutationObserver(() => {
  const image = parts()[0]
  if (painted && image && image.getAttribute("href") !== painted.href) uncovered()
})

function uncovered() {
  painted = null
  replaced.disconnect()
  found(MAP)?.removeAttribute("data-painted")
}

function show(at) {
  const [image, title] = parts()
  if (!here || !image || !title || !at || at.head >= here.heads || same(painted?.at, at)) return
  const under = painted?.under ?? { at: chosen(), href: image.getAttribute("href"), title: title.textContent }
  if (same(under.at, at)) {
    if (painted) put(image, under.href, title, under.title)
    return uncovered()
  }
  const small = cells(at)
  if (!small) return
  painted = { at, href: small.toDataURL(), under }
  put(image, painted.href, title, here.title.replace("{layer}", at.layer).replace("{head}", at.head))
  const map = found(MAP)
  map.setAttribute("data-painted", "") // style.css then hides the hover text, which has the numbers of another head
  replaced.observe(map, { subtree: true, childList: true, attributes: true, attributeFilter: ["href"] })
}

function put(image, href, title, text) {
  image.setAttribute("href", href)
  title.textContent = text
}

// Suspend Streamlit's fading of stale elements for 400 ms: the server answers in 100 ms, and the animation takes 15 of a
// click's 140 ms.
function answering() {
  clearTimeout(answered)
  document.body.setAttribute("data-answering", "")
  answered = setTimeout(() => document.body.removeAttribute("data-answering"), 400)
}

function listen() {
  document.addEventListener("pointerover", lookAtTiles, true) // the mosaic may be drawn after the data has arrived
  const reached = event => event.target.closest?.(BUTTON)
  const asked = button => button && chosen() && {
    ...chosen(),
    [button.closest(".st-key-head") ? "head" : "layer"]: number(button),
  }
  document.addEventListener("click", event => reached(event) && answering(), true)
  for (const name of ["pointerover", "focusin", "click"])
    document.addEventListener(name, event => reached(event) && show(asked(reached(event))), true)
  for (const name of ["pointerout", "focusout"])
    document.addEventListener(name, event => {
      if (reached(event) && painted && !event.relatedTarget?.closest?.(BUTTON)) show(chosen())
    }, true)
  // Arrow keys of the projector mode; the server handles them too.
  document.addEventListener("keydown", event => {
    const [row, step] = {
      ArrowRight: ["head", 1], ArrowLeft: ["head", -1], ArrowDown: ["layer", 1], ArrowUp: ["layer", -1],
    }[event.key] ?? []
    const typing = event.target.closest?.("input, textarea, [role=radio], [role=slider], [role=combobox]")
    const at = painted?.at ?? chosen()
    if (!row || typing || !here || !at || !found(".st-key-arrow_keys")) return
    const count = row === "head" ? here.heads : here.layers
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
  if (data !== globalThis.headlightHeads) return // newer data has arrived meanwhile
  here = { ...header, colours: new Uint32Array(body.buffer, 0, 256), cells: body.subarray(4 * 256) }
  lookAtTiles()
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
