"""What a cell shows: Markdown as safe HTML, footers, errors, the output that grows."""
