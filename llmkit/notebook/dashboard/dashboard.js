// The dashboard in the browser. It only draws: every sum, label and colour comes from Python. Words of the
// ledger (models, tags, notebooks) are set as text; nothing here builds HTML from strings.

const SUPPRESS = "data-lm-suppress-shortcuts"; // Jupyter's shortcuts do nothing in here
const EDITING = ["a", "c", "v", "x", "y", "z", "enter", "backspace", "delete", "home", "end"];
const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 236; // pixels of the chart
const BAR = 26; // pixels of a horizontal bar and its gap
const TICKS = 22; // pixels below the axis

/** Make an element: its properties, its attributes (those with a dash, and role), its children. */
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role" || name === "for" || name === "scope") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function draw(tag, attributes = {}, text = "") {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text) element.textContent = text;
  return element;
}

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without https, or where the page may not use the clipboard, the old way still works.
    const area = make("textarea", { value: text, "aria-hidden": "true", className: "llmkit-dash-off" });
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    if (!done) throw new Error("The browser does not let this page copy.");
  }
}

function shorten(text, letters) {
  return text.length > letters ? `${text.slice(0, Math.ceil(letters / 2) - 1)}…${text.slice(1 - Math.floor(letters / 2))}` : text;
}

/** The bars: over time, stacked by group, or one for each group. */
class Chart {
  constructor(onpick) {
    this.onpick = onpick;
    this.tip = make("div", { className: "llmkit-dash-tip", hidden: true, "aria-hidden": "true" });
    this.box = make("div", { className: "llmkit-dash-plot" });
    this.element = make("div", { className: "llmkit-dash-chart" }, this.box, this.tip);
    this.width = 0;
    this.observer = new ResizeObserver(([entry]) => {
      const width = Math.floor(entry.contentRect.width);
      if (width && width !== this.width) {
        this.width = width;
        this.redraw();
      }
    });
    this.observer.observe(this.element);
  }

  dispose() {
    this.observer.disconnect();
  }

  show(shown) {
    this.shown = shown;
    if (this.width) this.redraw();
  }

  redraw() {
    if (!this.shown) return;
    const { chart } = this.shown;
    const held = this.box.contains(document.activeElement) ? document.activeElement.dataset.id : null;
    this.tip.hidden = true;
    this.marks = [];
    this.box.replaceChildren();
    if (chart.kind === "none") return;
    const height = chart.kind === "time" ? HEIGHT : chart.bars.length * BAR + 4;
    this.svg = draw("svg", { width: this.width, height, role: "group", "aria-label": `${this.shown.title}. Arrow keys move between the bars, Enter shows the calls behind one.` });
    if (chart.kind === "time") this.overTime(chart);
    else this.byGroup(chart);
    this.box.append(this.svg);
    const first = this.marks.find((mark) => mark.id === held) ?? this.marks[0];
    if (first) first.node.setAttribute("tabindex", "0");
    if (held && first) first.node.focus({ preventScroll: true });
  }

  overTime(chart) {
    const left = 12 + 7 * Math.max(...chart.grid.map((line) => line.label.length), 1);
    const wide = Math.max(this.width - left - 4, 40);
    const high = HEIGHT - TICKS - 8;
    const slot = wide / Math.max(chart.slots, 8);
    const bar = Math.max(Math.min(slot * 0.78, 56), 1);
    const x = (at) => left + (at + 0.5) * slot;
    const y = (value) => 8 + high * (1 - value / chart.top);
    for (const line of chart.grid) {
      this.svg.append(
        draw("line", { x1: left, x2: this.width, y1: y(line.value), y2: y(line.value), class: line.value ? "grid" : "axis" }),
        draw("text", { x: left - 8, y: y(line.value) + 4, "text-anchor": "end" }, line.label),
      );
    }
    let clear = -Infinity; // where the last label ended
    for (const tick of chart.ticks) {
      const room = tick.label.length * 3.4;
      const at = Math.max(x(tick.at), left + room);
      if (at - room < clear + 10 || at + room > this.width) continue;
      clear = at + room;
      this.svg.append(draw("text", { x: at, y: HEIGHT - 5, "text-anchor": "middle" }, tick.label));
    }
    // A column answers as a whole, too: a thin bar is hard to hit.
    chart.periods.forEach((period) => {
      const column = draw("rect", { x: x(period.at) - slot / 2, y: 8, width: slot, height: high, class: "column" });
      this.hover(column, period.label, "all calls");
      column.addEventListener("click", () => this.onpick({ period: period.key, label: period.label }));
      this.svg.append(column);
    });
    const base = chart.periods.map(() => 0);
    chart.series.forEach((series, row) => {
      for (const [column, value, text] of series.marks) {
        const period = chart.periods[column];
        const top = y(base[column] + value);
        const node = draw("rect", { x: x(period.at) - bar / 2, y: top, width: bar, height: Math.max(y(base[column]) - top, 0.5), fill: series.color });
        base[column] += value;
        const pick = { period: period.key, group: series.key, label: series.key ? `${series.label}, ${period.label}` : period.label };
        this.mark(node, { row, column, pick, name: pick.label, text });
      }
    });
  }

  byGroup(chart) {
    const letters = this.width < 560 ? 18 : 32;
    const left = 12 + 6.6 * Math.max(...chart.bars.map((bar) => Math.min(bar.label.length, letters)), 4);
    const wide = Math.max(this.width - left - 64, 40);
    chart.bars.forEach((bar, row) => {
      const y = row * BAR + 4;
      const length = Math.max((wide * bar.value) / chart.top, 1);
      const node = draw("rect", { x: left, y, width: length, height: BAR - 8, fill: bar.color });
      this.svg.append(
        draw("text", { x: left - 8, y: y + 13, "text-anchor": "end" }, shorten(bar.label, letters)),
        draw("text", { x: left + length + 6, y: y + 13, class: "strong" }, bar.text),
      );
      this.mark(node, { row: -row, column: 0, pick: { group: bar.key, label: bar.label }, name: bar.label, text: bar.say });
    });
  }

  mark(node, mark) {
    mark.node = node;
    mark.id = node.dataset.id = JSON.stringify([mark.pick.period ?? "", mark.pick.group ?? ""]);
    for (const [name, value] of Object.entries({ class: "mark", role: "button", tabindex: "-1", "aria-label": `${mark.name}: ${mark.text}` })) node.setAttribute(name, value);
    this.hover(node, mark.name, mark.text);
    node.addEventListener("click", () => this.onpick(mark.pick));
    node.addEventListener("keydown", (event) => this.key(event, mark));
    node.addEventListener("focus", () => this.point(node, mark.name, mark.text));
    node.addEventListener("blur", () => (this.tip.hidden = true));
    this.marks.push(mark);
    this.svg.append(node);
  }

  hover(node, name, text) {
    node.addEventListener("pointerenter", () => this.point(node, name, text));
    node.addEventListener("pointerleave", () => (this.tip.hidden = true));
  }

  point(node, name, text) {
    this.tip.replaceChildren(make("b", { textContent: name }), make("span", { textContent: text }));
    this.tip.hidden = false;
    const bar = node.getBoundingClientRect();
    const home = this.element.getBoundingClientRect();
    const left = bar.left - home.left + bar.width / 2 - this.tip.offsetWidth / 2;
    this.tip.style.left = `${Math.max(0, Math.min(left, this.width - this.tip.offsetWidth))}px`;
    this.tip.style.top = `${bar.top - home.top - this.tip.offsetHeight - 6}px`;
  }

  key(event, mark) {
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.onpick(mark.pick);
      return;
    }
    const next = this.neighbour(event.key, mark);
    if (!next) return;
    event.preventDefault();
    mark.node.setAttribute("tabindex", "-1");
    next.node.setAttribute("tabindex", "0");
    next.node.focus();
  }

  neighbour(key, { row, column }) {
    const near = (marks, by) => marks.sort((a, b) => by(a) - by(b))[0];
    const within = this.marks.filter((mark) => mark.column === column);
    const along = (ahead) => near(this.marks.filter((mark) => ahead(mark.column)), (mark) => Math.abs(mark.column - column) * 1000 + Math.abs(mark.row - row));
    switch (key) {
      case "ArrowUp": return near(within.filter((mark) => mark.row > row), (mark) => mark.row);
      case "ArrowDown": return near(within.filter((mark) => mark.row < row), (mark) => -mark.row);
      case "ArrowRight": return along((other) => other > column);
      case "ArrowLeft": return along((other) => other < column);
      case "Home": return near([...this.marks], (mark) => mark.column);
      case "End": return near([...this.marks], (mark) => -mark.column);
      default: return undefined;
    }
  }
}

/** Whether a key with Ctrl or Cmd is meant for the notebook; what changes text, or runs the cell, is not. */
function isNotebookKey(event) {
  if (!(event.ctrlKey || event.metaKey) || event.getModifierState?.("AltGraph")) return false;
  const key = (event.key ?? "").toLowerCase();
  return !EDITING.includes(key) && !key.startsWith("arrow");
}

/** One view of a dashboard. */
class View {
  constructor(model, root) {
    this.model = model;
    this.view = crypto.getRandomValues(new Uint32Array(2)).join("-");
    this.links = [];
    this.build(root);
    this.onMessage = (message, buffers) => this.receive(message, buffers);
    model.on("msg:custom", this.onMessage);
    this.send({ type: "hello" });
  }

  dispose() {
    this.send({ type: "bye" });
    this.model.off("msg:custom", this.onMessage);
    window.removeEventListener("keydown", this.onKeyDown, true);
    this.chart.dispose();
    this.links.forEach((url) => URL.revokeObjectURL(url));
  }

  send(message) {
    this.model.send({ view: this.view, ...message });
  }

  build(root) {
    this.figures = make("dl", { className: "llmkit-dash-figures" });
    this.title = make("h3", {});
    this.notes = make("p", { className: "llmkit-dash-mute" });
    this.legend = make("ul", { className: "llmkit-dash-legend", "aria-label": "Colours" });
    this.hint = make("p", { className: "llmkit-dash-hint", hidden: true });
    this.chart = new Chart((pick) => this.pick(pick));
    this.groups = make("div", { className: "llmkit-dash-table", role: "region", "aria-label": "Groups", tabIndex: 0 });
    this.calls = make("section", { className: "llmkit-dash-calls", "aria-label": "Calls", hidden: true });
    this.said = make("p", { className: "llmkit-dash-say", role: "status" });
    this.body = make("div", { hidden: true }, this.figures, make("div", { className: "llmkit-dash-head" }, this.title, this.legend), this.hint, this.chart.element, this.notes, this.groups, this.calls, this.whatIf());
    this.wait = make("p", { className: "llmkit-dash-mute", textContent: "Reading the ledger…" });
    this.root = make("section", { className: `llmkit-dash llmkit-live-${this.model.get("name")}`, "aria-label": "Cost dashboard", [SUPPRESS]: "" }, this.said, this.wait, this.body);
    // Jupyter listens for keys on the whole notebook; what happens here stays here, but for Ctrl+S and the like.
    for (const kind of ["keydown", "keyup", "keypress"]) {
      this.root.addEventListener(kind, (event) => isNotebookKey(event) || event.stopPropagation());
    }
    this.onKeyDown = (event) => {
      if (this.root.contains(event.target)) this.root.toggleAttribute(SUPPRESS, !isNotebookKey(event));
    };
    window.addEventListener("keydown", this.onKeyDown, true); // before Jupyter looks
    root.append(this.root);
  }

  receive(message, buffers) {
    if (message.type === "board") this.showBoard(message);
    else if (message.type === "rows") this.showRows(message);
    else if (message.type === "what_if") this.answer.textContent = message.text;
    else if (message.type === "say") this.say(message.text, message.kind);
    else if (message.type === "file") this.offer(message, buffers);
  }

  showBoard(shown) {
    this.wait.hidden = true;
    this.body.hidden = false;
    this.figures.replaceChildren(...shown.figures.map((one) => make("div", { title: one.exact },
      make("dt", { textContent: one.label }), make("dd", { textContent: one.text }, one.note ? make("small", { textContent: ` ${one.note}` }) : null))));
    this.title.textContent = shown.title;
    this.notes.textContent = shown.notes;
    this.hint.textContent = shown.hint;
    this.hint.hidden = !shown.hint;
    const empty = Boolean(shown.hint);
    for (const part of [this.title.parentElement, this.chart.element, this.groups, this.form]) part.hidden = empty;
    this.notes.hidden = empty || !shown.notes;
    const named = (shown.chart.series ?? []).filter((series) => series.marks.length && series.key);
    this.legend.replaceChildren(...named.map((series) => make("li", {}, this.swatch(series.color), series.label)));
    this.chart.show(shown);
    this.showGroups(shown.table);
    this.options(shown.models);
  }

  swatch(color) {
    const square = make("span", { className: "llmkit-dash-swatch", "aria-hidden": "true" });
    square.style.background = color;
    return square;
  }

  showGroups({ head, rows, more, total }) {
    const held = this.groups.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
    const body = make("tbody");
    for (const row of rows) {
      const pick = () => this.pick({ group: row.key, label: row.label });
      const name = make("button", { type: "button", textContent: row.label, title: `Show the calls of ${row.label}`, onclick: (event) => { event.stopPropagation(); pick(); } });
      name.dataset.key = row.key;
      const bar = make("span", { className: "llmkit-dash-share", "aria-hidden": "true" });
      bar.style.width = `${row.share * 100}%`;
      bar.style.background = row.color || "";
      body.append(make("tr", { onclick: pick },
        make("th", { scope: "row" }, row.color ? this.swatch(row.color) : null, name),
        make("td", { className: "share", "aria-hidden": "true" }, bar),
        ...row.cells.map((cell) => make("td", { textContent: cell }))));
    }
    const columns = [head[0], null, ...head.slice(1)].map((name, place) => (name === null ? make("td", { className: "share", "aria-hidden": "true" }) : make("th", { scope: "col", textContent: name, className: place ? "number" : "" })));
    const foot = make("tr", {}, make("th", { scope: "row", textContent: more ? `All, with ${more}` : "All" }), make("td", { className: "share", "aria-hidden": "true" }), ...total.map((cell) => make("td", { textContent: cell })));
    this.groups.replaceChildren(make("table", {}, make("thead", {}, make("tr", {}, ...columns)), body, make("tfoot", {}, foot)));
    if (held !== undefined) [...this.groups.querySelectorAll("button")].find((button) => button.dataset.key === held)?.focus({ preventScroll: true });
  }

  // The calls behind a bar

  pick({ group, period, label }) {
    this.opener = document.activeElement;
    this.fresh = true;
    this.send({ type: "pick", group: group || null, period: period ?? null, label });
  }

  close() {
    this.send({ type: "unpick" });
    this.calls.hidden = true;
    if (this.opener?.isConnected) this.opener.focus();
    else this.groups.focus();
  }

  showRows({ label, head, rows, count, more, order }) {
    if (!rows) {
      this.calls.hidden = true;
      return;
    }
    if (!this.calls.hidden && this.calls.contains(document.activeElement)) this.held = document.activeElement.dataset.name;
    const sort = ["newest", "most expensive"].map((one) => {
      const button = make("button", { type: "button", textContent: `${one} first`, "aria-pressed": String(order === one), onclick: () => this.send({ type: "order", order: one }) });
      button.dataset.name = one;
      return button;
    });
    const close = make("button", { type: "button", textContent: "Close", onclick: () => this.close() });
    close.dataset.name = "close";
    const title = make("h4", { textContent: label, tabIndex: -1 });
    const body = make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.cells.map((cell, place) => make("td", { textContent: cell, className: place > 1 && place !== 5 ? "number" : "" })), make("td", {}, this.place(row)))));
    const columns = head.map((name, place) => make("th", { scope: "col", textContent: name, className: place > 1 && place !== 5 && place < 7 ? "number" : "" }));
    const table = make("div", { className: "llmkit-dash-table rows", role: "region", "aria-label": "Calls behind the bar", tabIndex: 0 }, make("table", {}, make("thead", {}, make("tr", {}, ...columns)), body));
    const scrolled = this.calls.querySelector(".rows")?.scrollTop ?? 0;
    this.calls.replaceChildren(make("div", { className: "llmkit-dash-head" }, title, make("span", { className: "llmkit-dash-mute", textContent: count }), make("span", { className: "llmkit-dash-tools" }, ...sort, close)), table);
    if (more) this.calls.append(make("p", { className: "llmkit-dash-mute", textContent: more }));
    this.calls.hidden = false;
    if (this.fresh) title.focus({ preventScroll: true });
    else if (this.held) [...this.calls.querySelectorAll("button")].find((button) => button.dataset.name === this.held)?.focus({ preventScroll: true });
    if (this.fresh) this.calls.scrollIntoView({ block: "nearest" });
    else table.scrollTop = scrolled;
    this.fresh = false;
    this.held = undefined;
  }

  place(row) {
    if (!row.place) return make("span", { textContent: "–" });
    const title = row.here ? "Go to this cell" : `Copy the cell's place${row.cell ? ` (cell ${row.cell})` : ""}`;
    return make("button", { type: "button", textContent: row.place, title, className: "link", onclick: () => (row.here ? this.jump(row) : this.copy(row)) });
  }

  async copy(row) {
    try {
      await copyText(row.place);
      this.say(`Copied: ${row.place}`);
    } catch (error) {
      this.say(error.message, "error");
    }
  }

  /** Go to a cell of this notebook; the page knows cells by their numbers alone. */
  jump(row) {
    const notebook = this.root.closest(".jp-Notebook, .jp-NotebookPanel") ?? document;
    const prompts = [...notebook.querySelectorAll(".jp-Cell .jp-InputPrompt")];
    const cell = prompts.find((prompt) => prompt.textContent.trim() === `[${row.prompt}]:`)?.closest(".jp-Cell");
    if (!cell) {
      this.copy(row);
      return;
    }
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    cell.scrollIntoView({ block: "center", behavior: calm ? "auto" : "smooth" });
    cell.classList.add("llmkit-dash-found");
    setTimeout(() => cell.classList.remove("llmkit-dash-found"), 2500);
  }

  // What if

  whatIf() {
    const id = `llmkit-${this.view}`;
    this.choice = make("select", { id: `${id}-model`, onchange: () => this.suppose() });
    this.change = make("input", { type: "checkbox", id: `${id}-change`, onchange: () => this.suppose() });
    this.share = make("input", { type: "range", min: 0, max: 100, step: 5, value: 50, disabled: true, "aria-label": "Share of the input read from the cache", oninput: () => this.suppose() });
    this.percent = make("output", { textContent: "as it was", "for": this.share.id });
    this.answer = make("p", { className: "llmkit-dash-answer", role: "status" });
    this.form = make("section", { className: "llmkit-dash-if", "aria-label": "What if" },
      make("h4", { textContent: "What if" }),
      make("span", { className: "llmkit-dash-row" },
        make("label", { "for": `${id}-model`, textContent: "these calls on" }), this.choice,
        make("span", { className: "llmkit-dash-row" }, this.change, make("label", { "for": `${id}-change`, textContent: "with this share of the input from the cache:" }), this.share, this.percent)),
      this.answer);
    return this.form;
  }

  options(models) {
    if (!models || this.known === models.join()) return;
    this.known = models.join();
    const chosen = this.choice.value;
    this.choice.replaceChildren(make("option", { value: "", textContent: "the same models" }), ...models.map((name) => make("option", { value: name, textContent: name })));
    this.choice.value = models.includes(chosen) ? chosen : "";
  }

  suppose() {
    this.share.disabled = !this.change.checked;
    this.percent.textContent = this.change.checked ? `${this.share.value} %` : "as it was";
    this.share.setAttribute("aria-valuetext", this.percent.textContent);
    if (!this.choice.value && !this.change.checked) this.answer.textContent = "";
    clearTimeout(this.supposing);
    this.supposing = setTimeout(() => this.send({ type: "what_if", model: this.choice.value || null, cached: this.change.checked ? Number(this.share.value) / 100 : null }), 120);
  }

  // What is said

  say(text, kind = "") {
    this.said.className = `llmkit-dash-say ${kind}`;
    this.said.textContent = text;
  }

  offer({ text, name, kind }, buffers) {
    this.say(text);
    const data = buffers?.[0];
    if (!data) return;
    const url = URL.createObjectURL(new Blob([data], { type: kind }));
    this.links.push(url);
    this.said.append(" ", make("a", { href: url, download: name, textContent: "Download it" }));
  }
}

export default {
  render({ model, el }) {
    const view = new View(model, el);
    return () => view.dispose();
  },
};
