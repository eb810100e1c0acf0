"use strict";
/* Curves that answer to pointer and keyboard, and tables that sort. Without this script the page shows still figures. */
(() => {
  const SVG = "http://www.w3.org/2000/svg";

  function make(name, attributes = {}, parent = null, text = "") {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text) node.textContent = text;
    if (parent) parent.append(node);
    return node;
  }

  function draw(name, attributes, parent, text = "") {
    const node = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text) node.textContent = text;
    parent.append(node);
    return node;
  }

  const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
  const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
  const short = (value) => (Math.abs(value) < 1e5 ? whole : compact).format(value);

  function ticks(low, high, count) {
    const rough = (high - low) / count || 1;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].find((factor) => factor * power >= rough) * power;
    const found = [];
    for (let n = Math.ceil(low / step - 1e-9); n * step <= high + 1e-9 * step; n++) found.push(n * step);
    return found;
  }

  class Chart {
    constructor(root) {
      this.root = root;
      this.data = JSON.parse(document.getElementById(root.dataset.chart).textContent);
      this.axis = 0;
      this.hidden = new Set();
      this.spread = true;
      this.current = null;
      this.controls();
      this.plot = make("div", { class: "plot", tabindex: "0", role: "group", "aria-label":
        `${root.dataset.label}. Left and right arrow keys go along a curve, up and down to the next one.` }, root);
      this.status = make("p", { class: "tip", role: "status" }, root);
      this.status.hidden = true;
      this.plot.addEventListener("pointermove", (event) => this.point(event));
      this.plot.addEventListener("pointerdown", (event) => this.point(event));
      this.plot.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") this.select(null); });
      this.plot.addEventListener("keydown", (event) => this.key(event));
      this.plot.addEventListener("blur", () => this.select(null));
      new ResizeObserver(() => { if (this.plot.clientWidth !== this.width) this.render(); }).observe(this.plot);
      this.render();
    }

    controls() {
      const bar = make("div", { class: "controls" }, this.root);
      const axes = make("fieldset", {}, bar);
      make("legend", {}, axes, "Budget in");
      this.data.axes.forEach((axis, index) => {
        const choice = make("label", {}, axes);
        const input = make("input", { type: "radio", name: this.root.dataset.chart, value: axis.key }, choice);
        input.checked = index === this.axis;
        input.addEventListener("change", () => { this.axis = index; this.render(); });
        choice.append(` ${axis.label}`);
      });
      const curves = make("div", { class: "legend", role: "group", "aria-label": "Curves shown" }, bar);
      for (const strategy of this.data.strategies) {
        const button = make("button", { type: "button", "aria-pressed": "true", "data-strategy": strategy.name }, curves);
        const key = draw("svg", { viewBox: "-14 -7 28 14", "aria-hidden": "true" }, button);
        draw("path", { d: "M-14,0 H14", stroke: strategy.color, "stroke-width": 2, "stroke-dasharray": strategy.dash }, key);
        draw("path", { d: strategy.marker, transform: "scale(9)", fill: strategy.color }, key);
        button.append(strategy.label);
        button.addEventListener("click", () => this.toggle(strategy.name, button));
      }
      if (this.data.strategies.some((strategy) => strategy.seeds.length > 1)) {
        const choice = make("label", { class: "spread" }, bar);
        const input = make("input", { type: "checkbox" }, choice);
        input.checked = true;
        input.addEventListener("change", () => { this.spread = input.checked; this.render(); });
        choice.append(" spread");
      }
    }

    toggle(name, button) {
      const shown = this.hidden.delete(name);
      if (!shown) this.hidden.add(name);
      button.setAttribute("aria-pressed", String(shown));
      this.current = null;
      this.render();
    }

    visible() {
      return this.data.strategies.filter((strategy) => !this.hidden.has(strategy.name));
    }

    render() {
      const { data, axis } = this;
      this.width = this.plot.clientWidth || 720;
      const narrow = this.width < 480;
      const height = Math.round(Math.min(460, Math.max(290, this.width * 0.58)));
      const [left, right, top, bottom] = [58, 14, 12, 44];
      const points = data.strategies.flatMap((strategy) => strategy.points);
      const everyX = points.map((point) => point.x[axis]);
      const everyY = points.flatMap((point) => [point.low, point.high, point.dice - (point.sd || 0), point.dice + (point.sd || 0)]);
      if (data.ceiling) everyY.push(data.ceiling.dice);
      const span = (values, share) => {
        const [low, high] = [Math.min(...values), Math.max(...values)];
        const pad = (high - low) * share || Math.abs(high) * 0.05 || 1;
        return [low - pad, high + pad];
      };
      const [x0, x1] = span(everyX, 0.04);
      const [y0, y1] = span(everyY, 0.07);
      this.x = (value) => left + ((value - x0) / (x1 - x0)) * (this.width - left - right);
      this.y = (value) => height - bottom - ((value - y0) / (y1 - y0)) * (height - top - bottom);
      this.floor = height - bottom;
      this.plot.querySelector("svg")?.remove();
      const svg = draw("svg", { viewBox: `0 0 ${this.width} ${height}`, role: "img", "aria-label": this.root.dataset.alt }, this.plot);
      this.svg = svg;
      for (const value of ticks(y0, y1, 6)) {
        draw("path", { d: `M${left},${this.y(value)} H${this.width - right}`, class: "grid" }, svg);
        draw("text", { x: left - 7, y: this.y(value) + 4, "text-anchor": "end" }, svg, value.toFixed(2));
      }
      const budgets = axis === 0 && points.length ? [...new Set(everyX)].sort((a, b) => a - b) : [];
      const own = budgets.length > 0 && budgets.length <= (narrow ? 5 : 10);
      for (const value of own ? budgets : ticks(x0, x1, narrow ? 4 : 7)) {
        draw("path", { d: `M${this.x(value)},${height - bottom} v5`, class: "rule" }, svg);
        draw("text", { x: this.x(value), y: height - bottom + 19, "text-anchor": "middle" }, svg, short(value));
      }
      draw("path", { d: `M${left},${top} V${height - bottom} H${this.width - right}`, class: "rule" }, svg);
      draw("text", { x: (left + this.width - right) / 2, y: height - 6, "text-anchor": "middle", class: "title" }, svg,
        data.axes[axis].title);
      draw("text", { transform: `translate(11 ${(top + height - bottom) / 2}) rotate(-90)`, "text-anchor": "middle", class: "title" }, svg,
        "mean foreground Dice");
      if (data.ceiling) {
        const at = this.y(data.ceiling.dice);
        draw("path", { d: `M${left},${at} H${this.width - right}`, class: "ceiling" }, svg);
        draw("text", { x: left + 6, y: at - 5 }, svg,
          `all labels: ${data.ceiling.dice.toFixed(3)} (${data.ceiling.n} seed${data.ceiling.n > 1 ? "s" : ""})`);
      }
      this.groups = new Map();
      for (const strategy of this.visible()) this.curve(strategy, svg);
      this.guide = draw("path", { class: "guide" }, svg);
      this.select(this.current);
    }

    curve(strategy, svg) {
      const { axis } = this;
      const group = draw("g", { class: "curve", "data-strategy": strategy.name }, svg);
      this.groups.set(strategy.name, group);
      const line = (points) => points.map((point, i) => `${i ? "L" : "M"}${this.x(point.x[axis])},${this.y(point.dice)}`).join("");
      if (this.spread && strategy.seeds.length > 1) {
        const wide = strategy.points.filter((point) => point.sd !== null);
        const edge = (point, sign) => `${this.x(point.x[axis])},${this.y(point.dice + sign * point.sd)}`;
        const outline = [...wide.map((point) => edge(point, 1)), ...[...wide].reverse().map((point) => edge(point, -1))];
        if (wide.length > 1) draw("path", { d: `M${outline.join("L")}Z`, fill: strategy.color, class: "band" }, group);
        for (const seed of strategy.seeds) draw("path", { d: line(seed), stroke: strategy.color, class: "seed" }, group);
      }
      draw("path", { d: line(strategy.points), stroke: strategy.color, "stroke-dasharray": strategy.dash, class: "mean" }, group);
      for (const point of strategy.points) {
        draw("path", { d: strategy.marker, fill: strategy.color, class: "mark",
          transform: `translate(${this.x(point.x[axis])} ${this.y(point.dice)}) scale(8.5)` }, group);
      }
    }

    point(event) {
      const frame = this.svg.getBoundingClientRect();
      const scale = this.width / frame.width;
      const [x, y] = [(event.clientX - frame.left) * scale, (event.clientY - frame.top) * scale];
      let [best, nearest] = [null, 60];
      for (const strategy of this.visible()) {
        strategy.points.forEach((point, index) => {
          const distance = Math.hypot(this.x(point.x[this.axis]) - x, this.y(point.dice) - y);
          if (distance < nearest) [best, nearest] = [{ name: strategy.name, index }, distance];
        });
      }
      this.select(best);
    }

    key(event) {
      const shown = this.visible();
      const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
      if (event.key === "Escape") this.select(null);
      if (!step || !shown.length) return;
      event.preventDefault();
      if (!this.current) return this.select({ name: shown[0].name, index: 0 });
      const row = shown.findIndex((strategy) => strategy.name === this.current.name);
      const strategy = shown[(row + step[0] + shown.length) % shown.length];
      const index = Math.min(strategy.points.length - 1, Math.max(0, this.current.index + step[1]));
      this.select({ name: strategy.name, index });
    }

    select(current) {
      this.current = current;
      for (const [name, group] of this.groups) group.classList.toggle("faded", Boolean(current) && name !== current.name);
      this.status.hidden = !current;
      this.guide.setAttribute("d", "");
      if (!current) return;
      const strategy = this.data.strategies.find((each) => each.name === current.name);
      const point = strategy.points[current.index];
      const [x, y] = [this.x(point.x[this.axis]), this.y(point.dice)];
      this.guide.setAttribute("d", `M${x},${y} V${this.floor}`);
      this.groups.get(strategy.name).parentNode.insertBefore(this.groups.get(strategy.name), this.guide);
      this.status.textContent = this.describe(strategy, point);
      const space = this.root.clientWidth;
      const size = this.status.offsetWidth;
      const place = x + 14 + size <= space ? x + 14 : x - 14 - size;
      this.status.style.left = `${Math.max(0, Math.min(place, space - size))}px`;
      this.status.style.top = `${this.plot.offsetTop + Math.max(0, y - this.status.offsetHeight - 10)}px`;
    }

    describe(strategy, point) {
      const { data, axis } = this;
      const share = data.axes[axis].key === "n_annotated_units" && data.pool > 0
        ? ` (${((100 * point.x[axis]) / data.pool).toPrecision(2)} % of the pool)` : "";
      const spread = point.sd === null ? "1 seed, no spread"
        : `± ${point.sd.toFixed(3)} (standard deviation of n = ${point.n} seeds; ${point.low.toFixed(3)} to ${point.high.toFixed(3)})`;
      return `${strategy.label}, round ${point.round}\n${short(point.x[axis])} ${data.axes[axis].label}${share}\nDice ${point.dice.toFixed(3)} ${spread}`;
    }
  }

  /* Tables: a click on a heading sorts by the first number of each cell, highest first; cells without one come last. */
  function sortable(table) {
    const body = table.tBodies[0];
    const headings = [...table.tHead.rows[0].cells];
    headings.forEach((heading, column) => {
      const text = heading.textContent;
      heading.textContent = "";
      const button = make("button", { type: "button", title: `Sort by ${text}` }, heading, text);
      button.addEventListener("click", () => {
        const up = column === 0 ? heading.ariaSort !== "ascending" : heading.ariaSort === "descending";
        const value = (row) => (column === 0 ? row.cells[0].textContent.trim() : parseFloat(row.cells[column].textContent.replace(/[,<]/g, "")));
        const last = (a) => typeof a === "number" && Number.isNaN(a);
        const rows = [...body.rows].map((row) => [value(row), row]);
        rows.sort(([a], [b]) => {
          if (last(a) || last(b)) return Number(last(a)) - Number(last(b));
          const order = typeof a === "string" ? a.localeCompare(b) : a - b;
          return up ? order : -order;
        });
        for (const other of headings) other.removeAttribute("aria-sort");
        heading.setAttribute("aria-sort", up ? "ascending" : "descending");
        body.append(...rows.map(([, row]) => row));
      });
    });
  }

  for (const root of document.querySelectorAll(".chart")) {
    const still = root.parentNode.querySelector(".still");
    root.hidden = false;
    new Chart(root);
    if (still) still.hidden = true;
  }
  document.querySelectorAll("table.sortable").forEach(sortable);
})();
