// The renderer: a surface, its contour lines on a floor below, and lines and discs, by WebGL 2.

import { TALL } from "./mesh.js";

export const FLOOR = -0.2; // of the floor below the lowest value, the longer horizontal side being 1
const LEVEL_STEPS = 1024; // of the table of contour lines

const SURFACE_VERTEX = `#version 300 es
layout(location = 0) in vec2 at;
layout(location = 1) in vec4 now;
layout(location = 2) in vec4 before;
uniform mat4 view;
uniform float share, tall, flatness, level;
out float value, pale;
out vec3 normal, place;
void main() {
  vec4 heights = mix(before, now, share);
  value = heights.x;
  pale = now.w;
  normal = vec3(-heights.yz, 1.0);
  place = vec3(at, mix(heights.x * tall, level, flatness));
  gl_Position = view * vec4(place, 1.0);
}`;

// Contour lines are as wide wherever they run, by the value's change from pixel to pixel; where they come
// closer than a few pixels they fade. `nearest` holds the nearest level and how far its neighbour is.
const SURFACE_FRAGMENT = `#version 300 es
precision highp float;
in float value, pale;
in vec3 normal, place;
uniform sampler2D colors, nearest;
uniform vec3 lamp, fill, eye, ground, bad;
uniform float flatness, thickness, ink, unknown;
out vec4 color;
void main() {
  float v = clamp(value, 0.0, 1.0);
  vec3 base = texture(colors, vec2(v * (255.0 / 256.0) + 0.5 / 256.0, 0.5)).rgb;
  float change = max(length(vec2(dFdx(value), dFdy(value))), 1e-7);
  vec2 level = texelFetch(nearest, ivec2(int(v * ${LEVEL_STEPS - 1}.0 + 0.5), 0), 0).rg;
  float line = 1.0 - smoothstep(thickness * 0.5 - 0.5, thickness * 0.5 + 0.5, abs(value - level.x) / change);
  line *= smoothstep(2.5, 7.0, level.y / change);
  if (unknown > 0.5) { // on the floor alone, hatched: the surface has a hole there
    float stripe = mod(gl_FragCoord.x - gl_FragCoord.y, 8.0 * thickness);
    color = vec4(mix(bad, ground, 1.0 - smoothstep(1.2 * thickness, 2.0 * thickness, stripe)), 1.0);
    return;
  }
  if (flatness > 0.5) {
    vec3 deep = mix(base, ground, 0.12);
    color = vec4(mix(mix(base, ground, 0.72), deep, line), 1.0);
    return;
  }
  vec3 n = normalize(normal), toEye = normalize(eye - place);
  bool under = dot(n, toEye) < 0.0;
  if (under) n = -n;
  vec3 light = pow(base, vec3(2.2));
  float key = max(dot(n, lamp), 0.0), soft = max(dot(n, fill), 0.0), sky = 0.5 + 0.5 * n.z;
  float shine = pow(max(dot(n, normalize(lamp + toEye)), 0.0), 36.0);
  light = light * (0.40 + 0.26 * sky + 0.66 * key + 0.20 * soft) + 0.05 * shine;
  if (under) light = mix(light, vec3(dot(light, vec3(0.33))), 0.35) * 0.7;
  vec3 shade = pow(min(light, vec3(1.0)), vec3(1.0 / 2.2));
  float bright = dot(base, vec3(0.3, 0.6, 0.1));
  shade = mix(shade, bright > 0.42 ? vec3(0.0) : vec3(1.0), ink * line);
  color = vec4(mix(shade, ground, 0.5 * pale), 1.0);
}`;

// A line or, where both ends are one, a disc: a rectangle on the screen, cut round by its distance.
const LINE_VERTEX = `#version 300 es
layout(location = 0) in vec2 corner;
layout(location = 1) in vec3 from;
layout(location = 2) in vec3 to;
layout(location = 3) in vec4 tint;
layout(location = 4) in float width;
uniform mat4 view;
uniform vec2 size;
uniform float nearer;
out vec2 spot;
flat out float span, radius;
flat out vec4 paint;
void main() {
  vec4 a = view * vec4(from, 1.0), b = view * vec4(to, 1.0);
  vec2 p = a.xy / a.w * size * 0.5, q = b.xy / b.w * size * 0.5;
  vec2 along = q - p;
  span = length(along);
  along = span > 1e-3 ? along / span : vec2(1.0, 0.0);
  radius = width * 0.5;
  float reach = radius + 1.0;
  spot = vec2(mix(-reach, span + reach, corner.x), reach * corner.y);
  vec2 pixel = p + along * spot.x + vec2(-along.y, along.x) * spot.y;
  float deep = mix(a.z / a.w, b.z / b.w, corner.x) - nearer;
  paint = tint;
  gl_Position = vec4(pixel / size * 2.0, deep, 1.0);
}`;

const LINE_FRAGMENT = `#version 300 es
precision highp float;
in vec2 spot;
flat in float span, radius;
flat in vec4 paint;
uniform float strength;
out vec4 color;
void main() {
  float distance = length(vec2(spot.x - clamp(spot.x, 0.0, span), spot.y));
  float cover = clamp(radius + 0.5 - distance, 0.0, 1.0) * min(1.0, 2.0 * radius);
  if (cover <= 0.0) discard;
  color = vec4(paint.rgb, paint.a * cover * strength);
}`;

// Whether WebGL runs without a graphics processor: then the picture is made a little coarser.
function inSoftware() {
  const gl = document.createElement("canvas").getContext("webgl2");
  const names = gl?.getExtension("WEBGL_debug_renderer_info");
  const name = names ? gl.getParameter(names.UNMASKED_RENDERER_WEBGL) : "";
  gl?.getExtension("WEBGL_lose_context")?.loseContext();
  return /swiftshader|llvmpipe|softpipe|software|basic render/i.test(name);
}

export class Scene {
  // Throws where the browser has no WebGL 2.
  constructor(canvas) {
    this.canvas = canvas;
    this.software = inSoftware();
    const gl = canvas.getContext("webgl2", { antialias: !this.software, alpha: false });
    if (!gl) throw new Error("no WebGL 2");
    this.gl = gl;
    this.setUp();
  }

  setUp() {
    const gl = this.gl;
    this.surface = this.program(SURFACE_VERTEX, SURFACE_FRAGMENT);
    this.line = this.program(LINE_VERTEX, LINE_FRAGMENT);
    this.buffers = Object.fromEntries(
      ["at", "now", "before", "index", "corners", "lines"].map((name) => [name, gl.createBuffer()]));
    this.arrays = { mesh: gl.createVertexArray(), lines: gl.createVertexArray() };
    this.count = this.bad = this.lineCount = 0;
    this.attributes(this.arrays.mesh, [["at", 0, 2, 0, 0], ["now", 1, 4, 0, 0], ["before", 2, 4, 0, 0]]);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this.buffers.index);
    this.attributes(this.arrays.lines, [["corners", 0, 2, 0, 0], ["lines", 1, 3, 44, 0], ["lines", 2, 3, 44, 12],
      ["lines", 3, 4, 44, 24], ["lines", 4, 1, 44, 40]]);
    for (const location of [1, 2, 3, 4]) gl.vertexAttribDivisor(location, 1);
    gl.bindVertexArray(null);
    this.fill("corners", Float32Array.from([0, -1, 1, -1, 0, 1, 1, 1]));
    this.colors = gl.createTexture();
    this.levels = gl.createTexture();
    gl.enable(gl.DEPTH_TEST);
    gl.blendFunc(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA);
  }

  program(vertex, fragment) {
    const gl = this.gl, program = gl.createProgram();
    for (const [type, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
      const shader = gl.createShader(type);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost()) {
      throw new Error(gl.getProgramInfoLog(program));
    }
    const places = new Map();
    program.at = (name) => {
      if (!places.has(name)) places.set(name, gl.getUniformLocation(program, name));
      return places.get(name);
    };
    return program;
  }

  attributes(array, list) {
    const gl = this.gl;
    gl.bindVertexArray(array);
    for (const [buffer, location, size, stride, offset] of list) {
      gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[buffer]);
      gl.enableVertexAttribArray(location);
      gl.vertexAttribPointer(location, size, gl.FLOAT, false, stride, offset);
    }
  }

  fill(name, data) {
    const gl = this.gl;
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[name]);
    gl.bufferData(gl.ARRAY_BUFFER, data, gl.DYNAMIC_DRAW);
  }

  setColors(bytes) {
    const gl = this.gl;
    this.bind(0, this.colors, gl.LINEAR);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGB, bytes.length / 3, 1, 0, gl.RGB, gl.UNSIGNED_BYTE, bytes);
  }

  // `levels`: positions of the contour lines, ascending
  setLevels(levels) {
    const gl = this.gl, table = new Float32Array(2 * LEVEL_STEPS).fill(-9);
    for (let n = 0; levels.length && n < LEVEL_STEPS; n++) {
      const value = n / (LEVEL_STEPS - 1);
      const at = levels.reduce((best, level, i) => (Math.abs(level - value) < Math.abs(levels[best] - value) ? i : best), 0);
      const beside = [levels[at - 1], levels[at + 1]].map((level) => Math.abs((level ?? 9) - levels[at]));
      table.set([levels[at], Math.min(...beside)], 2 * n);
    }
    this.bind(1, this.levels, gl.NEAREST);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RG32F, LEVEL_STEPS, 1, 0, gl.RG, gl.FLOAT, table);
  }

  bind(unit, texture, filter) {
    const gl = this.gl;
    gl.activeTexture(gl.TEXTURE0 + unit);
    gl.bindTexture(gl.TEXTURE_2D, texture);
    for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, name, filter);
    for (const name of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, name, gl.CLAMP_TO_EDGE);
  }

  // `before`: the mesh that this one grows out of, of the same grid; or null
  setMesh(mesh, before) {
    const gl = this.gl;
    this.fill("at", mesh.at);
    this.fill("now", mesh.heights);
    this.fill("before", (before ?? mesh).heights);
    gl.bindVertexArray(this.arrays.mesh);
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, mesh.index, gl.DYNAMIC_DRAW);
    gl.bindVertexArray(null);
    this.count = mesh.index.length;
    this.bad = mesh.bad;
  }

  // `numbers`: of each line 11: from, to, red, green, blue, alpha, width in pixels. The first `behind`
  // of them are hidden by the surface, the others shine through it.
  setLines(numbers, behind) {
    this.fill("lines", Float32Array.from(numbers));
    this.lineCount = numbers.length / 11;
    this.behind = behind;
  }

  // `look`: view (matrix), eye, lamp, fill, ground and bad (colours), share, thickness
  draw(look) {
    const gl = this.gl, { width, height } = this.canvas;
    gl.viewport(0, 0, width, height);
    gl.clearColor(...look.ground, 1);
    gl.depthMask(true);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    this.drawSurface(look, 0);
    this.drawSurface(look, 1);
    this.drawLines(look, 0, this.behind, 1);
    gl.depthFunc(gl.GREATER); // what the surface hides shows through faintly
    this.drawLines(look, this.behind, this.lineCount, 0.2);
    gl.depthFunc(gl.LESS);
    this.drawLines(look, this.behind, this.lineCount, 1);
  }

  drawSurface(look, flatness) {
    const gl = this.gl, program = this.surface;
    gl.useProgram(program);
    gl.disable(gl.BLEND);
    gl.depthMask(true);
    gl.uniformMatrix4fv(program.at("view"), false, look.view);
    for (const name of ["eye", "lamp", "fill", "ground", "bad"]) gl.uniform3fv(program.at(name), look[name]);
    gl.uniform1i(program.at("colors"), 0);
    gl.uniform1i(program.at("nearest"), 1);
    for (const [name, value] of Object.entries({
      share: look.share, tall: TALL, flatness, level: FLOOR, thickness: look.thickness, ink: 0.36 })) {
      gl.uniform1f(program.at(name), value);
    }
    gl.bindVertexArray(this.arrays.mesh);
    for (const [unknown, from, count] of [[0, 0, this.count - this.bad], [1, this.count - this.bad, this.bad]]) {
      gl.uniform1f(program.at("unknown"), unknown);
      if (count && (flatness || !unknown)) gl.drawElements(gl.TRIANGLES, count, gl.UNSIGNED_INT, 4 * from);
    }
    gl.bindVertexArray(null);
  }

  drawLines(look, first, last, strength) {
    if (last <= first) return;
    const gl = this.gl, program = this.line;
    gl.useProgram(program);
    gl.enable(gl.BLEND);
    gl.depthMask(false);
    gl.uniformMatrix4fv(program.at("view"), false, look.view);
    gl.uniform2f(program.at("size"), this.canvas.width, this.canvas.height);
    gl.uniform1f(program.at("nearer"), first >= this.behind ? 0.0015 : 0);
    gl.uniform1f(program.at("strength"), strength);
    gl.bindVertexArray(this.arrays.lines);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers.lines);
    for (const [location, size, offset] of [[1, 3, 0], [2, 3, 12], [3, 4, 24], [4, 1, 40]]) {
      gl.vertexAttribPointer(location, size, gl.FLOAT, false, 44, 44 * first + offset);
    }
    gl.drawArraysInstanced(gl.TRIANGLE_STRIP, 0, 4, last - first);
    gl.bindVertexArray(null);
  }
}
