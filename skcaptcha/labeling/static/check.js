// Doubtful labels, each beside what is read.

import {
  flush, get, hold, isPlain, isUndo, mark, objection, onTheWay, post, preload,
  restrictInput, send, takeTurn, typeInto, BOUNCE,
} from "./common.js";

const AHEAD = 4;
const input = get("text");
let current = null;
let queue = [];
let asking = null;
let shownAt = 0; // when the label came
const sent = new Map(); // by key, to show one again that is refused

input.addEventListener("input", () => { get("message").textContent = ""; });
restrictInput(input);

const share = (value) => (value < 0.001 ? "less than 0.1 % probable" : `${(100 * value).toFixed(1)} % probable`);

function show(item, message = "") {
  if (current !== item) shownAt = performance.now();
  current = item;
  for (const name of ["one", "wait", "done"]) get(name).hidden = name !== "one";
  get("figure").replaceChildren(item.image);
  item.image.alt = `Image ${item.name}`;
  get("name").textContent = item.name;
  get("note").textContent = item.likely ? "– probably a wrong label" : "";
  get("label").replaceChildren(...mark(item.label, item.read));
  get("read").replaceChildren(...mark(item.read, item.label));
  for (const [name, text] of [["label", item.label], ["read", item.read]])
    if (!text) get(name).textContent = "(no text)";
  get("label-confidence").textContent = share(item.self_confidence);
  get("read-confidence").textContent = share(item.confidence);
  get("message").textContent = message;
  input.value = item.typed ?? "";
  input.focus({ preventScroll: true });
}

function refill() {
  asking ||= ask().finally(() => { asking = null; });
  return asking;
}

async function ask() {
  if (queue.length < AHEAD) {
    const list = () => [...[current, ...queue].filter(Boolean).map((i) => i.key), ...onTheWay()];
    const before = list();
    const { status, data } = await post("next", { n: AHEAD, have: before });
    const known = new Set([...before, ...list()]);
    if (status === 200) queue.push(...data.items.filter((i) => !known.has(i.key)).map(preload));
    if (!current && !queue.length && status === 200) {
      if (!onTheWay().length) return showDone();
      await flush(refused);
      return ask();
    }
  }
  if (!current && queue.length) show(queue.shift());
}

function showDone() {
  for (const name of ["one", "wait"]) get(name).hidden = true;
  get("done").hidden = false;
  get("done").querySelector("h2").focus();
}

function answer(status, text) {
  const item = current;
  current = null;
  item.typed = [item.label, item.read].includes(text) ? "" : text;
  sent.set(item.key, item);
  send([{ key: item.key, status, text, seen: item.seen, checked: true }], refused)
    .then(() => { if (!current) refill(); });
  if (queue.length) show(queue.shift());
  else { get("one").hidden = true; get("wait").hidden = false; }
  refill();
}

// The server has not taken an answer: show the image again, with what was typed.
async function refused([given], status, data) {
  const item = sent.get(given.key);
  const name = item ? `${item.name} was not saved` : "Not saved";
  if (status === 410 || !item) { get("message").textContent = `${name}: ${data.error}.`; return refill(); }
  if (current) { current.typed = input.value; queue.unshift(current); }
  current = null;
  if (status === 409) { // somebody else has answered, so that it may be asked no more
    get("message").textContent = `${name}: ${data.error}. Yours was “${given.text || given.status}”.`;
    queue = [];
    return refill();
  }
  queue = queue.filter((q) => q.key !== item.key);
  show(item, `${name}: ${data.error}.`);
}

const isSeen = () => current && performance.now() - shownAt >= BOUNCE;
const keep = () => isSeen() && answer("labeled", current.label);
const take = () => isSeen() && answer("labeled", current.read);

function correct() {
  const text = input.value.trim();
  if (!current) return;
  if (!text) { get("message").textContent = "Nothing is typed. ← keeps the label, → takes what is read."; return; }
  const reason = objection(text);
  if (reason) { get("message").textContent = reason; return; }
  answer("labeled", text);
}

async function takeBack() {
  await flush(refused);
  const { data } = await post("undo");
  if (!data.items?.length) { get("message").textContent = data.error || "There is nothing to undo."; return; }
  if (current) queue.unshift(current);
  current = null;
  const { data: found } = await post("next", { n: 500, have: [] });
  const item = found.items?.find((i) => i.key === data.items[0].key);
  if (!item) return refill();
  queue = queue.filter((q) => q.key !== item.key);
  show(preload(item), "Taken back.");
}

const undo = () => takeTurn(takeBack);

get("form").addEventListener("submit", (event) => { event.preventDefault(); correct(); });
get("keep").addEventListener("click", keep);
get("take").addEventListener("click", take);
get("unreadable").addEventListener("click", () => current && answer("unreadable", ""));
get("undo").addEventListener("click", undo);
get("done-undo").addEventListener("click", undo);

document.addEventListener("keydown", (event) => {
  if (event.isComposing || hold(event, pressLater)) return;
  // A key that is held down has not looked at the labels that it would answer.
  const isBlind = event.repeat && (event.key === "Enter" || (event.key.startsWith("Arrow") && !input.value));
  if (isBlind || press(event)) event.preventDefault();
  else if (isPlain(event) && event.key.length === 1 && event.key !== " " && current
    && !["INPUT", "BUTTON"].includes(event.target.tagName)) input.focus();
});

function pressLater(event) {
  if (press(event)) return;
  if (event.key === "Enter") correct();
  else if (current) typeInto(input, event);
}

// Do what a key stands for; tell whether it stands for anything.
function press(event) {
  const isEmpty = !input.value;
  if (event.altKey && event.code === "KeyU" && current) answer("unreadable", "");
  else if (isUndo(event) && isEmpty) undo();
  else if (isPlain(event) && event.key === "ArrowLeft" && isEmpty) keep();
  else if (isPlain(event) && event.key === "ArrowRight" && isEmpty) take();
  else if (isPlain(event) && event.key === "Escape") input.value = "";
  else return false;
  return true;
}

flush(refused);
refill();
setInterval(() => { if (!document.hidden) post("look", { keys: [] }); }, 5000);
