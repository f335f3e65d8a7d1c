// The page for Gs. The server sends the whole state once a second; nothing is kept here but what is shown.
// Text from the program - names, places - goes into text nodes only.
"use strict";

const $ = (id) => document.getElementById(id);
const columns = JSON.parse($("columns").textContent);
const token = sessionStorage.getItem("preemptio-token") ?? "";
const STATUSES = ["running", "runnable", "waiting", "syscall", "suspended", "parked", "preempted", "leaked", "idle"];
const view = { sort: "share", reverse: false, status: "", match: "" };
const rows = new Map(); // by number of the G
let source = null;
let last = null; // the last state
let heard = 0;

const make = (tag, props = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), props);
  element.append(...children);
  return element;
};
const put = (node, text) => { if (node.textContent !== text) node.textContent = text; };
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

function seconds(value) {
  if (value < 0.00005) return value > 0 ? `${(value * 1e6).toFixed(0)} µs` : "0";
  if (value < 1) return `${(value * 1e3).toFixed(value < 0.01 ? 1 : 0)} ms`;
  if (value < 60) return `${value.toFixed(value < 10 ? 2 : 1)} s`;
  const minutes = Math.floor(value / 60);
  return minutes < 60 ? `${minutes}m ${String(Math.floor(value % 60)).padStart(2, "0")}s` : `${Math.floor(minutes / 60)}h ${minutes % 60}m`;
}
const shown = (column, value) => column.unit === "s" && typeof value === "number" ? seconds(value)
  : column.name === "share" ? `${Number(value).toFixed(1)} %` : String(value);

// -- the connection --

function connect() {
  source?.close();
  const { sort, reverse, status, match } = view;
  source = new EventSource(`/preemptio/events?${new URLSearchParams({ sort, reverse: reverse ? "1" : "", status, match })}`);
  source.onmessage = (event) => {
    heard = Date.now();
    document.body.dataset.updates = Number(document.body.dataset.updates ?? 0) + 1;
    show(JSON.parse(event.data));
  };
}
setInterval(() => {
  const state = !heard ? "wait" : Date.now() - heard < 3500 ? "on" : "off";
  if ($("live").dataset.state === state) return;
  $("live").dataset.state = state;
  put($("live-text"), { wait: "connecting", on: "live", off: "no answer" }[state]);
}, 500);

async function act(command, g, value) {
  let bad = true, said;
  try {
    const headers = { "Content-Type": "application/json", "X-Preemptio-Token": token };
    const answer = await fetch("/preemptio/do", { method: "POST", headers, body: JSON.stringify({ command, g, value }) });
    const body = await answer.json();
    bad = !answer.ok;
    said = body.said ?? `${body.msg}: ${body.detail}`;
  } catch (error) {
    said = `no answer: ${error.message}`;
  }
  toast(said, bad);
}
let toastTimer = 0;
function toast(text, bad) {
  const box = $("toast");
  ($("about").open ? $("about") : document.body).append(box); // what is behind a dialog is not seen
  if ($("about").open) $("about-text").before(box);
  box.toggleAttribute("data-bad", bad);
  box.hidden = false;
  put(box, text);
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { box.hidden = true; }, bad ? 12000 : 5000);
}
const button = (text, label, act_) => {
  const made = make("button", { type: "button", textContent: text, disabled: !token, onclick: act_ });
  made.setAttribute("aria-label", label);
  return made;
};

// -- what is shown --

function show(state) {
  last = state;
  const { loop, table, latency } = state;
  put($("where"), `pid ${state.pid} · ${loop.kind} · tick ${loop.source} · slice ${seconds(loop.slice)}`);
  document.title = `${state.busy ? "● " : ""}Gs - preemptio`;
  const text = loop.state !== "running" ? `The loop is ${loop.state}.` : state.busy?.text ?? "";
  $("busy").hidden = !text;
  const said = text && `${loop.state} ${state.busy?.g}`; // who has it is said once, not every second how long
  $("busy").setAttribute("aria-live", said === $("busy").dataset.said ? "off" : "polite");
  $("busy").dataset.said = said;
  put($("busy"), text);

  put($("t-total"), table.total.toLocaleString());
  put($("t-status"), STATUSES.filter((each) => table.by_status[each]).map((each) => `${table.by_status[each]} ${each}`).join(", "));
  put($("t-cpu"), `${Math.min(100, state.cpu.all).toFixed(0)} %`);
  put($("t-first"), state.cpu.first ? `most: ${state.cpu.first}` : "");
  put($("t-queue"), String(loop.queue + loop.parked));
  put($("t-parked"), `${loop.queue} ready, ${loop.parked} parked`);
  put($("t-rate"), latency ? `${latency.rate < 10 ? latency.rate.toFixed(1) : latency.rate.toFixed(0)} /s` : "-");
  put($("t-ever"), `${loop.preempted.toLocaleString()} in ${loop.slices.toLocaleString()} slices`);
  const all = latency?.series ?? [];
  put($("t-p99"), all.some((each) => each.count) ? seconds(Math.max(...all.map((each) => each.p99))) : "-");
  put($("t-p50"), all[0]?.count ? `median ${seconds(all[0].p50)} of those ready` : "");

  showTable(table);
  showTimeline(state.timeline);
  showLatency(latency);
  showParked(state.parked, loop.parked);
  showLeaks(state.leaks);
}

function showTable(table) {
  const body = $("rows");
  const held = body.matches(":hover") || body.contains(document.activeElement);
  $("held").hidden = !held;
  put($("count"), table.matching === table.rows.length ? `${table.matching}` : `${table.rows.length} of ${table.matching}`);
  const now = new Set(table.rows.map((row) => row.id));
  for (const [id, row] of rows) {
    if (now.has(id)) continue;
    if (held) { row.element.dataset.gone = ""; continue; }
    row.element.remove();
    rows.delete(id);
  }
  table.rows.forEach((data, index) => {
    let row = rows.get(data.id);
    if (!row) {
      rows.set(data.id, row = makeRow(data.id));
      body.append(row.element);
    }
    delete row.element.dataset.gone;
    fill(row, data);
    if (!held && body.children[index] !== row.element) body.insertBefore(row.element, body.children[index]);
  });
}

function makeRow(id) {
  const element = make("tr");
  element.dataset.g = id;
  const cells = {};
  for (const column of columns) {
    const cell = cells[column.name] = make("td", { className: column.number || column.name === "nice" ? "number" : column.name === "created" ? "place" : column.name });
    if (column.name === "name") cell.append(make("button", { type: "button", onclick: (event) => about(id, event.target.textContent) }));
    if (column.name === "status") cell.append(make("span", { className: "dot", ariaHidden: "true" }), make("span"));
    if (column.name === "share") cell.append(make("span", { className: "meter", ariaHidden: "true" }, make("i")), make("span"));
    if (column.name === "created") cell.append(make("bdi"));
    element.append(cell);
  }
  const hold = button("Suspend", `Suspend G ${id}`, () => act(hold.dataset.command, id));
  const preempt = button("Preempt", `Preempt G ${id}`, () => act("preempt", id));
  const cancel = button("Cancel", `Cancel G ${id}`, () => act("cancel", id));
  element.append(make("td", { className: "do" }, hold, preempt, cancel));
  return { element, cells, hold };
}

function fill(row, data) {
  for (const column of columns) {
    const cell = row.cells[column.name], text = shown(column, data[column.name]);
    put(["name", "status", "share", "created"].includes(column.name) ? cell.lastElementChild : cell, text);
    if (["name", "created", "flags"].includes(column.name) && cell.title !== text) cell.title = text;
  }
  row.cells.status.firstElementChild.dataset.status = data.status;
  row.cells.share.querySelector("i").style.width = `${Math.min(100, data.share)}%`;
  const held = data.status === "suspended";
  row.hold.dataset.command = held ? "resume" : "suspend";
  put(row.hold, held ? "Resume" : "Suspend");
  row.hold.setAttribute("aria-label", `${held ? "Resume" : "Suspend"} G ${data.id}`);
}

// -- one G --

async function about(id, name) {
  const dialog = $("about");
  put($("about-title"), `G ${id}  ${name}`);
  const nice = make("input", { type: "number", min: -20, max: 19, value: 0, id: "nice" });
  const refresh = async () => {
    const answer = await fetch(`/preemptio/g/${id}`);
    const text = await answer.text();
    put($("about-text"), text);
    const found = /^nice +(-?\d+)$/m.exec(text);
    if (found && document.activeElement !== nice) nice.value = found[1];
  };
  const then = (command, value) => async () => { await act(command, id, value?.()); await refresh(); };
  $("about-actions").replaceChildren(
    make("button", { type: "button", textContent: "Refresh", onclick: refresh }),
    button("Suspend", `Suspend G ${id}`, then("suspend")),
    button("Resume", `Resume G ${id}`, then("resume")),
    button("Preempt", `Preempt G ${id}`, then("preempt")),
    button("Cancel", `Cancel G ${id}`, then("cancel")),
    make("label", { className: "field", htmlFor: "nice" }, "nice ", nice),
    button("Set", `Set the nice of G ${id}`, then("nice", () => Number(nice.value))),
  );
  put($("about-text"), "...");
  dialog.showModal();
  await refresh();
}
$("about-close").onclick = () => $("about").close();
$("about").onclose = () => { $("toast").hidden = true; document.body.append($("toast")); };

// -- pictures --

function canvas(element) {
  const scale = devicePixelRatio || 1, { width, height } = element.getBoundingClientRect();
  if (element.width !== Math.round(width * scale) || element.height !== Math.round(height * scale)) {
    element.width = Math.round(width * scale);
    element.height = Math.round(height * scale);
  }
  const draw = element.getContext("2d");
  draw.setTransform(scale, 0, 0, scale, 0, 0);
  draw.clearRect(0, 0, width, height);
  draw.font = "11.5px system-ui, sans-serif";
  return { draw, width, height };
}

const LANE = 24;
function showTimeline(timeline) {
  $("time").hidden = !timeline;
  $("no-time").hidden = Boolean(timeline);
  put($("record"), timeline ? "Stop recording" : "Record");
  if (!timeline) return;
  const { draw, width } = canvas($("timeline"));
  const { lanes, bins } = timeline, wide = width / bins, bottom = Math.max(lanes.length, 1) * LANE;
  const names = $("lanes");
  while (names.children.length > lanes.length) names.lastChild.remove();
  const said = [];
  lanes.forEach((lane, index) => {
    if (!names.children[index]) names.append(make("li"));
    put(names.children[index], lane.g ? `${lane.g}  ${lane.name}` : lane.name);
    const top = index * LANE + 3, high = LANE - 8;
    draw.fillStyle = colour("track");
    draw.fillRect(0, top, width, high);
    draw.fillStyle = colour("run");
    for (let bin = 0, end; bin < bins; bin = end) {
      const share = lane.cpu[bin];
      for (end = bin + 1; end < bins && lane.cpu[end] === share; end += 1); // in one piece: seams between bins would show
      if (share) {
        const part = Math.max(1.5, high * share / 100);
        draw.fillRect(bin * wide, top + high - part, (end - bin) * wide, part);
      }
    }
    draw.fillStyle = colour("pre");
    for (const [bin] of lane.preempted) draw.fillRect(bin * wide, top - 2, Math.max(1.5, wide * 0.7), 4);
    draw.fillStyle = colour("ref");
    for (const [bin] of lane.refused) draw.fillRect(bin * wide, top + high - 1, Math.max(1.5, wide * 0.7), 4);
    const mean = lane.cpu.reduce((sum, share) => sum + share, 0) / bins;
    if (mean >= 1) said.push(`${lane.name} ${mean.toFixed(0)} %`);
  });
  draw.fillStyle = colour("soft");
  draw.strokeStyle = colour("line");
  for (let back = 0; back <= timeline.seconds; back += 2) {
    const x = width * (1 - back / timeline.seconds);
    draw.textAlign = back === 0 ? "right" : back === timeline.seconds ? "left" : "center";
    draw.fillText(back ? `-${back} s` : "now", x, bottom + 14);
    draw.globalAlpha = 0.55;
    draw.beginPath(); draw.moveTo(x, 0); draw.lineTo(x, bottom); draw.stroke();
    draw.globalAlpha = 1;
  }
  $("timeline").setAttribute("aria-label", `CPU in the last ${timeline.seconds} seconds: ${said.join(", ") || "no task"}`);
}

function showLatency(latency) {
  $("histogram").hidden = $("percentiles").hidden = !latency;
  $("no-wait").hidden = Boolean(latency);
  if (!latency) return;
  const { draw, width, height } = canvas($("histogram"));
  const { bounds, series } = latency, low = 20, bottom = height - low;
  const used = bounds.map((_, i) => i).filter((i) => series.some((each) => each.bars[i]));
  const from = Math.max(0, Math.min(used[0] ?? 4, 4) - 1), to = Math.min(bounds.length - 1, Math.max(used.at(-1) ?? 0, 17) + 1);
  const most = Math.max(1, ...series.flatMap((each) => each.bars));
  const wide = width / (to - from + 1), tall = (n) => n ? Math.max(2, (bottom - 14) * Math.log1p(n) / Math.log1p(most)) : 0;
  draw.fillStyle = colour("track");
  draw.fillRect(0, bottom, width, 1);
  for (let i = from; i <= to; i += 1) {
    const x = (i - from) * wide;
    series.forEach((each, which) => {
      draw.fillStyle = colour(which ? "pre" : "run");
      const high = tall(each.bars[i]), part = (wide - 3) / 2;
      draw.fillRect(x + 1 + which * part, bottom - high, part, high);
    });
  }
  draw.fillStyle = colour("soft");
  draw.textAlign = "center";
  for (let i = from; i <= to; i += 1) {
    const near = [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1, 10].find((each) => bounds[i - 1] <= each && each < bounds[i]);
    if (near) draw.fillText(seconds(near).replace(".0", ""), (i - from) * wide + wide / 2, height - 5);
  }
  draw.textAlign = "right";
  draw.fillText(`${most.toLocaleString()} at the most; heights are logarithmic`, width - 2, 10);
  const body = $("percentiles").tBodies[0];
  series.forEach((each, index) => {
    if (!body.rows[index]) body.append(make("tr", {}, make("th", { scope: "row" }), ...Array.from({ length: 5 }, () => make("td"))));
    const cells = body.rows[index].cells;
    [each.name, each.count.toLocaleString(), ...["p50", "p90", "p99", "max"].map((key) => each.count ? seconds(each[key]) : "-")]
      .forEach((text, cell) => put(cells[cell], text));
  });
  $("histogram").setAttribute("aria-label", `How long tasks waited for the CPU in the last ${latency.seconds.toFixed(0)} seconds; the table below has the percentiles`);
}

// -- lists --

function lines(list, texts) {
  while (list.children.length > texts.length) list.lastChild.remove();
  texts.forEach(([main, small], index) => {
    if (!list.children[index]) list.append(make("li", {}, make("span"), make("small")));
    put(list.children[index].firstChild, main);
    put(list.children[index].lastChild, small ? `  ${small}` : "");
  });
}
function showParked(parked, total) {
  put($("n-parked"), total ? `${total}, who runs next first` : "");
  $("no-parked").hidden = parked.length > 0;
  lines($("parked"), parked.map((g) => [`${g.id}  ${g.name}`, [g.nice ? `nice ${g.nice}` : "", g.background ? "background" : ""].filter(Boolean).join(", ")]));
}
function showLeaks(leaks) {
  put($("n-leaks"), leaks ? `${leaks.found.length}, ${seconds(leaks.ago)} ago` : "");
  $("no-leaks").hidden = Boolean(leaks?.found.length);
  if (leaks) put($("no-leaks"), "No G is leaked.");
  lines($("leaks"), (leaks?.found ?? []).map((g) => [`${g.id}  ${g.name}`, `waits: ${g.waits}, made at ${g.at}`]));
}

// -- what can be done --

function heads() {
  for (const column of columns) {
    const head = make("th", { scope: "col", title: column.doc, className: column.number || column.name === "nice" ? "number" : "" });
    const title = column.title.length > 2 ? column.title[0] + column.title.slice(1).toLowerCase() : column.title;
    head.append(make("button", { type: "button", textContent: title.replace("Cpu", "CPU"), onclick: () => {
      view.reverse = view.sort === column.name ? !view.reverse : false;
      view.sort = column.name;
      sorted();
      connect();
    } }));
    head.dataset.column = column.name;
    $("heads").append(head);
  }
  $("heads").append(make("th", { scope: "col" }, make("span", { className: "out-of-sight", textContent: "Commands" })));
  sorted();
}
function sorted() {
  for (const head of $("heads").children) {
    const column = columns.find((each) => each.name === head.dataset.column);
    if (column?.name === view.sort) head.setAttribute("aria-sort", column.number !== view.reverse ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  }
}
let typing = 0;
$("match").oninput = () => { clearTimeout(typing); typing = setTimeout(() => { view.match = $("match").value; connect(); }, 250); };
$("status").append(...STATUSES.map((each) => make("option", { value: each, textContent: each })));
$("status").onchange = () => { view.status = $("status").value; connect(); };
$("record").onclick = () => act(last?.timeline ? "stop" : "record");
$("leaks-button").onclick = async () => {
  $("leaks-button").disabled = true;
  await act("leaks");
  $("leaks-button").disabled = false;
};
if (!token) {
  $("read-only").hidden = false;
  for (const each of document.querySelectorAll(".needs-token")) each.disabled = true;
}
addEventListener("resize", () => { if (last) { showTimeline(last.timeline); showLatency(last.latency); } });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { if (last) { showTimeline(last.timeline); showLatency(last.latency); } });
heads();
connect();
