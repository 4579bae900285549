// The page "Rescale a network": exact fractions, a network of six neurons, its paths, and what rescaling does to them.
// No library. Everything that is shown is computed here from NETWORK; docs/check_browser.py compares it with pathgraph.
(() => {
  "use strict";

  // ---- fractions of big integers, in lowest terms, denominator > 0 ------------------------------------------------

  const gcd = (a, b) => {
    while (b) [a, b] = [b, a % b];
    return a < 0n ? -a : a;
  };
  const fraction = (n, d = 1n) => {
    const divisor = gcd(n, d) * (d < 0n ? -1n : 1n);
    return { n: n / divisor, d: d / divisor };
  };
  const parse = (text) => fraction(...text.split("/").map(BigInt));
  const ZERO = fraction(0n);
  const ONE = fraction(1n);
  const add = (a, b) => fraction(a.n * b.d + b.n * a.d, a.d * b.d);
  const multiply = (a, b) => fraction(a.n * b.n, a.d * b.d);
  const divide = (a, b) => fraction(a.n * b.d, a.d * b.n);
  const negate = (a) => ({ n: -a.n, d: a.d });
  const absolute = (a) => (a.n < 0n ? negate(a) : a);
  const equal = (a, b) => a.n === b.n && a.d === b.d;
  const number = (a) => Number(a.n) / Number(a.d);
  const show = (a) => `${a.n < 0n ? "\u2212" : ""}${absolute(a).n}${a.d === 1n ? "" : `/${a.d}`}`;
  const total = (values) => values.reduce(add, ZERO);

  // ---- the network ------------------------------------------------------------------------------------------------

  const HIDDEN = ["a", "b", "c"]; // in the order of evaluation; all are ReLUs
  const NETWORK = [
    // source, target, value; a bias has no source
    ["x", "a", "2"], ["y", "a", "-1"], ["", "a", "1"], ["x", "b", "-1"], ["y", "b", "1"],
    ["a", "c", "1"], ["b", "c", "-2"], ["b", "out", "1/2"], ["c", "out", "3"],
  ].map(([source, target, value]) => ({ source, target, value: parse(value) }));
  const VALUES = ["1/8", "1/6", "1/5", "1/4", "1/3", "1/2", "2/3", "1", "3/2", "2", "3", "4", "5", "6", "8"].map(parse);
  const INPUTS = Array.from({ length: 61 }, (_, k) => fraction(BigInt(k - 30), 10n)); // of x; y has a slider

  // All paths to the output, as lists of indices into NETWORK; a path may start at a bias.
  const pathsTo = (node) =>
    NETWORK.flatMap(({ source, target }, index) => {
      if (target !== node) return [];
      return HIDDEN.includes(source) ? pathsTo(source).map((path) => [...path, index]) : [[index]];
    });
  const PATHS = pathsTo("out");
  const nodesOf = (path) => {
    const nodes = path.map((index) => NETWORK[index].target);
    const start = NETWORK[path[0]].source;
    return start ? [start, ...nodes] : nodes;
  };

  // lambda_target / lambda_source times each value; inputs, outputs and the constant of a bias have the factor 1.
  const rescale = (factors) =>
    NETWORK.map(({ source, target, value }) =>
      divide(multiply(factors[target] ?? ONE, value), factors[source] ?? ONE));

  const evaluate = (theta, x, y) => {
    const values = { x, y, "": ONE };
    for (const node of [...HIDDEN, "out"]) {
      const sum = total(NETWORK.flatMap(({ source, target }, index) =>
        target === node ? [multiply(theta[index], values[source])] : []));
      values[node] = node !== "out" && sum.n < 0n ? ZERO : sum;
    }
    return values.out;
  };
  const liftingOf = (theta) => PATHS.map((path) => path.map((index) => theta[index]).reduce(multiply));

  const THETA = NETWORK.map(({ value }) => value);
  const PHI = liftingOf(THETA);

  // ---- the document -----------------------------------------------------------------------------------------------

  const root = document.getElementById("live");
  const SVG = "http://www.w3.org/2000/svg";
  const make = (name, attributes = {}, ...children) => {
    const drawn = ["svg", "path", "line", "circle", "text", "g", "polyline"].includes(name);
    const node = drawn ? document.createElementNS(SVG, name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...children);
    return node;
  };

  // The picture of the network: places in a box of 420 x 270, and where on its edge each label stands.
  const PLACES = { x: [30, 75], y: [30, 205], a: [160, 75], b: [160, 205], c: [280, 100], out: [390, 140] };
  const LABELS = [[0.5, -9], [0.27, 0], [0, 0], [0.27, 0], [0.5, 17], [0.5, -9], [0.5, 0], [0.5, 17], [0.5, -9]];
  const labels = [];
  const lines = [];
  const factorLabels = {};
  const drawing = make("svg", { viewBox: "0 0 420 270", role: "img", class: "live-picture" });
  NETWORK.forEach(({ source, target }, index) => {
    let [x, y] = PLACES[target];
    if (source) {
      const [left, top] = PLACES[source];
      const line = make("line", { x1: left, y1: top, x2: x, y2: y });
      lines.push(line);
      drawing.append(line);
      [x, y] = [left + LABELS[index][0] * (x - left), top + LABELS[index][0] * (y - top) + LABELS[index][1] + 5];
    } else {
      lines.push(null);
      y -= 27;
    }
    labels.push(make("text", { x, y, class: "live-weight", "data-parameter": source ? `${source} ${target}` : target }));
  });
  for (const [name, [x, y]] of Object.entries(PLACES)) {
    const hidden = HIDDEN.includes(name);
    drawing.append(make("circle", { cx: x, cy: y, r: 17, class: hidden ? "live-hidden" : "live-end" }));
    drawing.append(make("text", { x, y: y + 5, class: "live-name" }, name));
    if (hidden) {
      factorLabels[name] = make("text", { x, y: y + 37, class: "live-factor" });
      drawing.append(factorLabels[name]);
    }
  }
  drawing.append(...labels);

  // The function along a line.
  const plot = make("svg", { viewBox: "0 0 420 270", role: "img", class: "live-picture" });
  const [LEFT, RIGHT, TOP, BOTTOM] = [42, 408, 14, 232];
  const axes = make("g", { class: "live-axes" });
  const before = make("polyline", { class: "live-before" });
  const now = make("polyline", { class: "live-now" });
  plot.append(axes, before, now);

  const state = { factors: {}, y: ONE, outputs: [] }; // the factors, and y with the outputs of the network as it was
  const sliders = {};
  const signs = {};
  const controls = make("div", { class: "live-controls" });
  for (const name of HIDDEN) {
    const slider = make("input", { type: "range", min: 0, max: VALUES.length - 1, step: 1, id: `live-${name}` });
    const sign = make("input", { type: "checkbox", id: `live-sign-${name}` });
    const output = make("output", { for: `live-${name} live-sign-${name}` });
    sliders[name] = { slider, output };
    signs[name] = sign;
    slider.addEventListener("input", update);
    sign.addEventListener("change", update);
    controls.append(make("div", { class: "live-control" },
      make("label", { for: `live-${name}` }, "factor of ", make("b", {}, name)), slider, output,
      make("label", { for: `live-sign-${name}`, class: "live-sign" }, sign, ` negative`,
        make("span", { class: "live-hidden-text" }, ` factor of ${name}`))));
  }
  const height = make("input", { type: "range", min: -4, max: 4, step: 1, id: "live-y" });
  const heightOutput = make("output", { for: "live-y" });
  height.addEventListener("input", update);
  controls.append(make("div", { class: "live-control" },
    make("label", { for: "live-y" }, "second input ", make("b", {}, "y")), height, heightOutput));
  const random = make("button", { type: "button" }, "Random factors");
  const ones = make("button", { type: "button" }, "All ones");
  random.addEventListener("click", () => set(() => Math.floor(Math.random() * VALUES.length)));
  ones.addEventListener("click", () => set(() => VALUES.findIndex((value) => equal(value, ONE))));
  controls.append(make("div", { class: "live-buttons" }, random, ones));

  const verdict = make("p", { class: "live-verdict", role: "status", id: "live-verdict" });
  const rows = PATHS.map((path, index) => {
    const cells = [make("td", {}, nodesOf(path).join(" \u2192 ")), make("td"), make("td", { "data-path": index })];
    return { cells, row: make("tr", {}, ...cells) };
  });
  const table = (caption, heads, body) => make("table", { class: "table live-table" }, make("caption", {}, caption),
    make("thead", {}, make("tr", {}, ...heads.map((head) => make("th", { scope: "col" }, head)))),
    make("tbody", {}, ...body));
  const FIGURES = { norm: "\u2016\u03a6\u2016\u2081, the path-norm", squares: "sum of the squares of \u03a6",
    parameters: "sum of the squares of the parameters", largest: "largest parameter" };
  const figures = {};
  const figureRows = Object.entries(FIGURES).map(([key, title]) => {
    const cells = [make("td", {}, title), make("td"), make("td", { "data-figure": key })];
    figures[key] = cells;
    return make("tr", {}, ...cells);
  });

  const figure = (picture, ...caption) => make("figure", {}, picture, make("figcaption", {}, ...caption));
  const key = (kind, text) => make("span", { class: `live-key live-key-${kind}` }, text);
  root.replaceChildren(
    controls, verdict,
    make("div", { class: "live-pictures" },
      figure(drawing, "The network and its parameters. ", key("positive", "positive"), " ", key("negative", "negative")),
      figure(plot, "Its output for x from \u22123 to 3. ", key("before", "as it was"), " ", key("now", "rescaled"))),
    make("div", { class: "live-tables" },
      table("The path-lifting \u03a6", ["path", "its parameters", "product"], rows.map(({ row }) => row)),
      table("What stays, and what moves", ["figure", "as it was", "now"], figureRows)));

  function set(choose) {
    for (const name of HIDDEN) {
      sliders[name].slider.value = choose();
      signs[name].checked = false;
    }
    update();
  }

  const squares = (values) => total(values.map((value) => multiply(value, value)));
  const figuresOf = (theta, phi) => ({
    norm: total(phi.map(absolute)), squares: squares(phi), parameters: squares(theta),
    largest: theta.map(absolute).reduce((a, b) => (number(a) < number(b) ? b : a)),
  });
  const FIGURES_BEFORE = figuresOf(THETA, PHI);

  // The plot has room for the outputs under all choices of signs; they do not depend on the sizes of the factors.
  function rangeOf(y) {
    const found = [0];
    for (let choice = 0; choice < 8; choice += 1) {
      const factors = Object.fromEntries(HIDDEN.map((name, k) => [name, choice & (1 << k) ? negate(ONE) : ONE]));
      const theta = rescale(factors);
      for (const x of INPUTS) found.push(number(evaluate(theta, x, y)));
    }
    return [Math.floor(Math.min(...found)) - 1, Math.ceil(Math.max(...found)) + 1];
  }

  let scaled = null;
  function drawAxes() {
    const [low, high] = rangeOf(state.y);
    const across = (x) => LEFT + ((x + 3) / 6) * (RIGHT - LEFT);
    const up = (value) => BOTTOM - ((value - low) / (high - low)) * (BOTTOM - TOP);
    axes.replaceChildren(make("line", { x1: LEFT, x2: RIGHT, y1: up(0), y2: up(0) }),
      make("line", { x1: LEFT, x2: LEFT, y1: TOP, y2: BOTTOM }));
    for (let x = -3; x <= 3; x += 1) {
      axes.append(make("text", { x: across(x), y: BOTTOM + 20, "text-anchor": "middle" }, String(x).replace("-", "\u2212")));
    }
    axes.append(make("text", { x: RIGHT, y: BOTTOM + 36, "text-anchor": "end" }, "x"));
    const step = [1, 2, 5, 10, 20].find((size) => (high - low) / size <= 6);
    for (let value = Math.ceil(low / step) * step; value <= high; value += step) {
      axes.append(make("text", { x: LEFT - 7, y: up(value) + 5, "text-anchor": "end" }, String(value).replace("-", "\u2212")));
    }
    scaled = (values) => values.map((value, k) => `${across(number(INPUTS[k]))},${up(number(value))}`).join(" ");
  }

  function update() {
    for (const name of HIDDEN) {
      const size = VALUES[Number(sliders[name].slider.value)];
      state.factors[name] = signs[name].checked ? negate(size) : size;
      const text = show(state.factors[name]);
      sliders[name].output.textContent = text;
      sliders[name].slider.setAttribute("aria-valuetext", text);
      factorLabels[name].textContent = `\u00d7 ${text}`;
    }
    const y = fraction(BigInt(height.value), 2n);
    heightOutput.textContent = show(y);
    height.setAttribute("aria-valuetext", show(y));
    if (scaled === null || !equal(y, state.y)) {
      state.y = y;
      state.outputs = INPUTS.map((x) => evaluate(THETA, x, y));
      drawAxes();
      before.setAttribute("points", scaled(state.outputs));
    }

    const theta = rescale(state.factors);
    const phi = liftingOf(theta);
    theta.forEach((value, index) => {
      const line = lines[index];
      labels[index].textContent = line ? show(value) : `bias ${show(value)}`;
      labels[index].classList.toggle("live-negative", value.n < 0n);
      if (line) {
        line.setAttribute("class", value.n < 0n ? "live-edge live-negative" : "live-edge");
        line.setAttribute("stroke-width", 1.5 + 1.2 * Math.log2(1 + Math.abs(number(value))));
      }
    });
    const paren = (value) => (value.n < 0n ? `(${show(value)})` : show(value));
    rows.forEach(({ cells }, index) => {
      cells[1].textContent = PATHS[index].map((part) => paren(theta[part])).join(" \u00b7 ");
      cells[2].textContent = show(phi[index]);
    });
    const found = figuresOf(theta, phi);
    for (const name of Object.keys(FIGURES)) {
      figures[name][1].textContent = show(FIGURES_BEFORE[name]);
      figures[name][2].textContent = show(found[name]);
      figures[name][2].classList.toggle("live-moved", !equal(FIGURES_BEFORE[name], found[name]));
    }

    const outputs = INPUTS.map((x) => evaluate(theta, x, state.y));
    now.setAttribute("points", scaled(outputs));
    const differing = INPUTS.flatMap((_, k) => (equal(outputs[k], state.outputs[k]) ? [] : [k]));
    const samePhi = phi.every((value, index) => equal(value, PHI[index]));
    const samePaths = samePhi ? "\u03a6 is the same." : "\u03a6 has changed.";
    let onFunction = `The function is the same at all ${INPUTS.length} inputs of the plot.`;
    if (differing.length) {
      const k = differing[Math.floor(differing.length / 2)];
      onFunction = `The function is another one: it differs at ${differing.length} of ${INPUTS.length} inputs; ` +
        `at x = ${show(INPUTS[k])} it was ${show(state.outputs[k])} and is ${show(outputs[k])}.`;
    }
    verdict.textContent = `${samePaths} ${onFunction}`;
    verdict.classList.toggle("live-broken", differing.length > 0);
    drawing.setAttribute("aria-label", "The network: " + NETWORK.map(({ source, target }, index) =>
      `${source ? `${source} to ${target}` : `bias of ${target}`} ${show(theta[index])}`).join(", "));
    plot.setAttribute("aria-label", `The output for x from \u22123 to 3 and y = ${show(y)}. ${onFunction}`);
  }

  height.value = 2;
  set(() => VALUES.findIndex((value) => equal(value, ONE)));
})();
