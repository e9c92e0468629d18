"use strict";
const R = window.REPORT;
const $ = (id) => document.getElementById(id);
const WAYS = { item_frequency: "training interactions of the target", history_length: "items in the history", redundancy: "redundancy of the history, %" };
const MOST_LINES = 40;

/** An element with attributes and children; texts are texts, never HTML. */
function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) if (value !== null && value !== undefined) key === "onclick" || key === "onchange" ? (made[key] = value) : made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}
const number = (value, digits = 4) => (value === null || value === undefined ? "" : value.toFixed(digits));
const grouped = (value) => (value === null || value === undefined ? "" : Math.round(value).toLocaleString("en"));
const short = (metric) => metric.replace("recall", "R").replace("ndcg", "N").replace("/history_excluded", " excl.");
const empty = (why) => el("p", { class: "card empty" }, why);
const state = { tab: "overview", sort: R.main, down: true, words: [], data: null, metric: R.main, drawn: {} };

const rowText = (row) => [row.data, row.phase, row.setting, row.start, row.model, row.label, row.experiment, row.place, `seed=${row.seed}`].join(" ").toLowerCase();
const texts = new Map([...R.runs, ...R.baselines].map((row) => [row, rowText(row)]));
const passes = (row) => state.words.every((word) => texts.get(row).includes(word));
const inData = (row) => row.data === state.data;
const byId = new Map(R.runs.map((run) => [run.id, run]));
const name = (run) => `${run.label}, seed ${run.seed}`;

const kindsOf = () => [...new Set([...R.runs.filter((run) => inData(run) && run[R.main] !== null), ...R.runs, ...R.baselines].filter(inData).map((row) => row.label))];
const colourOf = (rows) => Charts.colour([...new Set(rows.map((row) => row.kind))], kindsOf());

function sortedTable(columns, rows, { rowClass = () => "", sort, down, onsort, best = new Map() }) {
  const key = columns.find((one) => one.key === sort) ?? columns[0];
  const ordered = [...rows].sort((a, b) => {
    const [x, y] = [a[key.key], b[key.key]];
    const isGone = [x, y].map((value) => value === null || value === undefined || value === "");
    if (isGone[0] || isGone[1]) return isGone[0] - isGone[1];
    return (typeof x === "number" ? x - y : String(x).localeCompare(String(y), "en", { numeric: true })) * (down ? -1 : 1);
  });
  const head = columns.map((one) => el("th", { scope: "col", class: one.show ? "number" : "", "aria-sort": one.key === key.key ? (down ? "descending" : "ascending") : "none" }, el("button", { type: "button", onclick: () => onsort(one.key) }, one.title)));
  const body = ordered.map((row) => el("tr", { class: rowClass(row) }, ...columns.map((one) => {
    const isBest = best.get(`${row.data}|${one.key}`) === row[one.key] && row[one.key] !== undefined && row[one.key] !== null;
    return el("td", { class: [one.show ? "number" : "", one.wide ? "wide" : "", isBest ? "best" : ""].join(" ").trim() }, one.show ? one.show(row[one.key]) : String(row[one.key] ?? ""));
  })));
  return el("div", { class: "card scroll", tabindex: "0" }, el("table", {}, el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...body)));
}

const TABS = {
  overview(body) {
    const rows = [...R.baselines, ...R.runs].filter(passes);
    const hasMany = (key) => new Set(rows.map((row) => row[key] ?? "")).size > 1;
    const best = new Map();
    for (const row of rows) for (const metric of R.metrics) {
      const key = `${row.data}|${metric}`;
      if ((row[metric] ?? -1) > (best.get(key) ?? -1)) best.set(key, row[metric]);
    }
    const columns = [
      { key: "data", title: "Data" }, { key: "phase", title: "Phase" }, { key: "setting", title: "Setting" }, { key: "start", title: "Start" }, { key: "model", title: "Model" },
      ...(hasMany("experiment") ? [{ key: "experiment", title: "Experiment", wide: true }] : []),
      { key: "seed", title: "Seed", show: (v) => (v === undefined ? "" : String(v)) },
      ...R.metrics.map((metric) => ({ key: metric, title: short(metric), show: number })),
      { key: "validation", title: `val ${short("ndcg@10")}`, show: number }, { key: "epochs", title: "Epochs", show: grouped }, { key: "seconds", title: "Seconds", show: grouped }, { key: "cpu", title: "CPU s", show: grouped }, { key: "memory", title: "MB", show: grouped }, { key: "parameters", title: "Parameters", show: grouped },
      { key: "place", title: "Folder" },
    ];
    const onsort = (key) => { state.down = key === state.sort ? !state.down : R.metrics.includes(key); state.sort = key; show(); };
    body.append(sortedTable(columns, rows, { rowClass: (row) => row.phase, sort: state.sort, down: state.down, onsort, best }));
  },
  async comparison(body) {
    const pairs = R.pairs.filter((pair) => inData(pair) && pair.metric === state.metric);
    if (!pairs.length) return body.append(empty("Two kinds of runs with test_ranks.parquet are needed on the data, of a common seed."));
    const kinds = [...new Set(pairs.flatMap((pair) => [pair.a, pair.b]))];
    const scores = new Map(pairs.flatMap((pair) => [[pair.a, pair.ours], [pair.b, pair.theirs]]));
    if (!kinds.includes(state.other)) state.other = kinds[kinds.length - 1];
    const choice = el("select", { id: "other", onchange: (event) => { state.other = event.target.value; show(); } }, ...kinds.map((kind) => el("option", kind === state.other ? { selected: "" } : {}, kind)));
    const rows = pairs.filter((pair) => pair.a === state.other || pair.b === state.other).map((pair) => {
      const sign = pair.b === state.other ? 1 : -1, kind = sign > 0 ? pair.a : pair.b;
      const turned = (low, high) => (sign > 0 ? [low, high] : [-high, -low]);
      const [low, high] = turned(pair.low, pair.high), [lowAll, highAll] = turned(pair.lowAll, pair.highAll);
      return { kind, score: scores.get(kind), difference: sign * pair.difference, low, high, lowAll, highAll, verdict: lowAll > 0 ? "more" : highAll < 0 ? "less" : "open", seeds: pair.seeds, users: pair.users };
    }).sort((a, b) => b.difference - a.difference);
    const chart = el("div", { class: "chart" });
    const sign = (value) => (value > 0 ? "+" : "") + number(value);
    const columns = [{ key: "kind", title: "Runs", wide: true }, { key: "score", title: short(state.metric), show: number }, { key: "difference", title: "Difference", show: sign }, { key: "interval", title: "95 % interval" }, { key: "all", title: "for all at once" }, { key: "verdict", title: "Says" }, { key: "seeds", title: "Seeds", show: grouped }, { key: "users", title: "Users", show: grouped }];
    const words = { more: "more", less: "less", open: "no difference shown" };
    const told = rows.map((row) => ({ ...row, interval: `${sign(row.low)} to ${sign(row.high)}`, all: `${sign(row.lowAll)} to ${sign(row.highAll)}`, verdict: words[row.verdict] }));
    body.append(el("div", { class: "card" }, el("div", { class: "controls" }, el("label", {}, "Against ", choice)), chart), sortedTable(columns, told, { sort: state.pairSort ?? "difference", down: state.pairDown ?? true, onsort: (key) => { state.pairDown = key === (state.pairSort ?? "difference") ? !(state.pairDown ?? true) : true; state.pairSort = key; show(); } }));
    await Charts.draw(chart, Charts.pairs(rows, short(state.metric), state.other));
  },
  async curves(body) {
    const runs = R.runs.filter((run) => inData(run) && passes(run) && R.curves[run.id]).sort((a, b) => (b[state.metric] ?? b.validation ?? 0) - (a[state.metric] ?? a.validation ?? 0));
    if (!runs.length) return body.append(empty("No run of this data, and of the filter, kept csv/metrics.csv."));
    const drawn = runs.slice(0, MOST_LINES), names = [...new Set(drawn.flatMap((run) => Object.keys(R.curves[run.id])))].sort();
    if (runs.length > MOST_LINES) body.append(el("p", { class: "about" }, `The ${MOST_LINES} best of ${runs.length} runs are drawn; the filter chooses others.`));
    state.curves ??= [R.validation, "train/loss"];
    for (const place of [0, 1]) {
      const chosen = names.includes(state.curves[place]) ? state.curves[place] : names[Math.min(place, names.length - 1)];
      const select = el("select", { "aria-label": `curve ${place + 1}`, onchange: (event) => { state.curves[place] = event.target.value; show(); } }, ...names.map((one) => el("option", one === chosen ? { selected: "" } : {}, one)));
      const chart = el("div", { class: "chart" });
      body.append(el("div", { class: "card" }, el("div", { class: "controls" }, el("label", {}, "Curve ", select)), chart));
      const rows = drawn.flatMap((run) => (R.curves[run.id][chosen] ?? []).map(([epoch, value]) => ({ run: `${name(run)}, ${run.place}`, kind: run.label, epoch, value })));
      await Charts.draw(chart, Charts.curves(rows, chosen, colourOf(rows)));
    }
  },
  async groups(body) {
    const here = R.groups.filter(inData), ways = [...new Set(here.map((row) => row.way))];
    if (!ways.length) return body.append(empty("No run of this data has test_ranks.parquet with the columns of groups."));
    const kept = new Set(R.runs.filter(passes).map((run) => run.label));
    for (const way of ways) {
      const values = here.filter((row) => row.way === way && (kept.has(row.kind) || !R.runs.some((run) => run.label === row.kind)));
      const rows = values.map((row) => ({ kind: row.kind, order: row.order, users: row.users, group: `${row.group} · ${row.users.toLocaleString("en")}`, value: row.values[state.metric], spread: row.spread[state.metric], low: row.values[state.metric] - row.spread[state.metric], high: row.values[state.metric] + row.spread[state.metric] }));
      const order = [...new Set([...rows].sort((a, b) => a.order - b.order).map((row) => row.group))];
      const chart = el("div", { class: "chart" });
      body.append(el("div", { class: "card" }, el("h3", {}, `${short(state.metric)} by ${WAYS[way]}`), chart));
      await Charts.draw(chart, Charts.groups(rows, short(state.metric), `${WAYS[way]} · users`, order, colourOf(rows)));
    }
  },
  async cost(body) {
    const runs = R.runs.filter((run) => inData(run) && passes(run) && run[state.metric] !== null && (run.cpu ?? run.seconds));
    if (!runs.length) return body.append(empty("No tested run of this data, and of the filter, says how long it trained."));
    const rows = runs.map((run) => ({ kind: run.label, place: run.place, seed: run.seed, value: run[state.metric], cost: run.cpu ?? run.seconds }));
    const baselines = R.baselines.filter(inData).sort((a, b) => b[state.metric] - a[state.metric]).slice(0, 1).map((row) => ({ label: row.model, value: row[state.metric] }));
    const chart = el("div", { class: "chart" });
    body.append(el("div", { class: "card" }, chart));
    await Charts.draw(chart, Charts.cost(rows, baselines, short(state.metric), colourOf(rows)));
  },
  async interests(body) {
    const map = R.maps.find(inData);
    if (!map) return body.append(empty("No map: it needs a checkpoint of a network with interests, and its data (see the notes below)."));
    const select = el("select", { "aria-label": "colour", onchange: (event) => { state.colour = event.target.value; show(); } }, ...["interest", "modality"].map((one) => el("option", one === (state.colour ?? "interest") ? { selected: "" } : {}, one)));
    const largest = [...map.prototypes].sort((a, b) => b.size - a.size).slice(0, 12).map((one) => one.interest);
    const group = (interest) => (largest.includes(interest) ? `${interest}` : "other");
    const tokens = map.tokens.map((one) => ({ ...one, group: group(one.interest) })).sort((a, b) => (a.group === "other" ? -1 : 0) - (b.group === "other" ? -1 : 0));
    const prototypes = map.prototypes.map((one) => ({ ...one, name: `prototype ${one.interest}` }));
    const chart = el("div", { class: "chart" });
    body.append(el("div", { class: "card" }, el("h3", {}, `${name(byId.get(map.run))}: ${map.tokens.length.toLocaleString("en")} of ${map.numTokens.toLocaleString("en")} item tokens, ${map.prototypes.length} of ${map.numPrototypes} prototypes`), el("div", { class: "controls" }, el("label", {}, "Colour ", select)), chart));
    await Charts.draw(chart, Charts.map(tokens, prototypes, (state.colour ?? "interest") === "interest" ? "group" : "modality", map.method));
  },
  examples(body) {
    const found = R.examples.find(inData);
    if (!found) return body.append(empty("No examples: they need a checkpoint and its data (see the notes below)."));
    const tile = (item, isTarget) => el("div", { class: isTarget ? "tile target" : "tile", title: item.title }, el("div", { class: "face" }, item.picture ? el("img", { src: item.picture, alt: item.title, loading: "lazy" }) : item.title.slice(0, 70)), item.picture ? el("div", { class: "caption" }, item.title) : null);
    const strip = (title, tiles) => [el("p", { class: "strip-name" }, title), el("div", { class: "strip", tabindex: "0" }, ...tiles)];
    body.append(el("p", { class: "about" }, `Of ${name(byId.get(found.run))}.`));
    for (const user of found.users) {
      const rank = el("span", { class: user.rank <= 10 ? "rank hit" : "rank" }, `target on rank ${user.rank.toLocaleString("en")}`);
      body.append(el("article", { class: "card user" }, el("h3", {}, `User ${user.user}`, rank), ...strip(`history, newest last${user.length > user.history.length ? ` (${user.history.length} of ${user.length})` : ""}`, user.history.map((item) => tile(item, false))), ...strip("bought next", [tile(user.target, true)]), ...strip("the ten best", user.top.map((item) => tile(item, item.isTarget)))));
    }
  },
  configs(body) {
    const { keys, values } = R.configs, runs = R.runs.filter((run) => values[run.id] && passes(run));
    const differ = keys.map((key, place) => ({ key, place })).filter(({ place }) => new Set(runs.map((run) => values[run.id][place])).size > 1);
    if (runs.length < 2 || !differ.length) return body.append(empty("Nothing differs between the configs of these runs, or fewer than two keep .hydra/config.yaml."));
    const rows = runs.map((run) => ({ place: run.place, ...Object.fromEntries(differ.map(({ key, place }) => [`c ${key}`, values[run.id][place] ?? "–"])) }));
    const columns = [{ key: "place", title: "Folder" }, ...differ.map(({ key }) => ({ key: `c ${key}`, title: key }))];
    body.append(sortedTable(columns, rows, { sort: state.configSort ?? "place", down: state.configDown ?? false, onsort: (key) => { state.configDown = key === state.configSort ? !state.configDown : false; state.configSort = key; show(); } }));
  },
  commands(body) {
    const runs = R.runs.filter(passes), by = Map.groupBy ? Map.groupBy(runs, (run) => run.command) : runs.reduce((all, run) => all.set(run.command, [...(all.get(run.command) ?? []), run]), new Map());
    if (!by.size) return body.append(empty("No run passes the filter."));
    for (const [command, of] of by) {
      const seeds = [...new Set(of.map((run) => run.seed))].sort((a, b) => a - b).join(",");
      const line = `${command} seed=${seeds}`.replace("train.py ", seeds.includes(",") ? "train.py -m " : "train.py ");
      const copy = el("button", { type: "button", onclick: (event) => navigator.clipboard?.writeText(line).then(() => { event.target.textContent = "Copied"; }) }, "Copy");
      body.append(el("div", { class: "card" }, el("div", { class: "command" }, el("code", {}, line), copy), el("p", { class: "facts" }, `${of.map((run) => run.place).slice(0, 6).join(", ")}${of.length > 6 ? ` and ${of.length - 6} more` : ""}`)));
    }
  },
};

/** Draw the open tab anew; a chart needs the width of a visible place. */
async function show() {
  const tab = state.tab, turn = (state.turn = (state.turn ?? 0) + 1);
  for (const one of document.querySelectorAll("[role=tab]")) one.setAttribute("aria-selected", String(one.id === `tab-${tab}`));
  for (const one of document.querySelectorAll("[role=tabpanel]")) one.hidden = one.id !== tab;
  $("count").textContent = `${R.runs.filter(passes).length} of ${R.runs.length} runs`;
  const body = document.querySelector(`#${tab} .body`), wrap = el("div", { class: "body" });
  body.replaceWith(wrap);
  document.body.dataset.drawing = tab;
  await TABS[tab](wrap);
  if (location.hash) scrollTo(0, 0); // a browser goes to what the hash names, below the head
  if (turn === state.turn) delete document.body.dataset.drawing;
}

function start() {
  const datas = [...new Set([...R.runs.filter((run) => run[R.main] !== null), ...R.runs].map((run) => run.data))];
  state.data = datas[0];
  $("data").append(...datas.map((data) => el("option", {}, data)));
  $("metric").append(...R.metrics.map((metric) => el("option", { value: metric, ...(metric === state.metric ? { selected: "" } : {}) }, short(metric))));
  $("filter").oninput = (event) => { state.words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean); show(); };
  $("data").onchange = (event) => { state.data = event.target.value; show(); };
  $("metric").onchange = (event) => { state.metric = event.target.value; show(); };
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const paint = (isDark) => { document.documentElement.classList.toggle("dark", isDark); show(); };
  $("theme").onclick = () => paint(!document.documentElement.classList.contains("dark"));
  dark.onchange = () => paint(dark.matches);
  const open = (tab) => { if (TABS[tab]) { state.tab = tab; show(); } };
  for (const one of document.querySelectorAll("[role=tab]")) one.onclick = () => { history.replaceState(null, "", `#${one.id.slice(4)}`); open(one.id.slice(4)); };
  if (TABS[location.hash.slice(1)]) state.tab = location.hash.slice(1);
  onhashchange = () => open(location.hash.slice(1));
  paint(dark.matches);
}
start();
