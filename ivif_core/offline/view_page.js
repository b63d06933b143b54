"use strict";

const byId = (id) => document.getElementById(id);
const stage = byId("stage"), wipe = stage.querySelector("input"), note = byId("note"), time = byId("time");
const scaling = (name) => `thermal_scaling.${name}`;
const GROUPS = [
  ["Fusion", [["vividness", "Vividness: 0 faithful, 1 as the teacher", 0, 1, 0.01], ["aim", "Aim: what vividness 1 is"]]],
  ["Thermal scaling", [
    [scaling("mode"), "Mode"],
    [scaling("low_percentile"), "Black below, % of pixels", 0, 100, 0.1, ["percentile", "plateau"]],
    [scaling("high_percentile"), "White above, % of pixels", 0, 100, 0.1, ["percentile", "plateau"]],
    [scaling("low"), "Black at", 0, 1, 0.1, ["fixed"]],
    [scaling("high"), "White at", 0, 1, 0.1, ["fixed"]],
    [scaling("clahe"), "Local contrast (CLAHE), 0: none", 0, 10, 0.1],
  ]],
  ["Registration: move thermal", [
    ["right", "Right, px of RGB", -200, 200, 0.5],
    ["down", "Down, px of RGB", -200, 200, 0.5],
    ["scale", "Larger", 0.5, 2, 0.002],
    ["turn", "Turn clockwise, °", -10, 10, 0.05],
  ]],
];
const PICTURES = ["thermal", "RGB", "fused"];
const controls = {};  // name -> {row, inputs, step}
const shown = {left: "thermal", right: "fused"};
const pictures = {};  // name -> address of the picture
let start, values, moves, frame = 0, yaml = "", ranged = false;

const number = (text) => (text.trim() === "" ? NaN : Number(text));
const set = (name) => (name in moves ? moves : values);

function makeControl([name, label, least, most, step, modes]) {
  const row = document.createElement("div"), title = document.createElement("label");
  row.className = "row";
  title.textContent = label;
  title.htmlFor = name;
  row.append(title);
  const inputs = least === undefined ? [document.createElement("select")] : ["range", "number"].map((type) =>
    Object.assign(document.createElement("input"), {type, step: type === "number" ? "any" : step}));
  inputs.forEach((input, i) => {
    if (i) input.setAttribute("aria-label", `${label}, as a number`);
    else input.id = name;
    if (input.type === "range") Object.assign(input, {min: least, max: most});
    input.addEventListener("input", () => {
      const value = least === undefined ? input.value : number(input.value);
      if (Number.isNaN(value)) return;  // a number is being typed
      set(name)[name] = value;
      if (name === scaling("mode") && value === "fixed" && !ranged) takeRange();
      fill(input);
      look();
    });
    row.append(input);
  });
  controls[name] = {row, inputs, modes};
  return row;
}

let range = [0, 0, 1, 1];
function takeRange() {  // a fixed range starts where the frame's is
  ranged = true;
  values[scaling("low")] = Number(range[1].toPrecision(5));
  values[scaling("high")] = Number(range[2].toPrecision(5));
}

function fill(except) {
  for (const [name, {row, inputs, modes}] of Object.entries(controls)) {
    const value = set(name)[name];
    const useless = name === "aim" && start.aims.length < 2;
    row.hidden = useless || (Boolean(modes) && !modes.includes(values[scaling("mode")]));
    for (const input of inputs) {
      if (input === except) continue;
      if (input.type === "range") {  // never cut a value that was typed
        input.min = Math.min(input.min, value);
        input.max = Math.max(input.max, value);
      }
      input.value = value;
    }
  }
}

let wanted = null, running = false;
async function look() {
  wanted = JSON.stringify({frame, values, move: moves});
  if (running) return;  // the latest wish comes next; those between are left out
  running = true;
  while (wanted) {
    const body = wanted;
    wanted = null;
    try {
      await fuse(body);
    } catch (error) {
      say(error instanceof TypeError ? "ivif view has ended" : error.message, true);
    }
  }
  running = false;
}

async function ask(address, options) {
  const answer = await fetch(address, options);
  if (!answer.ok) throw new Error(await answer.text());
  return answer;
}

async function fuse(body) {
  const began = performance.now();
  const made = await (await ask("look", {method: "POST", headers: {"Content-Type": "application/json"}, body})).json();
  const files = {thermal: "thermal.bmp", RGB: "visible.bmp", fused: "fused.bmp"};
  const wantedNow = new Set(Object.values(shown));
  await Promise.all(PICTURES.filter((name) => wantedNow.has(name)).map((name) => load(name, `${files[name]}?${made.key}`)));
  for (const name of PICTURES) if (!wantedNow.has(name)) forget(name);
  stage.style.setProperty("--wide", made.size[0]);
  stage.style.setProperty("--high", made.size[1]);
  draw();
  yaml = made.yaml;
  byId("yaml").textContent = yaml;
  range = made.range;
  for (const name of ["low", "high"].map(scaling)) {
    const span = Math.max(range[3] - range[0], 1e-6);
    Object.assign(controls[name].inputs[0], {min: range[0], max: range[3], step: span / 500});
  }
  for (const [name, size] of [["right", made.size[0]], ["down", made.size[1]]])
    Object.assign(controls[name].inputs[0], {min: -size / 4, max: size / 4});
  fill(document.activeElement);
  byId("group1").disabled = !made.scaled;
  byId("group2").disabled = !made.movable;
  const why = made.scaled ? "" : " · thermal of 8 bits is taken as it is";
  say(`${made.size[0]}×${made.size[1]} · ${Math.round(performance.now() - began)} ms${why}`);
  stage.dataset.done = body;  // what is shown
}

function forget(name) {
  if (pictures[name]) URL.revokeObjectURL(pictures[name]);
  delete pictures[name];
}

async function load(name, address) {
  const picture = URL.createObjectURL(await (await ask(address)).blob());
  forget(name);
  pictures[name] = picture;
}

function draw() {
  for (const side of ["left", "right"]) {
    const image = stage.querySelector(`.${side}`), name = shown[side];
    if (pictures[name]) Object.assign(image, {src: pictures[name], alt: name});
    for (const button of byId(`${side}-side`).children) button.setAttribute("aria-pressed", button.textContent === name);
  }
}

function choose(side, name) {
  shown[side] = name;
  draw();
  if (!pictures[name]) look();
}

function say(text, wrong = false) {
  note.textContent = text;
  note.classList.toggle("wrong", wrong);
}

function go(to) {
  frame = Math.max(0, Math.min(start.names.length - 1, to));
  time.value = frame;
  byId("name").textContent = start.names[frame];
  document.title = `ivif view: ${start.names[frame]}`;
  [...byId("film").children].forEach((button, i) => {
    button.setAttribute("aria-current", i === frame);
    if (i === frame) {
      const film = byId("film");
      film.scrollTo({left: button.offsetLeft - film.offsetLeft - (film.clientWidth - button.offsetWidth) / 2});
    }
  });
  look();
}

function reset() {
  values = {...start.values};
  moves = {...start.moves};
  ranged = values[scaling("mode")] === "fixed";
  fill();
}

async function copy() {
  try {
    await navigator.clipboard.writeText(yaml);
    say("Copied: a parameter file of the node");
  } catch {
    getSelection().selectAllChildren(byId("yaml"));
    say("Select and copy the text below");
  }
}

wipe.addEventListener("input", () => stage.style.setProperty("--cut", `${wipe.value}%`));
time.addEventListener("input", () => go(Number(time.value)));
byId("copy").addEventListener("click", copy);
byId("reset").addEventListener("click", () => { reset(); look(); });
byId("panel").addEventListener("submit", (event) => event.preventDefault());
document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("input[type=number], select");
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === ",") go(frame - 1);
  else if (event.key === ".") go(frame + 1);
  else if (event.key === "c") copy();
  else if (event.key === "r") { reset(); look(); }
  else if (PICTURES["123".indexOf(event.key)]) choose("left", PICTURES["123".indexOf(event.key)]);
});

async function begin() {
  start = await (await ask("state")).json();
  GROUPS.forEach(([title, entries], i) => {
    const section = document.createElement("section"), heading = document.createElement("h2");
    const group = Object.assign(document.createElement("fieldset"), {id: `group${i}`});
    heading.textContent = title;
    group.append(...entries.map(makeControl));
    section.append(heading, group);
    byId("controls").append(section);
  });
  byId(scaling("mode")).append(...start.modes.map((mode) => new Option(mode)));
  // The first aim needs no name; where the parameters name it all the same, it keeps that.
  byId("aim").append(...start.aims.map((aim, i) => new Option(aim, i || aim === start.values.aim ? aim : "")));
  for (const side of ["left", "right"]) {
    for (const name of PICTURES) {
      const button = Object.assign(document.createElement("button"), {type: "button", textContent: name});
      button.addEventListener("click", () => choose(side, name));
      byId(`${side}-side`).append(button);
    }
  }
  time.max = start.names.length - 1;
  time.hidden = byId("film").hidden = start.names.length < 2;
  start.names.forEach((name, i) => {
    const button = document.createElement("button"), image = document.createElement("img");
    const title = document.createElement("span");
    Object.assign(image, {loading: "lazy", alt: "", src: `small.jpg?${i}`});
    title.textContent = name;
    button.type = "button";
    button.append(image, title);
    button.addEventListener("click", () => go(i));
    if (start.names.length > 1) byId("film").append(button);
  });
  reset();
  go(0);
}

begin().catch((error) => say(error.message, true));
