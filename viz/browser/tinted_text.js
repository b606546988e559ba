// A text that is tinted by what the focus token looks at, and underlined by what looks at it, without the server.
//
// What `viz.widgets.tinted_text.message` makes comes as `data`: length of the header (uint32), the header (JSON), then, deflated,
// a float32 a query (its largest weight), another (the share that rests), and a byte a cell [query, key] in steps of that weight.
// Tokens are `.read-token` with data-stack and data-place, so `focus.js` moves the focus token as everywhere.
let here = null // {stacks, names, rows, columns, scales, rested, cells, templates, rests}
const SEEN = 4 // steps of a weight, of 255: less would change the paper by one or two of 255 shades
let drawn = new Map() // element -> "tint underline" as they are now, of those that have any
let placed = null // stack -> the elements of each of its tokens, by place, until the page is drawn anew
let column = null // {token, at}: where up and down came to, and the place across that they keep to
let spoken = null // the timer that waits before a screen reader is told

// The elements of a token. They are looked up once a page: a text of 2,000 tokens has no time for it at each move of the pointer.
function elementsOf(stack, place) {
  if (!placed?.one?.isConnected) {
    placed = { encoder: new Map(), decoder: new Map(), one: null }
    for (const token of document.querySelectorAll(".read-token[data-stack]")) {
      const { stack, place } = token.dataset, same = placed[stack]
      if (!same.get(Number(place))?.push(token)) same.set(Number(place), [token])
      placed.one = token
    }
  }
  return placed[stack].get(place) ?? []
}
const percent = share => `${Math.round(100 * share)}%`

async function inflated(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))
  return new Response(stream).arrayBuffer()
}

async function read(data) {
  const bytes = data instanceof Uint8Array ? data : new Uint8Array(data)
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true)
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)))
  const content = await inflated(bytes.subarray(4 + length))
  const { rows } = header
  here = {
    ...header,
    scales: new Float32Array(content, 0, rows),
    rested: new Float32Array(content, 4 * rows, rows),
    cells: new Uint8Array(content, 8 * rows),
  }
}

const weight = (query, key) => (here.cells[query * here.columns + key] / 255) * here.scales[query]

// What the focus token does: shade and underline of every token, by stack, from 0 to 1, and the sentence.
function look(focus) {
  const marks = { encoder: new Map(), decoder: new Map() }
  if (!here || !focus) return { marks, said: "" }
  const [asks, asked] = here.stacks
  const { rows, columns, cells, templates } = here
  const said = []
  const add = (stack, place, name, value) => {
    const mark = marks[stack].get(place) ?? { tint: 0, under: 0 }
    mark[name] = value
    marks[stack].set(place, mark)
  }
  if (focus.stack === asks && focus.place < rows) {
    const found = []
    for (let key = 0; key < columns; key++) {
      const step = cells[focus.place * columns + key]
      if (step >= SEEN) add(asked, key, "tint", step / 255)
      if (!here.rests[key]) found.push([weight(focus.place, key), here.names[1][key]])
    }
    said.push(templates.looks.replace("{token}", () => here.names[0][focus.place]).replace("{list}", () => listed(found)))
    if (here.rested[focus.place] >= 0.02) said.push(templates.rest.replace("{share}", percent(here.rested[focus.place])))
  }
  if (focus.stack === asked && focus.place < columns) {
    const found = []
    for (let query = 0; query < rows; query++) {
      if (query === focus.place && asks === asked) continue
      const step = cells[query * columns + focus.place]
      if (step > 25) add(asks, query, "under", step / 255)
      found.push([weight(query, focus.place), here.names[0][query]])
    }
    const template = asks === asked ? templates.looked : templates.looked_word
    said.push(template.replace("{token}", () => here.names[1][focus.place]).replace("{list}", () => listed(found)))
  }
  return { marks, said: said.join(" ") }
}

function listed(found) {
  const largest = found.filter(([value]) => value >= 0.02).sort((a, b) => b[0] - a[0]).slice(0, 3)
  const { item, nothing } = here.templates
  return largest.map(([value, name]) => item.replace("{token}", () => name).replace("{share}", percent(value))).join(", ") || nothing
}

// The arcs beside a program, which the page brings as JSON: it takes no SVG.
function drawArcs() {
  const make = (name, attributes) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name)
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value)
    return made
  }
  for (const gutter of document.querySelectorAll(".gutter")) {
    if (gutter.firstChild && gutter.made === gutter.dataset.arcs) continue
    gutter.made = gutter.dataset.arcs
    const { lines, arcs } = JSON.parse(gutter.made)
    const svg = make("svg", { viewBox: `0 0 1 ${lines}`, preserveAspectRatio: "none", "aria-hidden": "true" })
    for (const [places, followed, d] of arcs)
      svg.append(make("path", { class: `arc${followed ? "" : " missed"}`, "data-places": places.join(" "), d }))
    gutter.style.setProperty("--lines", lines)
    gutter.replaceChildren(svg)
  }
}

// Drawings that the page brings as JSON: [tag, attributes, text or drawings].
function build([tag, attributes, inner]) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag)
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value)
  if (typeof inner === "string") made.textContent = inner
  else made.append(...(inner ?? []).map(build))
  return made
}

function drawDrawings() {
  for (const room of document.querySelectorAll("[data-drawing]")) {
    if (room.firstChild && room.made === room.dataset.drawing) continue
    room.made = room.dataset.drawing
    room.replaceChildren(build(JSON.parse(room.made)))
  }
}

function shade(token, now) {
  const [tint, under] = now.split(" ")
  token.style.setProperty("--tint", tint)
  token.style.setProperty("--under", under)
}

function paint() {
  drawArcs()
  drawDrawings()
  const { focus, focusStack } = document.documentElement.dataset
  const on = focus ? { stack: focusStack, place: Number(focus) } : null
  const { marks, said } = look(on)
  const next = new Map()
  for (const [stack, places] of Object.entries(marks))
    for (const [place, { tint = 0, under = 0 }] of places)
      for (const token of elementsOf(stack, place)) next.set(token, `${tint.toFixed(3)} ${under.toFixed(3)}`)
  for (const token of drawn.keys()) if (!next.has(token)) shade(token, "0 0")
  for (const [token, now] of next) if (drawn.get(token) !== now) shade(token, now)
  drawn = next
  for (const arc of document.querySelectorAll(".arc[data-places]"))
    arc.classList.toggle("on", on !== null && arc.dataset.places.split(" ").includes(String(on.place)))
  const place = document.querySelector(".st-key-reading .text-said")
  if (!place || !said) return
  const plain = said.replaceAll("**", "")
  if (place.textContent !== plain) place.textContent = plain
  clearTimeout(spoken)
  spoken = setTimeout(() => { const live = document.querySelector("#said"); if (live) live.textContent = plain }, 700)
}

// The token of the line below (by 1) or above (by -1) that is nearest to a place, in pixels; the last or first there is if there is none.
function nextLine(all, token, by, place) {
  const start = token.getClientRects()[0]
  let line = null, nearest = null
  for (let i = all.indexOf(token) + by; i >= 0 && i < all.length; i += by) {
    const box = all[i].getClientRects()[0]
    if (!box || (line === null && Math.abs(box.bottom - start.bottom) < start.height / 2)) continue // on this one's own line
    line ??= box.bottom
    if (Math.abs(box.bottom - line) >= start.height / 2) break // a line further
    const away = Math.abs((box.left + box.right) / 2 - place)
    if (!nearest || away < nearest.away) nearest = { token: all[i], away }
  }
  return nearest?.token ?? all.at(by < 0 ? 0 : -1)
}

// One token can be reached by Tab; the arrow keys go on from there.
function step(event) {
  const token = event.target.closest?.(".read-token")
  const box = token?.closest(".read-text, .tinted")
  if (!box || event.altKey || event.ctrlKey || event.metaKey) return
  const across = Number(box.dataset.across ?? 0) // tokens in a row of a picture; a text has lines instead
  const lines = across ? 0 : { ArrowDown: 1, ArrowUp: -1 }[event.key]
  const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across, Home: -Infinity, End: Infinity }[event.key]
  if (!by && !lines) return
  event.preventDefault()
  event.stopImmediatePropagation() // the keys of layers and heads are for when no word has the focus
  const all = [...box.querySelectorAll(".read-token")]
  const first = token.getClientRects()[0]
  // Through short lines the place across stays that of the token where it began.
  column = lines ? { token: null, at: column?.token === token ? column.at : (first.left + first.right) / 2 } : null
  const next = lines ? nextLine(all, token, lines, column.at) : all[Math.max(0, Math.min(all.length - 1, all.indexOf(token) + by))]
  if (column) column.token = next
  token.tabIndex = -1
  next.tabIndex = 0
  next.focus()
}

// As `paint`, of a page whose elements may be others.
function paintAnew() {
  placed = null
  paint()
}

let listening = false
export default function ({ data }) {
  if (!data) return
  read(data).then(paintAnew)
  if (listening) return
  listening = true
  document.addEventListener("headlight-focus", paint)
  document.addEventListener("headlight-drawn", paintAnew)
  document.addEventListener("keydown", step, true)
}
