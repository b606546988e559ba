// What lies over the figures of the page Heads: marks on tiles, lines, the tint of a picture, the reading. Sent as one script
// with `head_view.js`, whose names it uses.

// Over the tiles: boxes around the chosen and the pointed head, crosses and corners on those that are muted or changed, a veil over those
// that are not among the found ones.
function drawTiles() {
  const gd = plot(TILES), tile = gd?.layout?.meta?.tiles, at = shown()
  const svg = gd && [...gd.querySelectorAll(".main-svg")].at(-1)
  if (!svg || !tile || !gd._fullLayout) return
  if (gd.on && followed.get(gd) !== gd._ev) {
    followed.set(gd, gd._ev)
    gd.on("plotly_afterplot", drawTiles)
  }
  const { xaxis, yaxis } = gd._fullLayout
  const list = found(".found-heads")?.dataset.lit, marks = heads().marks, served = chosen()
  let layer = svg.querySelector(":scope > .tile-marks")
  const drawn = JSON.stringify([at, served, list, marks, xaxis._offset, xaxis._length, yaxis._offset, yaxis._length])
  if (layer?.dataset.drawn === drawn) return
  const place = (axis, value) => axis._offset + axis.l2p(value)
  const box = (layer, head, half) => {
    const [across, down] = tilePlace(gd, layer, head)
    return [place(xaxis, across - half), place(yaxis, down - half), place(xaxis, across + half), place(yaxis, down + half)]
  }
  const lit = list === undefined ? null : new Set(list.split(" "))
  const paths = { veil: "", muted: "", changed: "", served: "", chosen: "" }
  for (let layer = 0; layer < tile.layers; layer++)
    for (let head = 0; head < tile.heads; head++) {
      const [x, y, right, bottom] = box(layer, head, 0.5 * 7 / 8), name = `${layer}.${head}`
      if (lit && !lit.has(name)) paths.veil += `M${x},${y}H${right}V${bottom}H${x}Z`
      if (marks[name] === "muted") paths.muted += `M${x},${y}L${right},${bottom}M${right},${y}L${x},${bottom}`
      if (marks[name] === "changed") paths.changed += `M${right},${y}h${(x - right) * 0.4}L${right},${y + (bottom - y) * 0.4}Z`
    }
  for (const [name, one] of [["served", same(at, served) ? null : served], ["chosen", at]]) {
    if (!one) continue
    const [x, y, right, bottom] = box(one.layer, one.head, 0.5)
    paths[name] = `M${x},${y}H${right}V${bottom}H${x}Z`
  }
  if (!layer) {
    layer = document.createElementNS(SVG, "g")
    layer.setAttribute("class", "tile-marks")
    for (const name of Object.keys(paths)) {
      const path = document.createElementNS(SVG, "path")
      path.setAttribute("class", name === "chosen" ? "tile-box" : `tile-${name}`)
      layer.append(path)
    }
    svg.insertBefore(layer, svg.querySelector(":scope > .hoverlayer"))
  }
  layer.dataset.drawn = drawn
  Object.values(paths).forEach((path, i) => layer.children[i].setAttribute("d", path))
}

// Lines of the shown head over the server's, where those are of another head; `line_figures.js` draws them.
function tellLines() {
  const gd = plot(LINES), ends = gd?.layout?.meta?.lines, at = shown()
  if (!ends || !here || !at) return
  const name = `${at.layer}.${at.head}`
  if (name === ends.head) gd.otherLines = null
  else if (gd.otherLines?.name !== name) {
    const lines = []
    for (let query = 0; query < ends.queries; query++)
      rowWeights(query)?.weights.forEach((weight, key) => { if (weight >= LEAST) lines.push([query, key, weight]) })
    gd.otherLines = { name, lines }
  }
  document.dispatchEvent(new Event("headlight-lines"))
}

// Over a picture, the tint of the token in focus, where the server drew another one's.
let tints = null // of the head whose picture is shown: {packed, steps}
async function tintPicture() {
  const gd = plot(OVERLAY), tint = gd?.layout?.meta?.tint, grid = gd?.layout?.meta?.focus?.[0]
  const focus = document.documentElement.dataset
  const served = gd?.querySelector(".hm image")
  if (!tint || !grid || !served) return
  if (tints?.packed !== tint.rows) {
    tints = { packed: tint.rows, steps: null }
    const steps = await inflated(Uint8Array.from(atob(tint.rows), letter => letter.charCodeAt(0)))
    if (tints.packed !== tint.rows) return
    tints.steps = steps
    return tintPicture()
  }
  const row = focus.focusStack === grid.stack && focus.focus !== "" ? Number(focus.focus) : tint.row
  gd.querySelector(".live-tint")?.remove()
  const title = gd.querySelector(".gtitle"), patch = row - grid.first
  const name = patch < 0 ? null : `${Math.floor(patch / grid.columns)},${patch % grid.columns}`
  if (title) title.textContent = row === tint.row || name === null ? gd.layout.title.text : tint.title.replace("{token}", name)
  gd.toggleAttribute("data-tinted", row !== tint.row && !!tints.steps)
  if (row === tint.row || !tints.steps) return
  const { rows, columns } = grid, pen = canvas(columns, rows), pixels = pen.createImageData(columns, rows)
  tints.steps.subarray(row * rows * columns, (row + 1) * rows * columns).forEach((step, i) =>
    pixels.data.set([...tint.colour, Math.round((255 * tint.strongest * step) / tint.steps)], 4 * i))
  pen.putImageData(pixels, 0, 0)
  const image = served.cloneNode()
  image.setAttribute("class", "live-tint")
  image.setAttribute("href", pen.canvas.toDataURL())
  served.after(image)
}

// One sentence on where the focused token looks, in the words that the server uses.
function read(row) {
  const place = found(".st-key-reading [data-testid=stMarkdownContainer]")
  if (!place) return
  let live = place.querySelector(":scope > .live-reading")
  const served = found(".chosen-head")?.dataset.row
  const asIs = !painted && (row < 0 || String(here.places[0][row]) === served)
  const looked = asIs || row < 0 ? null : rowWeights(row)
  place.toggleAttribute("data-live", !!looked)
  if (!looked) return live?.remove()
  if (!live) {
    live = document.createElement("p")
    live.className = "live-reading"
    place.append(live)
  }
  const at = shown()
  const order = looked.weights.map((weight, key) => [weight ?? -1, key]).sort((one, two) => two[0] - one[0])
  const named = order.slice(0, 3).filter(([weight], i) => weight >= 0 && (i === 0 || weight >= 0.005))
  const about = looked.exact ? "" : "≈ "
  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole)
  const { key, percent, row: sentence, next: following } = here.reading
  const keys = named.map(([weight, i]) => fill(key, { key: here.names[1][i], weight: about + fill(percent, { n: Math.round(100 * weight) }) }))
  const query = here.names[0][row], next = here.next?.[row]
  let text = fill(sentence, { ...at, query, keys: keys.join(", ") })
  if (next) text += ` ${fill(following, { query, next })}`
  live.replaceChildren(...text.split("**").map((part, i) => (i % 2 ? Object.assign(document.createElement("strong"), { textContent: part }) : part)))
}
