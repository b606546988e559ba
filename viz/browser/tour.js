// The tour of a minute: a card that points at one part of its pages after the other, and blocks none of them; the server
// turns the page. A first visit is offered it in the bar at the top, or at the foot of a narrow screen; this browser is asked once.
const OFFERED = "headlight-tour", OPEN = "headlight-tour-open"
const PHONE = 640, NARROW = 200, GAP = 12, EDGE = 8 // pixels
const LOOK = 200 // milliseconds between two looks at where the part stands
let here = null // {parts, page, words, begin, offer} as viz/widgets/tour.py sends it
let begun = 0 // the newest request of the server that was followed
let step = null // of the tour that is on screen
let finish = null // tells the server to begin the first lesson
let turn = null // asks the server for another page
let turning = false // whether it was asked and has not come
let watch = null

const element = id => document.getElementById(id)
const remembered = (store, key) => { try { return store.getItem(key) } catch { return null } }
const remember = (store, key, value) => { try { store.setItem(key, value) } catch { /* a browser that stores nothing */ } }

function make(tag, inside, attributes = {}, text = "") {
  const made = Object.assign(document.createElement(tag), { textContent: text })
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value)
  inside.append(made)
  return made
}

function button(inside, text, act, kind = "") {
  const made = make("button", inside, { type: "button", class: kind }, text)
  made.addEventListener("click", act)
  return made
}

// The part that a step speaks of: the first of its selectors that is on the page.
const target = part => part.at.map(at => document.querySelector(at)).find(one => one?.getBoundingClientRect().width)

// Where the card stands apart from what it speaks of: under it, over it, or beside it and narrower; null where it has no room.
function apart(card, at) {
  const right = innerWidth - EDGE, bottom = innerHeight - EDGE
  card.style.width = ""
  const { offsetWidth: width, offsetHeight: height } = card
  const left = Math.max(EDGE, Math.min(at.left, right - width))
  if (at.bottom + GAP + height <= bottom) return { left, top: innerWidth > PHONE ? at.bottom + GAP : bottom - height }
  if (at.top - GAP - height >= EDGE) return { left, top: at.top - GAP - height }
  for (const [from, to] of [[at.right + GAP, right], [EDGE, at.left - GAP]]) {
    if (to - from < NARROW) continue
    const wide = Math.min(width, to - from)
    card.style.width = `${wide}px`
    const top = Math.max(EDGE, Math.min(at.top, bottom - card.offsetHeight))
    if (top + card.offsetHeight <= bottom) return { left: from === EDGE ? to - wide : from, top }
  }
  card.style.width = ""
  return null
}

function place() {
  const card = element("tour-card"), mark = element("tour-mark")
  if (!card) return
  const at = target(here.parts[step])?.getBoundingClientRect()
  mark.hidden = !at
  const room = at && apart(card, at)
  const foot = { left: Math.max(EDGE, (innerWidth - card.offsetWidth) / 2), top: innerHeight - card.offsetHeight - EDGE }
  const { left, top } = room ?? foot
  Object.assign(card.style, { left: `${left}px`, top: `${top}px` })
  if (!at) return
  // Without room the card stands at the foot, and points at what is seen over it.
  const bottom = room ? at.bottom : Math.max(at.top, Math.min(at.bottom, top - GAP))
  Object.assign(mark.style, { left: `${at.left - 4}px`, top: `${at.top - 4}px`, width: `${at.width + 8}px`, height: `${bottom - at.top + 8}px` })
}

function close() {
  clearInterval(watch)
  element("tour-card")?.remove()
  element("tour-mark")?.remove()
}

function end() {
  close()
  step = null
  document.querySelector(".st-key-sentence textarea, .st-key-sentence button")?.focus({ preventScroll: true })
}

function show(number) {
  close()
  step = number
  turning = here.parts[step].page !== here.page
  if (turning) return turn(here.parts[step].page)
  const { parts, words } = here, last = step === parts.length - 1
  make("div", document.body, { id: "tour-mark" })
  const card = make("section", document.body, { id: "tour-card", role: "dialog", "aria-labelledby": "tour-title", "aria-describedby": "tour-text" })
  make("p", card, { class: "place" }, words.place.replace("{step}", step + 1).replace("{steps}", parts.length))
  button(card, "×", end, "close").setAttribute("aria-label", words.close)
  make("h2", card, { id: "tour-title" }, parts[step].title)
  make("p", card, { id: "tour-text" }, parts[step].text)
  const row = make("div", card, { class: "row" })
  const back = parts[step - 1]?.page === here.page // not to the page before
  if (back) button(row, words.back, () => show(step - 1))
  const on = last ? () => { end(); finish() } : () => show(step + 1)
  const next = button(row, last ? words.lesson : words.next, on, "next")
  card.addEventListener("keydown", event => {
    event.stopPropagation() // the page has keys of its own
    if (event.key === "Escape") end()
    else if (event.key === "ArrowRight" && !last) show(step + 1)
    else if (event.key === "ArrowLeft" && back) show(step - 1)
  })
  const part = target(parts[step])
  const box = part?.getBoundingClientRect()
  const bar = document.querySelector(".st-key-bar")?.getBoundingClientRect().bottom ?? 0
  if (box && !part.closest(".st-key-bar") && (box.top < bar || box.bottom > innerHeight)) {
    part.style.scrollMarginTop = `${bar + EDGE}px`
    part.scrollIntoView({ block: "start" })
  }
  place()
  next.focus({ preventScroll: true })
  watch = setInterval(place, LOOK)
}

function withdraw() {
  element("tour-offer")?.remove()
  document.documentElement.removeAttribute("data-offered")
}

function answer(then) {
  try { remember(sessionStorage, OPEN, "") } catch { /* nothing was stored */ }
  withdraw()
  then?.()
}

// In the bar at the top where there is room between its ends, else at the foot of the screen.
function placeOffer() {
  const offer = element("tour-offer")
  if (!offer) return
  offer.classList.remove("foot")
  const left = Math.max(0, ...[...document.querySelectorAll("[data-testid=stToolbar] button, [data-testid=stToolbar] a")].map(one => one.getBoundingClientRect().right).filter(right => right < innerWidth / 2))
  const right = document.querySelector(".st-key-top_bar button")?.getBoundingClientRect().left ?? 0
  const foot = right - left < offer.offsetWidth + 2 * GAP || left === 0
  offer.classList.toggle("foot", foot)
  offer.style.left = foot ? "" : `${(left + right - offer.offsetWidth) / 2}px`
}

function propose() {
  if (element("tour-offer") || step !== null) return
  try {
    if (remembered(localStorage, OFFERED) && !remembered(sessionStorage, OPEN)) return
    remember(localStorage, OFFERED, "1")
    remember(sessionStorage, OPEN, "1")
  } catch { return } // a browser that stores nothing would be offered the tour at every visit
  const offer = make("aside", document.body, { id: "tour-offer", "aria-label": here.words.offer })
  make("span", offer, {}, here.words.offer)
  button(offer, here.words.start, () => answer(() => show(0)), "next")
  button(offer, here.words.lessons, () => answer(() => turn("lessons")))
  button(offer, "×", () => answer(), "close").setAttribute("aria-label", here.words.later)
  document.documentElement.setAttribute("data-offered", "")
  placeOffer()
  setTimeout(placeOffer, 600) // fonts and menus may come later
}

addEventListener("resize", () => { placeOffer(); place() })
document.addEventListener("keydown", event => event.key === "Escape" && step !== null && end())

export default function ({ data, setTriggerValue }) {
  here = data
  turn = page => setTriggerValue("page", page)
  if (here.parts[step]?.page === here.page) turning = false
  else if (!turning) step = null // whoever leaves its page ends it
  finish = () => setTriggerValue("lesson", true)
  if (here.begin > begun) {
    begun = here.begin
    answer(() => show(0))
  } else if (step !== null && !turning && !element("tour-card")) show(step)
  else if (here.offer) propose()
  return () => { close(); withdraw() }
}
