// The picture of the whole model: pointing at a box shows it large beside the picture, a click opens its layer or its page,
// and Play walks through the boxes in the order of computing. The boxes stand in `layout.meta.boxes` of the figure.
// A finger cannot point: its first touch shows the box, the second one, or the button in the panel, opens it.
const SVG = "http://www.w3.org/2000/svg"
const ROOM = 620 // pixels: in less, the stacks stand one above the other
const PACE = 2600 // milliseconds for a box while it plays; longer sentences take longer
let data = null, tell = null, tellNarrow = null, tellLeave = null, timer = null
let name = "" // of the box that is shown, which may have opened since: then its first block is
let pointed = false // whether the pointer chose the box, and not a step

const figure = () => document.querySelector(".st-key-whole .js-plotly-plot")
const table = () => figure()?.layout?.meta?.boxes ?? []
const place = () => {
  const boxes = table(), found = boxes.findIndex(box => box.name === name)
  return found >= 0 || !name ? found : boxes.findIndex(box => box.name.startsWith(`${name}.`))
}
const shownBox = () => table()[place()]
const inside = (box, x, y) => x >= box.x[0] && x <= box.x[1] && y >= box.y[0] && y <= box.y[1]

function boxAt(event) {
  const gd = event.target.closest?.(".st-key-whole .js-plotly-plot")
  if (!gd?._fullLayout) return -1
  const edge = gd.getBoundingClientRect(), { xaxis, yaxis } = gd._fullLayout
  const x = xaxis.p2l(event.clientX - edge.left - xaxis._offset), y = yaxis.p2l(event.clientY - edge.top - yaxis._offset)
  return table().findIndex(box => inside(box, x, y))
}

function mark() {
  const gd = figure(), svg = gd && [...gd.querySelectorAll(".main-svg")].at(-1)
  if (!svg || !gd._fullLayout) return
  let layer = svg.querySelector(":scope > .box-marks")
  if (!layer) {
    layer = document.createElementNS(SVG, "g")
    layer.setAttribute("class", "box-marks")
    svg.append(layer)
  }
  layer.replaceChildren()
  const box = shownBox()
  gd.dataset.box = box?.name ?? "" // for the menu of changes
  if (!box) return
  const { xaxis, yaxis } = gd._fullLayout
  const [left, right] = box.x.map(value => xaxis._offset + xaxis.l2p(value))
  const [top, bottom] = box.y.map(value => yaxis._offset + yaxis.l2p(value))
  const drawn = document.createElementNS(SVG, "rect")
  for (const [name, value] of Object.entries({ x: left - 2, y: top - 2, width: right - left + 4, height: bottom - top + 4, rx: 4 }))
    drawn.setAttribute(name, value)
  layer.append(drawn)
}

function text(tag, words, className) {
  const made = document.createElement(tag)
  made.textContent = words
  if (className) made.className = className
  return made
}

function show() {
  const panel = document.querySelector(".whole-panel"), box = shownBox()
  if (!panel) return
  panel.toggleAttribute("data-box", !!box)
  if (!box) return panel.replaceChildren(text("p", data.words.point))
  const parts = [text("h3", box.title), text("p", box.text)]
  if (box.image) {
    const picture = document.createElement("img")
    picture.src = box.image
    picture.alt = ""
    parts.splice(1, 0, picture)
  }
  const token = document.documentElement.dataset, found = data.follow[box.name]
  if (found?.length && token.focus !== "" && token.focusStack === box.stack && found.length[token.focus] !== undefined) {
    const kept = `${Math.round(100 * found.kept[token.focus])}\u202f%`
    parts.push(text("p", data.words.stream.replace("{length}", found.length[token.focus]).replace("{kept}", kept), "stream"))
  }
  panel.replaceChildren(...parts)
  const button = (words, act) => {
    const made = text("button", words)
    made.type = "button"
    made.onclick = () => { stop(); act() }
    panel.append(made)
  }
  button(data.words[box.kind === "folded" ? "unfold" : "goto"], () => tell?.(box.name))
  for (const [page, title] of data.pages[box.name] ?? []) button(title, () => tell?.(`${box.name} ${page}`))
  for (const [words, name] of data.changes[box.name] ?? []) button(words, () => tellLeave?.(name))
}

// Scroll, if need be, so that the box stands between the bars and the panel.
function reveal() {
  const gd = figure(), box = shownBox(), area = document.querySelector("[data-testid=stMain]")
  if (!box || !gd?._fullLayout || !area) return
  const edge = gd.getBoundingClientRect().top, { yaxis } = gd._fullLayout
  const [top, bottom] = box.y.map(value => edge + yaxis._offset + yaxis.l2p(value))
  const panel = document.querySelector(".whole-panel"), fixed = panel && getComputedStyle(panel).position === "fixed"
  const least = (document.querySelector(".st-key-bar")?.getBoundingClientRect().bottom ?? 0) + 8
  const most = (fixed ? panel.getBoundingClientRect().top : innerHeight) - 8
  if (top < least || bottom - top > most - least) area.scrollTop += top - least
  else if (bottom > most) area.scrollTop += bottom - most
}

function go(index) {
  const chosen = table()[index]?.name ?? ""
  if (chosen === name) return
  name = chosen
  mark()
  show()
}

// Folded layers in a row are one step.
function next(by) {
  const boxes = table(), at = place()
  let index = at < 0 ? (by > 0 ? 0 : boxes.length - 1) : at + by
  const folded = place => boxes[place]?.kind === "folded" && boxes[place - by]?.kind === "folded"
  while (folded(index)) index += by
  go(Math.min(Math.max(index, 0), boxes.length - 1))
  reveal()
  return index < boxes.length - 1
}

function stop() {
  clearTimeout(timer)
  timer = null
  buttons()
}

function play() {
  if (timer) return stop()
  if (pointed || place() >= table().length - 1) name = ""
  pointed = false
  const walk = () => {
    const more = next(1)
    timer = more ? setTimeout(walk, Math.max(PACE, 45 * (shownBox()?.text.length ?? 0))) : null
    if (!more) buttons()
  }
  walk()
  buttons()
}

function buttons() {
  const room = document.querySelector(".whole-play")
  if (!room) return
  const made = [["back", "◀", () => { stop(); next(-1) }], [timer ? "pause" : "play", timer ? "❚❚" : "▶", play], ["on", "▶▏", () => { stop(); next(1) }]]
  const old = [...room.children]
  made.forEach(([name, sign, act], index) => {
    const button = old[index] ?? room.appendChild(document.createElement("button"))
    button.type = "button"
    button.textContent = index === 1 ? `${sign} ${data.words[name]}` : sign
    button.setAttribute("aria-label", data.words[name])
    button.title = data.words[name]
    button.onclick = act
  })
}

function listen() {
  document.addEventListener("pointermove", event => {
    if (timer || !event.target.closest?.(".st-key-whole")) return
    const found = event.pointerType === "touch" ? -1 : boxAt(event)
    if (found < 0) return
    pointed = true
    go(found)
  }, { capture: true, passive: true })
  let touched = false // Plotly makes a click of its own of each touch
  document.addEventListener("pointerdown", event => { touched = event.pointerType === "touch" }, { capture: true, passive: true })
  document.addEventListener("click", event => {
    const found = boxAt(event)
    if (touched || found < 0) return
    stop()
    go(found)
    tell?.(table()[found].name)
  }, true)
  document.addEventListener("pointerup", event => {
    if (event.pointerType !== "touch" || !event.target.closest?.(".st-key-whole")) return
    const found = boxAt(event), again = found >= 0 && found === place()
    stop()
    go(found)
    if (again || table()[found]?.kind === "folded") tell?.(table()[found].name)
    else reveal()
  }, true)
  document.addEventListener("keydown", event => {
    if (!figure() || event.target.closest?.("input, textarea, [role=slider], [contenteditable]") || event.ctrlKey || event.metaKey || event.altKey) return
    if (event.key === "ArrowRight") next(1)
    else if (event.key === "ArrowLeft") next(-1)
    else if (event.key === "Enter" && shownBox() && !event.target.closest?.("button, a, [role=button]")) tell?.(shownBox().name)
    else if (event.key === "Escape") go(-1)
    else return
    stop()
  })
  document.addEventListener("headlight-focus", () => figure() && show())
  document.addEventListener("headlight-drawn", () => { if (figure()) { mark(); buttons() } })
  addEventListener("resize", () => { clearTimeout(resized); resized = setTimeout(measure, 200) })
}

// Tells the server when the picture has another kind of room than it was drawn for.
let resized = null, told = null
function measure() {
  const room = document.querySelector(".st-key-whole")?.getBoundingClientRect().width
  if (!room) return
  const narrow = room < ROOM
  if (narrow === data.narrow || told === narrow) return
  told = narrow
  tellNarrow(narrow)
}

let listening = false
export default function ({ data: given, setTriggerValue }) {
  data = given
  tell = name => setTriggerValue("click", name)
  tellLeave = name => setTriggerValue("leave", name)
  tellNarrow = narrow => setTriggerValue("narrow", narrow)
  told = null
  if (!listening) listen()
  listening = true
  buttons()
  mark()
  show()
  measure()
}
