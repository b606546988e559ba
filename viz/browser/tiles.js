// Where the tiles of a picture of all heads lie: its first trace has a marker at each, layer by layer. Sent as one script with
// those that use it.
const tilesOf = gd => (gd?._fullLayout && gd.layout?.meta?.tiles) || null

function tilePlace(gd, layer, head) {
  const at = layer * tilesOf(gd).heads + head, { x, y } = gd.data[0]
  return [x[at], y[at]]
}

// The head whose tile lies at a place of the window, or null.
function tileUnder(gd, clientX, clientY) {
  const tiles = tilesOf(gd)
  if (!tiles) return null
  const box = gd.getBoundingClientRect(), { xaxis, yaxis } = gd._fullLayout, { x, y } = gd.data[0]
  const [across, down] = [xaxis.p2l(clientX - box.left - xaxis._offset), yaxis.p2l(clientY - box.top - yaxis._offset)].map(Math.round)
  const at = x.findIndex((one, i) => one === across && y[i] === down)
  return at < 0 ? null : { layer: Math.floor(at / tiles.heads), head: at % tiles.heads }
}
