// One image at a time.

import {
  flush, get, hold, isPlain, isUndo, lastProgress, make, objection, onTheWay, percent, post,
  preload, restrict, restrictInput, send, split, takeTurn, typeInto, BOUNCE, UNSEEN,
} from "./common.js";

const AHEAD = 4; // images that wait, fetched already
const input = get("text");
let current = null;
let queue = [];
let proposed = ""; // what was put into the field
let asking = null;
let emptyOnce = false; // Enter was pressed in an empty field
let isOld = false; // a better reader may ask about other images than those that wait
let changedAt = 0; // when the field was filled anew under the eyes of the reader
let shownAt = 0; // when the image came

// Before what restricts it, which may have something to say.
input.addEventListener("input", () => { emptyOnce = false; get("message").textContent = ""; });
restrictInput(input);

function show(item, message = "") {
  const isOther = current !== item;
  current = item;
  if (isOther) shownAt = performance.now();
  emptyOnce = false;
  changedAt = 0;
  for (const name of ["one", "wait", "done"]) get(name).hidden = name !== (item ? "one" : "wait");
  if (!item) return;
  if (isOther || get("figure").firstChild !== item.image) get("figure").replaceChildren(item.image);
  item.image.alt = `Image ${item.name}`;
  get("name").textContent = item.name;
  get("note").textContent = item.status
    ? item.status === "labeled" ? "– answered before" : `– ${item.status} before` : "";
  get("message").textContent = message;
  showProposal(item);
  fill(item.status === "labeled" ? item.text : item.typed ?? restrict(item.proposal?.text ?? ""));
}

function fill(text) {
  proposed = input.value = text;
  input.focus({ preventScroll: true });
  input.select();
}

function showProposal(item) {
  const box = get("proposal");
  const found = item.proposal;
  if (!found || !found.text) {
    const text = found ? "Nothing is read in it." : "Being read … type meanwhile.";
    box.replaceChildren(make("p", { className: "none", textContent: text }));
    return;
  }
  const buttons = found.characters.map(([character, share], place) => {
    const level = share >= 0.95 ? "sure" : share >= 0.7 ? "fair" : "poor";
    const button = make("button", { type: "button", className: `character ${level}` },
      character, make("small", { textContent: percent(share) }));
    button.setAttribute("aria-label", `${character}, ${percent(share)} sure; select it`);
    button.addEventListener("click", () => selectCharacter(place));
    return button;
  });
  box.replaceChildren(...buttons,
    make("p", { className: "whole", textContent: `the whole: ${percent(found.confidence)}` }));
}

function selectCharacter(place) {
  const characters = split(input.value);
  const start = characters.slice(0, place).join("").length;
  input.focus();
  input.setSelectionRange(start, start + (characters[place] || "").length);
}

function selectLeastSure() {
  const found = current?.proposal;
  if (!found?.characters.length || input.value !== found.text) return false;
  const shares = found.characters.map(([, share]) => share);
  selectCharacter(shares.indexOf(Math.min(...shares)));
  return true;
}

// Fetch more where few are left; then show the first if none is shown.
function refill() {
  asking ||= ask().finally(() => { asking = null; if (isOld) refill(); });
  return asking;
}

async function ask() {
  const isAnew = isOld;
  isOld = false;
  if (isAnew || queue.length < AHEAD) {
    const wait = () => (isAnew ? [] : queue);
    const list = () => [...[current, ...wait()].filter(Boolean).map((i) => i.key), ...onTheWay()];
    const before = list();
    const { status, data } = await post("next", { n: AHEAD - wait().length + 1, have: before });
    // What was shown or answered while the server looked is no news.
    const known = new Set([...before, ...list()]);
    if (status === 200 && isAnew) queue = [];
    if (status === 200)
      for (const item of data.items) if (!known.has(item.key)) queue.push(preload(item));
    if (!current && !queue.length && status === 200) {
      if (!onTheWay().length) return showDone();
      await flush(refused);
      return ask();
    }
  }
  if (!current && queue.length) show(queue.shift());
}

function next() {
  const item = queue.shift() || null;
  if (item) show(item);
  else { current = null; get("one").hidden = true; get("wait").hidden = false; }
  refill();
}

function showDone() {
  for (const name of ["one", "wait"]) get(name).hidden = true;
  get("done").hidden = false;
  get("again").hidden = !lastProgress().n_skipped;
  get("done").querySelector("h2").focus();
}

function answer(status, text = "") {
  const item = current;
  send([{ key: item.key, status, text, seen: item.seen }], refused);
  next();
}

// The server has not taken an answer: show the image again, with what was typed.
async function refused([given], status, data) {
  if (status === 410) { get("message").textContent = data.error; return; }
  if (current) {
    if (input.value !== proposed) current.typed = input.value; // half an answer
    queue.unshift(current);
  }
  const found = await post("look", { keys: [given.key] });
  const item = found.data.items?.[0];
  if (!item) return;
  queue = queue.filter((q) => q.key !== item.key);
  item.typed = given.text;
  let message = `Not saved: ${data.error}.`;
  if (status === 409) {
    const other = item.status === "labeled" ? `“${item.text}”` : item.status || "no answer";
    message = `${data.error}: ${other}. Yours was “${given.text || given.status}”.`;
  }
  show(preload(item), message);
}

function accept() {
  if (!current) return;
  const text = input.value.trim();
  if (!text && !emptyOnce) {
    emptyOnce = true;
    get("message").textContent = "No text? Press Enter again if the image shows none.";
    return;
  }
  const isTyped = text !== proposed || current.typed !== undefined;
  if (performance.now() - shownAt < BOUNCE && !isTyped) return;
  if (performance.now() - changedAt < UNSEEN && text === proposed) {
    get("message").textContent = "What is read has just changed. Press Enter again if it is right.";
    changedAt = 0;
    return;
  }
  const reason = text ? objection(text) : "";
  if (reason) { get("message").textContent = reason; return; }
  answer("labeled", text);
}

async function takeBack() {
  await flush(refused);
  const { data } = await post("undo");
  const item = data.items?.[0];
  if (!item) { get("message").textContent = data.error || "There is nothing to undo."; return; }
  putBack(item, "Taken back.");
}

function putBack(item, message) {
  if (current && current.key !== item.key) queue.unshift(current);
  queue = queue.filter((q) => q.key !== item.key);
  show(preload(item), message);
}

async function goBack() {
  await flush(refused);
  const { data } = await post("before", { key: current?.status ? current.key : null });
  const item = data.items?.[0];
  if (!item) { get("message").textContent = "There is no answer before."; return; }
  putBack(item, "");
}

const undo = () => takeTurn(takeBack);
const back = () => takeTurn(goBack);

get("form").addEventListener("submit", (event) => { event.preventDefault(); accept(); });
get("skip").addEventListener("click", () => current && answer("skipped"));
get("unreadable").addEventListener("click", () => current && answer("unreadable"));
get("undo").addEventListener("click", undo);
get("done-undo").addEventListener("click", undo);
get("back").addEventListener("click", back);
get("again").addEventListener("click", async () => { await post("again"); refill(); });

document.addEventListener("keydown", (event) => {
  if (event.isComposing || hold(event, pressLater)) return;
  // A key that is held down has not looked at the images that it would answer.
  const isBlind = event.repeat && ["Enter", "ArrowDown"].includes(event.key);
  if (isBlind || press(event)) event.preventDefault();
  // Whatever is typed goes into the field, wherever the focus is.
  else if (isPlain(event) && event.key.length === 1 && event.key !== " " && current
    && !["INPUT", "SELECT", "BUTTON"].includes(event.target.tagName)) input.focus();
});

function pressLater(event) {
  if (press(event)) return;
  if (event.key === "Enter") accept();
  else if (current) typeInto(input, event);
}

// Do what a key stands for; tell whether it stands for anything.
function press(event) {
  const isWhole = input.selectionStart === 0 && input.selectionEnd === input.value.length;
  const isTyped = input.value !== proposed;
  if (event.altKey && event.code === "KeyU" && current) answer("unreadable");
  else if (isUndo(event) && !(isTyped && document.activeElement === input)) undo();
  else if (isPlain(event) && event.key === "ArrowDown" && current) answer("skipped");
  else if (isPlain(event) && event.key === "ArrowUp") back();
  else if (isPlain(event) && event.key === "Escape" && current) {
    fill(current.status === "labeled" ? current.text : restrict(current.proposal?.text ?? ""));
    get("message").textContent = "";
  }
  else if (isPlain(event) && event.key === "ArrowRight" && isWhole && event.target === input) return selectLeastSure();
  else return false;
  return true;
}

// What is read by now of the images that are shown or wait.
async function look() {
  if (document.hidden) return;
  const waiting = [current, ...queue].filter(Boolean);
  const { status, data } = await post("look", { keys: waiting.map((item) => item.key) });
  if (status !== 200) return;
  const byKey = new Map(data.items.map((item) => [item.key, item]));
  const isGone = (item) => !byKey.has(item.key) || byKey.get(item.key).broken;
  queue = queue.filter((item) => !isGone(item));
  for (const item of waiting) {
    const found = byKey.get(item.key);
    if (!found || JSON.stringify(found.proposal) === JSON.stringify(item.proposal)) continue;
    item.proposal = found.proposal;
    if (item !== current) continue;
    showProposal(item);
    if (input.value === proposed && item.typed === undefined && item.status !== "labeled") {
      const text = restrict(item.proposal?.text ?? "");
      if (text !== proposed && (proposed || emptyOnce)) changedAt = performance.now();
      fill(text);
    }
  }
  if (current && waiting.includes(current) && isGone(current)) {
    const { name } = current;
    next();
    get("message").textContent = `${name} is gone, or can no longer be read.`;
  }
  if (!current || queue.length < AHEAD) refill();
}

// The image that is shown stays, and the others until better ones are there.
document.addEventListener("newround", () => { isOld = true; refill(); });
get("wait").hidden = false;
flush(refused);
refill();
setInterval(look, 1500);
