// What scrolls sideways can be reached with the keyboard.
addEventListener("DOMContentLoaded", () => {
  for (const place of document.querySelectorAll("pre, .cell_output, .table-wrapper")) {
    if (place.scrollWidth > place.clientWidth) place.tabIndex = 0;
  }
});
