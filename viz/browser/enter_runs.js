// Enter runs the sentence, Shift+Enter breaks the line. Streamlit's text area runs what was typed on Ctrl+Enter only.
let listening = false
export default function () {
  if (listening) return
  listening = true
  document.addEventListener("keydown", event => {
    const box = event.target.closest?.(".st-key-sentence textarea")
    if (!box || event.key !== "Enter" || event.shiftKey || event.ctrlKey || event.metaKey || event.isComposing) return
    event.preventDefault()
    event.stopPropagation()
    box.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", code: "Enter", keyCode: 13, ctrlKey: true, bubbles: true }))
  }, true)
}
