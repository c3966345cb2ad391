// A screenful of what is read most surely.

import {
  flush, get, isUndo, make, objection, post, restrictInput, send, split, UNSEEN,
} from "./common.js";

const N = 24;
const grid = get("grid");
let cells = [];
let filledAt = 0;
const later = new Set(JSON.parse(sessionStorage.getItem("later") || "[]"));

async function fill() {
  const { status, data } = await post("next", { n: N, have: [...later].slice(-400), surest: true });
  if (status !== 200) return;
  const least = Number(get("least").value);
  cells = data.items.filter((item) => item.proposal.confidence >= least).map(makeCell);
  grid.replaceChildren(...cells.map((cell) => cell.box));
  filledAt = performance.now();
  if (!cells.length)
    get("message").textContent = "No image without an answer is read so surely by now. "
      + "Lower the bound, or label one by one meanwhile.";
  cells[0]?.button.focus();
  count();
}

function makeCell(item) {
  const { text } = item.proposal;
  const image = make("img", { src: `/image/${item.key}`, alt: "" });
  const button = make("button", { type: "button" }, image,
    make("span", { className: "text", textContent: text }));
  button.setAttribute("aria-pressed", "false");
  button.setAttribute("aria-label", `${item.name} reads ${split(text).join(" ")}; wrong?`);
  const input = make("input", { type: "text", value: text, hidden: true, autocomplete: "off", spellcheck: false });
  input.autocapitalize = "off";
  input.setAttribute("aria-label", `Text in ${item.name}`);
  restrictInput(input);
  const box = make("div", {}, button, input);
  const cell = { item, button, input, box, isWrong: false };
  button.addEventListener("click", () => toggle(cell));
  return cell;
}

function toggle(cell) {
  cell.isWrong = !cell.isWrong;
  cell.box.classList.toggle("wrong", cell.isWrong);
  cell.button.setAttribute("aria-pressed", String(cell.isWrong));
  cell.input.hidden = !cell.isWrong;
  if (cell.isWrong) { cell.input.focus(); cell.input.select(); } else cell.button.focus();
  count();
}

function count() {
  const n = cells.filter((cell) => !cell.isWrong).length;
  get("accept").disabled = !cells.length;
  get("accept").firstChild.textContent = `Accept ${n} `;
}

async function accept() {
  if (!cells.length || get("accept").disabled) return;
  const answers = [];
  for (const { item, input, isWrong } of cells) {
    const text = isWrong ? input.value.trim() : item.proposal.text;
    if (isWrong && (!text || text === item.proposal.text)) { later.add(item.key); continue; }
    const reason = isWrong ? objection(text) : "";
    if (reason) { get("message").textContent = reason; input.focus(); return; }
    answers.push({ key: item.key, status: "labeled", text, seen: item.seen });
  }
  sessionStorage.setItem("later", JSON.stringify([...later].slice(-400)));
  get("message").textContent = "";
  get("accept").disabled = true;
  // What was typed and picked out stays where nothing was saved.
  if (!answers.length || await send(answers, refused) === 200) await fill();
  else count();
}

function refused(answers, status, data) {
  get("message").textContent = `None of these ${answers.length} was saved: ${data.error}.`;
}

async function undo() {
  await flush(refused);
  const { data } = await post("undo");
  const n = data.items?.length || 0;
  await fill();
  get("message").textContent = n ? `${n} taken back.` : data.error || "There is nothing to undo.";
}

const columns = () => getComputedStyle(grid).gridTemplateColumns.split(" ").length;

document.addEventListener("keydown", (event) => {
  if (event.isComposing) return;
  // A key that is held down has not looked at the screenfuls that it would accept.
  if (event.key === "Enter" && (event.repeat || performance.now() - filledAt < UNSEEN)) {
    event.preventDefault();
    return;
  }
  const isPlain = !event.ctrlKey && !event.metaKey && !event.altKey;
  const isTyping = event.target.tagName === "INPUT";
  const place = cells.findIndex((cell) => cell.box.contains(event.target));
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns(), ArrowDown: columns() };
  let done = true;
  if (isPlain && event.key === "Enter" && (isTyping || place >= 0 || event.target === document.body)) accept();
  else if (isUndo(event) && !isTyping) undo();
  else if (isPlain && event.key === "Escape" && isTyping) toggle(cells[place]);
  else if (isPlain && event.key in steps && (!isTyping || Math.abs(steps[event.key]) > 1) && event.target.tagName !== "SELECT")
    cells[Math.min(cells.length - 1, Math.max(0, place + steps[event.key]))]?.button.focus();
  else done = false;
  if (done) event.preventDefault();
});

get("accept").addEventListener("click", accept);
get("undo").addEventListener("click", undo);
get("least").addEventListener("change", () => { get("message").textContent = ""; fill(); });
flush(refused).then(fill);
setInterval(async () => {
  if (document.hidden) return;
  await post("look", { keys: [] });
  if (!cells.length) fill();
}, 3000);
