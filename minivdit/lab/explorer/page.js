"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const [times, rows, columns] = data.grid;
const [frames, height, width, channels] = data.clip;
const places = rows * columns, tokens = times * places;
const zoom = Math.max(1, Math.round(256 / Math.max(height, width))); // canvas pixels for a pixel of the clip
const side = [width * zoom / columns, height * zoom / rows]; // of a patch, in canvas pixels
const FRAMES_PER_SECOND = 8;

// null stands for the mean of all blocks or heads, and for all patterns.
const state = {patch: data.start, pattern: null, block: null, head: null, step: Math.floor(data.steps.length / 2),
  frame: 0, playing: false};
const byId = id => document.getElementById(id);
const percent = share => (100 * share).toFixed(share < 0.0995 ? 1 : 0) + "%";
const placeOf = patch => [Math.floor(patch / places), Math.floor(patch % places / columns), patch % columns];

function make(name, attributes = {}, ...inside) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...inside);
  return element;
}

// ---- The data: bytes in base64, compressed ----

async function unpack(text) {
  const coded = atob(text), bytes = new Uint8Array(coded.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = coded.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

// For each token the tokens it may look at, and where its weights begin among those of its head.
async function unpackGroups(groups) {
  const bits = new Uint8Array(await unpack(groups.rows)), stride = Math.ceil(tokens / 8), kinds = [];
  for (let row = 0; row < bits.length / stride; row++) {
    const keys = [];
    for (let key = 0; key < tokens; key++) if (bits[row * stride + (key >> 3)] >> (7 - key % 8) & 1) keys.push(key);
    kinds.push(keys);
  }
  const first = [0];
  for (const kind of groups.which) first.push(first.at(-1) + kinds[kind].length);
  return {keys: groups.which.map(kind => kinds[kind]), first};
}

const unpacked = new Map();
function weightsOf(recording, step, block) { // unpacked when first asked for
  const text = recording.maps[step][block];
  if (!unpacked.has(text)) unpacked.set(text, unpack(text).then(buffer => ({
    scale: new Float32Array(buffer, 0, data.heads * tokens), levels: new Uint8Array(buffer, 4 * data.heads * tokens)})));
  return unpacked.get(text);
}

// How much the chosen patch looks at each: the mean of the blocks and heads that are shown, NaN where all forbid it.
async function seenBy(recording) {
  const {patch, step} = state;
  const blocks = state.block === null ? data.blocks.keys() : [state.block];
  const heads = state.head === null ? Array(data.heads).keys() : [state.head];
  const seen = new Float32Array(tokens).fill(NaN), [chosenBlocks, chosenHeads] = [[...blocks], [...heads]];
  const share = 1 / (chosenBlocks.length * chosenHeads.length);
  for (const block of chosenBlocks) {
    const {keys, first} = recording.groups[block], {scale, levels} = await weightsOf(recording, step, block);
    for (const head of chosenHeads) {
      const unit = scale[head * tokens + patch] * share, start = head * first[tokens] + first[patch];
      keys[patch].forEach((key, i) => { seen[key] = (seen[key] || 0) + unit * levels[start + i]; });
    }
  }
  return seen;
}

// ---- Pictures ----

const hatch = (() => {
  const tile = make("canvas", {width: 16, height: 16}), pen = tile.getContext("2d");
  pen.fillStyle = "#6b6b6b";
  pen.fillRect(0, 0, 16, 16);
  pen.strokeStyle = "#c9c9c9";
  pen.lineWidth = 3;
  for (const shift of [-16, 0, 16]) { pen.moveTo(shift - 2, 18); pen.lineTo(shift + 18, -2); }
  pen.stroke();
  return tile;
})();

// Square roots, so that small weights can be told from none; the legend says so.
const colourOf = (weight, most) => data.colours[Math.round(255 * Math.sqrt(Math.min(1, weight / most)))];

// The ink of each frame, as opaque as it is bright: for dark patches in white, or as bright as its hue can be; for bright
// patches in black, or in a dark tone of its hue.
function inksOf(video) {
  return Array.from({length: frames}, (_, frame) => [false, true].map(dark => {
    const canvas = make("canvas", {width, height}), pen = canvas.getContext("2d"), image = pen.createImageData(width, height);
    for (let i = 0; i < width * height; i++) {
      const at = channels * (frame * width * height + i);
      const values = [0, 1, 2].map(channel => video[at + channel % channels]), most = Math.max(...values);
      const light = values.map(value => most ? 255 * value / most : 255), least = Math.min(...light);
      image.data.set([...(dark ? light.map(value => (value - least) / 2) : light), 0.9 * most], 4 * i);
    }
    pen.putImageData(image, 0, 0);
    return canvas;
  }));
}

function paint(canvas, recording, frame) {
  const pen = canvas.getContext("2d"), time = Math.floor(frame / data.patchFrames), [across, down] = side;
  pen.imageSmoothingEnabled = false;
  for (let place = 0; place < places; place++) {
    const [x, y] = [place % columns, Math.floor(place / columns)], weight = recording.seen[time * places + place];
    const box = [x * across, y * down, across, down], bright = weight > 0.3 * recording.most;
    pen.fillStyle = Number.isNaN(weight) ? recording.hatch : colourOf(weight, recording.most);
    pen.fillRect(...box);
    const pixels = [width / columns, height / rows];
    pen.drawImage(recording.inks[frame][bright ? 1 : 0], x * pixels[0], y * pixels[1], ...pixels, ...box);
    pen.strokeStyle = "rgba(128, 128, 128, .55)";
    pen.lineWidth = 1;
    pen.strokeRect(...box);
  }
  const [t, y, x] = placeOf(state.patch);
  if (t === time) ring(pen, x * across, y * down, across, down);
}

function ring(pen, x, y, across, down) {
  const thick = Math.max(3, Math.min(across, down) / 6);
  for (const [colour, line] of [["#000", thick], ["#fff", 0.75 * thick], ["#d55e00", 0.45 * thick]]) {
    pen.strokeStyle = colour;
    pen.lineWidth = line;
    pen.strokeRect(x + thick / 2, y + thick / 2, across - thick, down - thick);
  }
}

// ---- The page, built once ----

const recordings = data.recordings.map(recording => ({...recording}));

function choice(name, title, options, chosen) {
  const field = make("fieldset", {"aria-label": title}, make("span", {"aria-hidden": "true"}, title));
  for (const [value, text, meaning] of options) {
    const input = make("input", {type: "radio", name, "aria-label": meaning ?? text, title: meaning ?? text});
    input.checked = value === chosen;
    input.addEventListener("change", () => { state[name] = value; update(); });
    field.append(make("label", {}, input, make("span", {}, text)));
  }
  return field;
}

function buildControls() {
  const play = make("button", {type: "button", id: "play"});
  play.addEventListener("click", () => setPlaying(!state.playing));
  byId("controls").append(play);
  if (recordings.length > 1)
    byId("controls").append(choice("pattern", "pattern",
      [[null, "all", "all patterns"], ...recordings.map((recording, number) => [number, recording.name])], state.pattern));
  byId("controls").append(
    choice("block", "block", [[null, "mean", "mean of all blocks"],
      ...data.blocks.map((block, i) => [i, String(block), `block ${block}`])], state.block),
    choice("head", "head", [[null, "mean", "mean of all heads"],
      ...Array.from({length: data.heads}, (_, i) => [i, String(i + 1), `head ${i + 1}`])], state.head),
    choice("step", "step", data.steps.map((step, i) =>
      [i, String(step.number), `denoising step ${step.number}, noise level ${step.level}`]), state.step));
  byId("controls").addEventListener("submit", event => event.preventDefault());
}

function buildLegend() {
  const ramp = make("canvas", {class: "ramp", width: 256, height: 16}), pen = ramp.getContext("2d");
  data.colours.forEach((colour, i) => { pen.fillStyle = colour; pen.fillRect(i, 0, 1, 16); });
  const forbidden = make("canvas", {width: 48, height: 48}), you = make("canvas", {width: 48, height: 48});
  const hatching = forbidden.getContext("2d");
  hatching.fillStyle = hatching.createPattern(hatch, "repeat");
  hatching.fillRect(0, 0, 48, 48);
  ring(you.getContext("2d"), 0, 0, 48, 48);
  byId("legend").append(
    make("span", {}, you, "the chosen patch"),
    make("span", {}, "0%", ramp, "the most that this row shows (halfway: a quarter of it)"),
    make("span", {}, forbidden, "forbidden to look at"));
}

function buildPanel(recording, number) {
  const canvasFor = frame => {
    const canvas = make("canvas", {width: width * zoom, height: height * zoom, "aria-hidden": "true"});
    canvas.addEventListener("pointerdown", event => {
      const box = canvas.getBoundingClientRect();
      const x = Math.min(columns - 1, Math.max(0, Math.floor((event.clientX - box.left) / box.width * columns)));
      const y = Math.min(rows - 1, Math.max(0, Math.floor((event.clientY - box.top) / box.height * rows)));
      choose(Math.floor(frame() / data.patchFrames) * places + y * columns + x);
    });
    return canvas;
  };
  recording.player = canvasFor(() => state.frame);
  recording.hatch = recording.player.getContext("2d").createPattern(hatch, "repeat");
  recording.table = make("tbody");
  recording.facts = make("p");
  recording.heading = make("h2", {id: `name-${number}`}, recording.name);
  recording.frames = make("div", {class: "frames", tabindex: 0, role: "group", "aria-describedby": "status",
    "aria-label": `frames of ${recording.name}: arrow keys choose a patch`});
  recording.frames.style.setProperty("--columns", Math.min(8, times));
  recording.canvases = Array.from({length: times}, (_, time) => {
    const canvas = canvasFor(() => time * data.patchFrames), share = make("span");
    const first = time * data.patchFrames + 1, last = first + data.patchFrames - 1;
    const name = first === last ? `${first}` : `${first}-${last}`;
    const figure = make("figure", {}, canvas, make("figcaption", {}, make("span", {}, name), share));
    recording.frames.append(figure);
    return {canvas, share, figure};
  });
  recording.frames.addEventListener("keydown", moveByKey);
  recording.panel = make("section", {class: "panel", "aria-labelledby": `name-${number}`},
    make("div", {}, recording.heading, make("p", {}, recording.words), make("table", {}, recording.table), recording.facts,
      make("p", {class: "note"}, recording.weights)),
    make("div", {}, recording.player), recording.frames);
  recording.panel.style.setProperty("--shape", `${width} / ${height}`);
  byId("panels").append(recording.panel);
}

// ---- What changes ----

function choose(patch) {
  state.patch = patch;
  if (!state.playing) state.frame = placeOf(patch)[0] * data.patchFrames;
  update();
}

function moveByKey(event) {
  const [t, y, x] = placeOf(state.patch);
  const steps = {ArrowLeft: [0, 0, -1], ArrowRight: [0, 0, 1], ArrowUp: [0, -1, 0], ArrowDown: [0, 1, 0],
    PageUp: [-1, 0, 0], PageDown: [1, 0, 0]};
  if (!(event.key in steps) || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  let [time, row, column] = [t, y, x].map((value, axis) => value + steps[event.key][axis]);
  if (column < 0 || column >= columns) { // over the edge: into the frame beside it
    time += Math.sign(column);
    column = (column + columns) % columns;
  }
  if (time >= 0 && time < times && row >= 0 && row < rows) choose(time * places + row * columns + column);
}

let latest = 0;
async function update() {
  const mine = ++latest, shown = recordings.filter((_, number) => state.pattern === null || state.pattern === number);
  const seen = await Promise.all(shown.map(seenBy));
  if (mine !== latest) return; // something else was chosen meanwhile
  recordings.forEach(recording => { recording.panel.hidden = !shown.includes(recording); });
  document.body.classList.toggle("alone", shown.length === 1);
  shown.forEach((recording, i) => { recording.seen = seen[i]; describe(recording); });
  const [t, y, x] = placeOf(state.patch);
  byId("status").textContent = `frame ${t * data.patchFrames + 1}, row ${y + 1}, column ${x + 1}. ` +
    shown.map(recording => `${recording.name}: ${recording.facts.textContent} ${recording.top}`).join(" ");
  document.body.dataset.updates = latest;
}

function describe(recording) {
  const {seen} = recording, [time, ...place] = placeOf(state.patch), here = state.patch % places;
  const kinds = {"own frame": [0, 0], "others, same place": [0, 0], "others, elsewhere": [0, 0]};
  let allowed = 0;
  recording.most = 0;
  recording.byFrame = Array(times).fill(NaN);
  seen.forEach((weight, patch) => {
    if (Number.isNaN(weight)) return;
    const at = Math.floor(patch / places);
    const kind = kinds[Object.keys(kinds)[at === time ? 0 : patch % places === here ? 1 : 2]];
    kind[0] += weight;
    kind[1] += 1;
    allowed += 1;
    recording.byFrame[at] = (recording.byFrame[at] || 0) + weight;
    recording.most = Math.max(recording.most, weight);
  });
  recording.table.replaceChildren(...Object.entries(kinds).map(([name, [share, count]]) => {
    const bar = make("span", {class: count ? "bar" : "bar none"});
    bar.style.width = percent(share);
    return make("tr", {}, make("th", {scope: "row"}, name), make("td", {}, bar),
      make("td", {}, count ? percent(share) : "forbidden"));
  }));
  const block = state.block === null ? "" : ` (block ${data.blocks[state.block]}: ${recording.patterns[state.block]})`;
  recording.heading.textContent = recording.name + block;
  recording.facts.textContent = `Sees ${allowed} of ${tokens} patches` +
    (state.block === null ? ` directly, ${recording.reach[state.patch]} through all blocks.` : " in this block.");
  recording.facts.append(` Brightest: ${percent(recording.most)}.`);
  const order = [...seen.keys()].filter(patch => seen[patch] > 0).sort((a, b) => seen[b] - seen[a]).slice(0, 3);
  recording.top = "Most at " + order.map(patch => {
    const [t, y, x] = placeOf(patch);
    return patch === state.patch ? `itself (${percent(seen[patch])})` :
      `frame ${t * data.patchFrames + 1}, row ${y + 1}, column ${x + 1} (${percent(seen[patch])})`;
  }).join("; ") + ".";
  recording.canvases.forEach(({canvas, share}, at) => {
    paint(canvas, recording, at * data.patchFrames);
    share.textContent = Number.isNaN(recording.byFrame[at]) ? "–" : percent(recording.byFrame[at]);
  });
  paint(recording.player, recording, state.frame);
}

let timer = null;
function setPlaying(playing) {
  state.playing = playing;
  byId("play").textContent = playing ? "❚❚ pause" : "▶ play";
  byId("play").setAttribute("aria-pressed", playing);
  clearInterval(timer);
  if (playing) timer = setInterval(() => showFrame((state.frame + 1) % frames), 1000 / FRAMES_PER_SECOND);
}

function showFrame(frame) {
  state.frame = frame;
  for (const recording of recordings) {
    if (recording.seen && !recording.panel.hidden) paint(recording.player, recording, frame);
    recording.canvases.forEach(({figure}, at) => figure.classList.toggle("now", at === Math.floor(frame / data.patchFrames)));
  }
}

document.addEventListener("keydown", event => {
  if (event.key !== " " || event.target.tagName === "BUTTON") return; // a button does it by itself
  event.preventDefault();
  setPlaying(!state.playing);
});

(async () => {
  buildControls();
  buildLegend();
  data.about.forEach(sentence => byId("about").append(make("li", {}, sentence)));
  await Promise.all(recordings.map(async (recording, number) => {
    recording.groups = await Promise.all(recording.groups.map(unpackGroups));
    recording.inks = inksOf(new Uint8Array(await unpack(recording.video)));
  }));
  recordings.forEach(buildPanel);
  await update();
  showFrame(placeOf(state.patch)[0] * data.patchFrames);
  setPlaying(!matchMedia("(prefers-reduced-motion: reduce)").matches);
  document.body.dataset.ready = Math.round(performance.now()); // milliseconds since the page was asked for
})();

// For tests and the curious: the weights that a pattern's panel shows, null where it is forbidden to look.
window.explorer = {state, recordings, shown: name => Array.from(recordings.find(recording => recording.name === name).seen,
  weight => Number.isNaN(weight) ? null : weight)};
