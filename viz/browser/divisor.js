// Inside a head: while the divisor is dragged, the bars that it gives move with it; the server draws them once it is let go.
// The figure says in `layout.meta.stops` what each place of the slider gives: {weights: [[share, ...], ...], titles: [...]}.
const PLACE = ".st-key-yours", SLIDER = ".st-key-divisor"
let listening = false

function show(stop) {
  const gd = document.querySelector(`${PLACE} .js-plotly-plot`)
  const stops = gd?.layout?.meta?.stops, axis = gd?._fullLayout?.xaxis
  if (!axis || !stops?.weights[stop]) return
  const texts = [...gd.querySelectorAll(".scatterlayer .trace")].find(one => one.__data__?.[0]?.trace.name === "numbers")
  const numbers = [...(texts?.querySelectorAll(".textpoint") ?? [])]
  for (const [row, bar] of [...gd.querySelectorAll(".barlayer .point")].entries()) {
    const share = stops.weights[stop][bar.__data__?.i ?? row], path = bar.querySelector("path")
    path?.setAttribute("d", path.getAttribute("d").replace(/H[-\d.e]+/, `H${axis.l2p(share)}`))
  }
  for (const [row, number] of numbers.entries()) {
    const share = stops.weights[stop][number.__data__?.i ?? row], text = number.querySelector("text") ?? number
    if (text.textContent) text.textContent = `${(100 * share).toFixed(1)}%`
  }
  const title = gd.querySelector(".xtitle")
  if (title) title.textContent = stops.titles[stop]
}

export default function () {
  if (listening) return
  listening = true
  // Who drags with the pointer goes on by key: the slider would keep the keys to itself.
  document.addEventListener("pointerup", () => document.activeElement?.closest(SLIDER) && document.activeElement.blur())
  new MutationObserver(changes => {
    const slider = changes.map(one => one.target).find(one => one.matches("input[type=range]") && one.closest(SLIDER))
    if (slider) show(Number(slider.value))
  }).observe(document.body, { attributes: true, attributeFilter: ["value"], subtree: true })
}
