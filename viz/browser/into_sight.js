// What was asked for and has come is brought into sight, below the bar; nothing moves where it is in sight already.
export default function ({ data }) {
  const begun = Date.now()
  const show = () => {
    const [part, comes] = [data.place, data.comes].map(at => document.querySelector(at))
    if (!comes?.getBoundingClientRect().height) { // until then the page may be too short to move
      if (Date.now() - begun < 5000) setTimeout(show, 100)
      return
    }
    const bar = document.querySelector(".st-key-bar")?.getBoundingClientRect().bottom ?? 0
    const { top } = part.getBoundingClientRect()
    if (top >= bar && top <= innerHeight / 2) return
    part.style.scrollMarginTop = `${bar + 8}px`
    const behavior = matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth"
    part.scrollIntoView({ block: "start", behavior })
  }
  setTimeout(show, 300)
}
