// What is done: by pointer, by the panel, by files and by keys.

const CUTS = ["Left to right", "Front to back", "Floor to top"];
const SWITCHES = { edges: "e", grid: "g", axes: "a", perspective: "v", beside: "s", tipped: "u" };

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
    open([...event.dataTransfer.files]);
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
