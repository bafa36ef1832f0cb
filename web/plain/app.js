// The chat page: one conversation, kept in this page's memory, over POST /v1/chat/completions. Text from the model only
// ever becomes textContent. A stepping stone: small on purpose.

const TEXTS = {
  en: {
    newChat: "New chat", greeting: "What would you like to know?", conversation: "Conversation", latest: "Latest",
    question: "Your message", placeholder: "Ask anything", think: "Think", send: "Send", stop: "Stop",
    starters: "Suggestions", thinking: "Thinking {n} s", thought: "Thought for {n} s", waiting: "Reading",
    copy: "Copy", copied: "Copied", again: "Try again", ready: "The answer is ready.", stopped: "Stopped.",
    failed: "The answer could not be given", offline: "The server does not answer. What you wrote is kept.",
    cut: "The connection ended before the answer did. What came is kept.",
    keyNeeded: "This server asks for a key", useKey: "Use key", key: "API key",
    suggestions: ["Explain why the sky is blue", "Write a short poem about the sea",
      "How does a lake differ from a pond?", "Write a Python function that reverses a string"],
  },
  ko: {
    newChat: "새 대화", greeting: "무엇이 궁금하세요?", conversation: "대화", latest: "맨 아래로",
    question: "메시지", placeholder: "무엇이든 물어보세요", think: "깊이 생각", send: "보내기", stop: "멈추기",
    starters: "제안", thinking: "생각하는 중 {n}초", thought: "{n}초 동안 생각함", waiting: "읽는 중",
    copy: "복사", copied: "복사됨", again: "다시 시도", ready: "답변이 끝났습니다.", stopped: "멈췄습니다.",
    failed: "답변하지 못했습니다", offline: "서버가 응답하지 않습니다. 쓰신 글은 그대로 있습니다.",
    cut: "답변이 끝나기 전에 연결이 끊겼습니다. 받은 글은 그대로 있습니다.",
    keyNeeded: "이 서버는 키가 필요합니다", useKey: "키 쓰기", key: "API 키",
    suggestions: ["하늘은 왜 파란가요?", "바다에 관한 짧은 시를 써 주세요", "호수와 연못의 차이는?",
      "문자열을 뒤집는 파이썬 함수를 써 주세요"],
  },
  zh: {
    newChat: "新对话", greeting: "想了解些什么？", conversation: "对话", latest: "回到底部",
    question: "消息", placeholder: "随便问", think: "深度思考", send: "发送", stop: "停止",
    starters: "建议", thinking: "思考中 {n} 秒", thought: "思考了 {n} 秒", waiting: "正在阅读",
    copy: "复制", copied: "已复制", again: "重试", ready: "回答完毕。", stopped: "已停止。",
    failed: "未能给出回答", offline: "服务器没有响应。您写的内容仍在。",
    cut: "回答未完，连接已断开。已收到的内容仍在。",
    keyNeeded: "此服务器需要密钥", useKey: "使用密钥", key: "API 密钥",
    suggestions: ["天空为什么是蓝色的？", "写一首关于大海的短诗", "湖和池塘有什么区别？", "写一个反转字符串的 Python 函数"],
  },
};
const language = navigator.languages.map((l) => l.slice(0, 2)).find((l) => l in TEXTS) ?? "en";
const texts = TEXTS[language];
const byId = (id) => document.getElementById(id);
const [scroller, thread, question, send, think, latest, announcement] =
  ["scroller", "thread", "question", "send", "think", "latest", "announcement"].map(byId);

let messages = [];   // what the model is shown, in the interface's own form
let running = null;  // the AbortController of the answer that is coming
let model = null;
let key = "";        // in memory only
let following = true;

function element(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

function button(className, text, action) {
  const node = element("button", className, text);
  node.type = "button";
  node.addEventListener("click", action);
  return node;
}

const headers = () => (key ? { Authorization: `Bearer ${key}` } : {});

// ---- Showing text as it grows. A block that is finished is never touched again; only the last one is.

class GrowingText {
  #text = "";
  #shown = 0;        // where the open block starts
  #node = null;      // of the open block
  constructor(place) { this.place = place; }
  get text() { return this.#text; }

  append(text) {
    this.#text += text;
    for (;;) {
      const rest = this.#text.slice(this.#shown);
      const block = firstBlock(rest);
      if (!block) return;
      this.#show(block);
      if (!block.closed) return;
      this.#shown += block.length;
      this.#node = null;
    }
  }

  #show(block) {
    if (this.#node && this.#node.tagName !== (block.code ? "PRE" : "P")) {
      this.#node.remove();
      this.#node = null;
    }
    if (!this.#node) this.place.append(this.#node = element(block.code ? "pre" : "p"));
    if (block.code && block.language) this.#node.dataset.language = block.language;
    if (this.#node.textContent !== block.text) this.#node.textContent = block.text;
  }
}

// The first paragraph or fenced code block of a text: what it says, its length, and whether it is over.
function firstBlock(text) {
  const start = text.search(/\S/);
  if (start < 0) return null;
  const begin = text.lastIndexOf("\n", start) + 1;  // a first line keeps its indentation
  const body = text.slice(begin);
  const fence = body.match(/^ {0,3}(```+|~~~+)[ \t]*([\w+#.-]*)[^\n]*(\n|$)/);
  if (fence) {
    const inner = body.slice(fence[0].length);
    const end = inner.match(new RegExp(`(^|\\n) {0,3}${fence[1]}[ \\t]*(\\n|$)`));
    // While the answer is coming a closing fence is only known by the line end behind it.
    const closed = Boolean(end && end[2]);
    return { code: true, language: fence[2], closed, text: end ? inner.slice(0, end.index) : inner,
      length: begin + fence[0].length + (end ? end.index + end[0].length : inner.length) };
  }
  const end = body.search(/\n[ \t]*\n|\n(?= {0,3}(```|~~~))/);
  return { code: false, closed: end >= 0, text: (end < 0 ? body : body.slice(0, end)).trimEnd(),
    length: begin + (end < 0 ? body.length : end + 1) };
}

// ---- One answer in the thread: thoughts, text, and what went wrong

class Answer {
  constructor() {
    this.node = thread.appendChild(element("article", "answer working"));
    this.waiting = this.node.appendChild(element("div", "waiting"));
    this.waiting.append(byId("sounding").content.cloneNode(true), element("span", "unseen", texts.waiting));
    this.content = new GrowingText(element("div"));
    this.thoughts = "";
    this.pending = { reasoning: "", content: "" };
    this.frame = 0;
  }

  add(delta) {
    this.pending.reasoning += delta.reasoning_content ?? "";
    this.pending.content += delta.content ?? "";
    // One flush a frame; a hidden page has no frames and needs none before the end.
    this.frame ||= requestAnimationFrame(() => this.flush());
  }

  flush() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    const { reasoning, content } = this.pending;
    this.pending = { reasoning: "", content: "" };
    if (!reasoning && !content) return;
    this.waiting.remove();
    if (reasoning) this.#think(reasoning);
    if (content) {
      this.#stopThinking();
      if (!this.content.place.isConnected) this.node.append(this.content.place);
      this.content.append(content);
    }
    followIfAtEnd();
  }

  #think(text) {
    if (!this.details) {
      this.details = this.node.appendChild(element("details", "thinking"));
      const summary = this.details.appendChild(element("summary"));
      summary.append(byId("sounding").content.cloneNode(true));
      this.label = summary.appendChild(element("span", "label"));
      this.preview = summary.appendChild(element("span", "preview"));
      this.inner = this.details.appendChild(element("div", "thoughts"));
      this.began = performance.now();
      this.timer = setInterval(() => this.#tick(texts.thinking), 1000);
      this.#tick(texts.thinking);
    }
    this.thoughts += text;
    this.inner.textContent = this.thoughts.trim();
    this.preview.textContent = this.thoughts.trim().split(/(?<=[.!?。？！])\s+|\n+/).at(-1).slice(-160);
  }

  #tick(text) {
    this.label.textContent = text.replace("{n}", Math.round((performance.now() - this.began) / 1000));
  }

  #stopThinking() {
    if (!this.timer) return;
    clearInterval(this.timer);
    this.timer = 0;
    this.#tick(texts.thought);
    this.preview.textContent = "";
    this.node.classList.remove("working");
    if (following) this.details.open = false;  // never under the eyes of one who scrolled up to read it
  }

  end() {
    this.flush();
    this.waiting.remove();
    this.#stopThinking();
    this.node.classList.remove("working");
    if (this.content.text) this.node.append(this.#actions());
    else if (!this.details) this.node.remove();
  }

  #actions() {
    const row = element("div", "actions");
    const copy = button("quiet", texts.copy, async () => {
      await navigator.clipboard.writeText(this.content.text);
      copy.textContent = texts.copied;
      setTimeout(() => (copy.textContent = texts.copy), 1500);
    });
    row.append(copy);
    return row;
  }
}

function showFailure(error) {
  const box = thread.appendChild(element("div", "answer")).appendChild(element("div", "failure"));
  box.setAttribute("role", "alert");
  const again = () => {
    box.parentNode.remove();
    if (messages.at(-1).role === "assistant") {  // the part that came before the failure
      messages.pop();
      thread.lastElementChild.remove();
    }
    answer();
  };
  box.append(element("strong", "", error.status === 401 ? texts.keyNeeded : texts.failed));
  if (error.status === 401) {
    const form = box.appendChild(element("form"));
    const input = form.appendChild(element("input"));
    input.type = "password";
    input.setAttribute("aria-label", texts.key);
    form.append(element("button", "", texts.useKey));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      key = input.value.trim();
      loadModels();
      again();
    });
    input.focus();
  } else {
    box.append(element("span", "", error.message));
    box.appendChild(element("div", "choice")).append(button("", texts.again, again));
  }
  followIfAtEnd();
}

// ---- Asking

// The data of each server-sent event; comments (signs of life) are skipped.
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    buffer += value;
    const parts = buffer.split("\n\n");
    buffer = parts.pop();
    for (const part of parts) if (part.startsWith("data: ")) yield part.slice(6);
  }
}

async function ask(signal, onDelta) {
  const body = { model: model?.id, messages, stream: true };
  if (model?.can_think) body.thinking = { type: think.ariaPressed === "true" ? "enabled" : "disabled" };
  let response;
  try {
    response = await fetch("/v1/chat/completions", {
      method: "POST", signal, body: JSON.stringify(body), headers: { "Content-Type": "application/json", ...headers() },
    });
  } catch (error) {
    throw signal.aborted ? error : new Error(texts.offline);
  }
  if (!response.ok) {
    const said = await response.json().catch(() => null);
    throw Object.assign(new Error(said?.error?.message ?? `HTTP ${response.status}`), { status: response.status });
  }
  try {
    for await (const data of events(response)) {
      if (data === "[DONE]") return;
      const chunk = JSON.parse(data);
      if (chunk.error) throw Object.assign(new Error(chunk.error.message), { status: 500 });
      if (chunk.choices?.[0]) onDelta(chunk.choices[0].delta);
    }
  } catch (error) {
    throw signal.aborted || error.status ? error : new Error(texts.cut);
  }
  throw new Error(texts.cut);
}

async function answer() {
  const abort = running = new AbortController();
  const conversation = messages;
  const shown = new Answer();
  let failure = null;
  showState();
  followIfAtEnd();
  try {
    await ask(abort.signal, (delta) => shown.add(delta));
  } catch (error) {
    if (!abort.signal.aborted) failure = error;
  }
  shown.end();
  if (conversation !== messages) return;  // a new chat has begun meanwhile
  if (shown.content.text) messages.push({ role: "assistant", content: shown.content.text });
  running = null;
  if (failure) showFailure(failure);
  announcement.textContent = failure ? "" : abort.signal.aborted ? texts.stopped : texts.ready;
  showState();
  followIfAtEnd();
}

function say(text) {
  if (running || !text.trim()) return;
  for (const failure of thread.querySelectorAll(".failure")) failure.parentNode.remove();
  messages.push({ role: "user", content: text.trim() });
  thread.appendChild(element("div", "own")).append(element("p", "", text.trim()));
  question.value = "";
  grow();
  following = true;
  answer();
}

function newChat() {
  messages = [];
  running?.abort();
  running = null;
  thread.replaceChildren();
  announcement.textContent = "";
  following = true;
  showState();
  question.focus();
}

// ---- The frame: what the buttons say, scrolling, keys

function showState() {
  thread.ariaBusy = String(Boolean(running));
  document.body.classList.toggle("empty", thread.childElementCount === 0);
  send.disabled = !running && !question.value.trim();
  send.ariaLabel = send.title = running ? texts.stop : texts.send;
  send.querySelector("use").setAttribute("href", running ? "#square" : "#up");
  latest.hidden = following || thread.childElementCount === 0;
}

function followIfAtEnd() {
  if (following) scroller.scrollTop = scroller.scrollHeight;
  latest.hidden = following || thread.childElementCount === 0;
}

let lastTop = 0;
scroller.addEventListener("scroll", () => {
  const atEnd = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 24;
  if (scroller.scrollTop < lastTop && !atEnd) following = false;
  if (atEnd) following = true;
  lastTop = scroller.scrollTop;
  latest.hidden = following || thread.childElementCount === 0;
}, { passive: true });

function grow() {
  question.style.height = "auto";
  question.style.height = `${question.scrollHeight}px`;
}

async function loadModels() {
  const response = await fetch("/v1/models", { headers: headers() }).catch(() => null);
  if (!response?.ok) return;
  const models = (await response.json()).data;
  const choose = (chosen) => { model = chosen; think.hidden = !chosen.can_think; };
  choose(models[0]);
  byId("model").replaceChildren(models.length === 1 ? model.id : modelList(models, choose));
}

function modelList(models, choose) {
  const list = element("select");
  list.append(...models.map((each) => new Option(each.id, each.id)));
  list.addEventListener("change", () => choose(models[list.selectedIndex]));
  return list;
}

document.documentElement.lang = language;
for (const node of document.querySelectorAll("[data-text]")) node.textContent = texts[node.dataset.text];
for (const node of document.querySelectorAll("[data-label]")) node.ariaLabel = texts[node.dataset.label];
question.placeholder = texts[question.dataset.placeholder];
byId("starters").append(...texts.suggestions.map((text) => button("", text, () => say(text))));

byId("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  if (running) running.abort();
  else say(question.value);
});
question.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey) return;
  // While a word is being composed Enter ends the word. Safari says so by the key code alone.
  if (event.isComposing || event.keyCode === 229) return;
  event.preventDefault();
  say(question.value);
});
question.addEventListener("input", () => { grow(); showState(); });
document.addEventListener("keydown", (event) => { if (event.key === "Escape") running?.abort(); });
think.addEventListener("click", () => { think.ariaPressed = think.ariaPressed === "true" ? "false" : "true"; });
byId("new").addEventListener("click", newChat);
latest.addEventListener("click", () => { following = true; followIfAtEnd(); });

showState();
loadModels();
if (matchMedia("(hover: hover)").matches) question.focus();
