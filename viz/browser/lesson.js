// As a step of a lesson comes, who came to it by pointer may type into its box at once. After an answer, what shows it is
// brought into sight, once its figure stands; nothing moves where it is in sight already. After an answer by key, Enter goes on.
({ asks, answered, look }) => {
  const page = document.documentElement, begun = Date.now()
  // find() until there is something, then act on it.
  const soon = (find, act) => {
    const found = find()
    if (found) act(found)
    else if (Date.now() - begun < 8000) setTimeout(soon, 200, find, act)
  }
  const focus = selector => soon(() => document.querySelector(selector), found => found.focus({ preventScroll: true }))
  if (asks && page.dataset.actedBy === "pointerdown" && matchMedia("(hover: hover)").matches) {
    focus(".st-key-lesson [data-testid=stForm] input") // where a screen has keys on it, they would cover the question
  }
  // The panel stands below the bar, which grows with a long sentence and with what the model wrote.
  window.headlightBar?.disconnect()
  window.headlightBar = new ResizeObserver(([bar]) => {
    page.style.setProperty("--sentence-bar", `${Math.round(bar.target.getBoundingClientRect().height)}px`)
  })
  soon(() => document.querySelector("[data-testid=stLayoutWrapper]:has(> .st-key-bar)"), bar => window.headlightBar.observe(bar))
  if (!answered) return
  if (page.dataset.actedBy === "keydown") focus(":is(.st-key-lesson_next, .st-key-lesson_after) button")
  const show = evidence => {
    const bar = document.querySelector(".st-key-bar")?.getBoundingClientRect().bottom ?? 0
    const { top, bottom } = evidence.getBoundingClientRect()
    if (top >= bar && bottom <= innerHeight) return
    evidence.style.scrollMargin = `${bar + 8}px 0 8px`
    const behavior = matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth"
    // No further than needed: what chooses the head stands above it, and is part of what the step asks for.
    const fits = bottom - top < innerHeight - bar - 16
    evidence.scrollIntoView({ block: fits ? "nearest" : "start", behavior })
  }
  // The figure that the step names; else the text or frames with what they say, or the page's first figure.
  const places = [`.st-key-${look}`, ".st-key-uncovered [data-testid=stColumn]:has(.text-said)",
    ".st-key-uncovered .js-plotly-plot"]
  document.querySelector(".st-key-lesson_verdict")?.scrollIntoView({ block: "nearest" })
  const found = () => places.map(at => document.querySelector(at)).find(one => one?.getBoundingClientRect().height > 60)
  setTimeout(soon, 400, found, show)
}
