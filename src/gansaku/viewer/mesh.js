// Greedy meshing: the visible faces of boxes joined to rectangles, in each direction by itself. A solid block is 6 of them.
// A rectangle is two words: its low corner, 10 bits for each of the axes D, H, W, and its lengths less 1, 10 bits each, along
// INNER and OUTER of the axis that it looks along. Directions are 2 * axis, looking down the axis, and 2 * axis + 1, up it.

const INNER = [2, 2, 1], OUTER = [1, 0, 0]; // memory is walked along INNER
const MOST_QUADS = 1 << 22; // 32 MB of the graphics card
const PART = 1 << 14; // rectangles

// Rectangles of one direction, in parts, so that none is ever copied to make room.
class Quads {
  constructor() { this.parts = []; this.count = 0; }
  add(corner, lengths) {
    const at = this.count++ % PART;
    if (!at) this.parts.push(new Uint32Array(2 * PART));
    const part = this.parts[this.parts.length - 1];
    part[2 * at] = corner;
    part[2 * at + 1] = lengths;
  }
}

// What is occupied from `low` up to `high`, a voxel being so at level `least` and above: yields while it works, and returns
// {quads: six Quads, count, faces, occupied, bounds: [low, high], whole}; not `whole` where there were more than `most`.
function* meshing(levels, shape, least, low = [0, 0, 0], high = shape, most = MOST_QUADS) {
  const strides = [shape[1] * shape[2], shape[2], 1], quads = Array.from({ length: 6 }, () => new Quads());
  const { occupied, bounds } = yield* counting(levels, strides, least, low, high);
  const made = { quads, count: 0, faces: 0, occupied, bounds, whole: true };
  for (let axis = 0; axis < 3 && occupied; axis++) {
    const inner = INNER[axis], outer = OUTER[axis], [from, to] = bounds;
    const wide = to[inner] - from[inner], deep = to[outer] - from[outer];
    const mask = new Uint8Array(wide * deep), before = new Uint8Array(wide * deep);
    for (let place = from[axis]; place <= to[axis]; place++) {
      const start = place * strides[axis] + from[outer] * strides[outer] + from[inner] * strides[inner];
      const faces = place < to[axis]
        ? compare(levels, start, strides[outer], strides[inner], wide, deep, least, before, mask)
        : compareEnd(before, mask);
      if (faces) {
        made.faces += faces;
        join(mask, wide, deep, axis, [place, from[inner], from[outer]], quads);
        made.count = quads.reduce((sum, one) => sum + one.count, 0);
        if (made.count > most) return { ...made, whole: false };
      }
      yield;
    }
  }
  return made;
}

// How much is occupied, and from where to where.
function* counting(levels, [plane, row], least, low, high) {
  const from = [...high], to = [...low];
  let occupied = 0;
  for (let x = low[0]; x < high[0]; x++) {
    const already = occupied;
    for (let y = low[1]; y < high[1]; y++) {
      const start = x * plane + y * row;
      let first = -1, last = -1;
      for (let z = low[2]; z < high[2]; z++) {
        if (levels[start + z] < least) continue;
        if (first < 0) first = z;
        last = z;
        occupied++;
      }
      if (first < 0) continue;
      if (y < from[1]) from[1] = y;
      if (y >= to[1]) to[1] = y + 1;
      if (first < from[2]) from[2] = first;
      if (last >= to[2]) to[2] = last + 1;
    }
    if (occupied > already) {
      if (x < from[0]) from[0] = x;
      to[0] = x + 1;
    }
    yield;
  }
  return { occupied, bounds: [from, to] };
}

// The faces between a plane of voxels and the one before, which it then takes the place of: 1 looks down, 2 up the axis.
function compare(levels, start, across, along, wide, deep, least, before, mask) {
  let faces = 0;
  for (let j = 0, n = 0; j < deep; j++) {
    for (let i = 0, place = start + j * across; i < wide; i++, n++, place += along) {
      const now = levels[place] >= least ? 1 : 0, was = before[n];
      if (now === was) {
        mask[n] = 0;
      } else {
        mask[n] = 1 + was;
        before[n] = now;
        faces++;
      }
    }
  }
  return faces;
}

function compareEnd(before, mask) {
  let faces = 0;
  for (let n = 0; n < mask.length; n++) {
    mask[n] = 2 * before[n];
    faces += before[n];
  }
  return faces;
}

// Faces of one plane into rectangles: each as long as it may be, then as deep as all of its length goes. Empties the mask.
function join(mask, wide, deep, axis, [place, inner, outer], quads) {
  const shifts = [0, 10, 20], along = shifts[INNER[axis]], across = shifts[OUTER[axis]], plane = place << shifts[axis];
  for (let j = 0, n = 0; j < deep; j++) {
    for (let i = 0; i < wide;) {
      const side = mask[n];
      if (!side) { i++; n++; continue; }
      let length = 1, depth = 1;
      while (i + length < wide && mask[n + length] === side) length++;
      while (j + depth < deep && same(mask, n + depth * wide, length, side)) depth++;
      for (let row = 1; row < depth; row++) {
        for (let k = 0, at = n + row * wide; k < length; k++) mask[at + k] = 0;
      }
      quads[2 * axis + side - 1].add((plane | ((inner + i) << along) | ((outer + j) << across)) >>> 0, (length - 1) | ((depth - 1) << 10));
      i += length;
      n += length;
    }
  }
}

function same(mask, start, length, side) {
  for (let k = 0; k < length; k++) if (mask[start + k] !== side) return false;
  return true;
}
