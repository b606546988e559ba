// A clip: the frame of the focus patch at large, and Play, which goes on from frame to frame, along the track of what moves
// where that is known and the focus is on it, else at the same place. Patches are `.read-token`; `tinted_text.js` tints them.
const PACE = 650 // milliseconds for a frame
let data = null, timer = null

const focused = () => {
  const { focus, focusStack } = document.documentElement.dataset
  return focus !== undefined && focus !== "" && focusStack === "encoder" ? Number(focus) : data.first
}
const frameOf = place => Math.max(0, Math.floor((place - data.first) / data.size))

function next(by) {
  const place = focused(), frame = frameOf(place), then = (frame + by + data.frames) % data.frames
  const path = data.paths.find(path => path[frame] === place)
  return path ? path[then] : data.first + then * data.size + (Math.max(place - data.first, 0) % data.size)
}

const point = (place, tell) =>
  document.dispatchEvent(new CustomEvent("headlight-point", { detail: { token: { stack: "encoder", place }, tell } }))

function step(by) {
  stop(false)
  point(next(by), true)
}

function stop(tell = true) {
  if (!timer) return
  clearInterval(timer)
  timer = null
  if (tell) point(focused(), true) // the link and what is saved follow
  buttons()
}

function play() {
  if (timer) return stop()
  timer = setInterval(() => (document.querySelector(".clip-frames") ? point(next(1), false) : stop(false)), PACE)
  buttons()
}

function buttons() {
  const room = document.querySelector(".clip-play")
  if (!room || !data) return
  const made = [["back", "◀", () => step(-1)], [timer ? "pause" : "play", timer ? "❚❚" : "▶", play], ["on", "▶▏", () => step(1)]]
  made.forEach(([name, sign, act], index) => {
    const button = room.children[index] ?? room.appendChild(document.createElement("button"))
    button.type = "button"
    button.textContent = index === 1 ? `${sign} ${data.words[name]}` : sign
    button.setAttribute("aria-label", data.words[name])
    button.onclick = act
  })
  const slider = room.children[3] ?? room.appendChild(document.createElement("input"))
  Object.assign(slider, { type: "range", min: 0, max: data.frames - 1, step: 1 })
  slider.value = frameOf(focused())
  const name = data.words.frame.replace("{frame}", slider.value)
  slider.setAttribute("aria-label", name)
  slider.oninput = () => { const by = Number(slider.value) - frameOf(focused()); stop(false); point(next(by), false) }
  slider.onchange = () => point(focused(), true)
  const said = room.children[4] ?? room.appendChild(document.createElement("span"))
  said.textContent = name
}

function bringIntoSight() {
  const strip = document.querySelector(".clip-frames"), shown = strip.querySelector(".now")
  if (!shown || strip.scrollWidth <= strip.clientWidth) return
  // On a phone the frames are a strip. A frame in sight stays where it is: the pointer may be on it.
  const left = shown.offsetLeft - strip.scrollLeft, half = shown.offsetWidth / 2
  if (left < -half || left + half > strip.clientWidth) strip.scrollLeft += left - strip.clientWidth / 2 + half
}

function show() {
  if (!data || !document.querySelector(".clip-frames")) return
  const frame = frameOf(focused())
  for (const one of document.querySelectorAll(".clip-frames > .clip-frame"))
    one.classList.toggle("now", Number(one.dataset.frame) === frame)
  bringIntoSight()
  buttons()
  // Once the patches are tinted: at the next frame of the screen.
  requestAnimationFrame(() => {
    const screen = document.querySelector(".clip-screen"), now = document.querySelector(".clip-frames > .now > .clip-room")
    if (!screen || !now) return
    const copy = now.cloneNode(true)
    for (const one of copy.querySelectorAll(".read-token")) {
      one.className = "clip-seen"
      one.dataset.on = one.hasAttribute("data-focused")
      for (const name of ["tabindex", "role", "aria-label", "data-stack", "data-place", "data-focused"]) one.removeAttribute(name)
    }
    screen.replaceChildren(copy)
  })
}

function keys(event) {
  if (!document.querySelector(".clip-play") || event.altKey || event.ctrlKey || event.metaKey) return
  const at = event.target
  if (at.closest?.("input, textarea, select, button, a, summary, [contenteditable], [role=button], [role=option], [role=menuitem], [role=radio]")) return
  const act = { " ": play, ArrowRight: () => step(1), ArrowLeft: () => step(-1) }[event.key]
  if (!act) return
  event.preventDefault()
  act()
}

let listening = false
export default function ({ data: sent }) {
  data = sent
  show()
  if (listening) return
  listening = true
  document.addEventListener("headlight-focus", show)
  document.addEventListener("headlight-drawn", show)
  document.addEventListener("keydown", keys)
}
