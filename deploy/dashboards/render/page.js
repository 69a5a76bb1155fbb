// Draws the panels of `dashboard`, in the browser.

const CELL = 38;
const GAP = 8;
const COLORS = { green: "#73bf69", red: "#f2495c", orange: "#ff9830", yellow: "#fade2a", blue: "#5794f2", purple: "#b877d9", text: "#ccccdc", transparent: "transparent" };
const PALETTE = ["#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#f2495c", "#5794f2", "#b877d9", "#705da0", "#37872d", "#fade2a", "#447ebc", "#c15c17", "#96d98d", "#ffb357", "#ca95e5"];
const GREEN_YELLOW_RED = ["#73bf69", "#fade2a", "#f2495c"];
const ORANGES = ["#181b1f", "#7a2e0b", "#d9560b", "#fd9b4e", "#fee6ce"];
const CALCS = {
  lastNotNull: ["Last", (values) => values.findLast((value) => Number.isFinite(value))],
  mean: ["Mean", (values) => mean(values.filter(Number.isFinite))],
  max: ["Max", (values) => Math.max(...values.filter(Number.isFinite))],
};

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const color = (name) => COLORS[name] ?? name;

// Units

const rounded = (value, decimals) => {
  const digits = decimals ?? (Math.abs(value) >= 100 || Number.isInteger(value) ? 0 : Math.abs(value) >= 10 ? 1 : 2);
  return Number(value.toFixed(digits)).toString();
};

function scaled(value, decimals, steps) {
  const [size, unit] = steps.find(([size]) => Math.abs(value) >= size) ?? steps.at(-1);
  return [rounded(value / size, decimals), unit];
}

const DURATIONS = [[604800, " weeks"], [86400, " days"], [3600, " hours"], [60, " mins"], [1, " s"], [1e-3, " ms"], [1e-6, " µs"]];
const BYTES = [[2 ** 30, " GiB"], [2 ** 20, " MiB"], [2 ** 10, " KiB"], [1, " B"]];
const THOUSANDS = [[1e9, " Bil"], [1e6, " Mil"], [1e3, " K"]];
const OF_ZERO = { s: " s", percentunit: "%", bytes: " B", reqps: " req/s", ops: " ops/s" };

function format(value, unit, decimals) {
  if (!Number.isFinite(value)) return ["", ""];
  if (unit.startsWith("suffix:")) return [rounded(value, decimals), unit.slice("suffix:".length)];
  if (value === 0) return ["0", OF_ZERO[unit] ?? ""];
  switch (unit) {
    case "s":
      return scaled(value, decimals, DURATIONS);
    case "bytes":
      return scaled(value, decimals, BYTES);
    case "percentunit":
      return [rounded(value * 100, decimals), "%"];
    case "reqps":
      return [rounded(value, decimals), " req/s"];
    case "ops":
      return [rounded(value, decimals), " ops/s"];
    case "short":
      return Math.abs(value) < 1e4 ? [rounded(value, decimals), ""] : scaled(value, decimals, THOUSANDS);
    default:
      return [rounded(value, decimals), ""];
  }
}

const text = (value, unit, decimals) => format(value, unit, decimals).join("");

// Returns the text, unit and colour of a single value.
function single({ fieldConfig: { defaults } }, value) {
  const mapped = defaults.mappings.find(({ type, options }) => type === "value" && options[value])?.options[value];
  if (mapped) return [mapped.text, "", color(mapped.color)];
  if (value === undefined) return [defaults.noValue ?? "No data", "", thresholdColor(defaults.thresholds, -Infinity)];
  return [...format(value, defaults.unit, defaults.decimals), thresholdColor(defaults.thresholds, value)];
}

// Returns the display settings of a field, including its overrides.
function fieldOf({ fieldConfig }, name) {
  const field = structuredClone(fieldConfig.defaults);
  for (const { matcher, properties } of fieldConfig.overrides) {
    const matches =
      matcher.id === "byName" ? matcher.options === name : matcher.id === "byRegexp" && new RegExp(matcher.options.slice(1, -1)).test(name);
    if (!matches) continue;
    for (const { id, value } of properties) {
      const [key, inner] = id.split(".");
      if (inner) field[key] = { ...field[key], [inner]: value };
      else field[key] = value;
    }
  }
  return field;
}

const thresholdColor = ({ steps }, value) => color(steps.findLast((step) => step.value === null || value >= step.value).color);

function mixed(colors, share) {
  const at = Math.min(Math.max(share, 0), 1) * (colors.length - 1);
  const index = Math.min(Math.floor(at), colors.length - 2);
  const channel = (hex, start) => parseInt(hex.slice(start, start + 2), 16);
  const mix = [1, 3, 5].map((start) => {
    const [from, to] = [channel(colors[index], start), channel(colors[index + 1], start)];
    return Math.round(from + (to - from) * (at - index));
  });
  return `rgb(${mix})`;
}

// Elements

function element(parent, tag, className = "", content = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = content;
  parent.append(made);
  return made;
}

function svg(parent, tag, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  parent.append(made);
  return made;
}

// Panels

const DRAW = {
  timeseries(panel, body) {
    const { legend } = panel.options;
    const lines = panel.data.map((line, index) => {
      const field = fieldOf(panel, line.name);
      const own = field.color?.mode === "fixed" ? color(field.color.fixedColor) : PALETTE[index % PALETTE.length];
      return { ...line, field, color: own };
    });
    body.classList.toggle("right", legend.placement === "right");
    const plot = element(body, "div", "plot");
    legend.displayMode === "table" ? legendTable(body, lines, legend.calcs) : legendList(body, lines);
    draw(panel, plot, lines);
  },

  heatmap(panel, body) {
    // Converts the cumulative buckets of Prometheus to counts between two bounds.
    const buckets = panel.data.filter(({ metric }) => Number(metric.le.replace("+Inf", "Infinity")) > 0);
    buckets.sort((a, b) => Number(a.name.replace("+Inf", "Infinity")) - Number(b.name.replace("+Inf", "Infinity")));
    const cells = buckets.map((bucket, index) =>
      bucket.values.map((value, at) => Math.max(0, (value ?? 0) - (index ? (buckets[index - 1].values[at] ?? 0) : 0))),
    );
    const most = Math.max(1e-9, ...cells.flat());
    const unit = panel.options.yAxis.unit;
    const plot = element(body, "div", "plot");
    const { clientWidth: width, clientHeight: height } = plot;
    const image = svg(plot, "svg", { width, height });
    const [left, bottom] = [62, 22];
    const [cellWidth, cellHeight] = [(width - left) / cells[0].length, (height - bottom) / cells.length];
    cells.forEach((row, index) => {
      const y = height - bottom - (index + 1) * cellHeight;
      const label = svg(image, "text", { x: left - 8, y: y + cellHeight / 2 + 4, "text-anchor": "end", fill: "#9a9aa8", "font-size": 11 });
      label.textContent = buckets[index].name === "+Inf" ? "+Inf" : text(Number(buckets[index].name), unit);
      row.forEach((count, at) => {
        if (count < 0.01) return;
        const fill = mixed(ORANGES.slice(1), (count / most) ** panel.options.color.exponent);
        svg(image, "rect", { x: left + at * cellWidth, y: y + 0.5, width: Math.max(cellWidth, 2.5), height: cellHeight - 1, fill });
      });
    });
    for (let tick = 0; tick <= 5; tick++) {
      const time = dashboard.start + ((dashboard.end - dashboard.start) * tick) / 6;
      const label = svg(image, "text", { x: left + ((width - left) * tick) / 6, y: height - 5, fill: "#9a9aa8", "font-size": 11 });
      label.textContent = clock(time);
    }
  },

  stat(panel, body) {
    body.classList.add("stat");
    const values = panel.data[0]?.values ?? [];
    const value = CALCS.lastNotNull[1](values);
    const [number, unit, shade] = single(panel, value);
    if (panel.options.graphMode === "area") sparkline(body, values, shade);
    const shown = element(body, "div", "value");
    shown.style.color = shade;
    shown.style.fontSize = `${Math.min(52, body.clientHeight * 0.55)}px`;
    element(shown, "span", "", number);
    element(shown, "span", "", unit).style.fontSize = "60%";
  },

  gauge(panel, body) {
    body.classList.add("stat");
    const { defaults } = panel.fieldConfig;
    const value = CALCS.lastNotNull[1](panel.data[0]?.values ?? []);
    const { clientWidth: width, clientHeight: height } = body;
    const radius = Math.min(width / 2 - 20, height * 0.62);
    const [x, y] = [width / 2, height * 0.78];
    const image = svg(body, "svg", { width, height });
    const share = (of) => (Math.min(Math.max(of, defaults.min), defaults.max) - defaults.min) / (defaults.max - defaults.min);
    const arc = (from, to, r, stroke, thickness) => {
      const point = (at) => `${x - r * Math.cos(Math.PI * (1.12 * at - 0.06))} ${y - r * Math.sin(Math.PI * (1.12 * at - 0.06))}`;
      svg(image, "path", { d: `M ${point(from)} A ${r} ${r} 0 0 1 ${point(to)}`, stroke, "stroke-width": thickness, fill: "none" });
    };
    const thickness = radius * 0.24;
    arc(0, 1, radius - thickness / 2 - 6, "#25282e", thickness);
    const { steps } = defaults.thresholds;
    steps.forEach((step, index) => arc(share(step.value ?? defaults.min), share(steps[index + 1]?.value ?? defaults.max), radius, color(step.color), 4));
    if (value >= defaults.min) arc(0, Math.max(share(value), 0.002), radius - thickness / 2 - 6, thresholdColor(defaults.thresholds, value), thickness);
    const label = svg(image, "text", { x, y: y - 2, "text-anchor": "middle", "font-size": radius * 0.3, "font-weight": 500 });
    const [number, sign, shade] = single(panel, value);
    label.setAttribute("fill", shade);
    label.textContent = number + sign;
  },

  table(panel, body) {
    body.classList.add("table");
    const { columns, rows } = panel.table;
    const [sort] = panel.options.sortBy;
    if (sort) rows.sort((a, b) => (sort.desc ? -1 : 1) * (a[sort.displayName] - b[sort.displayName]));
    const most = Math.max(...columns.flatMap((column) => rows.map((row) => row[column]).filter(Number.isFinite)));
    const table = element(body, "table");
    const head = element(table, "tr");
    const fields = columns.map((column) => fieldOf(panel, column));
    const isMatrix = panel.transformations.some(({ id }) => id === "groupingToMatrix");
    body.classList.toggle("matrix", isMatrix);
    const kind = (column) => (rows.some((row) => typeof row[column] === "number") ? (isMatrix ? "center" : "number") : "");
    columns.forEach((column, index) => element(head, "th", kind(column), fields[index].displayName ?? column));
    for (const row of rows) {
      const line = element(table, "tr");
      columns.forEach((column, index) => {
        const field = fields[index];
        const value = row[column];
        const isNumber = typeof value === "number";
        const cell = element(line, "td", kind(column));
        const type = field.custom.cellOptions.type;
        const top = isMatrix ? most : (field.max ?? Math.max(...rows.map((other) => other[column] ?? 0)));
        if (!isNumber) {
          cell.append(value ?? "");
          return;
        }
        const share = (value - (field.min ?? 0)) / (top - (field.min ?? 0));
        const shade = field.color.mode === "continuous-GrYlRd" ? mixed(GREEN_YELLOW_RED, share) : thresholdColor(field.thresholds, value);
        if (type === "gauge") {
          const filled = element(element(cell, "span", "bar"), "b");
          filled.style.cssText = `width: ${100 * Math.min(share, 1)}%; background: ${shade}`;
        }
        if (type === "color-text") cell.style.color = shade;
        if (isMatrix) cell.style.cssText = `background: ${shade}; color: #111217; font-weight: 500; border: 1px solid #181b1f`;
        cell.append(text(value, field.unit, field.decimals));
      });
    }
  },
};

function sparkline(body, values, stroke) {
  const { clientWidth: width, clientHeight } = body;
  const height = clientHeight * 0.42;
  const known = values.map((value, at) => [at, value]).filter(([, value]) => Number.isFinite(value));
  if (known.length < 2) return;
  const [low, high] = [Math.min(...known.map(([, value]) => value)), Math.max(...known.map(([, value]) => value))];
  const point = ([at, value]) => `${(at / (values.length - 1)) * width} ${height - 2 - ((value - low) / (high - low || 1)) * (height - 6)}`;
  const line = `M ${known.map(point).join(" L ")}`;
  const image = svg(body, "svg", { width, height });
  svg(image, "path", { d: `${line} L ${width} ${height} L 0 ${height} Z`, fill: stroke, opacity: 0.15 });
  svg(image, "path", { d: line, stroke, fill: "none", opacity: 0.75 });
}

function swatch(parent, line) {
  element(parent, "i").style.background = line.color;
  parent.append(line.name);
}

function legendList(body, lines) {
  const list = element(body, "div", "legend");
  for (const line of lines) swatch(element(list, "span"), line);
}

function legendTable(body, lines, calcs) {
  const table = element(body, "table");
  const head = element(table, "tr");
  for (const title of ["Name", ...calcs.map((calc) => CALCS[calc][0])]) element(head, "th", "", title);
  for (const line of lines) {
    const row = element(table, "tr");
    swatch(element(row, "td"), line);
    for (const calc of calcs) element(row, "td", "", text(CALCS[calc][1](line.values), line.field.unit, line.field.decimals));
  }
}

const clock = (time) => new Date(time * 1000).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", timeZone: "UTC" });

function draw(panel, plot, lines) {
  const { defaults } = panel.fieldConfig;
  const { drawStyle, thresholdsStyle, lineInterpolation } = defaults.custom;
  const times = lines[0].times;
  const isBars = drawStyle === "bars";
  // A stacked series starts at the sum of the previous ones.
  let below = times.map(() => 0);
  const stacked = lines.map((line) => {
    if (line.field.custom.stacking.mode !== "normal") return { ...line, shown: line.values };
    const shown = line.values.map((value, at) => (value ?? 0) + below[at]);
    below = shown;
    return { ...line, shown, isStacked: true };
  });
  // The highest series is drawn first, below the others.
  const order = [...stacked.filter(({ isStacked }) => isStacked).reverse(), ...stacked.filter(({ isStacked }) => !isStacked)];
  const isRight = (line) => line.field.custom.axisPlacement === "right";
  const paths = isBars
    ? uPlot.paths.bars({ size: [0.9, 20] })
    : lineInterpolation === "stepAfter"
      ? uPlot.paths.stepped({ align: 1 })
      : uPlot.paths.linear();
  const scale = (on) => ({
    range: (_, low, high) => {
      const least = on.min ?? low ?? 0;
      const most = on.max ?? Math.max(high ?? 1, on.custom.axisSoftMax ?? 0) * 1.05;
      return [Math.min(least, low ?? 0), most > least ? most : least + 1];
    },
  });
  const axis = (on, extra) => ({
    stroke: "#9a9aa8",
    font: "11px Inter",
    grid: { stroke: "rgba(204, 204, 220, 0.07)", width: 1 },
    ticks: { show: false },
    size: 62,
    space: 34,
    values: (_, splits) => splits.map((split) => text(split, on.unit, on.decimals ?? (on.unit === "percentunit" ? 0 : undefined))),
    ...extra,
  });
  const right = order.find(isRight);
  const limits = thresholdsStyle.mode === "off" ? [] : defaults.thresholds.steps.filter(({ value }) => value !== null);
  const hooks = {
    draw: [
      ({ ctx, bbox, valToPos }) => {
        for (const { value, color: name } of limits) {
          const y = valToPos(value, "y", true);
          if (y < bbox.top) continue;
          ctx.save();
          ctx.strokeStyle = color(name);
          ctx.setLineDash([10, 10]);
          ctx.beginPath();
          ctx.moveTo(bbox.left, y);
          ctx.lineTo(bbox.left + bbox.width, y);
          ctx.stroke();
          ctx.restore();
        }
      },
    ],
  };
  const translucent = (hex, percent) => `${hex}${Math.round(percent * 2.55).toString(16).padStart(2, "0")}`;
  new uPlot(
    {
      width: plot.clientWidth,
      height: plot.clientHeight,
      legend: { show: false },
      cursor: { show: false },
      hooks,
      scales: { x: { range: [dashboard.start, dashboard.end] }, y: scale(defaults), ...(right && { right: scale(right.field) }) },
      axes: [
        axis(defaults, { size: 24, space: 80, values: (_, splits) => splits.map(clock) }),
        axis(defaults, { scale: "y" }),
        ...(right ? [axis(right.field, { scale: "right", side: 1, grid: { show: false } })] : []),
      ],
      series: [
        {},
        ...order.map((line) => ({
          scale: isRight(line) ? "right" : "y",
          stroke: line.color,
          width: line.field.custom.lineWidth,
          dash: line.field.custom.lineStyle?.dash,
          // Stacked areas are opaque, so areas below are not visible.
          fill: line.isStacked ? blended(line.color, line.field.custom.fillOpacity) : translucent(line.color, line.field.custom.fillOpacity),
          points: { show: false },
          paths,
        })),
      ],
    },
    [times, ...order.map(({ shown }) => shown.map((value) => (Number.isFinite(value) ? value : null)))],
    plot,
  );
}

const blended = (hex, percent) => mixed(["#181b1f", hex], percent / 100);

function place(parent, panel) {
  const { x, y, w, h } = panel.gridPos;
  const column = (document.body.clientWidth - 32 + GAP) / 24;
  parent.style.cssText = `left: ${x * column}px; top: ${y * CELL}px; width: ${w * column - GAP}px; height: ${h * CELL - GAP}px`;
}

const header = element(document.body, "header");
element(header, "h1", "", dashboard.title);
element(header, "span", "source", `a rendering of the panels of ${dashboard.source}, from a live Prometheus; not a screenshot of Grafana`);
for (const name of dashboard.variables) element(element(header, "span", "variable"), "b", "", name).after("All");
element(header, "span", "variable", dashboard.range);
const grid = element(document.body, "main");
for (const panel of dashboard.panels) {
  const frame = element(grid, "section", panel.type === "row" ? "row" : "panel", panel.type === "row" ? panel.title : "");
  place(frame, panel);
  if (panel.type === "row") continue;
  element(frame, "h2", "", panel.title);
  const body = element(frame, "div", "body");
  if (panel.data.length) DRAW[panel.type](panel, body);
  else element(body, "div", "nothing", panel.fieldConfig.defaults.noValue ?? "No data");
}
