// Files of any size straight from the browser to the API (tus 1.0): in chunks, each checked, and
// from where it stopped after a cut connection, a pause or a reload of the page.

const CHUNK = 8 * 1024 * 1024;
const PAUSES = [500, 1000, 2000, 4000, 8000, 15000];
const TRIES = 24; // five minutes without a byte; then people are asked
const KEPT = "foglab-uploads";
const senders = new WeakMap();

export default function ({ parentElement, data, setStateValue }) {
  const root = parentElement.querySelector(".sender");
  let sender = senders.get(root);
  if (!sender) {
    sender = new Sender(root);
    senders.set(root, sender);
  }
  sender.api = data.api;
  sender.token = data.token;
  sender.finished = (upload) => setStateValue("sent", upload);
}

function size(bytes) {
  for (const unit of ["B", "kB", "MB"]) {
    if (bytes < 1000) return `${Number(bytes.toPrecision(3))} ${unit}`;
    bytes /= 1000;
  }
  return `${Number(bytes.toPrecision(3))} GB`;
}

function duration(seconds) {
  if (!isFinite(seconds)) return "";
  const whole = Math.ceil(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

function base64(bytes) {
  return btoa(Array.from(bytes, (b) => String.fromCharCode(b)).join(""));
}

class Refused extends Error {}

class Sender {
  constructor(root) {
    this.root = root;
    this.input = root.querySelector("input");
    this.told = root.querySelector(".told");
    this.bar = root.querySelector("progress");
    this.stop = root.querySelector(".stop");
    this.input.addEventListener("change", () => this.chosen(this.input.files[0]));
    const drop = root.querySelector(".drop");
    for (const name of ["dragover", "dragleave", "drop"]) {
      drop.addEventListener(name, (event) => {
        event.preventDefault();
        drop.classList.toggle("over", name === "dragover");
        if (name === "drop") this.chosen(event.dataTransfer.files[0]);
      });
    }
    this.stop.addEventListener("click", () => (this.running ? this.pause() : this.chosen(this.file)));
  }

  async chosen(file) {
    if (!file || this.running) return;
    this.file = file;
    this.running = true;
    this.show("Pause");
    try {
      const id = await this.send(file);
      this.forget(file);
      this.tell(`${file.name}: all ${size(file.size)} arrived`);
      this.stop.hidden = true;
      this.finished({ id, name: file.name });
    } catch (error) {
      this.show("Go on");
      this.tell(this.paused ? `Paused at ${this.bar.value.toFixed(0)} %` : error.message, !this.paused);
    }
    this.running = this.paused = false;
  }

  pause() {
    this.paused = true;
    this.abort?.abort();
  }

  async send(file) {
    let id = this.kept()[this.name(file)];
    let offset = id ? await this.offset(id) : null;
    if (offset === null) {
      id = await this.create(file);
      offset = 0;
    }
    this.keep(file, id);
    const [begun, first] = [performance.now(), offset];
    let [tries, sure] = [0, true];
    while (offset < file.size) {
      try {
        if (!sure) offset = (await this.offset(id)) ?? offset;
        offset = await this.patch(id, file, offset);
        [tries, sure] = [0, true];
        this.progress(file, offset, (offset - first) / ((performance.now() - begun) / 1000));
      } catch (error) {
        if (this.paused || error instanceof Refused || tries >= TRIES) throw error;
        this.tell("The connection was cut; trying again");
        sure = false; // a part of the chunk may have arrived
        await new Promise((resolve) => setTimeout(resolve, PAUSES[Math.min(tries++, PAUSES.length - 1)]));
        if (this.paused) throw error;
      }
    }
    return id;
  }

  async create(file) {
    const metadata = `filename ${base64(new TextEncoder().encode(file.name))}`;
    const headers = { "Upload-Length": String(file.size), "Upload-Metadata": metadata };
    const reply = await this.ask("POST", "", headers);
    return reply.headers.get("Location").split("/").pop();
  }

  async offset(id) {
    const reply = await this.ask("HEAD", `/${id}`, {}, null, [404, 410]);
    return reply ? Number(reply.headers.get("Upload-Offset")) : null;
  }

  async patch(id, file, offset) {
    const bytes = await file.slice(offset, offset + CHUNK).arrayBuffer();
    const headers = { "Upload-Offset": String(offset), "Content-Type": "application/offset+octet-stream" };
    // Browsers give out hashes on https and on this machine only.
    if (crypto.subtle) {
      headers["Upload-Checksum"] = `sha256 ${base64(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)))}`;
    }
    const reply = await this.ask("PATCH", `/${id}`, headers, bytes);
    return Number(reply.headers.get("Upload-Offset"));
  }

  async ask(method, path, headers, body = null, missing = []) {
    this.abort = new AbortController();
    let reply;
    try {
      reply = await fetch(`${this.api}/api/v1/uploads${path}`, {
        method,
        body,
        headers: { Authorization: `Bearer ${this.token}`, "Tus-Resumable": "1.0.0", ...headers },
        signal: this.abort.signal,
      });
    } catch (error) {
      throw new Error(`The browser does not reach the service at ${this.api} (${error.message}).`);
    }
    if (reply.ok) return reply;
    if (missing.includes(reply.status)) return null;
    const problem = await reply.json().catch(() => ({}));
    const told = problem.detail || problem.title || `The service answered ${reply.status}`;
    const again = [409, 423, 460, 502, 503, 504].includes(reply.status);
    throw again ? new Error(told) : new Refused(told);
  }

  // --- What the user sees

  progress(file, offset, rate) {
    this.bar.value = (100 * offset) / file.size;
    const left = duration((file.size - offset) / rate);
    this.tell(`${size(offset)} of ${size(file.size)} · ${size(rate)}/s · ${left} left`);
  }

  show(label) {
    this.bar.hidden = this.stop.hidden = false;
    this.stop.textContent = label;
  }

  tell(text, bad = false) {
    this.told.textContent = text;
    this.told.classList.toggle("bad", bad);
  }

  // --- What a reload must know

  name(file) {
    return `${file.name}/${file.size}/${file.lastModified}`;
  }

  kept() {
    return JSON.parse(localStorage.getItem(KEPT) ?? "{}");
  }

  keep(file, id) {
    localStorage.setItem(KEPT, JSON.stringify({ ...this.kept(), [this.name(file)]: id }));
  }

  forget(file) {
    const { [this.name(file)]: _, ...others } = this.kept();
    localStorage.setItem(KEPT, JSON.stringify(others));
  }
}
