// Runs at the head of the page, before Streamlit's own scripts.
(() => {
  // Streamlit would look for its server below the page's address first, which is not there: pages lie beside each other.
  window.__streamlit = { ...window.__streamlit, BACKEND_BASE_URL: new URL("./", location.href.split(/[?#]/)[0]).href }
  // What is chosen on a page changes its address, and a link may lead on to another page by itself. Back leads to the page
  // before that the reader chose, not through each change.
  const page = document.documentElement
  page.dataset.actedBy = "nothing"
  for (const event of ["pointerdown", "keydown"]) addEventListener(event, () => { page.dataset.actedBy = event }, true)
  const push = history.pushState.bind(history)
  history.pushState = (state, title, address) => {
    const other = new URL(address ?? location, location).pathname !== location.pathname
    if (other) document.querySelector("[data-testid=stMain]")?.scrollTo(0, 0) // another page begins at its top
    const replaces = !other || page.dataset.actedBy === "nothing"
    return replaces ? history.replaceState(state, title, address) : push(state, title, address)
  }
})()
