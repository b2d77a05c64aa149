addEventListener("DOMContentLoaded", () => {
  // What scrolls sideways can be reached with the keyboard.
  for (const place of document.querySelectorAll("pre, .cell_output, .table-wrapper")) {
    if (place.scrollWidth > place.clientWidth) place.tabIndex = 0;
  }
  // Sphinx breaks long signatures with lists of definitions that define nothing.
  for (const list of document.querySelectorAll("dt.sig > dl, dt.sig dl, dt.sig dd")) {
    list.setAttribute("role", "presentation");
  }
});
