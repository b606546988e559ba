// The menu of changes where it is asked for: right click, long press, or the menu key (Shift+F10) on a tile, on a word, or on a
// cell of the large map, or on a box of the whole model. What is chosen goes to the server as ["head", name, layer, head, text],
// ["token", name, stack, place, row, layer] or ["box", name, box]; without a tile or word under it, the key opens the menu of the head on screen.
const PRESS = 500, SLIDE = 10 // milliseconds until a press is long; pixels a finger may slide meanwhile
const TYPING_IN = "input, textarea, select, [contenteditable=true], [role=menu], [role=listbox]"
let here = null // {words, asks, asked, row, query, layer, head, layerNames, merged} as viz/widgets/change_menu.py sends it
let tell = null
let menu = null // the open menu, and what had the focus before
let press = null // the finger that is down: {timer, x, y, opened}

const named = layer => here.layerNames?.[layer] ?? layer // its number in the model: in a hybrid some layers have no attention
const fill = (text, values) => text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole)

// Layer, head and row on screen: the large head is drawn anew more often than this menu is told.
function onScreen() {
  const { layer, head, row } = document.querySelector(".chosen-head")?.dataset ?? {}
  if (layer === undefined) return here
  const word = document.querySelector(`.tokens [data-stack="${here.asks}"][data-place="${row}"]`)
  return { layer: Number(layer), head: Number(head), row: Number(row), query: here.merged ? null : word?.textContent ?? null }
}

function cellOf(gd, x, y) {
  const box = gd.getBoundingClientRect(), { xaxis, yaxis } = gd._fullLayout
  return [xaxis.p2l(x - box.left - xaxis._offset), yaxis.p2l(y - box.top - yaxis._offset)].map(Math.round)
}

function inBox(gd, box, x, y) {
  const edge = gd.getBoundingClientRect(), { xaxis, yaxis } = gd._fullLayout
  const across = xaxis.p2l(x - edge.left - xaxis._offset), down = yaxis.p2l(y - edge.top - yaxis._offset)
  return across >= box.x[0] && across <= box.x[1] && down >= box.y[0] && down <= box.y[1]
}

// The box of the whole model for which something holds, if it can be changed.
function boxNamed(gd, holds) {
  const box = gd?.layout?.meta?.boxes?.find(holds)
  return box && here.boxes[box.name] ? { box: box.name, name: box.title } : null
}

// What stands at a place of the window: a head, a token, or nothing that can be changed.
function subjectAt(target, x, y) {
  const word = target.closest?.("[data-place]")
  if (word) return { stack: word.dataset.stack, place: Number(word.dataset.place), name: word.textContent }
  const gd = target.closest?.(".js-plotly-plot"), meta = gd?._fullLayout && gd.layout?.meta
  if (!meta) return null
  if (meta.tiles) return tileUnder(gd, x, y)
  if (meta.boxes) return boxNamed(gd, box => inBox(gd, box, x, y))
  const [across, down] = cellOf(gd, x, y)
  if (!meta.columns || here.merged || meta.columns.places[across] === undefined) return null
  const { xaxis, yaxis, xaxis2, yaxis2 } = gd._fullLayout, rows = meta.focus[0].places
  const label = (axis, hidden, at) => axis.ticktext[axis.tickvals.indexOf(at)] ?? hidden.ticktext[at]
  const asks = rows[down] === undefined ? {} : { row: rows[down], query: label(yaxis, yaxis2, down) }
  return { stack: meta.columns.stack, place: meta.columns.places[across], name: label(xaxis, xaxis2, across), ...asks }
}

function headItems({ layer, head }) {
  const { words } = here, say = (name, text) => tell?.("act", ["head", name, layer, head, text ?? ""])
  const marks = document.querySelector(".heads-said")?.dataset.heads
  const changed = marks && JSON.parse(marks).marks[`${layer}.${head}`]
  const items = ["mute", "double", "alike"].filter(name => name !== "mute" || changed !== "muted").map(name => ({ text: words[name], act: () => say(name) }))
  items.push({ text: words.copy, label: words.copy_label, act: text => say("copy", text) })
  if (changed || !marks) items.push({ text: words.undo, act: () => say("undo") })
  return items
}

function tokenItems({ stack, place, row, query }) {
  const { words } = here, shown = onScreen(), { layer } = shown, known = stack === here.asked && !here.merged
  const say = (name, asks) => tell?.("act", ["token", name, stack, place, asks ?? null, layer])
  const one = query === undefined ? shown : { row, query }
  const items = [{ text: words.forbid, act: () => say("forbid") }]
  if (known && one.query) items.push({ text: fill(words.forbid_one, one), act: () => say("forbid_one", one.row) })
  items.push({ text: fill(words.forbid_layer, { layer: named(layer) }), act: () => say("forbid_layer") })
  if (document.querySelector(".st-key-hide")) items.push({ text: words.hide, act: () => say("hide") })
  return items
}

const boxItems = ({ box }) => here.boxes[box].map(([text, name]) => ({ text, act: () => tell?.("act", ["box", "change", name]) }))

function close() {
  const was = menu
  menu = null
  was?.element.remove()
  return was
}

function item(list, { text, label, act }) {
  const made = Object.assign(document.createElement("button"), { type: "button", textContent: text })
  made.setAttribute("role", "menuitem")
  let box = null
  if (label) {
    box = Object.assign(document.createElement("input"), { value: document.querySelector(".st-key-sentence textarea")?.value ?? "" })
    box.setAttribute("aria-label", label)
    box.title = label
    box.addEventListener("keydown", event => event.key === "Enter" && made.click())
    list.append(box)
  }
  made.addEventListener("click", () => {
    if (box && !box.value.trim()) return box.focus()
    const before = close()?.before
    before?.focus?.({ preventScroll: true })
    act(box?.value)
  })
  list.append(made)
}

function open(subject, x, y) {
  const before = close()?.before ?? document.activeElement
  const isHead = subject.layer !== undefined, element = document.createElement("div")
  const title = isHead ? fill(here.words.head, { ...subject, layer: named(subject.layer) }) : subject.box ? subject.name : `“${subject.name.trim()}”`
  element.id = "change-menu"
  element.setAttribute("role", "menu")
  element.setAttribute("aria-label", title)
  element.append(Object.assign(document.createElement("strong"), { textContent: title }))
  for (const one of isHead ? headItems(subject) : subject.box ? boxItems(subject) : tokenItems(subject)) item(element, one)
  document.body.append(element)
  const { offsetWidth: width, offsetHeight: height } = element
  element.style.left = `${Math.max(4, Math.min(x, innerWidth - width - 4))}px`
  element.style.top = `${Math.max(4, y + height > innerHeight - 4 ? y - height : y)}px`
  menu = { element, before }
  element.querySelector("button").focus({ preventScroll: true })
  element.addEventListener("keydown", event => {
    event.stopPropagation() // the page has keys of its own
    const all = [...element.querySelectorAll("button, input")], at = all.indexOf(document.activeElement)
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[event.key]
    if (event.key === "Escape" || event.key === "Tab") close().before?.focus?.({ preventScroll: true })
    else if (to === undefined || (document.activeElement.matches("input") && /Home|End/.test(event.key))) return
    else all[(to + all.length) % all.length].focus()
    event.preventDefault()
  })
}

// The menu key: at the word that has the keyboard, else at the box or the tile of the head on screen.
function openByKey(target) {
  const gd = document.querySelector(".st-key-whole .js-plotly-plot")
  const shown = gd && !target.closest?.("[data-place]") && boxNamed(gd, box => box.name === gd.dataset.box)
  const mark = shown && gd.querySelector(".box-marks rect")?.getBoundingClientRect()
  if (mark) return open(shown, mark.left, mark.bottom + 2)
  const word = target.closest?.("[data-place]"), box = (word ?? document.querySelector(".tile-box, .st-key-head_title"))?.getBoundingClientRect()
  const { layer, head } = onScreen(), subject = word ? subjectAt(word) : { layer, head }
  if (box) open(subject, box.left, box.bottom + 2)
}

function listen() {
  addEventListener("contextmenu", event => {
    const subject = here && subjectAt(event.target, event.clientX, event.clientY)
    if (!subject) return
    event.preventDefault()
    if (!press?.opened) open(subject, event.clientX, event.clientY)
  }, true)
  addEventListener("pointerdown", event => {
    if (menu && !event.target.closest?.("#change-menu")) close()
    if (event.pointerType !== "touch" || !here) return
    const { target, clientX: x, clientY: y } = event, subject = subjectAt(target, x, y)
    clearTimeout(press?.timer)
    press = subject && { x, y, opened: false }
    if (press) press.timer = setTimeout(() => { press.opened = true; open(subject, x, y) }, PRESS)
  }, true)
  addEventListener("pointermove", event => {
    if (press && !press.opened && Math.hypot(event.clientX - press.x, event.clientY - press.y) > SLIDE) clearTimeout(press.timer)
  }, { capture: true, passive: true })
  for (const end of ["pointerup", "pointercancel"]) addEventListener(end, event => {
    if (event.pointerType !== "touch" || !press) return
    clearTimeout(press.timer)
    if (press.opened) event.stopImmediatePropagation() // no tap on what lies under the menu
    setTimeout(() => { press = null }, 50)
  }, true)
  addEventListener("keydown", event => {
    const asked = event.key === "ContextMenu" || (event.key === "F10" && event.shiftKey)
    if (!asked || !here || event.target.closest?.(TYPING_IN)) return
    event.preventDefault()
    openByKey(event.target)
  }, true)
}

let listens = false
export default function ({ data, setTriggerValue }) {
  here = data
  tell = (name, value) => setTriggerValue(name, value)
  if (!listens) listen()
  listens = true
  return () => { here = null; close() }
}
