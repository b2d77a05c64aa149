"""The look of answers, in light and dark: the theme's fonts, and colours that can be read on its background.

The contrast ratio is 4.5 at least (WCAG 2.2, 1.4.3); the theme's own colours of code do not reach it.
JupyterLab, VS Code and Colab say whether they are dark. On any other page (an exported fragment, a preview, a
bare frame) the colours follow the text: light text means a dark background.
"""

from __future__ import annotations

import re

_SOURCE = """
.llmkit {
  --k: #007300; --s: #ba2121; --c: #2f6a6a; --n: #066a06; --d: #00f; --o: #8a1fd1; --m: #8a1fd1;
  --red: #b3261e; --green: #176f2c; --amber: #8f5500; --blue: #0b57d0; --grey: #666;
  --line: #88888866; --soft: #8888881f; --faint: #88888814;
  --link: var(--vscode-textLink-foreground, var(--blue));
  --mute: var(--vscode-descriptionForeground, var(--grey));
  --mono: var(--vscode-editor-font-family, var(--jp-code-font-family, monospace));
  font-family: var(--vscode-font-family, var(--jp-content-font-family, system-ui, sans-serif));
  contain: paint; overflow-wrap: break-word; line-height: 1.5;
}
[data-jp-theme-light=false] .llmkit, .vscode-dark .llmkit, html[theme=dark] .llmkit,
.vscode-high-contrast:not(.vscode-high-contrast-light) .llmkit {
  --k: #7cb7ea; --s: #dfa68d; --c: #8cbd7a; --n: #b5cea8; --d: #dcdcaa; --o: #d4d4d4; --m: #d8a2d4;
  --red: #ff968c; --green: #7ee787; --amber: #ffb74d; --blue: #8ab4f8; --grey: #b4b4b4;
}
@supports (color: oklch(from currentColor l c h)) {
  .llmkit:not([data-jp-theme-light] *, [class*=vscode-] *, [theme=dark] *) {
    --l: clamp(.47, (l - .62) * 99, .8);
    --k: oklch(from currentColor var(--l) .12 145/1); --s: oklch(from currentColor var(--l) .12 27/1);
    --c: oklch(from currentColor var(--l) .05 195/1); --n: oklch(from currentColor var(--l) .1 130/1);
    --d: oklch(from currentColor var(--l) .12 262/1); --m: oklch(from currentColor var(--l) .12 305/1);
    --amber: oklch(from currentColor var(--l) .1 65/1); --grey: oklch(from currentColor var(--l) 0 0/1);
    --o: var(--m); --red: var(--s); --green: var(--k); --blue: var(--d);
  }
}
.llmkit p, .llmkit ul, .llmkit ol, .llmkit blockquote, .llmkit pre.llmkit-code, .llmkit .llmkit-table {
  margin: .65em 0 0;
}
.llmkit p, .llmkit li, .llmkit td, .llmkit th { unicode-bidi: plaintext; }
.llmkit p, .llmkit li { text-align: start; }
div.llmkit.llmkit { margin-bottom: 0; }
.llmkit.llmkit h1, .llmkit.llmkit h2, .llmkit.llmkit h3,
.llmkit.llmkit h4, .llmkit.llmkit h5, .llmkit.llmkit h6 {
  margin: 1em 0 0; font-weight: 600; line-height: 1.25;
}
.llmkit h1 { font-size: 1.5em; } .llmkit h2 { font-size: 1.3em; } .llmkit h3 { font-size: 1.15em; }
.llmkit h4, .llmkit h5, .llmkit h6 { font-size: 1em; }
.llmkit ul, .llmkit ol { padding-left: 1.8em; }
.llmkit li { margin: 0; } .llmkit li + li { margin-top: .3em; }
.llmkit li > p { margin: 0; } .llmkit li > * + p { margin-top: .3em; }
.llmkit li > ul, .llmkit li > ol { margin: 0; }
.llmkit li.llmkit-task { list-style: none; margin-left: -1.35em; }
.llmkit blockquote { border-left: 3px solid var(--line); padding: 0 0 0 .9em; }
.llmkit a { color: var(--link); }
.llmkit hr { border: 0; border-top: 1px solid var(--line); margin: 1em 0 .35em; }
.llmkit pre.llmkit-code {
  background: var(--soft); border-radius: 4px; padding: .6em .8em; overflow-x: auto; line-height: 1.4;
}
.llmkit code { font-family: var(--mono); font-size: .92em; }
div.llmkit :not(pre) > code { background: var(--soft); border-radius: 3px; padding: .1em .3em; }
.llmkit pre.llmkit-code > code { background: none; padding: 0; white-space: pre; overflow-wrap: normal; }
.llmkit-table { overflow-x: auto; }
.llmkit.llmkit:not(.llmkit-part) > :first-child, .llmkit blockquote > :first-child { margin-top: 0; }
.llmkit table { border-collapse: collapse; margin: 0; font-size: 1em; }
.llmkit .llmkit-table th, .llmkit .llmkit-table td { text-align: start; }
.llmkit th, .llmkit td { padding: .3em .75em; max-width: 40em; vertical-align: top; }
.llmkit thead { border-bottom: 1px solid var(--line); } .llmkit th { font-weight: 600; }
.llmkit th[scope=row] { white-space: nowrap; }
.llmkit tbody tr { background: none; } .llmkit tbody tr:nth-child(even) { background: var(--faint); }
.llmkit .llmkit-table [align=right] { text-align: right; }
.llmkit .llmkit-table [align=center] { text-align: center; }
.llmkit-display { display: block; overflow-x: auto; overflow-y: hidden; }
.llmkit .llmkit-math:not(:has(*)) { font-family: var(--mono); font-size: .92em; }
.llmkit-notes { font-size: .9em; color: var(--mute); } .llmkit-ref { line-height: 0; }
.llmkit-c { color: var(--c); font-style: italic; } .llmkit-k { color: var(--k); font-weight: 600; }
.llmkit-a, .llmkit-b { color: var(--k); } .llmkit-s { color: var(--s); } .llmkit-n { color: var(--n); }
.llmkit-d, .llmkit-t { color: var(--d); } .llmkit-o { color: var(--o); } .llmkit-m { color: var(--m); }
.llmkit-gd { color: var(--red); } .llmkit-gi { color: var(--green); }
.llmkit .llmkit-footer, .llmkit-status {
  margin: .5em 0 0; font-size: .8em; color: var(--mute); font-variant-numeric: tabular-nums;
}
.llmkit-footer small { font-size: 1em; } .llmkit-warn { color: var(--amber); font-weight: 600; }
.llmkit-cut { border-left: 3px solid var(--amber); padding-left: .8em; }
"""

_COMPARE = """
.llmkit-compare {
  display: grid; gap: .8em; grid-auto-flow: column; grid-auto-columns: minmax(13em, 1fr); overflow-x: auto;
}
.llmkit-many { grid-auto-columns: minmax(17em, 1fr); }
.llmkit-compare > .llmkit-column {
  min-width: 0; border: 1px solid #88888866; border-radius: 6px; padding: .6em .8em;
}
.llmkit-compare > .llmkit-cut { border-left: 3px solid var(--amber); }
.llmkit .llmkit-name { margin: 0; }
.llmkit .llmkit-failed { color: var(--red); }
"""


_PARTS = """
.llmkit details.llmkit-fold { margin: .4em 0 0; font-size: .92em; }
.llmkit-fold > summary { cursor: pointer; color: var(--mute); }
.llmkit-fold > summary:focus-visible { outline: 2px solid var(--link); outline-offset: -2px; }
.llmkit-folded { border-left: 2px solid var(--line); margin: .2em 0 .4em .3em; padding-left: .9em; }
.llmkit-folded > :first-child { margin-top: 0; }
.llmkit p.llmkit-label { font-size: .9em; color: var(--mute); font-weight: 600; }
.llmkit .llmkit-label + * { margin-top: .2em; }
.llmkit-folded pre.llmkit-code { max-height: 24em; overflow: auto; }
.llmkit img.llmkit-image { display: block; margin: .65em 0 0; max-width: 100%; max-height: 36em; }
"""


def _short(css: str) -> str:
    return re.sub(r"\s*([{};])\s*|\s+", lambda match: match[1] or " ", css).strip()


STYLESHEET = _short(_SOURCE)
"""Rules for everything inside `.llmkit`, without spare white space: each saved answer carries them."""

COMPARE = f"<style>{_short(_COMPARE)}</style>"
"""The `style` element of comparisons, beside the one of all answers."""

PARTS_SHEET = _short(_PARTS)
"""Rules for what stands beside an answer's text."""

PARTS = f"<style>{PARTS_SHEET}</style>"
"""The `style` element of what stands beside an answer's text, beside the one of all answers."""
