"use strict";
// Vega-Lite specs. Values of the data are fields of rows, never names of fields.
const PALETTE = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8C6BB1", "#7A8B00", "#A6761D", "#E7298A", "#5E6C7A", "#1B9E9E", "#B15928", "#9A9A9A", "#4DAF4A"];

const Charts = {
  /** Colours, fonts and sizes of all charts, of the page's own colours. */
  config() {
    const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    const ink = css("--ink"), soft = css("--soft"), line = css("--line"), isNarrow = innerWidth < 640;
    return {
      background: "transparent", font: "system-ui, sans-serif", view: { stroke: null },
      axis: { labelColor: soft, titleColor: soft, gridColor: line, domainColor: line, tickColor: line, titleFontWeight: 500, labelFontSize: 11.5, titleFontSize: 12, labelLimit: isNarrow ? 110 : 320 },
      legend: { labelColor: ink, titleColor: soft, orient: "bottom", direction: "vertical", columns: isNarrow ? 1 : 2, labelLimit: isNarrow ? 280 : 420, symbolLimit: 40, titleFontWeight: 500, labelFontSize: 12 },
      title: { color: ink }, range: { category: PALETTE }, rule: { color: soft }, text: { color: ink }, header: { labelColor: ink, titleColor: soft },
    };
  },
  /** One colour for a kind of runs in all charts of a data set. */
  colour(kinds, all) {
    const shown = all.filter((kind) => kinds.includes(kind));
    return { field: "kind", type: "nominal", title: null, scale: { domain: shown, range: shown.map((kind) => PALETTE[all.indexOf(kind) % PALETTE.length]) } };
  },
  async draw(element, spec) {
    const whole = { $schema: "https://vega.github.io/schema/vega-lite/v6.json", width: "container", autosize: { type: "fit", contains: "padding" }, ...spec };
    await vegaEmbed(element, whole, { actions: { export: true, source: false, compiled: false, editor: false }, renderer: "canvas", config: Charts.config(), tooltip: { theme: "custom" } });
  },
  curves(rows, name, colour) {
    return {
      height: 300, data: { values: rows },
      layer: [{ mark: { type: "line", interpolate: "monotone", strokeWidth: 2, opacity: 0.85 } }, { mark: { type: "point", filled: true, size: 28 }, encoding: { tooltip: [{ field: "run", title: "title" }, { field: "epoch" }, { field: "value", title: name, format: ".4f" }] } }],
      encoding: {
        x: { field: "epoch", type: "quantitative", title: "epoch", axis: { tickMinStep: 1, format: "d", grid: false } },
        y: { field: "value", type: "quantitative", title: name, scale: { zero: false } },
        color: colour, detail: { field: "run" },
      },
    };
  },
  groups(rows, metric, way, order, colour) {
    return {
      height: 320, data: { values: rows },
      layer: [
        { mark: { type: "bar", cornerRadiusEnd: 2 } },
        ...(rows.some((row) => row.spread > 0) ? [{ transform: [{ filter: "datum.spread > 0" }], mark: { type: "rule", opacity: 0.8 }, encoding: { y: { field: "low", type: "quantitative" }, y2: { field: "high" } } }] : []),
      ],
      encoding: {
        x: { field: "group", type: "ordinal", sort: order, title: way, axis: { labelAngle: 0, labelExpr: "split(datum.label, ' · ')" } },
        xOffset: { field: "kind", type: "nominal", sort: colour.scale.domain },
        y: { field: "value", type: "quantitative", title: metric },
        color: colour,
        tooltip: [{ field: "kind", title: "title" }, { field: "group" }, { field: "value", title: metric, format: ".4f" }, { field: "users", title: "users", format: "," }],
      },
    };
  },
  pairs(rows, metric, other) {
    return {
      height: 34 * rows.length + 10, data: { values: rows },
      encoding: { y: { field: "kind", type: "nominal", sort: null, title: null } },
      layer: [
        { data: { values: [{ zero: 0 }] }, mark: { type: "rule", strokeDash: [4, 4] }, encoding: { x: { field: "zero", type: "quantitative" }, y: null } },
        { mark: { type: "rule", strokeWidth: 1.5 }, encoding: { x: { field: "lowAll", type: "quantitative", title: `difference in ${metric} from ${other}` }, x2: { field: "highAll" }, color: { field: "verdict", type: "nominal", scale: { domain: ["more", "less", "open"], range: ["#009E73", "#D55E00", "#9A9A9A"] }, legend: null } } },
        { mark: { type: "rule", strokeWidth: 6, opacity: 0.55 }, encoding: { x: { field: "low", type: "quantitative" }, x2: { field: "high" }, color: { field: "verdict", type: "nominal", legend: null } } },
        { mark: { type: "point", filled: true, size: 80, opacity: 1 }, encoding: { x: { field: "difference", type: "quantitative" }, color: { field: "verdict", type: "nominal", legend: null }, tooltip: [{ field: "kind", title: "title" }, { field: "difference", format: "+.4f" }, { field: "low", format: "+.4f" }, { field: "high", format: "+.4f" }] } },
      ],
    };
  },
  cost(rows, baselines, metric, colour) {
    return {
      height: 380,
      layer: [
        ...(baselines.length ? [
          { data: { values: baselines }, mark: { type: "rule", strokeDash: [4, 4] }, encoding: { y: { field: "value", type: "quantitative" }, tooltip: [{ field: "label", title: "title" }, { field: "value", format: ".4f" }] } },
          { data: { values: baselines }, mark: { type: "text", align: "left", dy: -6, x: 4, fontSize: 11 }, encoding: { y: { field: "value", type: "quantitative" }, text: { field: "label" } } },
        ] : []),
        {
          data: { values: rows }, params: [{ name: "zoom", select: "interval", bind: "scales" }],
          mark: { type: "point", filled: true, size: 110, opacity: 0.85 },
          encoding: {
            x: { field: "cost", type: "quantitative", scale: { type: "log", nice: true }, title: "seconds of training (processor where known)", axis: { grid: false, format: "~s", tickCount: 5 } },
            y: { field: "value", type: "quantitative", title: metric, scale: { zero: false } },
            color: colour,
            tooltip: [{ field: "kind", title: "title" }, { field: "place", title: "run" }, { field: "seed" }, { field: "value", title: metric, format: ".4f" }, { field: "cost", title: "seconds", format: ",.0f" }],
          },
        },
      ],
    };
  },
  map(tokens, prototypes, colour, method) {
    const tooltip = [{ field: "title", title: "title" }, { field: "image", title: "image" }, { field: "interest" }, { field: "modality" }];
    const axis = { grid: false, labels: false, ticks: false, domain: false };
    const place = { x: { field: "x", type: "quantitative", title: `${method} 1`, axis }, y: { field: "y", type: "quantitative", title: `${method} 2`, axis } };
    const groups = [...new Set(tokens.map((one) => one.group))].sort((a, b) => (a === "other") - (b === "other"));
    return {
      height: 560,
      layer: [
        {
          data: { values: tokens }, params: [{ name: "zoom", select: "interval", bind: "scales" }],
          mark: { type: "point", filled: true, size: 34, opacity: 0.75 },
          encoding: { ...place, color: { field: colour, type: "nominal", title: colour === "group" ? "interest" : colour, sort: null, ...(colour === "group" ? { scale: { domain: groups, range: groups.map((one, place) => (one === "other" ? "#b3bac4" : PALETTE[place])) } } : {}) }, tooltip },
        },
        {
          data: { values: prototypes }, mark: { type: "point", shape: "diamond", strokeWidth: 1.6, opacity: 0.9, fill: null },
          encoding: { ...place, size: { field: "size", type: "quantitative", title: "tokens of a prototype", scale: { range: [40, 420] }, legend: null }, stroke: { value: Charts.config().text.color }, tooltip: [{ field: "name", title: "title" }, { field: "size", title: "tokens" }] },
        },
      ],
    };
  },
};
