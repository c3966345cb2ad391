// What all views share: asking the server, sending answers, and the progress.

export const get = (id) => document.getElementById(id);

// The secret is in a cookie by now; out of the address it is not copied by mistake.
if (location.search) history.replaceState(null, "", location.pathname);

// Undo reaches as far back as this tab, and images are lent to this view of it.
const tab = sessionStorage.getItem("tab") || crypto.randomUUID();
sessionStorage.setItem("tab", tab);
const view = crypto.randomUUID();

export function make(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

// Ask the server for something; `status` is 0 where it does not answer.
export async function post(path, body = {}) {
  try {
    const response = await fetch(`/api/${path}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ tab, view, ...body }),
    });
    const data = await response.json().catch(() => ({}));
    if (!response.ok) data.error ||= "the server failed; its terminal says why";
    if (data.progress) showProgress(data.progress);
    if (response.status === 403) trouble("refused", data.error);
    else trouble("away", "");
    return { status: response.status, data };
  } catch {
    trouble("away", "The server does not answer. Start the command again and open the "
      + "address that it prints. Everything that it called saved is safe.");
    return { status: 0, data: {} };
  }
}

// Answers leave in order. One that the server has not confirmed is kept, and sent again.
const outbox = JSON.parse(sessionStorage.getItem("outbox") || "[]");
let sending = null;

const keep = () => sessionStorage.setItem("outbox", JSON.stringify(outbox));

export function send(answers, refused) {
  outbox.push({ answers });
  keep();
  return flush(refused);
}

export function flush(refused) {
  sending ||= work(refused).finally(() => { sending = null; });
  return sending;
}

async function work(refused) {
  let last = null;
  while (outbox.length) {
    showSaved();
    const { status, data } = await post("answer", { answers: outbox[0].answers });
    if (status === 0 || status === 403) {
      await new Promise((done) => setTimeout(done, 1500));
      continue;
    }
    const sent = outbox.shift();
    keep();
    if (status !== 200 && refused) refused(sent.answers, status, data);
    last = status;
  }
  showSaved(last === 200);
  return last;
}

// Keys of images whose answers the server has not confirmed.
export const onTheWay = () => outbox.flatMap(({ answers }) => answers.map((a) => a.key));

function showSaved(done = false) {
  const n = outbox.length;
  get("saved").classList.toggle("failed", n > 1);
  get("saved").textContent = n ? `${n} on the way …` : done ? "saved" : "";
}

const troubles = new Map();
export function trouble(name, text) {
  if ((troubles.get(name) || "") === text) return;
  troubles.set(name, text);
  get("troubles").replaceChildren(
    ...[...troubles.values()].filter(Boolean).map((t) => make("p", { textContent: t })));
}

// Undo and back ask the server for an image. What is pressed meanwhile is meant for that
// image, and waits until it is shown.
const HELD = ["Enter", "Backspace", "Escape", "ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight"];
const held = [];
let isWaiting = false;

export async function takeTurn(action) {
  if (isWaiting) { held.push(() => takeTurn(action)); return; }
  isWaiting = true;
  try {
    await action();
  } finally {
    isWaiting = false;
    while (held.length && !isWaiting) held.shift()();
  }
}

// What comes on the screen cannot have been read for so many milliseconds.
export const UNSEEN = 400;
// A key that bounces, or a double click, answers a new image within so many.
export const BOUNCE = 250;

// Tell whether a key waits; `press` gets it later.
export function hold(event, press) {
  if (!isWaiting) return false;
  if (troubles.get("away")) held.length = 0; // no image comes soon
  else if (isUndo(event) || (!event.ctrlKey && !event.metaKey
    && (event.key.length === 1 || HELD.includes(event.key)))) {
    event.preventDefault();
    held.push(() => press(event));
    return true;
  }
  return false;
}

// Do with a field what a key does that was held.
export function typeInto(input, { key, altKey }) {
  let { selectionStart: start, selectionEnd: end } = input;
  if (key === "Backspace" && start === end) start = Math.max(0, start - 1);
  else if (key !== "Backspace" && (key.length > 1 || altKey)) return;
  input.setRangeText(key === "Backspace" ? "" : key, start, end, "end");
  input.dispatchEvent(new Event("input"));
}

// Restrict what is typed to the characters of the set, in the case that it has them.
const allowed = document.body.dataset.characters;
const segments = new Intl.Segmenter();
export const split = (text) => [...segments.segment(text)].map((s) => s.segment);
const permitted = new Set(split(allowed));

export function restrict(text) {
  if (!allowed) return text;
  return split(text).map((c) => [c, c.toLowerCase(), c.toUpperCase()]
    .find((d) => permitted.has(d)) || "").join("");
}

export function restrictInput(input) {
  input.addEventListener("input", (event) => {
    if (event.isComposing) return;
    const place = restrict(input.value.slice(0, input.selectionStart)).length;
    const text = restrict(input.value);
    if (text === input.value) return;
    const left = split(input.value).find((c) => !restrict(c));
    if (left) get("message").textContent = `“${left}” is none of the characters ${allowed}`;
    input.value = text;
    input.setSelectionRange(place, place);
  });
}

// Say why a text cannot be accepted, or nothing.
export function objection(text) {
  const { least, most } = document.body.dataset;
  const n = split(text).length;
  if (!least || (n >= Number(least) && n <= Number(most))) return "";
  const expected = least === most ? least : `${least} to ${most}`;
  return `${n} ${n === 1 ? "character" : "characters"}; ${expected} are expected.`;
}

export const percent = (share) => `${Math.floor(share * 100)} %`;
export const isPlain = (event) => !event.ctrlKey && !event.metaKey && !event.altKey && !event.shiftKey;
export const isUndo = (event) =>
  (event.ctrlKey || event.metaKey) && !event.shiftKey && event.key.toLowerCase() === "z";

let progress = null;
export const lastProgress = () => progress;

const plural = (n, noun) => `${n} ${noun}${n === 1 ? "" : "s"}`;

function countText(found) {
  if (found.n_issues !== undefined)
    return `${found.n_checked} of ${plural(found.n_issues, "doubtful label")} checked.`;
  const parts = [`${found.n_labeled} labeled`, `${found.n_left} left`];
  if (found.n_skipped) parts.push(`${found.n_skipped} skipped`);
  if (found.n_unreadable) parts.push(`${found.n_unreadable} unreadable`);
  return `${parts.join(", ")} of ${plural(found.n_images, "image")}.`;
}

export function showProgress(found) {
  const newer = progress && progress.round !== found.round;
  progress = found;
  const total = found.n_issues ?? found.n_images;
  const answered = found.n_checked ?? found.n_images - found.n_left;
  get("bar").value = total ? answered / total : 1;
  for (const name of ["counts", "done-counts"])
    if (get(name)) get(name).textContent = countText(found);
  get("table").textContent = found.table;
  const out = [];
  if (found.n_broken)
    out.push(`${plural(found.n_broken, "file")} cannot be read: ${found.broken.join(", ")}.`);
  if (found.n_outside) out.push(`${plural(found.n_outside, "link")} out of the folder left out.`);
  if (found.n_unnamed) out.push(`${plural(found.n_unnamed, "file")} left out for the name.`);
  if (found.n_waiting)
    out.push(`${plural(found.n_waiting, "label")} not in the table, as the files are gone: `
      + `${found.waiting.join(", ")}.`);
  get("left-out").textContent = out.join(" ");
  trouble("table", found.trouble ? `The table is left as it is, as ${found.trouble}. `
    + "Your answers are safe in the journal beside it." : "");
  trouble("notice", found.notice ?? "");
  const scripts = found.scripts ?? [];
  trouble("scripts", scripts.length > 1 ? `${scripts.join(" and ")} letters are proposed, some `
    + "of which look alike. End with Ctrl-C, and start again with --characters and those "
    + "that there are." : "");
  if (found.advice) showLearning(found);
  if (newer) document.dispatchEvent(new Event("newround"));
}

function showLearning(found) {
  const { advice } = found;
  get("learned").hidden = false;
  get("stop").hidden = !advice.stop;
  get("now").textContent = advice.now;
  get("next").textContent = advice.next;
  get("learning").textContent = found.is_learning
    ? "Learning from your labels …"
    : found.next_round_in === null
      ? ""
      : found.is_ready || found.reading
      ? `Learns after ${plural(found.next_round_in, "more label")}.`
      : "The reader is being loaded; label meanwhile.";
  trouble("reading", found.reading ? `There are no new proposals: ${found.reading}` : "");
  trouble("learning", found.learning ? `The last round of learning failed: ${found.learning}` : "");
  get("save").disabled = found.is_saving;
  get("save-note").textContent = found.is_saving
    ? "Learning from all labels and what is read surely, then saving; this takes some minutes. Label on meanwhile."
    : found.saved ? `Saved as ${found.saved}` : `Learns from all labels and what is read surely, and writes ${found.save_path}`;
  drawGrowth(found.rounds.filter((r) => r.n_tested));
}

function drawGrowth(rounds) {
  get("growth").hidden = rounds.length < 2;
  if (rounds.length < 2) return;
  const svg = document.querySelector("#growth svg");
  const add = (name, attributes, text = "") => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.textContent = text;
    svg.append(element);
  };
  svg.replaceChildren(get("growth-title"));
  const most = Math.max(...rounds.map((r) => r.n_labels)) || 1;
  const least = Math.min(0.9, ...rounds.map((r) => r.low));
  const floor = Math.floor(least * 10) / 10;
  const x = (n) => 34 + (n / most) * 274;
  const y = (share) => 104 - ((share - floor) / (1 - floor)) * 94;
  for (const share of [floor, (floor + 1) / 2, 1]) {
    add("line", { class: "axis", x1: 34, x2: 312, y1: y(share), y2: y(share) });
    add("text", { x: 29, y: y(share) + 4, "text-anchor": "end" }, String(Math.round(share * 100)));
  }
  for (const n of [0, most]) add("text", { x: x(n), y: 122, "text-anchor": "middle" }, String(n));
  for (const r of rounds)
    add("line", { class: "band", x1: x(r.n_labels), x2: x(r.n_labels), y1: y(r.low), y2: y(r.high) });
  add("polyline", { class: "line", points: rounds.map((r) => `${x(r.n_labels)},${y(r.score)}`).join(" ") });
  for (const r of rounds) add("circle", { class: "point", cx: x(r.n_labels), cy: y(r.score), r: 3.5 });
  const said = rounds.map((r) => `${percent(r.score)} with ${r.n_labels} labels`).join(", ");
  get("growth-title").textContent = `Share read right: ${said}`;
}

get("save")?.addEventListener("click", async () => {
  const { data } = await post("save");
  if (data.error) get("save-note").textContent = data.error;
});

// Images that are wanted soon are fetched and decoded before.
export function preload(item) {
  item.image = make("img", { src: `/image/${item.key}`, alt: "Image to read" });
  item.image.draggable = false;
  return item;
}

// Mark the characters of one text that another has not, by longest common subsequence.
export function mark(text, other) {
  const [a, b] = [split(text), split(other)];
  const table = Array.from({ length: a.length + 1 }, () => new Array(b.length + 1).fill(0));
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--)
      table[i][j] = a[i] === b[j] ? table[i + 1][j + 1] + 1 : Math.max(table[i + 1][j], table[i][j + 1]);
  const nodes = [];
  for (let i = 0, j = 0; i < a.length;) {
    if (a[i] === b[j]) { nodes.push(a[i]); i++; j++; }
    else if (j < b.length && table[i][j + 1] >= table[i + 1][j]) j++;
    else { nodes.push(make("mark", { textContent: a[i] })); i++; }
  }
  return nodes;
}
