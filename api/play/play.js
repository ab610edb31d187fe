// Drive a world in the browser: one WebSocket, one or two sessions, one step at a time.
// What is shown is always the newest frame that has come; the next step is sent when it is due and
// the frame of the last one is here, so a slow model is slow and never behind.

const API = "/api/v1";
const KEEP = "foglab-token";
const DEAD_ZONE = 0.15;
const GENTLE = 0.3;
const DRAG = 0.28; // of the picture's side: full action
const $ = (id) => document.getElementById(id);
const number = (v, digits = 2) => (Number.isFinite(v) ? v.toFixed(digits).replace("-", "−") : "–");

class Refused extends Error {
  constructor(status, title, detail) {
    super([title, detail].filter(Boolean).join(": "));
    this.status = status;
  }
}

// --- The service

class Service {
  constructor(token) {
    this.token = token;
    this.waiting = new Map();
    this.next = 1;
  }

  async get(path) {
    return this.call("GET", path);
  }

  async call(method, path) {
    let response;
    try {
      response = await fetch(API + path, { method, headers: { Authorization: `Bearer ${this.token}` } });
    } catch {
      throw new Refused(0, "The service does not answer");
    }
    const body = await response.json().catch(() => ({}));
    if (!response.ok) throw new Refused(response.status, body.title ?? `Answer ${response.status}`, body.detail);
    return body;
  }

  async connect(closed) {
    const { url } = await this.call("POST", "/sim/ticket");
    const address = new URL(url, location.href);
    address.protocol = address.protocol.replace("http", "ws");
    const socket = new WebSocket(address);
    socket.binaryType = "arraybuffer";
    await new Promise((resolve, reject) => {
      socket.addEventListener("open", resolve, { once: true });
      socket.addEventListener("close", () => reject(new Refused(0, "The service does not answer")), { once: true });
    });
    socket.addEventListener("message", (event) => this.hear(event.data));
    socket.addEventListener("close", (event) => {
      if (this.socket !== socket) return;
      this.socket = null;
      for (const { reject } of this.waiting.values()) reject(new Refused(0, "The connection was lost"));
      this.waiting.clear();
      closed(event.reason);
    });
    this.socket = socket;
  }

  ask(op, fields) {
    if (!this.socket) return Promise.reject(new Refused(0, "Not connected"));
    const id = this.next++;
    this.socket.send(JSON.stringify({ id, op, ...fields }));
    return new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject }));
  }

  hear(data) {
    const length = new DataView(data).getUint32(0);
    const header = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
    const waits = this.waiting.get(header.id);
    if (!waits) return;
    this.waiting.delete(header.id);
    const { error } = header;
    if (error) waits.reject(new Refused(error.status, error.title, error.detail));
    else waits.resolve({ ...header, pixels: new Uint8Array(data, 4 + length) });
  }
}

// --- What the person does

class Hands {
  constructor(canvas, pressed) {
    this.keys = new Set();
    this.drag = null;
    this.changedAt = 0;
    this.pressed = pressed;
    this.buttons = [];
    addEventListener("keydown", (event) => this.key(event, true));
    addEventListener("keyup", (event) => this.key(event, false));
    addEventListener("blur", () => this.keys.clear());
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      canvas.focus({ preventScroll: true });
      this.from = [event.clientX, event.clientY];
      this.move(event, canvas);
    });
    canvas.addEventListener("pointermove", (event) => this.drag && this.move(event, canvas));
    for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) {
      canvas.addEventListener(name, () => this.drag && this.changed(() => (this.drag = null)));
    }
  }

  changed(change) {
    change();
    if (!this.changedAt) this.changedAt = performance.now();
  }

  move(event, canvas) {
    const reach = canvas.getBoundingClientRect().width * DRAG;
    const [x, y] = [event.clientX - this.from[0], event.clientY - this.from[1]].map((d) => d / reach);
    const far = Math.max(1, Math.hypot(x, y));
    this.changed(() => (this.drag = [x / far, y / far]));
  }

  key(event, down) {
    const typing = event.target.matches?.("input:not([type=range], [type=checkbox]), select, textarea");
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    const key = { w: "up", arrowup: "up", s: "down", arrowdown: "down", a: "left", arrowleft: "left", d: "right", arrowright: "right" }[event.key.toLowerCase()];
    const onRange = event.target.matches?.("input[type=range]");
    this.gentle = event.shiftKey;
    if (key && !onRange) {
      event.preventDefault();
      if (down !== this.keys.has(key)) this.changed(() => (down ? this.keys.add(key) : this.keys.delete(key)));
    } else if (down && !event.repeat && this.pressed(event.key, event.target)) event.preventDefault();
  }

  // Screen directions, right and down positive; null when nothing is touched.
  direction() {
    const pad = this.gamepad();
    if (this.drag) return this.drag;
    if (this.keys.size) {
      const size = this.gentle ? GENTLE : 1;
      const axis = (low, high) => (this.keys.has(high) - this.keys.has(low)) * size;
      return [axis("left", "right"), axis("up", "down")];
    }
    return pad;
  }

  gamepad() {
    const found = [...(navigator.getGamepads?.() ?? [])].find((p) => p?.connected);
    if (!found) return null;
    const now = found.buttons.map((b) => b.pressed);
    const keys = { 0: "e", 1: "Enter", 3: "m", 9: "." };
    for (const [n, key] of Object.entries(keys)) if (now[n] && !this.buttons[n]) this.pressed(key, document.body);
    this.buttons = now;
    const axes = found.axes.slice(0, 2).map((a) => (Math.abs(a) < DEAD_ZONE ? 0 : a));
    return axes.some(Boolean) ? axes : null;
  }
}

// --- One picture

class Stage {
  constructor(figure) {
    this.figure = figure;
    this.canvas = figure.querySelector("canvas");
    this.context = this.canvas.getContext("2d");
  }

  show(reply, horizon) {
    const [height, width] = reply.shape;
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    const image = this.context.createImageData(width, height);
    for (let i = 0, o = 0; i < reply.pixels.length; i += 3, o += 4) {
      image.data[o] = reply.pixels[i];
      image.data[o + 1] = reply.pixels[i + 1];
      image.data[o + 2] = reply.pixels[i + 2];
      image.data[o + 3] = 255;
    }
    this.context.putImageData(image, 0, 0);
    const words = { model: "World model", simulator: "True simulator" };
    this.figure.querySelector(".world").textContent = words[reply.world];
    this.figure.querySelector(".count").textContent = `${reply.t} / ${horizon} · ${number(reply.return, 1)}`;
  }
}

// --- The page

class Page {
  constructor(service) {
    this.service = service;
    this.stages = [new Stage($("stage-0")), new Stage($("stage-1"))];
    this.sessions = [];
    this.query = new URLSearchParams(location.search);
    this.world = "model";
    this.driver = "human";
    this.running = false;
    this.recording = false;
    this.line = Promise.resolve();
    this.rewards = [];
    this.times = [];
    this.hands = new Hands(this.stages[0].canvas, (key, target) => this.key(key, target));
    this.wire();
  }

  async open() {
    const list = async (kind) => (await this.service.get(`/models?kind=${kind}&limit=200`)).items;
    const [models, policies] = await Promise.all([list("global_model"), list("policy")]);
    if (!models.length) {
      this.tell("bad", "No global model yet: train one first");
      return;
    }
    const when = (m) => new Date(m.created_at).toLocaleDateString();
    const fill = (select, items, wanted) => {
      for (const m of items) select.append(new Option(`${m.name} · ${when(m)} · ${m.id.slice(-6)}`, m.id));
      if (items.some((m) => m.id === wanted)) select.value = wanted;
    };
    fill($("model"), models, this.query.get("model"));
    $("policy").append(new Option("none", ""));
    fill($("policy"), policies, this.query.get("policy"));
    if (!this.query.has("policy") && policies.length) $("policy").value = policies[0].id;
    if (this.query.has("seed")) $("seed").value = this.query.get("seed");
    if (["simulator", "both"].includes(this.query.get("world"))) this.world = this.query.get("world");
    if (this.query.get("driver") === "policy" && $("policy").value) this.driver = "policy";
    await this.connect();
    this.loop();
    if (this.query.has("autoplay")) this.setRunning(true);
  }

  async connect() {
    this.tell("", "connecting");
    await this.service.connect((reason) => this.lost(reason));
    this.sessions = [];
    await this.choose();
  }

  lost(reason) {
    this.setRunning(false);
    this.sessions = [];
    this.curtain("The connection was lost", reason || "trying again");
    this.tell("bad", "not connected");
    const retry = async () => {
      try {
        await this.connect();
      } catch (error) {
        if (error.status === 401 || error.status === 403) signOut(error.message);
        else setTimeout(retry, 2000);
      }
    };
    setTimeout(retry, 800);
  }

  // Another model or policy: look at it, and start.
  async choose() {
    await this.guarded(async () => {
      const { model } = await this.service.get(`/sim/info?model=${$("model").value}`);
      this.model = model;
      for (const button of document.querySelectorAll("[data-world]")) {
        button.disabled = button.dataset.world !== "model" && !model.task;
      }
      if (!model.task) this.world = "model";
      $("start").querySelector("[value=simulator]").disabled = !model.task;
      $("episode").max = model.episodes - 1;
      $("told").textContent = `${model.image_shape[0]} px, ${model.action_dim} actions, ${number(model.fps, 0)} Hz`;
      this.makeSliders();
      await this.start();
    });
  }

  async start(seed) {
    const worlds = this.world === "both" ? ["model", "simulator"] : [this.world];
    for (const old of this.sessions.splice(worlds.length)) this.service.ask("close", { session_id: old.id }).catch(() => {});
    $("stage-1").hidden = worlds.length < 2;
    if (this.world !== "model") $("start").value = "simulator";
    const typed = $("seed").value === "" ? undefined : Number($("seed").value);
    const chosen = typed ?? seed ?? Math.floor(Math.random() * 2 ** 31);
    const policy = $("policy").value || null;
    const replies = await Promise.all(
      worlds.map((world, n) => {
        const asked = { model: this.model.id, world, policy, max_steps: this.horizon(), seed: chosen, record: this.recording && n === 0 };
        Object.assign(asked, this.startOf(world));
        if (this.sessions[n]) asked.session_id = this.sessions[n].id;
        return this.service.ask("reset", asked).catch((error) => {
          if (asked.session_id && [404, 410].includes(error.status)) {
            delete asked.session_id;
            return this.service.ask("reset", asked);
          }
          throw error;
        });
      }),
    );
    this.sessions = replies.map((reply) => ({ id: reply.session_id, ended: false }));
    this.seed = replies[0].seed;
    this.rewards = [];
    replies.forEach((reply, n) => this.stages[n].show(reply, this.horizon()));
    this.showRecording(replies[0].recorded);
    this.figures(replies[0]);
    this.curtain(this.running ? "" : "Paused", "Press Play, or . on the keyboard");
    this.tell("good", this.running ? "playing" : "ready");
    this.draw();
    this.pressed();
  }

  startOf(world) {
    const start = $("start").value;
    if (world === "simulator") return { start: "simulator", episode: null };
    if (start === "episode" && this.world !== "both") {
      const frame = $("frame").value === "" ? null : Number($("frame").value);
      return { start: "dataset", episode: Number($("episode").value), frame };
    }
    return { start: this.world === "both" || start === "simulator" ? "simulator" : "dataset" };
  }

  // --- Steps

  async loop() {
    let due = performance.now();
    for (;;) {
      const seconds = this.interval();
      const wait = due - performance.now();
      if (wait > 1 || !this.running || !this.sessions.length) {
        await new Promise((resolve) => setTimeout(resolve, this.running ? Math.min(wait, 20) : 30));
        if (!this.running) {
          due = performance.now();
          this.hands.gamepad();
        }
        continue;
      }
      due = Math.max(due + seconds * 1000, performance.now() - 50);
      await this.queued(() => this.running && this.step());
    }
  }

  interval() {
    const chosen = $("speed").value;
    if (chosen === "data") return 1 / this.model.fps;
    return Number(chosen) ? 1 / Number(chosen) : 0;
  }

  async step() {
    if (!this.sessions.length) return;
    if (this.sessions[0].ended) {
      await this.start();
      return;
    }
    const inputAt = this.hands.changedAt;
    this.hands.changedAt = 0;
    const action = this.driver === "policy" ? null : this.action();
    const live = this.sessions.filter((s) => !s.ended);
    const replies = await Promise.all(live.map((s) => this.service.ask("step", { session_id: s.id, action })));
    replies.forEach((reply, n) => {
      const session = live[n];
      session.ended = reply.terminated || reply.truncated;
      this.stages[this.sessions.indexOf(session)]?.show(reply, this.horizon());
    });
    const first = replies[0];
    this.rewards.push(first.reward);
    const now = performance.now();
    this.times = [...this.times.filter((t) => now - t < 2000), now];
    if (inputAt && this.driver === "human") $("latency").textContent = `${number(now - inputAt, 0)} ms`;
    this.showRecording(first.recorded);
    this.figures(first);
    this.draw();
    if (this.sessions[0].ended) await this.over(first);
  }

  async over(reply) {
    if ($("again").checked && this.running) {
      await this.start();
      return;
    }
    this.setRunning(false);
    const why = reply.terminated ? "The episode ended" : `${reply.t} steps are over`;
    this.curtain(why, `Return ${number(reply.return)} · Enter plays another`);
  }

  // Numbers in [-1, 1]: the first two by hand, what the hand does not touch as the sliders hold it.
  action() {
    const values = this.sliders.map(({ held }) => held);
    const direction = this.hands.direction();
    if (direction) {
      const [x, y] = direction;
      const turned = $("axes").value === "drive" ? [-y, -x] : [x, y];
      turned.slice(0, values.length).forEach((v, n) => (values[n] = v));
    }
    return values;
  }

  // One after the other: a step that is asked for during a reset belongs to the new episode.
  queued(work) {
    this.line = this.line.then(() => this.guarded(work));
    return this.line;
  }

  async guarded(work) {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (error.status === 401) {
        signOut(error.message);
        return;
      }
      this.setRunning(false);
      const gone = [404, 410].includes(error.status);
      if (gone) this.sessions = [];
      this.curtain(error.message, gone ? "Enter starts anew" : "");
      this.tell("bad", error.message);
    }
  }

  // --- What is shown

  tell(kind, text) {
    $("status").className = `status ${kind}`;
    $("status").querySelector("span").textContent = text;
  }

  curtain(title, text = "") {
    const box = this.stages[0].figure.querySelector(".curtain");
    box.hidden = !title;
    box.querySelector("b").textContent = title;
    box.querySelector("span").textContent = text;
  }

  figures(reply) {
    $("reward").textContent = number(reply.reward);
    $("return").textContent = number(reply.return);
    const span = (this.times.at(-1) - this.times[0]) / 1000;
    $("rate").textContent = this.times.length > 2 ? number((this.times.length - 1) / span, 1) : "–";
    const action = reply.action ?? this.sliders.map(() => 0);
    this.sliders.forEach(({ input, output }, n) => {
      output.textContent = number(action[n]);
      if (!input.matches(":active")) input.value = action[n];
    });
    const drive = $("axes").value === "drive";
    const [x, y] = drive ? [-(action[1] ?? 0), -action[0]] : [action[0], action[1] ?? 0];
    const pad = this.stages[0].figure.querySelector(".pad");
    pad.querySelector("line").setAttribute("x2", x);
    pad.querySelector("line").setAttribute("y2", y);
    pad.querySelector(".dot").setAttribute("cx", x);
    pad.querySelector(".dot").setAttribute("cy", y);
  }

  showRecording(recorded) {
    const { figure } = this.stages[0];
    figure.querySelector(".rec").hidden = !recorded;
    $("record").setAttribute("aria-pressed", String(Boolean(recorded)));
    if (!recorded || this.savedNow) return;
    const full = recorded.full ? "; it is full" : "";
    $("recorded").textContent = `${recorded.episodes} episodes, ${recorded.steps} steps recorded${full}.`;
  }

  draw() {
    const canvas = $("curve");
    const context = canvas.getContext("2d");
    const { width, height } = canvas;
    context.clearRect(0, 0, width, height);
    if (!this.rewards.length) return;
    const [low, high] = [Math.min(0, ...this.rewards), Math.max(0.1, ...this.rewards)];
    const at = (v) => height - 10 - ((v - low) / (high - low)) * (height - 20);
    const across = (n) => 10 + (n / Math.max(30, this.rewards.length - 1)) * (width - 20);
    const style = getComputedStyle(canvas);
    context.strokeStyle = style.getPropertyValue("--line");
    context.lineWidth = 2;
    context.beginPath();
    context.moveTo(0, at(0));
    context.lineTo(width, at(0));
    context.stroke();
    context.strokeStyle = style.getPropertyValue("--curve");
    context.lineWidth = 4;
    context.lineJoin = "round";
    context.beginPath();
    this.rewards.forEach((v, n) => context.lineTo(across(n), at(v)));
    context.stroke();
  }

  makeSliders() {
    const box = $("actions");
    for (const label of box.querySelectorAll("label")) label.remove();
    this.sliders = Array.from({ length: this.model.action_dim }, (_, n) => {
      const input = Object.assign(document.createElement("input"), { type: "range", min: -1, max: 1, step: 0.01, value: 0 });
      const output = Object.assign(document.createElement("output"), { textContent: "0.00" });
      const label = document.createElement("label");
      label.append(this.model.action_names[n] ?? `action ${n + 1}`, input, output);
      input.setAttribute("aria-label", this.model.action_names[n] ?? `action ${n + 1}`);
      const slider = { input, output, held: 0 };
      const hold = (value) => this.hands.changed(() => (slider.held = value));
      input.addEventListener("input", () => hold(Number(input.value)));
      input.addEventListener("dblclick", () => hold(0));
      box.append(label);
      return slider;
    });
  }

  horizon() {
    return Math.min(100000, Math.max(1, Math.round(Number($("horizon").value)) || 50));
  }

  pressed() {
    for (const [name, value] of [["driver", this.driver], ["world", this.world]]) {
      for (const button of document.querySelectorAll(`[data-${name}]`)) {
        button.setAttribute("aria-pressed", String(button.dataset[name] === value));
      }
    }
  }

  setRunning(running) {
    this.running = running;
    $("run").querySelector("span").textContent = running ? "Pause" : "Play";
    $("run").querySelector("path").setAttribute("d", running ? "M3 2h3.500v12H3zM9.500 2H13v12H9.500z" : "M4 2v12l9-6z");
    if (running) {
      this.times = [];
      this.curtain("");
      this.tell("good", "playing");
    } else if (this.sessions.length) {
      this.curtain("Paused", "Press Play, or . on the keyboard");
      this.tell("good", "paused");
    }
  }

  // --- What can be pressed

  wire() {
    $("run").addEventListener("click", () => this.toggle());
    $("once").addEventListener("click", () => this.once());
    $("reset").addEventListener("click", () => this.reset());
    $("record").addEventListener("click", () => this.toggleRecording());
    for (const button of document.querySelectorAll("[data-driver]")) button.addEventListener("click", () => this.drive(button.dataset.driver));
    for (const button of document.querySelectorAll("[data-world]")) button.addEventListener("click", () => this.enter(button.dataset.world));
    for (const id of ["model", "policy"]) $(id).addEventListener("change", () => this.queued(() => this.choose()));
    $("horizon").addEventListener("change", () => this.reset());
    $("start").addEventListener("change", () => {
      for (const label of document.querySelectorAll(".of-episode")) label.hidden = $("start").value !== "episode";
      this.reset();
    });
    $("save").addEventListener("submit", (event) => {
      event.preventDefault();
      this.save();
    });
    // After a click the keys drive again; whoever came to a button by key stays there.
    for (const button of document.querySelectorAll(".buttons button, .choice button")) {
      button.addEventListener("click", (event) => event.detail && this.stages[0].canvas.focus({ preventScroll: true }));
    }
    $("leave").addEventListener("click", () => signOut());
  }

  key(key, target) {
    const onButton = target.matches?.("button, summary, input");
    const acts = {
      ".": () => this.toggle(),
      " ": () => this.toggle(),
      e: () => this.once(),
      Enter: () => this.reset(),
      m: () => this.drive(this.driver === "human" ? "policy" : "human"),
      n: () => this.enter(this.world === "model" ? "simulator" : "model"),
      r: () => this.toggleRecording(),
      "+": () => this.lengthen(10),
      "-": () => this.lengthen(-10),
    };
    const act = acts[key.length === 1 ? key.toLowerCase() : key];
    if (!act || (onButton && (key === " " || key === "Enter"))) return false;
    act();
    return true;
  }

  toggle() {
    if (!this.running && this.sessions[0]?.ended !== false) this.reset(true);
    else this.setRunning(!this.running);
  }

  once() {
    this.setRunning(false);
    this.curtain("");
    this.queued(() => this.step());
  }

  reset(run = this.running) {
    this.running = run;
    return this.queued(async () => {
      if (!this.service.socket || !this.model) return;
      await this.start();
      this.setRunning(run);
    });
  }

  drive(who) {
    if (who === "policy" && !$("policy").value) {
      this.tell("bad", "Choose a policy first");
      return;
    }
    this.driver = who;
    this.pressed();
  }

  // The same seed from the simulator's start, so that both worlds begin alike.
  enter(world) {
    if (world !== "model" && !this.model?.task) {
      this.tell("bad", "This model's logs have no true simulator");
      return;
    }
    this.world = world;
    if (this.model.task) $("start").value = "simulator";
    for (const label of document.querySelectorAll(".of-episode")) label.hidden = true;
    const run = this.running;
    this.queued(async () => {
      await this.start(this.seed);
      this.setRunning(run);
    });
  }

  lengthen(by) {
    $("horizon").value = Math.max(10, this.horizon() + by);
    this.reset();
  }

  toggleRecording() {
    this.recording = !this.recording;
    this.savedNow = false;
    if (this.recording) $("recording").open = true;
    this.reset();
  }

  async save() {
    try {
      const reply = await this.service.ask("save", { session_id: this.sessions[0]?.id ?? "", name: $("name").value });
      $("recorded").textContent = `Saved ${reply.episodes} episodes, ${reply.steps} steps: job ${reply.job.id} makes the dataset ${reply.job.output_id}.`;
      $("recorded").className = "quiet";
      this.savedNow = true;
    } catch (error) {
      $("recorded").textContent = error.message;
      $("recorded").className = "problem";
    }
  }
}

// --- Signing in

function signOut(why = "") {
  sessionStorage.removeItem(KEEP);
  sessionStorage.setItem(`${KEEP}-why`, why);
  location.replace(location.pathname + location.search);
}

async function signIn(token) {
  const service = new Service(token);
  await service.get("/models?limit=1");
  sessionStorage.setItem(KEEP, token);
  $("login").hidden = true;
  $("app").hidden = false;
  const page = new Page(service);
  await page.guarded(() => page.open());
}

function askForToken(why) {
  $("app").hidden = true;
  $("login").hidden = false;
  $("login-problem").hidden = !why;
  $("login-problem").textContent = why;
  $("token").focus();
}

$("login").addEventListener("submit", (event) => {
  event.preventDefault();
  signIn($("token").value.trim()).catch((error) => askForToken(error.status === 401 ? "The service does not accept this token." : error.message));
});

// Whoever embeds the page hands the token over behind the #, which no server sees.
const handed = new URLSearchParams(location.hash.slice(1)).get("token");
if (handed) history.replaceState(null, "", location.pathname + location.search);
const token = handed ?? sessionStorage.getItem(KEEP);
const why = sessionStorage.getItem(`${KEEP}-why`) ?? "";
sessionStorage.removeItem(`${KEEP}-why`);
if (token) signIn(token).catch((error) => askForToken(error.message));
else askForToken(why);
