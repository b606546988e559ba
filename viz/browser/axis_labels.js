// Labels of an axis that would lie on each other: of those, every second is shown, or every third, as many as the axis has room
// for; and titles that would reach beyond the figure. The server cannot know how wide a figure is, or how large its letters are.
// Sent as one script with `focus.js`.
const placeOfLabel = (label, axis) => {
  const [, x, y] = /translate\((-?[\d.e-]+)[ ,]+(-?[\d.e-]+)\)/.exec(label.getAttribute("transform")) ?? [, 0, 0]
  return Number(label.getAttribute(axis)) + Number(axis === "x" ? x : y)
}

function thinLabels(gd) {
  for (const axis of ["x", "y"]) {
    const labels = [...gd.querySelectorAll(`.${axis}tick > text`)]
    if (labels.length < 2) continue
    const turned = /rotate\((-?\d+)/.exec(labels[0].getAttribute("transform"))
    if (axis === "x" && !Number(turned?.[1] ?? 0)) continue // labels in a row are few, or short
    const places = labels.map(label => placeOfLabel(label, axis))
    const apart = (Math.max(...places) - Math.min(...places)) / (labels.length - 1)
    const room = 0.9 * parseFloat(labels[0].style.fontSize) // most letters are less high
    const step = apart > 0 ? Math.ceil(room / apart) : 1
    labels.forEach((label, number) => { label.style.display = number % step ? "none" : "" })
  }
}

// The title of a narrow map ends at the figure's edge, where it would be cut off in the middle of the map.
function fitTitles(gd) {
  const edge = gd.querySelector(".main-svg")?.getBoundingClientRect()
  for (const title of gd.querySelectorAll("text.xtitle")) {
    title.removeAttribute("transform")
    const { left, right } = title.getBoundingClientRect()
    const beyond = Math.min(right - edge.right, left - edge.left)
    if (beyond > 0) title.setAttribute("transform", `translate(${-beyond})`)
  }
}
