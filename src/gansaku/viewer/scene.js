// WebGL 2: a grid's rectangles, 8 bytes each in a texture, shaded as `gansaku.render.voxels` does; lines around it.
// What belongs to single voxels, their edges and how crowded they stand, the shader reads from the grid itself, a 3D texture.

const COMMON = `#version 300 es
precision highp float;
precision highp int;
precision highp usampler3D;
`;

const SAMPLES = 4; // of a pixel
const HEAVY = 150_000; // rectangles beyond which a computer without a graphics card draws them plainly, or a picture takes seconds
const ROW = 2048; // rectangles in a row of their texture, whose parts are whole rows

const QUADS = `${COMMON}
uniform mat4 matrix;
uniform ivec3 axes; // the axis that the rectangles look along, and those of their lengths
uniform float grow; // by how much they overlap, so that no gap opens where three meet
uniform highp usampler2D quads; // ROW in a row; six vertices read the same one, which is quicker than an instance each
uniform int first, step; // the nearest ones come first, so that they hide what they cover before it is shaded
out vec3 place;
const int ends[6] = int[](0, 1, 2, 2, 1, 3);
void main() {
  int number = first + step * (gl_VertexID / 6), end = ends[gl_VertexID % 6];
  uvec2 quad = texelFetch(quads, ivec2(number % ${ROW}, number / ${ROW}), 0).rg;
  vec3 corner = vec3(quad.x & 1023u, (quad.x >> 10) & 1023u, quad.x >> 20);
  vec2 lengths = vec2(quad.y & 1023u, (quad.y >> 10) & 1023u) + 1.0;
  vec2 at = vec2(end & 1, end >> 1);
  vec2 reach = lengths * at + grow * (2.0 * at - 1.0);
  place = corner;
  place[axes.y] += reach.x;
  place[axes.z] += reach.y;
  gl_Position = matrix * vec4(place, 1);
}`;

const SHADE = `${COMMON}
uniform usampler3D levels; // (W, H, D), or one voxel where the card has no room for it
uniform ivec3 low, high; // what is shown lies from low up to high
uniform ivec3 along, across; // one voxel in the face's plane
uniform vec3 normal, towards, size;
uniform float light, pixels, line;
uniform int colour;
uniform uint least;
uniform bool crowded, edged, there; // the levels are there
in vec3 place;
out vec4 result;

const vec3 wood = vec3(226, 172, 112) / 255.0;
const vec3 ramp[5] = vec3[](vec3(68, 1, 84) / 255.0, vec3(59, 82, 139) / 255.0, vec3(33, 145, 140) / 255.0,
                            vec3(94, 201, 98) / 255.0, vec3(253, 231, 37) / 255.0);

int occupied(ivec3 at) {
  bool inside = at == clamp(at, low, high - 1);
  return int(inside && texelFetch(levels, clamp(at, low, high - 1).zyx, 0).r >= least);
}

vec3 ramped(float share) {
  float at = clamp(share, 0.0, 1.0) * 4.0;
  int begin = min(int(at), 3);
  return mix(ramp[begin], ramp[begin + 1], at - float(begin));
}

void main() {
  ivec3 voxel = clamp(ivec3(floor(place - 0.5 * normal)), low, high - 1), spot = voxel + ivec3(normal);
  int crowd = 0;
  if (crowded) {
    for (int a = -1; a < 2; a++) for (int b = -1; b < 2; b++) crowd += occupied(spot + a * along + b * across);
  }
  float reach = dot(abs(towards), size), deep = dot(place - size / 2.0, towards) / reach + 0.5;
  float bright = light * (0.86 + 0.14 * deep) * (1.0 - 0.055 * float(crowd));
  vec2 at = vec2(dot(place, vec3(along)), dot(place, vec3(across)));
  vec2 rims = min(fract(at), 1.0 - fract(at)) / sqrt(dFdx(at) * dFdx(at) + dFdy(at) * dFdy(at));
  float wide = clamp(0.07 * pixels, 0.45 * line, 1.5 * line);
  float strength = edged ? 0.34 * min(1.0, pixels / (4.0 * line)) : 0.0; // fades where boxes are hardly larger than a line,
  float sharp = clamp((pixels / line - 1.0) / 3.0, 0.0, 1.0); // and its mean is taken, or there would be moire
  bright *= 1.0 - strength * mix(0.45, clamp(1.0 - min(rims.x, rims.y) / wide, 0.0, 1.0), sharp);
  vec3 own = wood;
  if (colour == 1) own = ramped((float(voxel.z) + 0.5) / size.z);
  if (colour == 2 && there) own = ramped(float(texelFetch(levels, voxel.zyx, 0).r) / 255.0);
  result = vec4(min(own * bright, 1.0), 1);
}`;

const LINES = `${COMMON}
uniform mat4 matrix;
layout(location = 0) in vec3 corner;
void main() { gl_Position = matrix * vec4(corner, 1); }`;

const INK = `${COMMON}
uniform vec3 ink;
out vec4 result;
void main() { result = vec4(ink, 1); }`;

const AXES = [[0.8, 0.28, 0.24], [0.2, 0.6, 0.32], [0.25, 0.45, 0.9]]; // D, H, W

class Scene {
  constructor(canvas) {
    const gl = canvas.getContext("webgl2", { antialias: false }); // it has an antialiased buffer of its own, to be used or not
    if (!gl) throw new Bad("This browser has no WebGL 2, which the page draws with; try another or a newer one", "VIEW_WEBGL");
    const card = gl.getExtension("WEBGL_debug_renderer_info");
    this.gl = gl;
    this.slow = Boolean(card) && /swiftshader|llvmpipe|software|basic render/i.test(gl.getParameter(card.UNMASKED_RENDERER_WEBGL));
    this.fine = null;
    this.quads = this.program(QUADS, SHADE);
    this.lines = this.program(LINES, INK);
    gl.enable(gl.DEPTH_TEST);
    gl.enable(gl.SCISSOR_TEST);
    gl.polygonOffset(1, 1); // lines on a face are in front of it
    gl.enable(gl.POLYGON_OFFSET_FILL);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
  }

  program(vertex, fragment) {
    const { gl } = this, made = gl.createProgram();
    for (const [kind, text] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      gl.attachShader(made, shader);
    }
    gl.linkProgram(made);
    if (!gl.getProgramParameter(made, gl.LINK_STATUS) && !gl.isContextLost()) {
      throw new Bad("The graphics card refused the drawing program; try another browser", "VIEW_WEBGL");
    }
    const places = {};
    for (let i = 0; i < gl.getProgramParameter(made, gl.ACTIVE_UNIFORMS); i++) {
      const { name } = gl.getActiveUniform(made, i);
      places[name] = gl.getUniformLocation(made, name);
    }
    return { made, places };
  }

  // A place for one grid; `put`, then `shape`, give it something to draw.
  slot() {
    const { gl } = this;
    return { quads: gl.createTexture(), levels: null, frame: gl.createBuffer(), starts: [], counts: [], shape: null };
  }

  free({ quads, levels, frame }) {
    for (const texture of [quads, levels]) this.gl.deleteTexture(texture);
    this.gl.deleteBuffer(frame);
  }

  // The grid that the shader looks into, and the lines around it.
  put(slot, levels, shape) {
    const { gl } = this, [d, h, w] = shape;
    gl.deleteTexture(slot.levels);
    slot.levels = gl.createTexture();
    slot.shape = shape;
    slot.counts = [];
    this.bind(gl.TEXTURE_3D, slot.levels);
    while (gl.getError() !== gl.NO_ERROR && !gl.isContextLost()); // of earlier calls
    slot.crowded = Math.max(...shape) <= gl.getParameter(gl.MAX_3D_TEXTURE_SIZE);
    if (slot.crowded) {
      gl.texImage3D(gl.TEXTURE_3D, 0, gl.R8UI, w, h, d, 0, gl.RED_INTEGER, gl.UNSIGNED_BYTE, levels);
      slot.crowded = gl.getError() === gl.NO_ERROR; // no room: drawn without
    }
    if (!slot.crowded) gl.texImage3D(gl.TEXTURE_3D, 0, gl.R8UI, 1, 1, 1, 0, gl.RED_INTEGER, gl.UNSIGNED_BYTE, new Uint8Array(1));
    const { lines, parts } = frameOf(shape);
    slot.parts = parts;
    gl.bindBuffer(gl.ARRAY_BUFFER, slot.frame);
    gl.bufferData(gl.ARRAY_BUFFER, lines, gl.STATIC_DRAW);
  }

  bind(kind, texture) {
    const { gl } = this;
    gl.activeTexture(kind === gl.TEXTURE_3D ? gl.TEXTURE1 : gl.TEXTURE0);
    gl.bindTexture(kind, texture);
    for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(kind, name, gl.NEAREST);
  }

  // The rectangles to draw, which `meshing` made.
  fill(slot, { quads }) {
    const { gl } = this, parts = quads.flatMap((one) => one.parts), rows = PART / ROW;
    this.bind(gl.TEXTURE_2D, slot.quads);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RG32UI, ROW, Math.max(1, rows * parts.length), 0, gl.RG_INTEGER, gl.UNSIGNED_INT, null);
    parts.forEach((part, i) => gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, rows * i, ROW, rows, gl.RG_INTEGER, gl.UNSIGNED_INT, part));
    slot.counts = quads.map((one) => one.count);
    let start = 0;
    slot.starts = quads.map((one) => { start += PART * one.parts.length; return start - PART * one.parts.length; });
  }

  // Whether these grids are to be drawn without antialiasing and crowding.
  plainly(slots) {
    return this.slow && slots.some((slot) => slot.counts.reduce((sum, count) => sum + count, 0) > HEAVY);
  }

  // Where antialiased pictures are drawn, as large as the canvas.
  antialiased() {
    const { gl } = this, { width, height } = gl.canvas;
    if (!this.fine) this.fine = { frame: gl.createFramebuffer(), colour: gl.createRenderbuffer(), depth: gl.createRenderbuffer() };
    if (this.fine.width !== width || this.fine.height !== height) {
      const { frame, colour, depth } = Object.assign(this.fine, { width, height });
      gl.bindFramebuffer(gl.FRAMEBUFFER, frame);
      for (const [place, format, use] of [[colour, gl.RGBA8, gl.COLOR_ATTACHMENT0], [depth, gl.DEPTH_COMPONENT24, gl.DEPTH_ATTACHMENT]]) {
        gl.bindRenderbuffer(gl.RENDERBUFFER, place);
        gl.renderbufferStorageMultisample(gl.RENDERBUFFER, SAMPLES, format, width, height);
        gl.framebufferRenderbuffer(gl.FRAMEBUFFER, use, gl.RENDERBUFFER, place);
      }
    }
    return this.fine.frame;
  }

  // Draw grids, each {slot, part, how}, on this background, red, green and blue from 0 to 1.
  paint(background, camera, grids) {
    const { gl } = this, { width, height } = gl.canvas, plain = this.plainly(grids.map((one) => one.slot));
    gl.bindFramebuffer(gl.FRAMEBUFFER, plain ? null : this.antialiased());
    this.begin(background);
    const own = (slot) => ({ paper: background, crowded: slot.crowded && !plain });
    for (const { slot, part, how } of grids) this.draw(slot, camera, part, { ...how, ...own(slot) });
    if (plain) return;
    gl.bindFramebuffer(gl.READ_FRAMEBUFFER, this.fine.frame);
    gl.bindFramebuffer(gl.DRAW_FRAMEBUFFER, null);
    gl.scissor(0, 0, width, height);
    gl.blitFramebuffer(0, 0, width, height, 0, 0, width, height, gl.COLOR_BUFFER_BIT, gl.NEAREST);
  }

  begin(background) {
    const { gl } = this, { width, height } = gl.canvas;
    gl.viewport(0, 0, width, height);
    gl.scissor(0, 0, width, height);
    gl.clearColor(...background, 1);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
  }

  // Draw a grid into a part of the canvas, {left, top, width, height, room, lower} in its pixels. `how`: low, high, least, colour, edges,
  // crowded, grid, axes, ink and paper as colours, and `line`, how many of the canvas's pixels a pixel of the page is.
  draw(slot, camera, part, how) {
    const { gl } = this, { shape } = slot, { left, top, width, height } = part, bottom = gl.canvas.height - top - height;
    gl.viewport(left, bottom, width, height);
    gl.scissor(left, bottom, width, height);
    const matrix = matrixOf(camera, shape, part), pixels = scaleOf(camera, shape, part.room);
    const empty = !slot.counts.some(Boolean), { made, places } = this.quads;
    gl.useProgram(made);
    this.bind(gl.TEXTURE_2D, slot.quads);
    this.bind(gl.TEXTURE_3D, slot.levels);
    gl.uniform1i(places.quads, 0);
    gl.uniform1i(places.levels, 1);
    gl.disableVertexAttribArray(0);
    gl.uniformMatrix4fv(places.matrix, false, matrix);
    gl.uniform1f(places.grow, 0.02 / pixels);
    gl.uniform3iv(places.low, how.low);
    gl.uniform3iv(places.high, how.high);
    gl.uniform3fv(places.towards, directions(camera).towards);
    gl.uniform3fv(places.size, shape);
    gl.uniform1f(places.pixels, pixels);
    gl.uniform1f(places.line, how.line);
    gl.uniform1i(places.colour, how.colour);
    gl.uniform1ui(places.least, how.least);
    gl.uniform1i(places.crowded, how.crowded);
    gl.uniform1i(places.there, slot.crowded);
    gl.uniform1i(places.edged, how.edges);
    slot.counts.forEach((count, direction) => {
      if (!count || !faces(camera, shape, direction)) return;
      const axis = direction >> 1, normal = [0, 0, 0];
      normal[axis] = direction & 1 ? 1 : -1;
      gl.uniform3fv(places.normal, normal);
      gl.uniform3i(places.axes, axis, INNER[axis], OUTER[axis]);
      gl.uniform3iv(places.along, [0, 1, 2].map((each) => Number(each === INNER[axis])));
      gl.uniform3iv(places.across, [0, 1, 2].map((each) => Number(each === OUTER[axis])));
      gl.uniform1f(places.light, brightness(camera, direction));
      gl.uniform1i(places.first, slot.starts[direction] + (direction & 1 ? count - 1 : 0));
      gl.uniform1i(places.step, direction & 1 ? -1 : 1);
      gl.drawArrays(gl.TRIANGLES, 0, 6 * count);
    });
    gl.useProgram(this.lines.made);
    gl.uniformMatrix4fv(this.lines.places.matrix, false, matrix);
    gl.bindBuffer(gl.ARRAY_BUFFER, slot.frame);
    gl.enableVertexAttribArray(0);
    gl.vertexAttribPointer(0, 3, gl.FLOAT, false, 12, 0);
    const lines = ([start, count], ink) => {
      gl.uniform3fv(this.lines.places.ink, ink);
      gl.drawArrays(gl.LINES, start, count);
    };
    if (how.axes) slot.parts.axes.forEach((one, axis) => lines(one, AXES[axis]));
    if (how.grid) lines(slot.parts.floor, how.ink.map((part, i) => 0.6 * part + 0.4 * how.paper[i])); // opaque: crossings stay even
    if (!how.grid && !empty) return;
    const { towards } = directions(camera), before = ({ at }) => at.every((end, axis) => end === null || end === Number(towards[axis] > 0));
    for (const one of slot.parts.bounds) {
      const axis = how.axes && !one.at.includes(1); // has its own colour
      if (!axis && (empty || !before(one))) lines(one.points, how.ink);
    }
  }
}

// Lines of a grid's three axes, its floor and its bounds: {lines: coordinates, parts: where each begins and how many points it has}.
function frameOf([d, h, w]) {
  const points = [], parts = {}, add = (...ends) => points.push(...ends.flat());
  const part = (make) => { const start = points.length / 3; make(); return [start, points.length / 3 - start]; };
  let step = 1;
  while (Math.max(d, h) / step > 16) step *= 2;
  const stops = (length) => [...Array(Math.ceil(length / step)).keys()].slice(1).map((i) => i * step); // its rim is the bounds' own
  parts.axes = [[d, 0, 0], [0, h, 0], [0, 0, w]].map((end) => part(() => add([0, 0, 0], end)));
  parts.floor = part(() => {
    for (const x of stops(d)) add([x, 0, 0], [x, h, 0]);
    for (const y of stops(h)) add([0, y, 0], [d, y, 0]);
  });
  parts.bounds = [];
  for (const axis of [0, 1, 2]) {
    for (const [a, b] of [[0, 0], [0, 1], [1, 0], [1, 1]]) { // `at`: at which end of the other axes; null of its own
      const at = [a, b].toSpliced(axis, 0, null), end = (own) => at.map((share, i) => (share === null ? own : share) * [d, h, w][i]);
      parts.bounds.push({ at, points: part(() => add(end(0), end(1))) });
    }
  }
  return { lines: new Float32Array(points), parts };
}
