// The chat in the browser. What a model wrote arrives as HTML that Python has made safe, and goes into
// `.llmkit` elements only; everything else is set as text. Nothing here builds HTML from strings.

const PICTURES = ["image/png", "image/jpeg", "image/webp", "image/gif"];
const LARGEST = 7_000_000; // bytes of all files of a question: Jupyter closes its socket at 10 MiB
const PATIENCE = 5_000; // milliseconds after which a silent kernel is mentioned
const HASTE = 400; // milliseconds before a question can be allowed
const FADE = 6_000; // milliseconds after which a notice that needs no answer goes
// What Ctrl and Cmd do to text stays in the chat, and Enter, which would run the cell under it.
const EDITING = ["a", "c", "v", "x", "y", "z", "enter", "backspace", "delete", "home", "end"];

const SUPPRESS = "data-lm-suppress-shortcuts"; // Jupyter's shortcuts do nothing in here
const LOST = Symbol.for("llmkit.chat.lost"); // on the window: what was said before a kernel was restarted

/** Make an element: its properties, its attributes (those with a dash, and role), its children. */
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role" || name === "for") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Make a button; its accessible name contains its text, so that a spoken command finds it. */
function button(text, label, onclick, properties = {}) {
  const unsaid = /\p{L}/u.test(text) && !label.toLowerCase().includes(text.toLowerCase());
  const name = unsaid ? `${text}: ${label[0].toLowerCase()}${label.slice(1)}` : label;
  return make("button", { type: "button", textContent: text, title: label, "aria-label": name, onclick, ...properties });
}

function megabytes(bytes) {
  return bytes < 1e5 ? `${Math.max(1, Math.round(bytes / 1000))} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without https, or where the page may not use the clipboard, the old way still works.
    const area = make("textarea", { value: text, "aria-hidden": "true" });
    area.style.position = "fixed";
    area.style.opacity = "0";
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    if (!done) throw new Error("The browser does not let this page copy.");
  }
}

/** Return the code of the fenced blocks of a Markdown text; the text itself if it has none. */
function codeOf(markdown) {
  const blocks = [...markdown.matchAll(/^(`{3,}|~{3,})[^\n]*\n([\s\S]*?)^\1[ \t]*$/gm)];
  return blocks.map((block) => block[2].replace(/\n$/, "")).join("\n") || markdown;
}

/** Whether a key with Ctrl or Cmd is meant for the notebook, as Ctrl+S is. */
function isNotebookKey(event) {
  if (!(event.ctrlKey || event.metaKey) || event.getModifierState?.("AltGraph")) return false;
  const key = (event.key ?? "").toLowerCase();
  return !EDITING.includes(key) && !key.startsWith("arrow");
}

/** Put a button for copying beside each code block that has none. */
function addCopyButtons(element) {
  for (const block of element.querySelectorAll("pre.llmkit-code:not(.llmkit-chat-code > pre)")) {
    const copy = button("Copy", "Copy this code", async () => {
      try {
        await copyText(block.textContent.replace(/\n$/, ""));
        copy.textContent = "Copied";
      } catch {
        copy.textContent = "Not copied";
      }
      setTimeout(() => (copy.textContent = "Copy"), 2_000);
    }, { className: "llmkit-chat-copy" });
    const box = make("div", { className: "llmkit-chat-code" });
    block.replaceWith(box);
    box.append(block, copy);
  }
}

/** Show a warning; the sign of a stopped answer is drawn, for not every font has it. */
function warning(text) {
  const stopped = text.startsWith("⏹");
  const sign = stopped ? make("span", { className: "llmkit-chat-square", "aria-hidden": "true" }) : null;
  return make("span", { className: "llmkit-warn" }, sign, text.replace(/^⏹\s*/, ""));
}

/** One message: its element, and what it shows. */
class Message {
  constructor(chat, form, buffers) {
    this.chat = chat;
    this.started = performance.now();
    this.urls = [];
    this.notice = "";
    this.element = make("article", {});
    this.show(form, buffers);
  }

  show(form, buffers) {
    this.form = form;
    this.release();
    const mine = form.role === "user";
    const open = form.state === "open";
    this.element.className = `llmkit-chat-message ${mine ? "user" : "assistant"}`;
    this.element.classList.toggle("hidden", form.hidden);
    this.element.setAttribute("aria-label", mine ? "Your question" : `Answer of ${form.model}`);
    this.element.setAttribute("aria-busy", String(open));
    this.body = mine ? this.question(form, buffers) : this.answer(form);
    const parts = [this.body];
    if (form.question) parts.push(this.asking(form.question));
    if (form.error) parts.push(this.failure(form));
    if (!mine) parts.push((this.foot = this.footer(form)));
    if (!open) parts.push((this.tools = this.toolbar(form)));
    const held = this.element.contains(document.activeElement);
    this.element.replaceChildren(...parts);
    if (form.question) this.askHere();
    else if (this.asked && held) this.chat.input.focus();
    else if (held) this.element.querySelector("button")?.focus();
    this.asked = form.question ? this.asked : null;
    if (open) this.tick();
  }

  /** Ask whether a call may run: what runs is set as text, and only a button lets it. */
  asking(question) {
    const answer = (word) => this.chat.send({ type: "allow", question: question.name, answer: word });
    const allow = button("Allow", "Allow this call", () => answer("allow"), { disabled: true });
    const always = question.lasts ? button("Always allow", "Always allow this tool in this session", () => answer("always"), { disabled: true }) : null;
    // What was meant for something else, as the question came up, must not allow it.
    setTimeout(() => [allow, always].forEach((one) => one && (one.disabled = false)), HASTE);
    const title = make("p", { textContent: question.title, id: `llmkit-${question.name}` });
    const code = make("pre", { textContent: question.code, tabIndex: 0, role: "region", "aria-label": "What will run" });
    const box = make("div", { className: "llmkit-chat-ask", role: "alertdialog", tabIndex: -1, "aria-labelledby": title.id },
      title, code, make("div", { className: "llmkit-chat-row" }, allow, always, button("Deny", "Deny this call", () => answer("deny"))));
    box.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || event.isComposing) return;
      event.preventDefault();
      event.stopPropagation();
      answer("deny");
    });
    this.box = box;
    this.newly = this.asked !== question.name;
    this.asked = question.name;
    return box;
  }

  /** Take the focus to a new question, unless the user is at work outside of the chat. */
  askHere() {
    const at = document.activeElement;
    if (!at || at === document.body || this.chat.root.contains(at) || this.chat.root.closest(".jp-Cell, .cell")?.contains(at)) this.box.focus();
    if (this.newly) this.box.scrollIntoView({ block: "nearest" });
  }

  question(form, buffers) {
    const box = make("div", {}, make("div", { className: "llmkit-chat-text", textContent: form.text }));
    if (form.files.length) {
      box.append(make("div", { className: "llmkit-chat-files" }, ...form.files.map((file) => this.file(file, buffers))));
    }
    return box;
  }

  file(file, buffers) {
    const box = make("span", { className: "llmkit-chat-file", title: file.size ? `${file.name}, ${megabytes(file.size)}` : file.name });
    const data = buffers?.[file.buffer];
    if (data && PICTURES.includes(file.type)) {
      const url = URL.createObjectURL(new Blob([data], { type: file.type }));
      this.urls.push(url);
      box.append(make("img", { src: url, alt: file.name }));
    } else {
      box.append(make("span", { textContent: file.name }));
    }
    return box;
  }

  answer(form) {
    this.sealed = make("div");
    this.tail = make("div");
    this.tailHtml = form.tail;
    this.sealedHtml = form.sealed;
    this.sealed.innerHTML = form.sealed; // made safe by llmkit.notebook.markdown.render
    this.tail.innerHTML = form.tail;
    addCopyButtons(this.sealed);
    return make("div", { className: "llmkit llmkit-chat-text" }, this.sealed, this.tail);
  }

  grow(message) {
    if (!this.tail) return;
    if (message.sealed) {
      this.sealed.insertAdjacentHTML("beforeend", message.sealed);
      this.sealedHtml += message.sealed;
      addCopyButtons(this.sealed);
      this.tailHtml = "";
    }
    this.tailHtml = this.tailHtml.slice(0, message.keep) + message.tail;
    this.tail.innerHTML = this.tailHtml;
  }

  footer(form) {
    const foot = make("div", { className: "llmkit-chat-foot" });
    if (form.state === "open") {
      this.clock = make("span");
      foot.append(make("span", { className: "llmkit-chat-dot", textContent: "● ", "aria-hidden": "true" }), this.clock);
      return foot;
    }
    foot.append(make("span", { textContent: form.facts.join(" · ") }));
    if (form.warning) foot.append(form.facts.length ? " · " : "", warning(form.warning));
    if (form.note) foot.append(make("div", { textContent: form.note }));
    return foot;
  }

  tick() {
    if (this.form.state !== "open" || !this.clock) return;
    const seconds = (performance.now() - this.started) / 1000;
    const tokens = Math.ceil(this.body.textContent.length / 4);
    const facts = [this.form.model, this.notice, seconds < 10 ? `${seconds.toFixed(1)} s` : `${Math.round(seconds)} s`];
    if (tokens) facts.push(`≈${tokens} tok`);
    this.clock.textContent = facts.filter(Boolean).join(" · ");
  }

  failure(form) {
    const again = button("Retry", "Retry this question", () => this.chat.again(form.node));
    const box = make("div", { className: "llmkit-chat-error", role: "alert" }, make("span", { textContent: form.error }), again);
    if (form.allow) {
      box.append(button("Send all the same", `Let ${form.allow} pass without a known price`, () => this.chat.again(form.node, { allow: form.allow })));
    }
    return box;
  }

  toolbar(form) {
    const chat = this.chat;
    const mine = form.role === "user";
    const bar = make("div", { className: "llmkit-chat-tools", role: "toolbar", "aria-label": mine ? "Question" : "Answer" });
    if (form.versions > 1) {
      const step = (by) => chat.send({ type: "step", node: form.node, by });
      bar.append(
        button("‹", "Previous version", () => step(-1), { disabled: form.version === 1, className: "live keep" }),
        make("span", { className: "llmkit-chat-versions keep", textContent: `${form.version}/${form.versions}` }),
        button("›", "Next version", () => step(1), { disabled: form.version === form.versions, className: "live keep" }),
      );
      for (const end of bar.querySelectorAll("button:disabled")) end.dataset.end = "true";
    }
    if (mine) bar.append(button("Edit", "Edit this question and ask again", () => this.edit(), { className: "live" }));
    else bar.append(...this.regenerators(form));
    if (form.text) {
      bar.append(button("Copy", "Copy as Markdown", () => chat.copy(form.text, "Copied.")));
      if (!mine) {
        bar.append(button("To cell", "Copy the code for a new cell", () =>
          chat.copy(codeOf(form.text), `Copied: leave the chat, press B for a new cell, and paste. In a cell, ${chat.head?.called ?? "chat"}.to_cell() does it.`)));
      }
    }
    const hide = form.hidden ? "Unhide this turn, so that the model sees it" : "Hide this turn from the model";
    bar.append(button(form.hidden ? "Unhide" : "Hide", hide, () => chat.send({ type: "hide", node: form.node, hidden: !form.hidden }), { "aria-pressed": String(form.hidden), className: form.hidden ? "keep" : "" }));
    return bar;
  }

  regenerators(form) {
    const again = button("Regenerate", "Regenerate the answer", () => this.chat.again(form.node), { className: "live" });
    const others = this.chat.menu("Regenerate with another model", "with…");
    others.className = "live";
    others.onchange = () => {
      const model = others.value;
      others.selectedIndex = 0;
      if (model) this.chat.again(form.node, { model });
    };
    return [again, others];
  }

  edit() {
    if (this.editor || this.chat.running) return;
    const area = make("textarea", { value: this.form.text, "aria-label": "Edit the question", rows: 2 });
    const close = () => {
      this.editor.remove();
      this.editor = null;
      this.body.hidden = this.tools.hidden = false;
    };
    const submit = () => {
      const text = area.value.trim();
      if (!text) return;
      this.chat.send({ type: "ask", node: this.form.node, text, keep: true, names: [] });
      close();
      this.chat.input.focus();
    };
    const cancel = () => {
      close();
      this.chat.input.focus();
    };
    area.addEventListener("keydown", (event) => {
      if (event.isComposing) return;
      if (event.key === "Enter" && !event.shiftKey) {
        event.preventDefault();
        submit();
      } else if (event.key === "Escape") {
        event.preventDefault();
        event.stopPropagation();
        cancel();
      }
    });
    this.editor = make("div", { className: "llmkit-chat-edit" }, area,
      make("div", { className: "llmkit-chat-row" }, button("Cancel", "Cancel and keep the question as it is", cancel), button("Ask", "Ask the edited question", submit)));
    this.body.hidden = this.tools.hidden = true;
    this.element.append(this.editor);
    area.focus();
    area.setSelectionRange(area.value.length, area.value.length);
  }

  /** End an answer whose kernel has gone. */
  cut() {
    if (this.form.state !== "open") return;
    this.show({ ...this.form, state: "cancelled", question: null, text: this.body.textContent, sealed: this.sealedHtml ?? "", tail: this.tailHtml, warning: "⏹ stopped" });
  }

  release() {
    for (const url of this.urls) URL.revokeObjectURL(url);
    this.urls = [];
    this.editor = null;
  }
}

/** One view of a chat. */
class ChatView {
  constructor(model, root) {
    this.model = model;
    this.view = crypto.getRandomValues(new Uint32Array(2)).join("");
    this.messages = [];
    this.files = [];
    this.groups = [];
    this.running = false;
    this.dead = false;
    this.follow = true;
    this.last = 0; // where the log stood
    this.build(root);
    this.onMessage = (content, buffers) => this.receive(content, buffers);
    this.onLife = () => this.live();
    model.on("msg:custom", this.onMessage);
    model.on("comm_live_update", this.onLife);
    // Before Jupyter looks: its older versions listen while the event comes down, and pass by this attribute.
    this.onKeyDown = (event) => {
      if (this.root.contains(event.target)) this.root.toggleAttribute(SUPPRESS, !isNotebookKey(event));
    };
    window.addEventListener("keydown", this.onKeyDown, true);
    this.timer = setInterval(() => this.tick(), 250);
    this.send({ type: "hello" });
  }

  dispose() {
    clearInterval(this.timer);
    clearTimeout(this.fading);
    window.removeEventListener("keydown", this.onKeyDown, true);
    this.model.off("msg:custom", this.onMessage);
    this.model.off("comm_live_update", this.onLife);
    this.messages.forEach((message) => message.release());
  }

  // What is on the page

  build(root) {
    this.root = make("section", { className: `llmkit-chat llmkit-live-${this.model.get("name")}`, "aria-label": "Chat", [SUPPRESS]: "" });
    this.log = make("div", { className: "llmkit-chat-log", role: "log", "aria-live": "polite", "aria-label": "Conversation", tabIndex: 0 });
    // Text that arrives is followed until the reader scrolls up, and again once they are back at the end.
    this.log.addEventListener("scroll", () => {
      const { scrollTop, scrollHeight, clientHeight } = this.log;
      if (scrollTop < this.last - 2) this.follow = false;
      else if (scrollHeight - scrollTop - clientHeight < 40) this.follow = true;
      this.last = scrollTop;
    });
    this.starters = make("div", { className: "llmkit-chat-starters", hidden: true });
    this.notice = make("div", { className: "llmkit-chat-say", role: "status", hidden: true });
    this.root.append(this.header(), this.systemEditor(), this.log, this.starters, this.notice, this.composer());
    // Jupyter listens for these on the whole notebook; what happens in the chat is the chat's.
    for (const kind of ["keydown", "keyup", "keypress", "paste", "copy", "cut"]) {
      this.root.addEventListener(kind, (event) => {
        if (!kind.startsWith("key") || !isNotebookKey(event)) event.stopPropagation();
      });
    }
    this.root.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !event.isComposing) this.escape();
    });
    root.append(this.root);
  }

  header() {
    this.models = make("select", { "aria-label": "Model", onchange: () => this.send({ type: "model", name: this.models.value }) });
    this.meterText = make("span");
    this.meter = make("meter", { min: 0, max: 1, high: 0.8, hidden: true, "aria-label": "Context used" });
    this.cost = make("span");
    this.extra = make("span");
    this.systemButton = button("System", "Edit the system prompt", () => this.toggleSystem(), { "aria-expanded": "false" });
    const facts = make("div", { className: "llmkit-chat-facts" }, this.extra, make("span", { className: "llmkit-chat-meter" }, this.meterText, this.meter), this.cost);
    this.exported = make("span", { className: "llmkit-chat-done", role: "status" });
    const save = button("Export", "Export the conversation as a Markdown file", () => this.send({ type: "export" }));
    return make("header", { className: "llmkit-chat-head" }, this.models, this.systemButton, save, this.exported, facts);
  }

  systemEditor() {
    this.systemText = make("textarea", { rows: 3, "aria-label": "System prompt" });
    const save = () => {
      this.send({ type: "system", text: this.systemText.value });
      this.toggleSystem(false);
      this.input.focus();
    };
    this.systemText.addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        event.stopPropagation();
        this.toggleSystem(false);
        this.systemButton.focus();
      }
    });
    this.systemBox = make("div", { className: "llmkit-chat-system", hidden: true }, make("label", { textContent: "System prompt: what the model is told before the conversation" }), this.systemText,
      make("div", { className: "llmkit-chat-row" }, button("Cancel", "Cancel and keep the system prompt as it is", () => this.toggleSystem(false)), button("Apply", "Apply this system prompt from now on", save)));
    return this.systemBox;
  }

  toggleSystem(open = this.systemBox.hidden) {
    this.systemBox.hidden = !open;
    this.systemButton.setAttribute("aria-expanded", String(open));
    if (open) {
      this.systemText.value = this.head?.system ?? "";
      this.systemText.focus();
    }
  }

  composer() {
    this.input = make("textarea", { rows: 1, placeholder: "Ask something", "aria-label": "Your question" });
    this.sendButton = button("Send", "Send", () => (this.running ? this.stop() : this.submit()), { className: "llmkit-chat-send" });
    this.chips = make("div", { className: "llmkit-chat-files" });
    this.picker = make("input", { type: "file", multiple: true, hidden: true, "aria-label": "Files to attach" });
    this.picker.addEventListener("change", () => {
      this.take(this.picker.files);
      this.picker.value = "";
    });
    const clip = button("+", "Attach images, PDFs or text files", () => this.picker.click());
    this.input.addEventListener("keydown", (event) => this.onKey(event));
    this.input.addEventListener("input", () => this.fit());
    const box = this.composerBox = make("div", { className: "llmkit-chat-composer" }, this.chips, make("div", { className: "llmkit-chat-line" }, clip, this.input, this.sendButton), this.picker,
      make("div", { className: "llmkit-chat-hint", textContent: "Enter sends · Shift+Enter breaks the line · ↑ edits the last question · Esc stops, then leaves" }));
    this.root.addEventListener("paste", (event) => this.takeFrom(event, event.clipboardData));
    this.root.addEventListener("drop", (event) => {
      box.classList.remove("drop");
      this.takeFrom(event, event.dataTransfer);
    });
    this.root.addEventListener("dragover", (event) => {
      if (![...(event.dataTransfer?.types ?? [])].includes("Files")) return;
      event.preventDefault();
      event.stopPropagation();
      box.classList.add("drop");
    });
    this.root.addEventListener("dragleave", () => box.classList.remove("drop"));
    return box;
  }

  fit() {
    if (CSS.supports("field-sizing", "content")) return;
    this.input.style.height = "auto";
    this.input.style.height = `${this.input.scrollHeight + 2}px`;
  }

  onKey(event) {
    if (event.isComposing) return; // Enter that ends a composition sends nothing
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      if (!this.running) this.submit();
    } else if (event.key === "ArrowUp" && !this.input.value) {
      const last = this.messages.findLast((message) => message.form.role === "user");
      if (last && !this.running && !this.dead) {
        event.preventDefault();
        last.edit();
      }
    }
  }

  // What the user does

  submit(text = this.input.value) {
    if (!text.trim()) {
      if (this.files.length) this.say("Write a question for the files.", "error");
      return;
    }
    if (this.dead) return;
    this.send({ type: "ask", text, names: this.files.map((file) => file.name) }, this.files.map((file) => file.data));
    this.asked = text; // until the kernel has it
    this.input.value = "";
    this.files = [];
    this.showFiles();
    this.fit();
    this.say("");
    this.follow = true;
  }

  stop() {
    this.stopping = true;
    this.send({ type: "stop" });
  }

  /** Stop the answer; where there is none, or at the second time, leave to the cell. */
  escape() {
    if (this.running && !this.stopping) {
      this.stop();
      return;
    }
    document.activeElement?.blur();
    this.root.closest(".jp-Cell")?.focus();
    const notebook = this.root.closest(".jp-Notebook");
    if (!notebook?.contains(document.activeElement)) notebook?.focus();
  }

  again(node, more = {}) {
    if (!this.running) this.send({ type: "again", node, ...more });
    this.input.focus();
  }

  async copy(text, done) {
    try {
      await copyText(text);
      this.say(done);
    } catch (error) {
      this.say(error.message, "error");
    }
  }

  takeFrom(event, transfer) {
    if (!transfer?.files?.length) return;
    event.preventDefault();
    event.stopPropagation();
    this.take(transfer.files);
  }

  async take(list) {
    for (const file of list) {
      const size = this.files.reduce((sum, one) => sum + one.data.byteLength, file.size);
      if (size > LARGEST) {
        this.say(`${file.name} makes the files larger than ${megabytes(LARGEST)}: use chat.ask(…, attachments=[…]) in a cell.`, "error");
        continue;
      }
      this.files.push({ name: file.name || "pasted", type: file.type, data: await file.arrayBuffer() });
    }
    this.showFiles();
    this.input.focus();
  }

  showFiles() {
    this.chips.querySelectorAll("img").forEach((image) => URL.revokeObjectURL(image.src));
    this.chips.replaceChildren(...this.files.map((file) => {
      const chip = make("span", { className: "llmkit-chat-file" });
      if (PICTURES.includes(file.type)) {
        chip.append(make("img", { src: URL.createObjectURL(new Blob([file.data], { type: file.type })), alt: "" }));
      }
      chip.append(make("span", { textContent: file.name }), make("small", { textContent: megabytes(file.data.byteLength) }),
        button("×", `Remove ${file.name}`, () => {
          this.files = this.files.filter((one) => one !== file);
          this.showFiles();
          this.input.focus();
        }));
      return chip;
    }));
  }

  send(message, buffers = []) {
    if (this.dead && message.type !== "hello") return;
    this.waiting = performance.now();
    try {
      this.model.send({ ...message, view: this.view }, undefined, buffers);
    } catch {
      this.setDead(true); // the channel is closed
    }
  }

  // What Python says

  receive(content, buffers) {
    if (content.view && content.view !== this.view) return;
    this.waiting = 0;
    if (this.impatient) this.say("");
    this.impatient = false;
    if (content.type === "branch") this.asked = "";
    if (content.type === "head") this.setDead(false);
    const known = this.messages.find((message) => message.form.node === (content.message?.node ?? content.node));
    if (content.type === "head") this.showHead(content);
    else if (content.type === "branch") this.showBranch(content, buffers);
    else if (content.type === "message") known?.show(content.message, buffers);
    else if (content.type === "grow") known?.grow(content);
    else if (content.type === "notice") known && (known.notice = content.text);
    else if (content.type === "say") this.say(content.text, content.kind);
    else if (content.type === "file") this.download(content.text);
    if (content.type === "grow") this.scroll();
    else this.settle();
  }

  showHead(head) {
    this.head = { ...this.head, ...head };
    if (head.menu) this.groups = head.menu;
    if (head.starters) this.showStarters(head.starters);
    this.models.replaceChildren(...this.options(head.model));
    this.models.value = head.model;
    const used = head.tokens === null ? "" : `${head.tokens.toLocaleString("en")} tok`;
    this.meterText.textContent = head.window && used ? `${used} of ${Math.round(head.window / 1000)}k` : used;
    this.meter.hidden = !(head.window && head.tokens !== null);
    this.meter.value = head.window ? head.tokens / head.window : 0;
    this.cost.textContent = `Σ ${head.cost}${head.budget ? ` of ${head.budget}` : ""}${head.simulated ? " simulated" : ""}`;
    this.cost.classList.toggle("llmkit-warn", (head.share ?? 0) >= 0.8);
    const tools = head.tools ?? [];
    this.extra.textContent = [head.thread && `thread ${head.thread}`, head.variables.length && `knows ${head.variables.join(", ")}`, tools.length && `may call ${tools.join(", ")}`].filter(Boolean).join(" · ");
    this.systemButton.textContent = head.system ? "System ✓" : "System";
  }

  options(current = "") {
    const names = this.groups.flatMap((group) => group.models);
    const groups = current && !names.includes(current) ? [{ group: "now", models: [current], lacks: "" }, ...this.groups] : this.groups;
    return groups.map(({ group, models, lacks }) =>
      make("optgroup", { label: lacks ? `${group} (${lacks})` : group }, ...models.map((name) => make("option", { value: name, textContent: name }))));
  }

  menu(label, first) {
    return make("select", { "aria-label": label, title: label }, make("option", { value: "", textContent: first }), ...this.options());
  }

  showStarters(texts) {
    const starters = texts.map((text) => button(text, text, () => this.submit(text), { className: "live" }));
    if (window[LOST]) {
      const label = `Continue the conversation from before the restart (${window[LOST].length} messages)`;
      const restore = () => {
        this.send({ type: "restore", messages: window[LOST] });
        delete window[LOST];
      };
      starters.unshift(button(label, label, restore, { className: "live" }));
    }
    this.starters.replaceChildren(...starters);
  }

  showBranch({ after, messages }, buffers) {
    const start = this.messages.findIndex((message) => message.form.node === after) + 1;
    this.messages.splice(start).forEach((message) => {
      message.release();
      message.element.remove();
    });
    const added = messages.map((form) => new Message(this, form, buffers));
    this.messages.push(...added);
    this.log.append(...added.map((message) => message.element));
    if (messages.some((form) => form.state === "open")) this.follow = true;
  }

  say(text, kind = "") {
    this.notice.className = `llmkit-chat-say ${kind}`;
    this.notice.hidden = !text;
    this.notice.replaceChildren(make("span", { textContent: text }), button("×", "Close this notice", () => this.say("")));
    clearTimeout(this.fading);
    if (text && !kind) this.fading = setTimeout(() => this.fade(), FADE);
  }

  /** Let a notice go, unless somebody is at it. */
  fade() {
    if (this.notice.matches(":hover, :focus-within")) this.fading = setTimeout(() => this.fade(), FADE);
    else this.say("");
  }

  download(text) {
    const url = URL.createObjectURL(new Blob([text], { type: "text/markdown" }));
    make("a", { href: url, download: "chat.md" }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
    this.exported.textContent = "Saved as chat.md";
    setTimeout(() => (this.exported.textContent = ""), FADE);
  }

  /** Bring what depends on the messages up to date. */
  settle() {
    this.running = this.messages.some((message) => message.form.state === "open");
    this.stopping = this.stopping && this.running;
    this.starters.hidden = this.messages.length > 0 || !this.starters.childElementCount;
    this.sendButton.textContent = this.running ? "Stop" : "Send";
    this.sendButton.title = this.running ? "Stop the answer" : "Send";
    this.sendButton.setAttribute("aria-label", this.sendButton.title);
    this.sendButton.classList.toggle("stop", this.running);
    const idle = !this.running && !this.dead;
    for (const control of this.root.querySelectorAll(".live")) control.disabled = !idle || control.dataset.end === "true";
    this.scroll();
  }

  scroll() {
    if (!this.follow) return;
    this.log.scrollTop = this.log.scrollHeight;
    this.last = this.log.scrollTop;
    if (this.root.contains(document.activeElement)) this.composerBox.scrollIntoView({ block: "nearest" });
  }

  tick() {
    for (const message of this.messages) message.tick();
    if (this.waiting && !this.dead && performance.now() - this.waiting > PATIENCE) {
      this.waiting = 0;
      this.impatient = true;
      const how = this.stopping ? " Jupyter's own interrupt (■) stops a tool." : "";
      this.say(`The kernel has not answered yet: it is busy, or was restarted.${how}`);
    }
  }

  /** The connection to the kernel ended, or is back: only an answer tells which. */
  live() {
    this.setDead(true);
    this.say("The kernel was restarted. Run this cell again to continue; the conversation so far stays here.", "alert");
    this.send({ type: "hello" });
  }

  setDead(dead) {
    if (this.dead === dead) return;
    this.dead = dead;
    if (dead) {
      this.messages.forEach((message) => message.cut());
      const said = this.messages.map(({ form }) => ({ role: form.role, text: form.text }));
      if (said.length) window[LOST] = said;
    } else {
      this.say("");
      delete window[LOST];
    }
    this.input.disabled = this.sendButton.disabled = this.models.disabled = dead;
    if (dead && this.asked) this.input.value = this.asked;
    this.settle();
  }
}

export default {
  render({ model, el }) {
    const view = new ChatView(model, el);
    return () => {
      view.send({ type: "gone" });
      view.dispose();
    };
  },
};
