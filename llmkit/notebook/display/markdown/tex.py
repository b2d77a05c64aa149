r"""Formulas in a model's Markdown: found, checked, and handed to MathJax only when harmless.

TeX is a programming language, and MathJax has macros that make links, run scripts, load files and set
styles (`\href`, `\require`, `\style`, …). What is not on the list of plain mathematics below is shown as
its source instead. MathJax also looks for formulas in ordinary text; `guard_text` keeps it away from there.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from markdown_it.common.utils import escapeHtml

from llmkit.notebook.display.markdown.amounts import is_prose
from llmkit.notebook.display.markdown.mathml import mathml

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markdown_it import MarkdownIt
    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token

MAX_TEX = 4_000
"""Longest formula that is typeset, in characters."""

MAX_TEX_LINES = 120
MAX_BRACES = 40

TYPESET = "mathjax_process tex2jax_process"
UNTOUCHED = "mathjax_ignore tex2jax_ignore"
"""Classes that MathJax 3 and 2 obey: look for formulas in this element, or do not."""

_MACROS = """
    alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa varkappa lambda mu nu xi
    omicron pi varpi rho varrho sigma varsigma tau upsilon phi varphi chi psi omega digamma
    Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega varGamma varDelta varTheta varLambda varXi
    varPi varSigma varUpsilon varPhi varPsi varOmega aleph beth gimel daleth hbar hslash ell wp Re Im
    imath jmath eth nabla partial infty emptyset varnothing complement angle measuredangle sphericalangle
    triangle triangledown square Box Diamond blacksquare blacktriangle blacktriangledown blacklozenge
    lozenge bigstar star clubsuit diamondsuit heartsuit spadesuit flat natural sharp checkmark maltese
    degree prime backprime surd top bot forall exists nexists neg lnot dagger ddagger S
    yen circledR circledS mho Bbbk Finv Game
    pm mp times div cdot ast circ bullet cap cup Cap Cup uplus sqcap sqcup vee wedge lor land veebar
    barwedge doublebarwedge setminus smallsetminus wr diamond bigtriangleup bigtriangledown triangleleft
    triangleright lhd rhd unlhd unrhd oplus ominus otimes oslash odot bigcirc amalg boxplus boxminus
    boxtimes boxdot ltimes rtimes leftthreetimes rightthreetimes dotplus intercal circledast circledcirc
    circleddash divideontimes curlyvee curlywedge centerdot
    leq le geq ge equiv prec succ sim preceq succeq simeq ll gg asymp subset supset approx subseteq
    supseteq cong sqsubset sqsupset neq ne sqsubseteq sqsupseteq doteq in ni owns notin propto vdash
    dashv models perp mid nmid parallel nparallel bowtie Join smile frown leqslant geqslant lesssim
    gtrsim lessapprox gtrapprox approxeq eqsim nsim ncong lll ggg Vdash Vvdash vDash nvdash nvDash
    triangleq trianglelefteq trianglerighteq vartriangle vartriangleleft vartriangleright subseteqq
    supseteqq subsetneq supsetneq nsubseteq nsupseteq preccurlyeq succcurlyeq precsim succsim nprec nsucc
    nleq ngeq nless ngtr lneq gneq leqq geqq lneqq gneqq lessgtr gtrless coloneqq eqqcolon coloneq
    circeq bumpeq Bumpeq doteqdot risingdotseq fallingdotseq therefore because between pitchfork
    backsim backsimeq thicksim thickapprox eqcirc multimap not lt gt
    leftarrow gets rightarrow to leftrightarrow Leftarrow Rightarrow Leftrightarrow mapsto longmapsto
    hookleftarrow hookrightarrow leftharpoonup leftharpoondown rightharpoonup rightharpoondown
    rightleftharpoons leftrightharpoons longleftarrow longrightarrow longleftrightarrow Longleftarrow
    Longrightarrow Longleftrightarrow iff implies impliedby uparrow downarrow updownarrow Uparrow
    Downarrow Updownarrow nearrow searrow swarrow nwarrow leadsto rightsquigarrow leftrightarrows
    rightleftarrows leftleftarrows rightrightarrows upuparrows downdownarrows twoheadrightarrow
    twoheadleftarrow rightarrowtail leftarrowtail curvearrowleft curvearrowright circlearrowleft
    circlearrowright Lsh Rsh nleftarrow nrightarrow nLeftarrow nRightarrow nleftrightarrow
    nLeftrightarrow upharpoonright upharpoonleft restriction xrightarrow xleftarrow dashrightarrow
    dashleftarrow
    sum prod coprod int iint iiint iiiint oint smallint bigcap bigcup bigsqcup bigvee bigwedge bigodot
    bigotimes bigoplus biguplus limits nolimits
    arccos arcsin arctan arg cos cosh cot coth csc deg det dim exp gcd hom inf injlim ker lg lim liminf
    limsup ln log max min Pr projlim sec sin sinh sup tan tanh varlimsup varliminf varinjlim varprojlim
    mod bmod pmod pod operatorname
    frac dfrac tfrac cfrac binom dbinom tbinom genfrac over choose atop brace brack sqrt root of
    overline underline overbrace underbrace overbracket underbracket overparen underparen overset
    underset stackrel substack sideset overrightarrow overleftarrow overleftrightarrow underrightarrow
    underleftarrow underleftrightarrow hat widehat check tilde widetilde acute grave dot ddot
    dddot ddddot breve bar vec mathring boxed cancel bcancel xcancel
    left right middle big Big bigg Bigg bigl bigr bigm Bigl Bigr Bigm biggl biggr biggm Biggl Biggr Biggm
    lbrace rbrace lbrack rbrack langle rangle lceil rceil lfloor rfloor lvert rvert lVert rVert vert Vert
    backslash ulcorner urcorner llcorner lrcorner lgroup rgroup lmoustache rmoustache
    mathrm mathbf mathit mathsf mathtt mathcal mathscr mathfrak mathbb mathnormal boldsymbol bm pmb
    symbf rm bf it sf tt cal frak Bbb text textrm textbf textit textsf texttt textnormal mbox hbox
    displaystyle textstyle scriptstyle scriptscriptstyle tiny small large Large normalsize
    quad qquad enspace thinspace negthinspace negmedspace negthickspace space
    nobreakspace hspace phantom hphantom vphantom mathstrut strut
    mathop mathbin mathrel mathord mathopen mathclose mathpunct mathinner
    dots ldots cdots vdots ddots dotsb dotsc dotsi dotsm dotso colon
    begin end hline cr tag notag nonumber
    ce pu color textcolor
"""
MACROS = frozenset(_MACROS.split())
"""Macros that only draw mathematics."""

_ENVIRONMENTS = """
    matrix pmatrix bmatrix Bmatrix vmatrix Vmatrix smallmatrix cases dcases rcases array subarray
    aligned alignedat gathered split align alignat flalign gather multline equation eqnarray
"""
ENVIRONMENTS = frozenset(_ENVIRONMENTS.split())

_CONTROL = re.compile(r"\\([A-Za-z]+|[\s\S]?)")
_SYMBOLS = frozenset(",;:!>| {}%$#&_\\-/\n")
_ENVIRONMENT = re.compile(r"\\(?:begin|end)\s*(?:\{([A-Za-z]+)\*?\})?")
_COLOR = re.compile(r"\\(?:text)?color(?![A-Za-z])(?!\{[A-Za-z]{1,20}\})")
_BOLD = re.compile(r"\\bm(?![A-Za-z])")
_TRIGGER = re.compile(r"\$|\\[(\[]|\\begin|\\(?:eq)?ref")

_INLINE = (
    # (opening mark, pattern, display); possessive repeats and a window of MAX_TEX characters keep each
    # search short, whatever a model writes.
    ("$$", re.compile(r"(?<!\$)\$\$((?:[^\\$]|\\[\s\S])++)\$\$(?!\$)"), True),
    ("$`", re.compile(r"(?<![0-9A-Za-z$])\$`((?:[^\\$`]|\\[\s\S])++)`\$(?![0-9$])"), False),  # GitHub's
    ("$", re.compile(r"(?<![0-9A-Za-z$])\$(?![\s$])((?:[^\\$]|\\[\s\S])++)(?<!\s)\$(?!\.?[0-9]|\$)"), False),
    ("\\(", re.compile(r"\\\(((?:[^\\]|\\[^()])++)\\\)"), False),
    ("\\[", re.compile(r"\\\[((?:[^\\]|\\[^\[\]])++)\\\]"), True),
)
_TICKS = re.compile(r"`+")
_LONE_DOLLAR = re.compile(r"(?<!\\)\$")
_BLOCK_OPEN = re.compile(r"\$\$|\\\[|\\begin\{([a-z]+\*?)\}")
_TOP_LEVEL = frozenset({"equation", "multline", "gather", "align", "alignat", "flalign", "eqnarray"})


def is_safe_tex(tex: str) -> bool:
    r"""Tell whether a formula is plain mathematics that MathJax may typeset.

    Example:
        >>> is_safe_tex(r"\frac{a}{b}"), is_safe_tex(r"\href{javascript:alert(1)}{x}")
        (True, False)
    """
    if len(tex) > MAX_TEX or _depth(tex) > MAX_BRACES or _COLOR.search(tex):
        return False
    names = _CONTROL.findall(tex)
    if any(name not in (MACROS if name[:1].isalpha() else _SYMBOLS) for name in names):
        return False
    return all(name in ENVIRONMENTS for name in _ENVIRONMENT.findall(tex))


def _depth(tex: str) -> int:
    depth = deepest = 0
    for char in tex:
        depth += (char == "{") - (char == "}")
        deepest = max(deepest, depth)
    return deepest


def tex_html(
    tex: str, *, display: bool, source: str = "", typeset: bool = True, as_mathml: bool = False
) -> str:
    """Return a formula as HTML: for MathJax or as MathML if it is harmless, else as its source."""
    if not typeset or not is_safe_tex(tex):
        return _source_html(source or tex)
    kind = "llmkit-math llmkit-display" if display else "llmkit-math"
    known = _BOLD.sub(r"\\boldsymbol", tex)  # MathJax does not know \bm, and models like it
    if as_mathml:
        drawn = mathml(known, display=display)
        return f'<span class="{kind}">{drawn}</span>' if drawn else _source_html(source or tex)
    left, right = ("\\[", "\\]") if display else ("\\(", "\\)")
    return f'<span class="{kind} {TYPESET}">{left}{escapeHtml(known)}{right}</span>'


def _source_html(source: str) -> str:
    return f'<code class="llmkit-tex">{escapeHtml(source)}</code>'


def guard_text(text: str) -> str:
    """Escape ordinary text, and keep MathJax from finding formulas in it.

    Example:
        >>> guard_text("a < b")
        'a &lt; b'
    """
    if _TRIGGER.search(text):
        return f'<span class="{UNTOUCHED}">{escapeHtml(text)}</span>'
    return escapeHtml(text)


def tex_plugin(md: MarkdownIt) -> None:
    r"""Teach markdown-it `$…$`, `$$…$$`, `\(…\)`, `\[…\]` and bare `\begin{align}…`."""
    md.inline.ruler.before("escape", "tex_inline", _inline_rule)
    alternatives = ["paragraph", "reference", "blockquote", "list"]
    md.block.ruler.before("fence", "tex_block", _block_rule, {"alt": alternatives})
    md.add_render_rule("tex_inline", _render)
    md.add_render_rule("tex_block", _render)


def _inline_rule(state: StateInline, silent: bool) -> bool:  # noqa: FBT001 - markdown-it's signature
    if state.src[state.pos] not in "$\\":
        return False
    for mark, pattern, display in _INLINE:
        if not state.src.startswith(mark, state.pos):
            continue
        match = pattern.match(state.src, state.pos, min(state.posMax, state.pos + MAX_TEX))
        if match is None or _is_text(state, mark, match):
            continue
        if not silent:
            _push(state, "tex_inline", match[1], source=match[0], display=display)
        state.pos = match.end()
        return True
    return False


def _is_text(state: StateInline, mark: str, match: re.Match[str]) -> bool:
    """Whether what looks like a formula is text: a code span begins in it, or it stands between amounts."""
    if mark.startswith("$") and is_prose(
        match[1], state.src[match.end() : min(match.end() + 1, state.posMax)]
    ):
        return True
    return any(_opens_code(state, ticks) for ticks in _TICKS.finditer(state.src, *match.span(1)))


def _opens_code(state: StateInline, ticks: re.Match[str]) -> bool:
    """Whether a run of backticks has its like behind it; as in CommonMark, code binds closer."""
    end = min(state.posMax, ticks.end() + MAX_TEX)
    return any(len(other[0]) == len(ticks[0]) for other in _TICKS.finditer(state.src, ticks.end(), end))


def _push(state: Any, kind: str, tex: str, *, source: str, display: bool) -> Token:
    token: Token = state.push(kind, "", 0)
    token.content = tex.strip()
    token.meta = {"source": source.strip(), "display": display}
    return token


def _block_rule(state: StateBlock, first: int, last: int, silent: bool) -> bool:  # noqa: FBT001 - as above
    if state.is_code_block(first):
        return False
    start = state.bMarks[first] + state.tShift[first]
    opening = _BLOCK_OPEN.match(state.src, start, state.eMarks[first])
    if opening is None or (opening[1] and opening[1].rstrip("*") not in _TOP_LEVEL):
        return False
    closing = closing_mark(opening[0])
    end = _closing_line(state, first, last, closing, start + len(opening[0]))
    if end is None or (opening[0] == "$$" and _is_block_text(state, start + 2, state.eMarks[end])):
        return False
    if not silent:
        _push_block(state, first, end, opening[0], closing)
    state.line = end + 1
    return True


def closing_mark(opening: str) -> str:
    r"""Return what ends a display formula: `$$`, `\]` or `\end{…}`."""
    return {"$$": "$$", "\\[": "\\]"}.get(opening) or opening.replace("begin", "end", 1)


def _closing_line(state: StateBlock, first: int, last: int, closing: str, start: int) -> int | None:
    """Return the line that ends the formula; a blank line ends the search, as in LaTeX."""
    for line in range(first, min(last, first + MAX_TEX_LINES)):
        begin = start if line == first else state.bMarks[line] + state.tShift[line]
        text = state.src[begin : state.eMarks[line]].rstrip()
        if (line > first and not text) or state.sCount[line] < state.blkIndent:
            return None
        if text.endswith(closing):
            return line
        if closing in text:
            return None
    return None


def _is_block_text(state: StateBlock, start: int, end: int) -> bool:
    """Whether what stands between `$$` at a line's start and at a line's end is text, not a formula."""
    text = state.src[start:end].rstrip().removesuffix("$$")
    return _LONE_DOLLAR.search(text) is not None or is_prose(text.strip())


def _push_block(state: StateBlock, first: int, end: int, opening: str, closing: str) -> None:
    source = state.getLines(first, end + 1, state.sCount[first], False).strip()  # noqa: FBT003 - markdown-it's
    bare = opening.startswith("\\begin")
    tex = source if bare else source.removeprefix(opening).removesuffix(closing)
    token = _push(state, "tex_block", tex, source=source, display=True)
    token.block = True
    token.map = [first, end + 1]


def _render(_renderer: Any, tokens: Sequence[Token], index: int, _options: Any, env: Any) -> str:
    token = tokens[index]
    html = tex_html(
        token.content,
        display=token.meta["display"],
        source=token.meta["source"],
        typeset=not env.get("partial"),
        as_mathml=bool(env.get("mathml")),
    )
    return f"<p>{html}</p>\n" if token.block else html
