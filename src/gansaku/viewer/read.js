// Files into grids, in the browser: .binvox and .npy by the same rules and with the same sentences as `gansaku.data`.
// A sample is {name, shape: [D, H, W], soft, load}: `load` gives one level for each voxel, 0 to 255, in the order [D][H][W].
// Voxels of 0 and 1 have the levels 0 and 255; of a `soft` sample, level k holds the probabilities above k/256 up to (k+1)/256.

const MOST_VOXELS = 512 ** 3, MOST_BYTES = 2 ** 28 + 2 ** 20, MOST_SIDE = 1023;
const LARGEST_HEADER = 1 << 14, LARGEST_PAGE = 2 ** 28;
const STRETCH = 1 << 20; // values between two breaths

class Bad extends Error {
  constructor(sentence, code) {
    super(`${sentence} [${code}]`);
    this.code = code;
  }
}

const thousands = (number) => number.toLocaleString("en-US");
const sides = (shape) => shape.join("x");
const latin = (bytes) => new TextDecoder("latin1").decode(bytes);

let rested = 0;
// Long work calls this now and then, so that the page goes on answering.
async function breathe() {
  if (performance.now() - rested < 30) return;
  await new Promise((resolve) => setTimeout(resolve));
  rested = performance.now();
}

// The samples of a file and what was peculiar about it: {samples, notes}. Throws Bad, whose message follows the file's name.
async function readFile(file) {
  const ending = (/\.[^.]*$/.exec(file.name.toLowerCase()) || [""])[0];
  const reader = { ".binvox": readBinvox, ".npy": readNpy, ".html": readPage, ".htm": readPage }[ending];
  if (!reader) {
    const help = /^\.(h5|hdf5|npz|zip|gz|mat|obj|off|stl|ply|glb)$/.test(ending) ? `; gansaku view ${file.name} makes a page of it` : "";
    throw new Bad(`is none of .binvox, .npy and pages that gansaku view wrote${help}`, "DATA_TYPE");
  }
  if (file.size > MOST_BYTES) {
    throw new Bad(`is a file of ${thousands(file.size)} bytes; at most ${thousands(MOST_BYTES)} are read`, "FILE_LARGE");
  }
  let content;
  try { content = new Uint8Array(await file.arrayBuffer()); } catch { throw new Bad("cannot be read; is it a folder?", "UNREADABLE"); }
  return reader(content, file.name);
}

function checkSides(shape) {
  if (Math.max(...shape) > MOST_SIDE) {
    throw new Bad(`is ${sides(shape)}, and a page shows at most ${thousands(MOST_SIDE)} voxels a side; make it smaller`, "VIEW_SIDE");
  }
}

// .binvox: a header of words, then pairs of a value and how often it comes.

async function readBinvox(content, name) {
  const { shape, start, notes } = binvoxHeader(content), [d, h, w] = shape, count = d * h * w;
  if ((content.length - start) % 2) {
    throw new Bad("ends in the middle of a pair of value and count; copy or download it again", "BVX_ODD");
  }
  let held = 0, most = 0, none = false;
  for (let i = start; i < content.length; i += 2) {
    held += content[i + 1];
    if (content[i] > most) most = content[i];
    none = none || !content[i + 1];
    if (!(i & (2 * STRETCH - 1))) await breathe();
  }
  if (held < count) {
    throw new Bad(`is cut short: its header says ${sides(shape)}, which is ${thousands(count)} voxels, and it holds `
      + `${thousands(held)}; copy or download it again`, "BVX_SHORT");
  }
  if (held > count) {
    throw new Bad(`holds ${thousands(held)} voxels, and its header says ${sides(shape)}, which is ${thousands(count)}; write it again`,
      "BVX_OVERRUN");
  }
  if (most > 1) throw new Bad(`holds the value ${most}; voxels are 0 or 1, so write it again with 1`, "BVX_VALUE");
  checkSides(shape);
  if (none) notes.push("has runs of no voxels, which were passed over [BVX_ZERO_RUN]");
  return { samples: [{ name, shape, soft: false, load: async () => unrolled(content, start, shape) }], notes };
}

// The runs as levels, with x reversed: the file's [x][z][y] with y up becomes left to right, front to back, floor to top.
function unrolled(content, start, [d, h, w]) {
  const levels = new Uint8Array(d * h * w), plane = h * w;
  for (let i = start, at = 0; i < content.length; i += 2) {
    if (content[i]) levels.fill(255, at, at + content[i + 1]);
    at += content[i + 1];
  }
  const kept = new Uint8Array(plane);
  for (let low = 0, high = d - 1; low < high; low++, high--) {
    kept.set(levels.subarray(low * plane, (low + 1) * plane));
    levels.copyWithin(low * plane, high * plane, (high + 1) * plane);
    levels.set(kept, high * plane);
  }
  return levels;
}

function binvoxHeader(content) {
  const text = latin(content.subarray(0, LARGEST_HEADER));
  if (!text.startsWith("#binvox")) {
    throw new Bad(`${content.length ? "does not begin with #binvox" : "is empty"}, so it is no .binvox file; copy or download it again`,
      "BVX_MAGIC");
  }
  const end = /^[ \t]*data[ \t]*\r?\n/m.exec(text);
  if (!end) throw new Bad("is cut short: its header has no line 'data'; copy or download it again", "BVX_SHORT");
  const words = {};
  for (const line of text.slice(0, end.index).split("\n").slice(1)) {
    const [word, ...rest] = line.split(/\s+/).filter(Boolean);
    if (word && !word.startsWith("#")) words[word.toLowerCase()] = rest;
  }
  const numbers = (name, count) => (words[name] || []).length === count && words[name].every((word) => Number.isFinite(+word));
  const missing = ["translate", "scale"].filter((name) => !numbers(name, name === "scale" ? 1 : 3));
  const notes = missing.length ? [`has no ${missing.join(" and no ")} in its header; 0 and 1 were taken [BVX_HEADER]`] : [];
  return { shape: binvoxShape(words.dim || []), start: end.index + end[0].length, notes };
}

function binvoxShape(words) {
  if (words.length !== 3 || !words.every((word) => /^[0-9]{1,18}$/.test(word) && +word)) {
    const found = words.length ? `the sizes '${words.join(" ").slice(0, 60)}'` : "no sizes";
    throw new Bad(`has ${found} in its header; three numbers from 1 belong there, as 'dim 64 64 64'`, "BVX_DIM");
  }
  if (words.reduce((product, word) => product * +word, 1) > MOST_VOXELS) {
    throw new Bad(`is ${words.map(BigInt).join("x")} by its header, and at most 512x512x512 voxels are read`, "BVX_LARGE");
  }
  return words.map(Number);
}

// .npy: one grid or many, of 0 and 1, or of probabilities.

async function readNpy(content, name) {
  const { kind, little, fortran, shape, start } = npyHeader(content);
  const { count, space } = gridsIn(shape), voxels = space[0] * space[1] * space[2], size = +kind.slice(1);
  if ((content.length - start) / size < count * voxels) {
    const promised = shape.reduce((product, side) => product * BigInt(side), 1n);
    throw new Bad(`ends before the ${thousands(promised)} values that its header promises; copy or download it again`, "NPY_SHORT");
  }
  checkSides(space);
  const value = valueReader(content, start, kind, little), all = count * voxels;
  let low = Infinity, high = -Infinity, whole = true;
  for (let i = 0; i < all; i++) {
    const found = value(i);
    if (!Number.isFinite(found)) throw new Bad("holds values that are not finite", "IMG_NONFINITE");
    if (found < low) low = found;
    if (found > high) high = found;
    whole = whole && Number.isInteger(found);
    if (!(i & (STRETCH - 1))) await breathe();
  }
  if (low < -1 || high > 1) {
    throw new Bad(`holds values from ${low} to ${high}; voxels are 0 or 1, or probabilities from 0 to 1 or from -1 to 1`, "VOX_VALUE");
  }
  const [scale, shift] = low < 0 ? [128, 128] : [256, 0], soft = !whole || low < 0;
  const place = placesOf(shape, space, fortran);
  const samples = Array.from({ length: count }, (_, index) => ({
    name: count > 1 ? `${name}, number ${thousands(index)}` : name, shape: space, soft,
    load: async () => {
      const levels = new Uint8Array(voxels);
      for (let i = 0; i < voxels; i++) {
        levels[i] = Math.max(0, Math.ceil(scale * value(place(index, i)) + shift) - 1);
        if (!(i & (STRETCH - 1))) await breathe();
      }
      return levels;
    },
  }));
  return { samples, notes: [] };
}

function npyHeader(content) {
  const wide = content[6] === 2, start = wide ? 12 : 10, magic = latin(content.subarray(0, 6)).slice(1) === "NUMPY" && content[0] === 0x93;
  const bad = (why) => new Bad(`is no .npy file (${why}); copy or download it again`, "NPY_CORRUPT");
  if (!magic || content.length < start) throw bad(content.length ? "another beginning" : "it is empty");
  if ((content[6] !== 1 && !wide) || content[7] !== 0) throw bad(`version ${content[6]}.${content[7]} of the format`);
  const view = new DataView(content.buffer, content.byteOffset), long = wide ? view.getUint32(8, true) : view.getUint16(8, true);
  if (content.length < start + long || long > 1 << 16) throw bad("its header is cut short");
  const text = latin(content.subarray(start, start + long));
  const shape = /'shape'\s*:\s*\(([\d\s,]*)\)/.exec(text), fortran = /'fortran_order'\s*:\s*(True|False)/.exec(text);
  const type = /'descr'\s*:\s*('([<>|=]?)([A-Za-z])(\d*)'|'[^']*'|\[)/.exec(text);
  if (!shape || !fortran || !type || /\d{16}/.test(shape[1])) throw bad("a header that is none");
  if (type[3] === "O") throw new Bad("holds Python objects, which are not loaded; save plain numbers", "NPY_OBJECT");
  const kind = `${type[3]}${type[4]}`;
  if (!READERS[kind]) throw new Bad(`holds ${type[1].replaceAll("'", "")}; voxels are numbers, 0 or 1`, "NPY_TYPE");
  const lengths = shape[1].split(",").map((word) => word.trim()).filter(Boolean).map(Number);
  return {
    kind, little: type[2] !== ">", fortran: fortran[1] === "True", start: start + long, shape: lengths.length ? lengths : [1],
  };
}

// How many grids of which size an array holds: (D, H, W), with an axis of 1 in front or at the end too, or many of these.
function gridsIn(shape) {
  if (shape.slice(1).reduce((product, side) => product * side, 1) > MOST_VOXELS) {
    throw new Bad(`has samples of ${sides(shape.slice(1))}, beyond 512x512x512 values`, "NPY_LARGE");
  }
  const alone = shape.length === 3 || (shape.length === 4 && (shape[0] === 1 || shape[3] === 1));
  const many = shape.length === 4 || (shape.length === 5 && (shape[1] === 1 || shape[4] === 1));
  const each = alone ? shape : shape.slice(1), count = alone ? 1 : shape[0];
  const space = each.length === 3 ? each : each[0] === 1 ? each.slice(1) : each.slice(0, 3);
  if (!(alone || many) || Math.min(count, ...space) < 1 || space[0] * space[1] * space[2] > MOST_VOXELS) {
    throw new Bad(`holds ${sides(shape)}, which is no grid of voxels; give one, as 64x64x64 and at most 512x512x512, `
      + "or many, as 16x64x64x64", "VOX_SHAPE");
  }
  return { count, space };
}

// Where voxel i of grid n lies in an array that is stored in C or in Fortran order.
function placesOf(shape, [d, h, w], fortran) {
  if (!fortran) return (n, i) => n * d * h * w + i;
  const all = shape.reduce((product, side) => product * side, 1), count = all / (d * h * w);
  return (n, i) => n + count * (Math.floor(i / (h * w)) + d * (Math.floor(i / w) % h + h * (i % w)));
}

const READERS = {
  b1: "getUint8", u1: "getUint8", i1: "getInt8", u2: "getUint16", i2: "getInt16", u4: "getUint32", i4: "getInt32",
  u8: "getBigUint64", i8: "getBigInt64", f2: "getUint16", f4: "getFloat32", f8: "getFloat64",
};

function valueReader(content, start, kind, little) {
  const view = new DataView(content.buffer, content.byteOffset + start), size = +kind.slice(1), get = READERS[kind];
  if (kind === "f2") return (i) => half(view.getUint16(2 * i, little));
  if (size === 8 && kind !== "f8") return (i) => Number(view[get](8 * i, little));
  return (i) => view[get](size * i, little);
}

// A 16-bit float.
function half(bits) {
  const sign = bits >> 15 ? -1 : 1, power = (bits >> 10) & 31, rest = bits & 1023;
  if (power === 31) return rest ? NaN : sign * Infinity;
  return sign * (power ? (1 + rest / 1024) * 2 ** (power - 15) : rest * 2 ** -24);
}

// Pages that `gansaku view` wrote: samples as bits or levels, compressed.

async function readPage(content) {
  const text = new TextDecoder().decode(content.subarray(0, LARGEST_PAGE));
  const found = /<[s]cript type="application\/json" id="voxels">([^<]*)</.exec(text);
  const foreign = new Bad("is no page that gansaku view wrote", "DATA_TYPE");
  if (!found) throw foreign;
  let held;
  try { held = JSON.parse(found[1]); } catch { throw foreign; }
  return { samples: packedSamples(held), notes: [] };
}

function packedSamples(held) {
  const right = ({ name, shape, soft, data }) => typeof name === "string" && typeof data === "string" && typeof soft === "boolean"
    && Array.isArray(shape) && shape.length === 3 && shape.every((side) => Number.isInteger(side) && side > 0 && side <= MOST_SIDE)
    && shape[0] * shape[1] * shape[2] <= MOST_VOXELS;
  if (!held || held.version !== 1 || !Array.isArray(held.samples) || !held.samples.every((one) => one && right(one))) {
    throw new Bad("holds no voxels that this version reads; write the page again", "VIEW_VERSION");
  }
  return held.samples.map(({ name, shape, soft, data }) => ({ name, shape, soft, load: () => unpacked(data, shape, soft) }));
}

// Levels from base64 of deflated bytes; of 0 and 1, from bits as `numpy.packbits` makes them.
async function unpacked(data, [d, h, w], soft) {
  const count = d * h * w, bytes = await inflated(data, soft ? count : Math.ceil(count / 8));
  if (soft) return bytes;
  const levels = new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    levels[i] = (bytes[i >> 3] >> (7 - (i & 7))) & 1 ? 255 : 0;
    if (!(i & (STRETCH - 1))) await breathe();
  }
  return levels;
}

async function inflated(data, size) {
  const damaged = new Bad("is damaged; write the page again", "VIEW_CORRUPT"), bytes = new Uint8Array(size);
  try {
    const text = atob(data), packed = new Uint8Array(text.length);
    for (let i = 0; i < packed.length; i++) packed[i] = text.charCodeAt(i);
    const reader = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate")).getReader();
    let at = 0;
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      bytes.set(part.value, at); // throws when there is more than was said
      at += part.value.length;
    }
    if (at < size) throw damaged;
  } catch {
    throw damaged;
  }
  return bytes;
}

// The grid of a file whose z axis points up, read as if y did, stood up; and the other way round.
function tipped(levels, [d, h, w]) {
  const made = new Uint8Array(levels.length);
  for (let x = 0, at = 0; x < d; x++) {
    const from = (d - 1 - x) * h * w;
    for (let z = 0; z < w; z++) for (let y = 0; y < h; y++) made[at++] = levels[from + y * w + z];
  }
  return made;
}
