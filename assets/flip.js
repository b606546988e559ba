// All heads of one layer, drawn on a canvas: switching between them needs no trip to the server.
// data: length of the header (uint32), the header (JSON), then a byte a cell [head, row, column], 255 where masked.
export default function ({ data, parentElement, setTriggerValue }) {
  const bytes = new Uint8Array(data.buffer ?? data, data.byteOffset ?? 0, data.byteLength)
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true)
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)))
  const cells = bytes.subarray(4 + length)
  const { heads, rows, columns, colours, row_names, column_names, words } = header
  const find = name => parentElement.querySelector(name)
  const [root, canvas, title, said, list, open] = [".flip", "canvas", ".title", ".said", ".list", ".open"].map(find)
  const small = Object.assign(document.createElement("canvas"), { width: columns, height: rows })
  const image = small.getContext("2d").createImageData(columns, rows)
  const pixels = new Uint32Array(image.data.buffer)
  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name])

  function draw(head) {
    root.dataset.head = head
    const start = head * rows * columns
    for (let i = 0; i < pixels.length; i++) pixels[i] = colours[cells[start + i]]
    small.getContext("2d").putImageData(image, 0, 0)
    const pen = canvas.getContext("2d")
    pen.imageSmoothingEnabled = false
    pen.clearRect(0, 0, canvas.width, canvas.height)
    pen.drawImage(small, 0, 0, canvas.width, canvas.height)
    title.textContent = fill(words.title, { head })
    ;[...list.children].forEach((one, number) => one.setAttribute("aria-pressed", number === head))
  }

  const side = Math.min(root.clientWidth || 560, 560)
  const ratio = window.devicePixelRatio || 1
  const tall = Math.max(Math.round((side * rows) / Math.max(rows, columns)), 12)
  const wide = Math.max(Math.round((side * columns) / Math.max(rows, columns)), 12)
  Object.assign(canvas, { width: wide * ratio, height: tall * ratio })
  Object.assign(canvas.style, { width: wide + "px", height: tall + "px" })
  canvas.setAttribute("aria-label", words.label)
  const buttons = [...Array(heads).keys()].map(head => {
    const button = Object.assign(document.createElement("button"), { textContent: head, type: "button" })
    button.onmouseenter = button.onfocus = button.onclick = () => draw(head)
    return button
  })
  list.setAttribute("role", "group")
  list.setAttribute("aria-label", words.label)
  list.replaceChildren(...buttons)
  open.textContent = words.open
  open.onclick = () => setTriggerValue("head", Number(root.dataset.head))
  root.onkeydown = event => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key]
    if (!step) return
    event.preventDefault()
    const head = (Number(root.dataset.head) + step + heads) % heads
    if (list.contains(event.target)) buttons[head].focus() // which draws it
    else draw(head)
  }
  canvas.onmousemove = event => {
    const row = Math.min(Math.floor((event.offsetY / tall) * rows), rows - 1)
    const column = Math.min(Math.floor((event.offsetX / wide) * columns), columns - 1)
    const cell = cells[(Number(root.dataset.head) * rows + row) * columns + column]
    const values = { query: row_names[row], key: column_names[column], weight: Math.round((cell / 254) * 100) }
    said.textContent = fill(cell === 255 ? words.masked : words.looks, values)
  }
  said.textContent = words.help
  draw(Math.min(Number(root.dataset.head ?? 0), heads - 1))
}
