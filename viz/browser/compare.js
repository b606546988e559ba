// The tiles of Compare: a click sets head A; a click with Shift or Alt held, or while the switch stands on B, sets head B. The keys
// "a" and "b" move the switch. Both heads are boxed, at once; the server then draws their maps.
const TILES = ".st-key-compare_tiles", SWITCH = ".st-key-pick_side"
const SVG = "http://www.w3.org/2000/svg"
let here = null // {a, b: [layer, head] or null where it is none of these tiles; only: "a" or "b" where a click sets no other}
let tell = null

const figure = () => document.querySelector(`${TILES} .js-plotly-plot`)
const choices = () => [...document.querySelectorAll(`${SWITCH} [role=radio], ${SWITCH} button`)]
const isChosen = one => one.getAttribute("aria-checked") === "true" || /Active/.test(one.dataset.testid ?? "")

function sideOf(event) {
  if (here.only) return here.only
  return event.shiftKey || event.altKey || choices().findIndex(isChosen) === 1 ? "b" : "a"
}

function boxes() {
  const gd = figure(), tile = gd?.layout?.meta?.tiles
  const svg = gd && [...gd.querySelectorAll(".main-svg")].at(-1)
  if (!svg || !tile || !here) return
  let layer = svg.querySelector(":scope > .side-boxes")
  if (!layer) {
    layer = document.createElementNS(SVG, "g")
    layer.setAttribute("class", "side-boxes")
    svg.append(layer)
    gd.on?.("plotly_afterplot", boxes)
  }
  layer.replaceChildren()
  const { xaxis, yaxis } = gd._fullLayout
  for (const side of ["a", "b"]) {
    if (!here[side]) continue
    const [across, down] = tilePlace(gd, ...here[side])
    const inset = side === "b" ? 0.08 : 0 // both are seen where A and B are one head
    const [x, right] = [across - 0.5 + inset, across + 0.5 - inset].map(at => xaxis._offset + xaxis.l2p(at))
    const [y, bottom] = [down - 0.5 + inset, down + 0.5 - inset].map(at => yaxis._offset + yaxis.l2p(at))
    const box = document.createElementNS(SVG, "rect")
    for (const [name, value] of Object.entries({ x, y, width: right - x, height: bottom - y, class: `box-${side}` })) box.setAttribute(name, value)
    layer.append(box)
    const letter = document.createElementNS(SVG, "text")
    letter.textContent = side.toUpperCase()
    for (const [name, value] of Object.entries({ x: side === "a" ? x + 2 : right - 2, y: bottom - 3, class: `box-${side}` })) letter.setAttribute(name, value)
    letter.setAttribute("text-anchor", side === "a" ? "start" : "end")
    if (bottom - y > 18) layer.append(letter)
  }
}

function headAt(event) {
  const at = here && tileUnder(event.target.closest?.(`${TILES} .js-plotly-plot`), event.clientX, event.clientY)
  return at ? [at.layer, at.head] : null
}

function listen() {
  document.addEventListener("click", event => {
    const head = headAt(event)
    if (!head) return
    const side = sideOf(event)
    here = { ...here, [side]: head }
    boxes()
    tell?.("pick", [side, ...head])
  }, true)
  document.addEventListener("keydown", event => {
    const place = ["a", "b"].indexOf(event.key.toLowerCase())
    if (place < 0 || event.ctrlKey || event.metaKey || event.altKey) return
    if (event.target.closest?.("input, textarea, [contenteditable], [role=combobox]")) return
    const choice = choices()[place]
    if (choice && !isChosen(choice)) choice.click()
  }, true)
  let waiting = null
  new MutationObserver(changes => {
    if (changes.every(one => one.target.closest?.(".side-boxes"))) return
    if (!figure()?.querySelector(".side-boxes rect")) waiting ??= setTimeout(() => { waiting = null; boxes() }, 60)
  }).observe(document.body, { childList: true, subtree: true })
}

let listening = false
export default function ({ data, setTriggerValue }) {
  here = data
  tell = (name, value) => setTriggerValue(name, value)
  if (!listening) listen()
  listening = true
  boxes()
  return () => { here = tell = null }
}
