// What scrolls sideways can be reached with the keyboard, and what does not is no stop on the way.
function reachable() {
  for (const place of document.querySelectorAll("pre, .cell_output, .table-wrapper")) {
    if (place.scrollWidth > place.clientWidth) place.tabIndex = 0;
    else place.removeAttribute("tabindex");
  }
}

addEventListener("resize", reachable);
addEventListener("DOMContentLoaded", () => {
  reachable();
  // The theme has two asides without a name.
  for (const [kind, name] of [["sidebar", "Site"], ["toc", "This page"]])
    document.querySelector(`aside.${kind}-drawer`)?.setAttribute("aria-label", name);
  // Sphinx breaks long signatures with lists of definitions that define nothing.
  for (const list of document.querySelectorAll("dt.sig > dl, dt.sig dl, dt.sig dd")) {
    list.setAttribute("role", "presentation");
  }
});
