// The page: samples, two views of them at most, one camera, and the controls of the panel.

const $ = (id) => document.getElementById(id);
const START = { turn: 30, height: 25, zoom: 1, shift: [0, 0] };
const SIDES = { Front: [0, 0], Right: [-90, 0], Back: [180, 0], Left: [90, 0], Top: [0, 90], Bottom: [0, -90] };
const CUTS = ["Left to right", "Front to back", "Floor to top"];
const SWITCHES = { edges: "e", grid: "g", axes: "a", perspective: "v", beside: "s", tipped: "u" };

const samples = [], views = [];
const camera = { ...START, shift: [0, 0], perspective: false };
const how = { edges: true, grid: true, axes: false, beside: false, tipped: false, colour: 0, least: 128, cut: [[0, 1], [0, 1], [0, 1]] };
let scene = null, drawing = 0;

// One half of the stage, or all of it: which sample, its levels, and what was made of them.
class View {
  constructor(index) {
    const name = views.length ? "in the second view" : "";
    this.index = index;
    this.wanted = 0;
    this.element = document.createElement("div");
    this.element.className = "view";
    this.element.innerHTML = '<p class="says" aria-live="polite"></p><div class="room"></div><div class="turn"><button type="button">‹</button>'
      + '<input type="range" min="0"><output></output><button type="button">›</button></div>';
    [this.before, this.next] = this.element.querySelectorAll("button");
    [this.says, this.room, this.range, this.count] = ["p", ".room", "input", "output"].map((one) => this.element.querySelector(one));
    this.before.ariaLabel = `The sample before ${name}`.trim();
    this.next.ariaLabel = `Next sample ${name}`.trim();
    this.range.ariaLabel = `Sample ${name}`.trim();
    this.before.onclick = () => this.show(this.index - 1);
    this.next.onclick = () => this.show(this.index + 1);
    this.range.oninput = () => this.show(+this.range.value);
    $("views").append(this.element);
  }

  // Load a sample and draw it; what was asked for later wins.
  async show(index) {
    this.index = Math.max(0, Math.min(samples.length - 1, index));
    const wanted = ++this.wanted, sample = samples[this.index];
    this.loading = true;
    this.navigation();
    busy();
    try {
      const levels = await sample.load();
      if (wanted !== this.wanted) return;
      this.take(sample, levels);
    } catch (error) {
      if (wanted !== this.wanted) return;
      this.levels = this.made = null;
      this.says.textContent = "";
      say(sample.name, sentence(error, "shown"), true);
    }
    this.loading = false;
    controls();
    draw();
    await this.mesh();
  }

  take(sample, levels) {
    const [d, h, w] = sample.shape;
    this.soft = sample.soft;
    this.name = sample.name;
    this.levels = how.tipped ? tipped(levels, sample.shape) : levels;
    this.shape = how.tipped ? [d, w, h] : sample.shape;
    this.slot = this.slot || scene.slot();
    this.made = null;
    scene.put(this.slot, this.levels, this.shape);
  }

  // Give back what it holds.
  end() {
    this.wanted++;
    this.levels = this.made = null;
    this.element.remove();
    if (this.slot) scene.free(this.slot);
  }

  // Make rectangles of what is to be seen now; while that works, only the last wish is remembered.
  async mesh() {
    if (!this.levels) return;
    this.again = true;
    if (this.working) return;
    this.working = true;
    busy();
    while (this.again) {
      this.again = false;
      const { levels, shape } = this, [low, high] = box(shape), least = how.least;
      const work = meshing(levels, shape, least, low, high);
      let step = work.next();
      while (!step.done && levels === this.levels) {
        await breathe();
        step = work.next();
      }
      if (!step.done) continue; // another sample has come, which asks for its own
      this.made = { ...step.value, low, high, least };
      scene.fill(this.slot, this.made);
      this.tell();
      draw();
    }
    this.working = false;
    busy();
  }

  navigation() {
    this.before.disabled = this.index < 1;
    this.next.disabled = this.index >= samples.length - 1;
    this.range.max = samples.length - 1;
    this.range.value = this.index;
    this.count.textContent = `${thousands(this.index + 1)} of ${thousands(samples.length)}`;
    this.element.querySelector(".turn").hidden = samples.length < 2;
  }

  // What is seen, in words.
  tell() {
    const { made, shape } = this, between = ([from, to]) => from.map((low, i) => to[i] - low), volume = (sides) => sides.reduce((a, b) => a * b);
    const left = between([made.low, made.high]), all = volume(shape), cut = volume(left) < all ? `, cut to ${left.join(" × ")}` : "";
    const lines = [`${shape.join(" × ")} voxels${cut}; ${percent(made.occupied / volume(left))} occupied: ${thousands(made.occupied)}`];
    if (made.occupied) {
      lines.push(`Extent ${between(made.bounds).join(" × ")}; ${thousands(made.faces)} faces in ${thousands(made.count)} rectangles`);
    }
    let alone = "";
    if (!made.occupied) alone = this.soft ? `No voxel is occupied: ${softly(this.levels, how.least)}.` : "No voxel is occupied.";
    else if (made.occupied === all) alone = "Every voxel is occupied.";
    if (!made.whole) alone = `More than ${thousands(MOST_QUADS)} rectangles, and no more are drawn: cut away what is not needed.`;
    this.says.replaceChildren(element("b", this.name), ...lines.map((line) => element("span", line)));
    if (alone) this.says.append(element("span", alone, "alone"));
  }
}

function softly(levels, least) {
  let most = 0;
  for (let i = 0; i < levels.length; i++) if (levels[i] > most) most = levels[i];
  return most >= least ? "what is occupied was cut away" : `no probability is above ${(least / 256).toFixed(2)}, and the largest is about ${((most + 1) / 256).toFixed(2)}`;
}

function percent(share) {
  return `${(100 * share).toLocaleString("en-US", { maximumSignificantDigits: share < 0.1 ? 2 : 3 })} %`;
}

function element(tag, text, kind = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  made.className = kind;
  return made;
}

// A sentence about a file, which stays until it is read.
function say(name, sentence, bad = false) {
  const item = element("li", "", bad ? "bad" : ""), text = element("span", ""), close = element("button", "Close");
  text.append(element(bad ? "b" : "span", name), ` ${sentence}`);
  close.type = "button";
  close.onclick = () => { item.remove(); $("canvas").focus(); };
  item.setAttribute("role", bad ? "alert" : "none");
  item.append(text, close);
  $("messages").append(item);
  while ($("messages").children.length > 4) $("messages").firstChild.remove();
}

function sentence(error, done) {
  return error instanceof Bad ? error.message : `cannot be ${done} (${error.message}); is there enough memory?`;
}

function busy() {
  const working = views.some((view) => view.working || view.loading);
  $("stage").setAttribute("aria-busy", String(working || Boolean(drawing)));
}

// The part of a grid that is not cut away, [low, high].
function box(shape) {
  const low = shape.map((side, axis) => Math.min(side - 1, Math.round(how.cut[axis][0] * side)));
  return [low, shape.map((side, axis) => Math.max(low[axis] + 1, Math.round(how.cut[axis][1] * side)))];
}

// Where the views lie on the canvas, in its pixels: each as large as its element, its grid in the room between the words.
function parts(canvas) {
  const all = canvas.getBoundingClientRect(), ratio = canvas.width / all.width, pixels = (length) => Math.round(length * ratio);
  return views.map((view) => {
    const own = view.element.getBoundingClientRect(), room = view.room.getBoundingClientRect();
    const left = pixels(own.left - all.left), top = pixels(own.top - all.top);
    return {
      left, top, width: pixels(own.right - all.left) - left, height: pixels(own.bottom - all.top) - top,
      room: [room.width, room.height].map((side) => Math.max(1, ratio * side)),
      lower: (ratio * (room.top + room.bottom - own.top - own.bottom)) / 2,
    };
  });
}

const rgb = (name) => {
  const [r, g, b] = getComputedStyle($("stage"))[name].match(/[\d.]+/g).map(Number);
  return [r / 255, g / 255, b / 255];
};

function draw() {
  if (!drawing) drawing = requestAnimationFrame(paint);
}

// Draw all views now.
function paint() {
  cancelAnimationFrame(drawing);
  drawing = 0;
  const canvas = $("canvas"), line = canvas.width / Math.max(1, canvas.clientWidth);
  const places = parts(canvas), ink = rgb("color");
  const labels = $("labels").getContext("2d");
  labels.clearRect(0, 0, canvas.width, canvas.height);
  const grids = views.map((view, i) => ({ ...view, part: places[i], how: { ...how, ...view.made, ink, line } })).filter((one) => one.made);
  scene.paint(rgb("backgroundColor"), camera, grids);
  if (how.axes) grids.forEach((one) => nameAxes(labels, one.shape, one.part, line));
  if (views[0].made && !performance.getEntriesByName("drawn").length) performance.mark("drawn");
  $("canvas").ariaLabel = `${views.map((view) => view.says.innerText.replaceAll("\n", ". ")).join(" Beside it: ")} Seen ${seenFrom()}.`;
  busy();
}

function seenFrom() {
  const known = Object.entries(SIDES).find(([, [turn, height]]) => turned(turn - camera.turn) === 0 && height === camera.height);
  if (known) return `from the ${known[0].toLowerCase()}`;
  return `turned by ${Math.round(camera.turn)} degrees, from a height of ${Math.round(camera.height)} degrees`;
}

function nameAxes(context, shape, place, line) {
  const matrix = matrixOf(camera, shape, place);
  context.font = `${12 * line}px system-ui, sans-serif`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  ["right", "back", "top"].forEach((name, axis) => {
    const end = [0, 0, 0].map((zero, i) => (i === axis ? 1.07 * shape[i] : 0));
    const [x, y, , w] = [0, 1, 2, 3].map((row) => matrix[row] * end[0] + matrix[4 + row] * end[1] + matrix[8 + row] * end[2] + matrix[12 + row]);
    context.fillStyle = `rgb(${AXES[axis].map((part) => 255 * part)})`;
    const text = `${name} ${shape[axis]}`, half = context.measureText(text).width / 2 + 4 * line;
    const right = Math.max(half, Math.min(place.width - half, ((x / w + 1) / 2) * place.width));
    context.fillText(text, place.left + right, place.top + ((1 - y / w) / 2) * place.height);
  });
}

function resize() {
  const ratio = Math.min(2, devicePixelRatio || 1), { clientWidth, clientHeight } = $("stage");
  const width = Math.max(1, Math.round(clientWidth * ratio)), height = Math.max(1, Math.round(clientHeight * ratio));
  if ($("canvas").width === width && $("canvas").height === height) return;
  for (const canvas of [$("canvas"), $("labels")]) Object.assign(canvas, { width, height });
  paint(); // at once: a canvas of another size is empty
}

// The camera

const turned = (by) => ((by % 360) + 360) % 360;

function turn(right, up) {
  camera.turn = turned(camera.turn + right);
  camera.height = Math.max(-90, Math.min(90, camera.height + up));
  draw();
}

function move(right, down) {
  camera.shift = [camera.shift[0] + right, camera.shift[1] + down];
  draw();
}

// `at` is what stays in its place: right and down of where the middle is at first, by sides of the room.
function zoom(by, at = camera.shift) {
  const zoomed = Math.max(0.2, Math.min(40, camera.zoom * by)), times = zoomed / camera.zoom;
  camera.shift = camera.shift.map((shift, i) => at[i] + (shift - at[i]) * times);
  camera.zoom = zoomed;
  draw();
}

function lookFrom([toward, height]) {
  Object.assign(camera, { turn: turned(toward), height });
  draw();
}

function reset() {
  Object.assign(camera, START, { shift: [0, 0] });
  draw();
}

function pointers() {
  const canvas = $("canvas"), down = new Map();
  const side = () => (Math.min(...parts(canvas)[0].room) * canvas.clientWidth) / canvas.width;
  const share = ({ clientX, clientY }) => {
    const { left, top } = canvas.getBoundingClientRect(), ratio = canvas.width / canvas.clientWidth;
    const x = (clientX - left) * ratio, y = (clientY - top) * ratio, all = parts(canvas);
    const part = all.find((one) => x < one.left + one.width && y < one.top + one.height) || all[0];
    const shorter = Math.min(...part.room);
    return [(x - part.left - part.width / 2) / shorter, (y - part.top - part.height / 2 - part.lower) / shorter];
  };
  canvas.onpointerdown = (event) => {
    canvas.setPointerCapture(event.pointerId);
    down.set(event.pointerId, event);
  };
  canvas.onpointermove = (event) => {
    const last = down.get(event.pointerId);
    if (!last) return;
    const x = event.clientX - last.clientX, y = event.clientY - last.clientY, other = [...down.values()].find((one) => one.pointerId !== event.pointerId);
    down.set(event.pointerId, event);
    if (other) {
      const apart = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
      const middle = { clientX: (event.clientX + other.clientX) / 2, clientY: (event.clientY + other.clientY) / 2 };
      move(x / 2 / side(), y / 2 / side());
      if (apart(last) > 1) zoom(apart(event) / apart(last), share(middle));
    } else if (event.buttons & 6 || event.shiftKey) {
      move(x / side(), y / side());
    } else {
      turn((180 * x) / side(), (180 * y) / side());
    }
  };
  canvas.onpointerup = canvas.onpointercancel = (event) => down.delete(event.pointerId);
  canvas.oncontextmenu = (event) => event.preventDefault();
  canvas.ondblclick = reset;
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), share(event));
  }, { passive: false });
}

// The panel

function build() {
  for (const [i, [name, where]] of Object.entries(SIDES).entries()) {
    const button = element("button", name);
    button.type = "button";
    button.title = `Key ${i + 1}`;
    button.onclick = () => lookFrom(where);
    $("sides").append(button);
  }
  CUTS.forEach((name, axis) => {
    const row = element("div", "", "cut");
    row.innerHTML = `<span>${name}</span><output></output><div class="span"><i></i><input type="range"><input type="range"></div>`;
    const [from, to] = row.querySelectorAll("input");
    from.ariaLabel = `${name}: from`;
    to.ariaLabel = `${name}: to`;
    from.oninput = () => cut(axis, Math.min(+from.value, +to.value - 1), +to.value);
    to.oninput = () => cut(axis, +from.value, Math.max(+to.value, +from.value + 1));
    $("cuts").append(row);
  });
  for (const name of Object.keys(SWITCHES)) $(name).onchange = () => toggle(name, $(name).checked);
  $("colour").onchange = () => paintWith(+$("colour").value);
  $("least").oninput = () => threshold(+$("least").value);
  $("whole").onclick = () => { how.cut = [[0, 1], [0, 1], [0, 1]]; remesh(); };
  $("panel").onsubmit = (event) => event.preventDefault();
}

// Whether anything that is shown has probabilities.
function soft() {
  return views.some((view) => view.levels && view.soft);
}

// Bring the panel in line with what is shown.
function controls() {
  const shape = views[0].shape || [1, 1, 1], [low, high] = box(shape);
  $("soft").hidden = !soft();
  $("colour").options[2].disabled = !soft();
  $("least").value = how.least;
  $("least-says").textContent = (how.least / 256).toFixed(2);
  document.querySelectorAll(".cut").forEach((row, axis) => {
    const [from, to] = row.querySelectorAll("input"), side = shape[axis], bar = row.querySelector("i");
    for (const input of [from, to]) Object.assign(input, { min: 0, max: side });
    from.value = low[axis];
    to.value = high[axis];
    row.querySelector("output").textContent = high[axis] - low[axis] === side ? `all ${side}` : `${low[axis] + 1} to ${high[axis]} of ${side}`;
    bar.style.left = `${(100 * low[axis]) / side}%`;
    bar.style.right = `${100 - (100 * high[axis]) / side}%`;
  });
  for (const name of Object.keys(SWITCHES)) $(name).checked = name === "perspective" ? camera.perspective : how[name];
  $("colour").value = how.colour;
  $("scale").hidden = !how.colour;
  $("beside").disabled = samples.length < 2;
}

function remesh() {
  controls();
  for (const view of views) view.mesh();
}

function cut(axis, from, to) {
  const side = views[0].shape[axis];
  how.cut[axis] = [Math.max(0, from) / side, Math.min(side, to) / side];
  remesh();
}

function threshold(least) {
  how.least = Math.max(1, Math.min(255, least));
  remesh();
}

function toggle(name, on) {
  if (name === "perspective") camera.perspective = on;
  else how[name] = on;
  if (name === "beside") beside(on);
  if (name === "tipped") views.forEach((view) => view.show(view.index));
  controls();
  draw();
}

function beside(on) {
  if (on && views.length < 2 && samples.length > 1) {
    views.push(new View());
    views[1].show(views[0].index + 1 < samples.length ? views[0].index + 1 : 0);
  }
  how.beside = on && samples.length > 1;
  if (!how.beside && views.length > 1) {
    views.pop().end();
  }
  $("views").className = how.beside ? "two" : "";
}

function paintWith(colour) {
  how.colour = colour;
  controls();
  draw();
}

// Files

async function open(files) {
  const first = samples.length;
  for (const file of files) {
    try {
      const found = await readFile(file);
      samples.push(...found.samples);
      for (const note of found.notes) say(file.name, note);
    } catch (error) {
      say(file.name, sentence(error, "read"), true);
    }
  }
  views.forEach((view) => view.navigation());
  controls();
  if (samples.length > first) await views[0].show(first);
}

function dropping() {
  const over = (event) => { event.preventDefault(); $("stage").classList.add("over"); };
  addEventListener("dragenter", over);
  addEventListener("dragover", over);
  addEventListener("dragleave", (event) => { if (!event.relatedTarget) $("stage").classList.remove("over"); });
  addEventListener("drop", (event) => {
    event.preventDefault();
    $("stage").classList.remove("over");
    open(event.dataTransfer.files);
  });
  $("open").onclick = () => $("files").click();
  $("files").onchange = async () => { await open([...$("files").files]); $("files").value = ""; };
}

// A picture of the stage as it is.
function picture() {
  paint();
  const made = document.createElement("canvas"), from = $("canvas"), context = made.getContext("2d");
  Object.assign(made, { width: from.width, height: from.height });
  context.drawImage(from, 0, 0);
  context.drawImage($("labels"), 0, 0);
  return made;
}

function save() {
  picture().toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${(views[0].name || "voxels").replace(/[^\w.-]+/g, "-")}.png`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  });
}

// Keys

const COMMANDS = {
  0: reset, "?": () => $("keys").showModal(), o: () => $("files").click(), p: save, d: () => $("theme").click(),
  c: () => paintWith((how.colour + 1) % (soft() ? 3 : 2)), "]": () => threshold(how.least + 4), "[": () => threshold(how.least - 4),
  "+": () => zoom(1.2), "=": () => zoom(1.2), "-": () => zoom(1 / 1.2),
  n: () => views[0].show(views[0].index + 1), b: () => views[0].show(views[0].index - 1),
  N: () => views.at(-1).show(views.at(-1).index + 1), B: () => views.at(-1).show(views.at(-1).index - 1),
  PageDown: () => COMMANDS.n(), PageUp: () => COMMANDS.b(),
};
Object.values(SIDES).forEach((where, i) => { COMMANDS[i + 1] = () => lookFrom(where); });
for (const [name, key] of Object.entries(SWITCHES)) COMMANDS[key] = () => { if (!$(name).disabled) toggle(name, !$(name).checked); };
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function keys() {
  addEventListener("keydown", (event) => {
    const within = event.target.closest ? event.target : document.body;
    if (event.ctrlKey || event.metaKey || event.altKey || $("keys").open || within.closest("select")) return;
    const arrow = ARROWS[event.key], range = within.closest('input[type="range"]');
    if (range && (arrow || /^Page/.test(event.key))) return; // the slider's own
    const command = COMMANDS[event.key] || COMMANDS[event.key.toLowerCase()];
    if (arrow) (event.shiftKey ? move : turn)(...arrow.map((by) => by * (event.shiftKey ? 0.05 : 5)));
    else if (command) command();
    else return;
    event.preventDefault();
  });
}

function theme() {
  const root = document.documentElement;
  const remembered = (value) => {
    try { return value ? localStorage.setItem("gansaku-theme", value) : localStorage.getItem("gansaku-theme"); } catch { return null; }
  };
  if (remembered()) root.dataset.theme = remembered();
  $("theme").onclick = () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    remembered((root.dataset.theme = dark ? "light" : "dark"));
    draw();
  };
  matchMedia("(prefers-color-scheme: dark)").onchange = draw;
}

async function begin() {
  theme();
  $("help").onclick = COMMANDS["?"];
  try {
    scene = new Scene($("canvas"));
    samples.push(...packedSamples(JSON.parse($("voxels").textContent)));
  } catch (error) {
    say("", error.message, true);
    $("stage").setAttribute("aria-busy", "false");
    return;
  }
  $("voxels").remove(); // the samples have it now
  build();
  views.push(new View());
  pointers();
  dropping();
  keys();
  $("picture").onclick = save;
  $("canvas").addEventListener("webglcontextlost", (event) => event.preventDefault());
  $("canvas").addEventListener("webglcontextrestored", () => {
    scene = new Scene($("canvas"));
    for (const view of views) { view.slot = null; view.made = null; view.show(view.index); }
  });
  resize();
  new ResizeObserver(resize).observe($("stage"));
  await views[0].show(0);
}

begin();
