// N videos on one clock. The clock counts frames; every video is sent to the middle of the same
// frame, and the next frame waits until all of them show it. So no video is ever ahead.

const COLORS = ["#3b82d6", "#e07b39", "#2fa37c", "#b265d6", "#c79a1b", "#d6506a", "#1fa3b8", "#8a8f98"];
const GREY = "#8a8f98";
const SPEEDS = [0.1, 0.25, 0.5, 1, 2, 4];
const ICONS = {
  first: "M2 2h2.5v12H2zM14 2v12L5.5 8z",
  back: "M12 2v12L3.5 8z",
  play: "M3 1.5v13L14 8z",
  pause: "M3 2h3.6v12H3zM9.4 2H13v12H9.4z",
  next: "M4 2v12l8.500-6z",
};
const players = new WeakMap();

export default function ({ parentElement, data }) {
  const root = parentElement.querySelector(".player");
  let player = players.get(root);
  if (!player || player.data.id !== data.id || player.failed) {
    player?.close();
    player = new Player(root, data);
    players.set(root, player);
  }
  return () => {
    player.close();
    players.delete(root);
  };
}

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function drawn(tag, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function icon(name) {
  const svg = drawn("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" });
  svg.append(drawn("path", { d: ICONS[name] }));
  return svg;
}

function written(value) {
  return value === null || value === undefined ? "–" : Number(value.toPrecision(3)).toString();
}

class Player {
  constructor(root, data) {
    this.root = root;
    this.data = data;
    this.frames = 0; // until the videos say how long they are
    this.wanted = 0;
    this.shown = -1;
    this.playing = false;
    this.speed = 1;
    root.replaceChildren();
    root.className = data.wide ? "player wide" : "player";
    root.style.setProperty("--videos", Math.max(2, data.videos.length));
    root.setAttribute("role", "group");
    root.setAttribute("aria-label", "Video player");
    root.append(this.makeVideos(), this.makePanels(), this.makeBar(), this.makeHint());
    if (data.wide) root.querySelector(".videos").after(root.querySelector(".bar"));
    this.onKey = (event) => this.key(event);
    root.addEventListener("keydown", this.onKey);
  }

  close() {
    this.pause();
    this.root.removeEventListener("keydown", this.onKey);
    for (const video of this.videos) {
      video.removeAttribute("src"); // frees what was decoded
      video.load();
    }
  }

  // --- Parts

  makeVideos() {
    const box = element("div", { class: "videos" });
    this.videos = this.data.videos.map(({ label, url }) => {
      const video = element("video", { preload: "auto", playsinline: "", "aria-label": label });
      video.muted = true;
      video.addEventListener("loadeddata", () => this.loaded());
      video.addEventListener("seeked", () => this.pump());
      video.addEventListener("error", () => this.problem(label, video));
      video.src = url;
      box.append(element("figure", {}, element("figcaption", {}, element("b", {}, label)), video));
      return video;
    });
    return box;
  }

  makePanels() {
    const box = element("div", { class: "panels" });
    this.panels = this.data.panels.map((panel) => {
      const caption = element("figcaption", {}, element("b", {}, panel.title));
      const plot = element("div", { class: "plot" });
      box.append(element("figure", {}, caption, plot));
      return { ...panel, caption, plot };
    });
    return box;
  }

  makeBar() {
    const bar = element("div", { class: "bar" });
    const button = (name, label, act, kind = "") => {
      const made = element("button", { type: "button", "aria-label": label, title: label, class: kind }, icon(name));
      made.addEventListener("click", act);
      bar.append(made);
      return made;
    };
    button("first", "To the first frame", () => this.jump(0));
    button("back", "One frame back", () => this.jump(this.wanted - 1));
    this.button = button("play", "Play", () => this.toggle(), "play");
    button("next", "One frame on", () => this.jump(this.wanted + 1));
    const speed = element("select", { "aria-label": "Speed", title: "Speed" });
    for (const s of SPEEDS) speed.append(element("option", { value: s }, `${s}×`));
    speed.value = "1";
    speed.addEventListener("change", () => (this.speed = Number(speed.value)));
    this.slider = element("input", { type: "range", min: 0, max: 0, value: 0, "aria-label": "Frame" });
    this.slider.addEventListener("input", () => this.jump(Number(this.slider.value)));
    this.told = element("output", {}, "loading");
    bar.append(speed, this.slider, this.told);
    return bar;
  }

  makeHint() {
    return element("div", { class: "hint" }, "Keys: space plays and pauses, ← → step, Home and End jump. Drag on a curve to look at that moment.");
  }

  // --- Once the videos are there

  loaded() {
    if (this.frames || this.videos.some((v) => v.readyState < 2)) return;
    this.frames = Math.max(1, ...[Math.min(...this.videos.map((v) => Math.round(v.duration * this.data.fps)))]);
    this.slider.max = this.frames - 1;
    this.panels.forEach((panel) => this.drawPanel(panel));
    const start = this.data.start || 0;
    this.want(start < 0 ? this.frames + start : start);
    const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (this.data.autoplay && !still) this.play();
  }

  drawPanel(panel) {
    const known = panel.lines.flatMap((l) => l.values).filter((v) => v !== null);
    let [least, most] = [Math.min(...known), Math.max(...known)];
    if (!known.length) [least, most] = [0, 1];
    if (most === least) [least, most] = [least - 0.5, most + 0.5];
    const width = Math.max(this.frames - 1, 1);
    const svg = drawn("svg", { viewBox: `0 0 ${width} 1`, preserveAspectRatio: "none", "aria-hidden": "true" });
    panel.keys = panel.lines.map((line, n) => {
      const color = line.dashed ? GREY : COLORS[n % COLORS.length];
      let points = [];
      const flush = () => {
        if (points.length) svg.append(drawn("polyline", { points: points.join(" "), stroke: color, class: line.dashed ? "dashed" : "" }));
        points = [];
      };
      line.values.forEach((v, i) => {
        if (v === null) flush();
        else points.push(`${i + panel.offset},${1 - (v - least) / (most - least)}`);
      });
      flush();
      const value = element("span", {}, "–");
      const mark = element("i", { style: `color: ${color}` });
      const key = element("span", { class: line.dashed ? "key dashed" : "key" }, mark, `${line.label} `, value);
      panel.caption.append(key);
      return { values: line.values, value };
    });
    panel.marker = drawn("line", { x1: 0, x2: 0, y1: 0, y2: 1, class: "marker" });
    svg.append(panel.marker);
    panel.plot.append(svg, element("span", { class: "limit most" }, written(most)), element("span", { class: "limit least" }, written(least)));
    const scrub = (event) => {
      const box = panel.plot.getBoundingClientRect();
      this.jump(Math.round(((event.clientX - box.left) / box.width) * (this.frames - 1)));
    };
    panel.plot.addEventListener("pointerdown", (event) => {
      panel.plot.setPointerCapture(event.pointerId);
      scrub(event);
    });
    panel.plot.addEventListener("pointermove", (event) => event.buttons && scrub(event));
  }

  problem(label, video) {
    if (!video.hasAttribute("src")) return;
    this.failed = true; // the next redraw of the page brings a fresh address
    const told = `The video “${label}” could not be loaded (${video.error?.message || "no reason given"}). Reload the page for a fresh address.`;
    this.told.textContent = "";
    this.root.append(element("div", { class: "problem", role: "alert" }, told));
  }

  // --- The clock

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  play() {
    if (!this.frames) return;
    if (this.wanted >= this.frames - 1) this.wanted = 0;
    this.playing = true;
    this.setButton("pause", "Pause");
    let [last, at] = [performance.now(), this.wanted];
    const tick = (now) => {
      if (!this.playing) return;
      if (Math.floor(at) !== this.wanted) at = this.wanted; // somebody scrubbed
      at += ((now - last) / 1000) * this.data.fps * this.speed;
      last = now;
      if (at >= this.frames) at = 0;
      this.want(Math.floor(at));
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }

  pause() {
    this.playing = false;
    if (this.button) this.setButton("play", "Play");
  }

  setButton(name, label) {
    this.button.replaceChildren(icon(name));
    this.button.setAttribute("aria-label", label);
    this.button.title = label;
  }

  jump(frame) {
    this.pause();
    this.want(frame);
  }

  want(frame) {
    this.wanted = Math.min(Math.max(frame, 0), Math.max(this.frames - 1, 0));
    this.pump();
  }

  pump() {
    if (!this.frames || this.wanted === this.shown || this.videos.some((v) => v.seeking)) return;
    this.shown = this.wanted;
    for (const video of this.videos) video.currentTime = (this.shown + 0.5) / this.data.fps;
    this.slider.value = this.shown;
    this.slider.setAttribute("aria-valuetext", `frame ${this.shown} of ${this.frames - 1}`);
    this.told.textContent = `${this.shown} / ${this.frames - 1} · ${(this.shown / this.data.fps).toFixed(1)} s`;
    for (const panel of this.panels) {
      panel.marker.setAttribute("x1", this.shown);
      panel.marker.setAttribute("x2", this.shown);
      for (const { values, value } of panel.keys) {
        value.textContent = `${written(values[this.shown - panel.offset])}${panel.unit ? ` ${panel.unit}` : ""}`;
      }
    }
  }

  key(event) {
    const on = event.composedPath()[0].tagName;
    const moves = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };
    if (event.key === " " && on !== "BUTTON" && on !== "SELECT") this.toggle();
    else if (event.key in moves && on !== "SELECT" && on !== "INPUT") this.jump(this.wanted + moves[event.key]);
    else return;
    event.preventDefault();
  }
}
