// Shows another head in the large map the moment a pointer or the keyboard reaches its button: no trip to the server.
// What the server then draws has the same cells, and replaces it.
// data: length of the header (uint32), the header (JSON), then, deflated, a byte a cell [head, row, column], 255 where
// masked.
const MAP = ".st-key-heatmap"
const BUTTON = ".st-key-head [role=radio], .st-key-head button"
let shown = null // the newest data; the listeners below are there once for all of them
let listening = false

const number = button => Number(button.textContent.trim())
const chosen = () => [...document.querySelectorAll(BUTTON)].find(one => one.matches("[aria-checked=true]"))

async function inflated(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))
  return new Uint8Array(await new Response(stream).arrayBuffer())
}

function paint(head) {
  const image = document.querySelector(`${MAP} .hm image`)
  const title = document.querySelector(`${MAP} .gtitle`)
  if (!shown || !image || !title || !(head >= 0 && head < shown.heads)) return
  const { rows, columns, cells, colours, gaps } = shown
  const small = Object.assign(document.createElement("canvas"), { width: columns, height: rows })
  const pixels = small.getContext("2d").createImageData(columns, rows)
  const words = new Uint32Array(pixels.data.buffer)
  for (let i = 0, from = head * words.length; i < words.length; i++) words[i] = colours[cells[from + i]]
  small.getContext("2d").putImageData(pixels, 0, 0)
  const width = Math.round(image.width.baseVal.value)
  const height = Math.round(image.height.baseVal.value)
  const large = Object.assign(document.createElement("canvas"), { width, height })
  const pen = large.getContext("2d")
  pen.imageSmoothingEnabled = false
  pen.drawImage(small, 0, 0, width, height)
  const between = (count, size, clear) => {
    for (let i = 1; i < count; i++) clear(Math.round((i * size) / count))
  }
  if (gaps[0]) between(columns, width, x => pen.clearRect(x, 0, 1, height))
  if (gaps[1]) between(rows, height, y => pen.clearRect(0, y, width, 1))
  for (const name of image.getAttributeNames())
    if (name.endsWith("href")) image.setAttributeNS("http://www.w3.org/1999/xlink", name, large.toDataURL())
  // Letter by letter as Plotly writes it; and no hover text until its numbers are this head's, too.
  title.textContent = shown.title.replace("{head}", head)
  const current = chosen()
  image.closest(".main-svg").parentElement.style.pointerEvents = current && number(current) === head ? "" : "none"
}

function listen() {
  listening = true
  const reached = event => event.target.closest?.(BUTTON)
  const show = event => reached(event) && paint(number(reached(event)))
  const back = event => {
    const next = event.relatedTarget
    if (reached(event) && !(next && next.closest?.(BUTTON)) && chosen()) paint(number(chosen()))
  }
  for (const name of ["pointerover", "focusin", "click"]) document.addEventListener(name, show, true)
  for (const name of ["pointerout", "focusout"]) document.addEventListener(name, back, true)
  // The arrow keys of the projector mode, whose buttons the server answers.
  document.addEventListener("keydown", event => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key]
    const typing = event.target.closest?.("input, textarea, [role=radio], [role=slider], [role=combobox]")
    if (!step || typing || !document.querySelector(".st-key-keys") || !shown || !chosen()) return
    shown.at = ((shown.at ?? number(chosen())) + step + shown.heads) % shown.heads
    paint(shown.at)
  }, true)
}

export default function ({ data }) {
  const bytes = new Uint8Array(data.buffer ?? data, data.byteOffset ?? 0, data.byteLength)
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true)
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)))
  inflated(bytes.subarray(4 + length)).then(cells => (shown = { ...header, cells }))
  if (!listening) listen()
}
