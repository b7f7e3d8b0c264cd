// Where the viewer stands, as in `gansaku.render.voxels`: at turn 0 and height 0 straight before the front. Degrees.
// A grid's axes are D to the right, H away from the viewer, W up; its middle stays in the middle of the picture.

const FILLED = 0.96; // of the room that a grid has, by its diagonals
const DISTANCE = 2; // of the viewer in perspective, in diagonals of the grid
const LIGHT = [0.35, -0.35, 1].map((part) => part / Math.hypot(0.35, 0.35, 1)); // right, away, up: from the upper right

const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];

// Unit vectors of the grid's axes: to the picture's right, its upper side, towards the viewer; and level, away from the viewer.
function directions({ turn, height }) {
  const t = (turn * Math.PI) / 180, h = (height * Math.PI) / 180;
  const away = [Math.sin(t), Math.cos(t), 0], rise = Math.sin(h), run = Math.cos(h);
  return {
    right: [Math.cos(t), -Math.sin(t), 0],
    upper: [away[0] * rise, away[1] * rise, run],
    towards: [-away[0] * run, -away[1] * run, rise],
    away,
  };
}

// Pixels for one voxel where a grid has a room of this width and height; the same from all around.
function scaleOf(camera, shape, [width, height]) {
  return camera.zoom * FILLED * Math.min(width / Math.hypot(shape[0], shape[1]), height / Math.hypot(...shape));
}

// Column by column, what brings a point of the grid to clip space. A part of the canvas is {width, height, room, lower}: the room's
// size, and by how much its middle lies lower than the part's. `shift` moves all right and down, by the room's shorter side.
function matrixOf(camera, shape, { width, height, room, lower }) {
  const { right, upper, towards } = directions(camera), scale = scaleOf(camera, shape, room), side = Math.min(...room);
  const reach = Math.hypot(...shape) / 2, far = DISTANCE * 2 * reach;
  const rows = [
    right.map((part) => (2 * scale * part) / width), upper.map((part) => (2 * scale * part) / height),
    towards.map((part) => -part / (1.01 * reach)), [0, 0, 0],
  ];
  const moved = [(2 * side * camera.shift[0]) / width, (-2 * (side * camera.shift[1] + lower)) / height, 0, 1];
  if (camera.perspective) { // what is nearer by `far` would be at the eye: w = 1 - nearer / far
    rows[3] = towards.map((part) => -part / far);
    const near = far - 1.01 * reach, end = far + 1.01 * reach, spread = (end + near) / (end - near);
    rows[2] = rows[3].map((part) => part * spread);
    moved[2] = spread - (2 * end * near) / (end - near) / far;
    for (const axis of [0, 1]) rows[axis] = rows[axis].map((part, i) => part + moved[axis] * rows[3][i]);
  }
  const middle = shape.map((length) => length / 2), ends = rows.map((row, i) => moved[i] - dot(row, middle));
  return new Float32Array([0, 1, 2].flatMap((axis) => rows.map((row) => row[axis])).concat(ends));
}

// Whether any face that looks in this direction can be seen.
function faces(camera, shape, direction) {
  const axis = direction >> 1, sign = direction & 1 ? 1 : -1, { towards } = directions(camera);
  if (!camera.perspective) return sign * towards[axis] > 1e-6;
  const eye = shape[axis] / 2 + DISTANCE * Math.hypot(...shape) * towards[axis];
  return sign > 0 ? eye > 0 : eye < shape[axis];
}

// How bright faces are that look in this direction.
function brightness(camera, direction) {
  const { right, away } = directions(camera), sign = direction & 1 ? 1 : -1, axis = direction >> 1;
  const light = right[axis] * LIGHT[0] + away[axis] * LIGHT[1] + (axis === 2 ? LIGHT[2] : 0);
  return 0.3 + 0.85 * (0.5 + 0.5 * sign * light);
}
