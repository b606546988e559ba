// A group of pages opens while the mouse rests on it, so that a page takes one click; touch and keys open it as before.
const GROUP = "[data-testid=stTopNavSection]", PAGES = "[data-testid=stTopNavPopover]"
const REST = 120, LEAVE = 350 // milliseconds until a group opens, and until it closes
let due = null // the timer of either
let opened = null // the group that rest has opened, since when

const isOpen = group => group?.isConnected && group.getAttribute("aria-expanded") === "true"
const later = (act, time) => { clearTimeout(due); due = setTimeout(act, time) }

function follow(event) {
  if (event.pointerType !== "mouse") return
  const group = event.target.closest?.(GROUP)
  if (group && group !== opened?.group) {
    later(() => {
      if (isOpen(group)) return
      if (isOpen(opened?.group)) opened.group.click()
      group.click()
      opened = { group, at: performance.now() }
    }, REST)
  } else if (group || event.target.closest?.(PAGES)) clearTimeout(due)
  else later(() => { if (isOpen(opened?.group)) opened.group.click(); opened = null }, isOpen(opened?.group) ? LEAVE : 0)
}

let listening = false
export default function () {
  if (listening) return
  listening = true
  document.addEventListener("pointerover", follow, { capture: true, passive: true })
  document.addEventListener("pointerdown", () => clearTimeout(due), true)
  // Who presses as well, a moment after, wants it open.
  document.addEventListener("click", event => {
    const group = event.isTrusted && event.target.closest?.(GROUP)
    if (group && group === opened?.group && performance.now() - opened.at < 700) event.stopPropagation()
    else if (group) opened = null
  }, true)
}
