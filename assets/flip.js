// Shows another head in the large map the moment a pointer or the keyboard reaches its button: no trip to the server.
// What the server then draws has the same cells, and replaces it.
// data: length of the header (uint32), the header (JSON), then, deflated, a byte a cell [head, row, column], 255 where
// masked.
const MAP = ".st-key-heatmap"
const BUTTON = ".st-key-head [role=radio]"
let heads = null // the newest data; the listeners below are there once for all of them
let painted = null // what lies over the server's picture: {head, href, under: {head, href, title}}

const number = button => Number(button.textContent.trim())
const chosen = () => {
  const found = document.querySelector(".st-key-head [role=radio][aria-checked=true]")
  return found ? number(found) : null
}
const parts = () => [".hm image", ".gtitle"].map(part => document.querySelector(`${MAP} ${part}`))

async function inflated(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))
  return new Uint8Array(await new Response(stream).arrayBuffer())
}

function picture(head, width, height) {
  const { rows, columns, cells, colours, gaps } = heads
  const small = Object.assign(document.createElement("canvas"), { width: columns, height: rows })
  const pixels = small.getContext("2d").createImageData(columns, rows)
  const shades = new Uint32Array(pixels.data.buffer)
  for (let i = 0, from = head * shades.length; i < shades.length; i++) shades[i] = colours[cells[from + i]]
  small.getContext("2d").putImageData(pixels, 0, 0)
  const large = Object.assign(document.createElement("canvas"), { width, height })
  const pen = large.getContext("2d")
  pen.imageSmoothingEnabled = false
  pen.drawImage(small, 0, 0, width, height)
  const between = (count, size, clear) => {
    for (let i = 1; i < count; i++) clear(Math.round((i * size) / count))
  }
  if (gaps[0]) between(columns, width, x => pen.clearRect(x, 0, 1, height))
  if (gaps[1]) between(rows, height, y => pen.clearRect(0, y, width, 1))
  return large.toDataURL()
}

// Once the server's own picture is there, nothing lies over it.
const replaced = new MutationObserver(() => {
  const image = parts()[0]
  if (painted && image && image.getAttribute("href") !== painted.href) uncovered()
})

function uncovered() {
  painted = null
  replaced.disconnect()
  document.querySelector(MAP)?.removeAttribute("data-painted")
}

function show(head) {
  const [image, title] = parts()
  if (!heads || !image || !title || !(head >= 0 && head < heads.heads) || painted?.head === head) return
  const under = painted?.under ?? { head: chosen(), href: image.getAttribute("href"), title: title.textContent }
  if (under.head === head) {
    if (painted) put(image, under.href, title, under.title)
    return uncovered()
  }
  const size = side => Math.round(image[side].baseVal.value)
  painted = { head, href: picture(head, size("width"), size("height")), under }
  put(image, painted.href, title, heads.title.replace("{head}", head))
  const map = document.querySelector(MAP)
  map.setAttribute("data-painted", "") // the style sheet: no hover text, whose numbers are still another head's
  replaced.observe(map, { subtree: true, childList: true, attributes: true, attributeFilter: ["href"] })
}

function put(image, href, title, text) {
  image.setAttribute("href", href)
  title.textContent = text
}

function listen() {
  const reached = event => event.target.closest?.(BUTTON)
  for (const name of ["pointerover", "focusin", "click"])
    document.addEventListener(name, event => reached(event) && show(number(reached(event))), true)
  for (const name of ["pointerout", "focusout"])
    document.addEventListener(name, event => {
      if (reached(event) && painted && !event.relatedTarget?.closest?.(BUTTON)) show(chosen())
    }, true)
  // The arrow keys of the projector mode, whose buttons the server answers.
  document.addEventListener("keydown", event => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key]
    const typing = event.target.closest?.("input, textarea, [role=radio], [role=slider], [role=combobox]")
    if (!step || typing || !heads || chosen() === null || !document.querySelector(".st-key-keys")) return
    show(((painted?.head ?? chosen()) + step + heads.heads) % heads.heads)
  }, true)
}

let listening = false
export default function ({ data }) {
  const bytes = new Uint8Array(data.buffer ?? data, data.byteOffset ?? 0, data.byteLength)
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true)
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)))
  inflated(bytes.subarray(4 + length)).then(cells => (heads = { ...header, cells }))
  if (!listening) listen()
  listening = true
}
