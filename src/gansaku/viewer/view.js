// What is shown: the samples, two views of them at most, one camera; drawn, and said in words.

const $ = (id) => document.getElementById(id);
const START = { turn: 30, height: 25, zoom: 1, shift: [0, 0] };
const SIDES = { Front: [0, 0], Right: [-90, 0], Back: [180, 0], Left: [90, 0], Top: [0, 90], Bottom: [0, -90] };

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
