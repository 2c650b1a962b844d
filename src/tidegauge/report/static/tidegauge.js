/* Everything that moves on Tidegauge's pages and reports. No dependency; charts are drawn by the
 * script in vendor/, which is fetched (or unpacked from the page itself) when the first chart comes
 * into sight. Nothing here is needed to read a page.
 *
 * What a page may ask for, by attributes:
 *   <figure class="chart" data-chart>      a chart: its specification in a <script class="spec">
 *   <figure … data-spec="URL">             or fetched from there
 *   <p data-said> in such a figure         gets what the specification says in words
 *   <table data-sortable id="t">           sorts by its headings, kept in the URL as t.sort
 *   <input data-filter="t">                filters the rows of #t, kept as t.q
 *   <select data-order="t">                sorts elements with data-… values inside #t, kept as t.by
 *   <button data-density="t">              turns .dense on and off, kept as t.view
 *   <a class="term" href="#m-psi">         explained on hover by what the href points to
 *   <… data-tip="text">                    explained on hover by that text
 *   <time datetime="…" data-ago>           gets "3 hours ago" appended
 *   <form id="range"> with start and end   is submitted when a chart is brushed
 *   <a rel="prev">, <a rel="next">         are followed by the arrow keys
 */
(() => {
  "use strict";

  const root = document.documentElement;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const memory = {
    get(key) { try { return localStorage.getItem(key); } catch { return null; } },
    set(key, value) { try { localStorage.setItem(key, value); } catch { /* a file, or a frame */ } },
  };

  /* Theme: the system's, unless somebody chose. Runs before the page is painted. */
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const chosen = memory.get("tidegauge-theme");
  if (chosen) root.dataset.theme = chosen;
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);

  function switchTheme() {
    root.dataset.theme = isDark() ? "light" : "dark";
    memory.set("tidegauge-theme", root.dataset.theme);
    redraw();
  }

  /* The URL holds what was sorted and filtered. */
  const asked = () => new URLSearchParams(location.search);
  function keep(key, value) {
    const url = new URL(location.href);
    if (value) url.searchParams.set(key, value);
    else url.searchParams.delete(key);
    try { history.replaceState(history.state, "", url); } catch { /* about:srcdoc */ }
  }

  /* One tip for terms, marks and charts. */
  let tip;
  function showTip(content, x, y) {
    if (!tip) {
      tip = document.createElement("div");
      tip.className = "tip";
      tip.setAttribute("role", "tooltip");
      document.body.append(tip);
    }
    tip.replaceChildren(content);
    tip.hidden = false;
    const { width, height } = tip.getBoundingClientRect();
    const left = x + 14 + width > innerWidth - 8 ? x - width - 14 : x + 14;
    const top = y + 14 + height > innerHeight - 8 ? y - height - 10 : y + 14;
    tip.style.left = `${Math.max(8, Math.min(left, innerWidth - width - 8))}px`;
    tip.style.top = `${Math.max(8, top)}px`;
  }
  function hideTip() { if (tip) tip.hidden = true; }

  function explained(element) {
    const owner = element.closest?.("[data-tip], a.term");
    if (!owner) return null;
    if (owner.dataset.tip) return { owner, text: owner.dataset.tip };
    const entry = document.getElementById(owner.hash.slice(1));
    const text = entry?.nextElementSibling?.textContent;
    return text ? { owner, text } : null;
  }
  function explain(event) {
    const found = explained(event.target);
    if (!found) return;
    const box = found.owner.getBoundingClientRect();
    showTip(document.createTextNode(found.text), event.clientX || box.left, event.clientY || box.bottom);
  }
  function watchTips() {
    for (const kind of ["pointerover", "focusin"]) document.addEventListener(kind, explain);
    for (const kind of ["pointerout", "focusout"]) {
      document.addEventListener(kind, (event) => { if (explained(event.target)) hideTip(); });
    }
    addEventListener("scroll", hideTip, { passive: true });
  }

  function tipTable(value) {
    const table = document.createElement("table");
    for (const [key, text] of Object.entries(value)) {
      if (text === null || text === undefined || text === "" || text === "null") continue;
      const row = table.insertRow();
      const head = document.createElement("th");
      head.textContent = key;
      row.append(head);
      row.insertCell().textContent = text;
    }
    return table;
  }
  function chartTip(handler, event, item, value) {
    if (!value) hideTip();
    else if (typeof value === "object") showTip(tipTable(value), event.clientX, event.clientY);
    else showTip(document.createTextNode(value), event.clientX, event.clientY);
  }

  /* Charts. */
  const THIN = "\u202f";
  const NUMBERS = { decimal: ".", thousands: THIN, grouping: [3], currency: ["", ""], percent: `${THIN}%`, minus: "−" };
  const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
  const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
  const TIMES = {
    dateTime: "%-d %b %Y, %H:%M", date: "%-d %b %Y", time: "%H:%M", periods: ["AM", "PM"],
    days: DAYS, shortDays: DAYS, months: MONTHS, shortMonths: MONTHS,
  };
  const drawn = new Map();
  let library;

  async function unpacked(element) {
    const bytes = Uint8Array.from(atob(element.textContent), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  }
  function loadLibrary() {
    library ??= (async () => {
      const packed = document.getElementById("charts-packed");
      const script = document.createElement("script");
      if (packed) {
        script.textContent = await unpacked(packed);
        document.head.append(script);
      } else {
        await new Promise((resolve, reject) => {
          script.onload = resolve;
          script.onerror = () => reject(new Error(`cannot load ${script.src}`));
          script.src = document.querySelector("meta[name=tidegauge-charts]").content;
          document.head.append(script);
        });
      }
      return window.tidegaugeVega;
    })();
    return library;
  }

  function inks() {
    const style = getComputedStyle(root);
    return new Proxy({}, { get: (_, name) => style.getPropertyValue(`--ink-${name}`).trim() });
  }
  function config(ink) {
    const font = getComputedStyle(document.body).fontFamily;
    const words = { labelColor: ink.text, titleColor: ink.text, labelFont: font, titleFont: font, labelFontSize: 11, titleFontSize: 11, titleFontWeight: "normal" };
    return {
      background: "transparent",
      font,
      view: { stroke: null },
      axis: { ...words, domainColor: ink.referenceLine, tickColor: ink.referenceLine, gridColor: ink.grid, titlePadding: 8, titleLimit: 190, labelOverlap: true, labelSeparation: 8 },
      axisX: { tickCount: 6 },
      axisY: { domain: false, ticks: false, tickCount: 5 },
      legend: { ...words, labelFontSize: 12 },
    };
  }

  async function specOf(figure) {
    const text = figure.querySelector("script.spec")?.textContent;
    if (text) return JSON.parse(text);
    const answer = await fetch(figure.dataset.spec, { headers: { Accept: "application/json" } });
    if (!answer.ok) throw new Error(`${figure.dataset.spec}: ${answer.status}`);
    return answer.json();
  }
  /* A specification as it is drawn: complete, with this theme's colours. */
  function painted(spec) {
    const ink = inks();
    const names = new Set([...JSON.stringify(spec).matchAll(/\bink\.(\w+)/g)].map((found) => found[1]));
    const value = Object.fromEntries([...names].map((name) => [name, ink[name]]));
    const params = (spec.params ?? []).filter((one) => one.name !== "ink");
    return { ...spec, params: [{ name: "ink", value }, ...params], config: config(ink) };
  }

  async function draw(figure) {
    const canvas = figure.querySelector(".canvas");
    try {
      const [vega, spec] = await Promise.all([loadLibrary(), specOf(figure)]);
      const said = figure.querySelector("[data-said]");
      if (said && spec.usermeta?.said) said.textContent = spec.usermeta.said;
      paint(vega, figure, canvas, spec);
    } catch (error) {
      drawn.delete(figure);
      console.error(error);
      if (!canvas.firstElementChild) canvas.textContent = "This chart could not be drawn.";
    }
  }
  function paint(vega, figure, canvas, spec) {
    drawn.get(figure)?.view?.finalize();
    const compiled = vega.compile(painted(spec)).spec;
    const place = document.createElement("div");
    canvas.replaceChildren(place);
    const view = new vega.View(vega.parse(compiled, null, { ast: true }), {
      expr: vega.expressionInterpreter,
      renderer: "svg",
      container: place,
      hover: true,
      tooltip: chartTip,
      locale: { number: NUMBERS, time: TIMES },
    });
    drawn.set(figure, { spec, view });
    view.runAsync().then(() => {
      // Marks that nobody named (a brush, a rule) say nothing to who hears the page.
      for (const mark of place.querySelectorAll("[role=graphics-symbol]:not([aria-label])")) {
        mark.setAttribute("aria-hidden", "true");
      }
    });
    if ((spec.layer ?? []).some((layer) => layer.params?.some((one) => one.name === "brush"))) {
      watchBrush(figure, view);
    }
    figure.dataset.drawn = "";
  }
  function redraw() {
    if (!window.tidegaugeVega) return;
    for (const [figure, { spec }] of drawn) {
      if (spec) paint(window.tidegaugeVega, figure, figure.querySelector(".canvas"), spec);
    }
  }
  function lazily(figures) {
    if (!figures.length) return;
    const watch = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        if (!isIntersecting) continue;
        watch.unobserve(target);
        drawn.set(target, {});
        draw(target);
      }
    }, { rootMargin: "200px" });
    figures.forEach((figure) => watch.observe(figure));
  }
  /* Before print, everything that stands open is drawn, on light paper. */
  function beforePrint() {
    root.dataset.before = root.dataset.theme ?? "";
    root.dataset.theme = "light";
    root.dataset.paper = "";
    hideTip();
    const vega = window.tidegaugeVega;
    if (vega) {
      for (const figure of all("[data-chart]")) {
        const text = figure.querySelector("script.spec")?.textContent;
        if (text && figure.offsetParent) paint(vega, figure, figure.querySelector(".canvas"), JSON.parse(text));
      }
    }
  }
  function afterPrint() {
    if (root.dataset.before) root.dataset.theme = root.dataset.before;
    else delete root.dataset.theme;
    delete root.dataset.before;
    delete root.dataset.paper;
    redraw();
  }

  /* Brushing narrows the range of the page. */
  function watchBrush(figure, view) {
    let pending;
    view.addSignalListener("brush", (_, value) => {
      clearTimeout(pending);
      const range = Object.values(value ?? {}).find((one) => Array.isArray(one) && one.length > 1);
      if (!range) return;
      pending = setTimeout(() => {
        const [start, end] = [Math.min(...range), Math.max(...range)].map((at) => new Date(at).toISOString());
        const told = new CustomEvent("tidegauge:range", { detail: { start, end }, bubbles: true, cancelable: true });
        const form = document.getElementById("range");
        if (figure.dispatchEvent(told) && form) {
          form.elements.start.value = start;
          form.elements.end.value = end;
          form.requestSubmit();
        }
      }, 600);
    });
  }

  /* Taking data along. */
  function download(name, type, text) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }
  const quoted = (value) => {
    let text = value === null || value === undefined ? "" : typeof value === "object" ? JSON.stringify(value) : String(value);
    if (typeof value === "string" && /^[=+@\t\r-]/.test(text)) text = `'${text}`; // a spreadsheet would run it
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  function csv(rows) {
    const heads = [...new Set(rows.flatMap(Object.keys))];
    return [heads, ...rows.map((row) => heads.map((head) => row[head]))].map((line) => line.map(quoted).join(",")).join("\r\n");
  }
  function rowsOf(spec) {
    const values = spec.data?.values ?? spec.layer?.find((layer) => layer.data)?.data.values ?? [];
    const names = spec.usermeta?.columns;
    if (!names) return values;
    return values
      .filter((row) => !spec.usermeta.whole || row[spec.usermeta.whole] !== undefined)
      .map((row) => Object.fromEntries(Object.entries(names).map(([key, name]) => [
        name, spec.usermeta.times?.includes(key) && row[key] !== null ? new Date(row[key]).toISOString() : row[key] ?? null,
      ])));
  }
  async function takeChart(figure, what) {
    const spec = await specOf(figure);
    const name = figure.dataset.name || "chart";
    if (what === "spec") download(`${name}.vl.json`, "application/json", JSON.stringify(painted(spec), null, 1));
    else if (what === "csv") download(`${name}.csv`, "text/csv", csv(rowsOf(spec)));
    else download(`${name}.json`, "application/json", JSON.stringify(rowsOf(spec), null, 1));
  }
  /* Results lie in the page by column; words as an index into their list. */
  function results() {
    const packed = JSON.parse(document.getElementById("results").textContent);
    const column = ({ words, values }) => (words ? values.map((at) => (at === null ? null : words[at])) : values);
    const columns = Object.entries(packed.columns).map(([name, held]) => [name, column(held)]);
    return Array.from({ length: packed.rows }, (_, at) => Object.fromEntries(columns.map(([name, values]) => [name, values[at] ?? null])));
  }
  function takeResults(what) {
    if (what === "csv") download("tidegauge-results.csv", "text/csv", csv(results()));
    else download("tidegauge-results.json", "application/json", JSON.stringify(results(), null, 1));
  }

  /* Tables: sorting and filtering. */
  const cellValue = (row, at) => {
    const cell = row.cells[at];
    const text = cell?.dataset.v ?? cell?.textContent.trim() ?? "";
    return text === "—" ? "" : text;
  };
  function compare(a, b) {
    if (a === "" || b === "") return a === b ? 0 : a === "" ? 1 : -1;
    const [x, y] = [Number(a), Number(b)];
    return Number.isNaN(x) || Number.isNaN(y) ? String(a).localeCompare(String(b)) : x - y;
  }
  function sortable(table) {
    const heads = all("thead th", table);
    const sort = (at, down) => {
      heads.forEach((head, index) => (index === at ? head.setAttribute("aria-sort", down ? "descending" : "ascending") : head.removeAttribute("aria-sort")));
      const body = table.tBodies[0];
      const rows = [...body.rows].sort((a, b) => {
        const [x, y] = [cellValue(a, at), cellValue(b, at)];
        return x === "" || y === "" ? compare(x, y) : compare(x, y) * (down ? -1 : 1);
      });
      body.append(...rows);
    };
    heads.forEach((head, at) => {
      if (!head.textContent.trim()) return;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") !== "descending";
        sort(at, down);
        keep(`${table.id}.sort`, `${down ? "-" : ""}${at}`);
      });
    });
    const wanted = asked().get(`${table.id}.sort`);
    if (wanted) sort(Math.abs(Number(wanted)), wanted.startsWith("-"));
  }

  const items = (target) => all(target.matches("table") ? "tbody tr" : "[data-item]", target);
  function filterable(input) {
    const target = document.getElementById(input.dataset.filter);
    const apply = () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let left = 0;
      for (const item of items(target)) {
        const text = (item.dataset.item ?? item.textContent).toLowerCase();
        item.hidden = !words.every((word) => text.includes(word));
        left += !item.hidden;
      }
      for (const group of all("[data-group]", target)) {
        group.hidden = !group.querySelector("[data-item]:not([hidden])");
      }
      const none = target.querySelector(".none-left");
      if (none) none.hidden = left > 0;
    };
    input.addEventListener("input", () => { apply(); keep(`${target.id}.q`, input.value); });
    input.value = asked().get(`${target.id}.q`) ?? input.value;
    if (input.value) apply();
  }
  function orderable(select) {
    const target = document.getElementById(select.dataset.order);
    const apply = () => {
      const [key, down] = [select.value.replace(/^-/, ""), select.value.startsWith("-")];
      for (const list of all("[data-list]", target)) {
        const rows = [...list.children].filter((item) => item.dataset.item !== undefined);
        rows.sort((a, b) => {
          const [x, y] = [a.dataset[key] ?? "", b.dataset[key] ?? ""];
          return x === "" || y === "" ? compare(x, y) : compare(x, y) * (down ? -1 : 1);
        });
        list.append(...rows);
      }
    };
    select.addEventListener("change", () => { apply(); keep(`${target.id}.by`, select.value); });
    const wanted = asked().get(`${target.id}.by`);
    if (wanted && [...select.options].some((option) => option.value === wanted)) {
      select.value = wanted;
      apply();
    }
  }
  function density(button) {
    const target = document.getElementById(button.dataset.density);
    const turn = (dense) => {
      target.classList.toggle("dense", dense);
      button.setAttribute("aria-pressed", String(!dense));
    };
    button.addEventListener("click", () => {
      const dense = !target.classList.contains("dense");
      turn(dense);
      keep(`${target.id}.view`, dense ? "" : "list");
    });
    if (asked().get(`${target.id}.view`) === "list") turn(false);
  }

  function told(seconds) {
    const size = Math.abs(seconds);
    for (const [length, name] of [[31557600, "year"], [2630016, "month"], [86400, "day"], [3600, "hour"], [60, "minute"]]) {
      if (size >= length * (length > 86400 ? 2 : 1)) {
        return new Intl.RelativeTimeFormat("en").format(-Math.trunc(seconds / length), name);
      }
    }
    return "just now";
  }
  function relativeTimes() {
    for (const element of all("time[data-ago]")) {
      const seconds = (Date.now() - new Date(element.dateTime)) / 1000;
      element.dataset.absolute ??= element.textContent;
      element.textContent = `${element.dataset.absolute} (${told(seconds)})`;
    }
  }

  /* A link into a closed row opens it. In a notebook's frame the page follows its links itself. */
  function openTarget(hash) {
    const target = hash && document.getElementById(decodeURIComponent(hash.slice(1)));
    for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
    if (target) target.scrollIntoView();
  }

  function keys(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.matches?.("input, select, textarea");
    if (typing && event.key === "Escape") {
      event.target.value = "";
      event.target.dispatchEvent(new Event("input"));
      event.target.blur();
    }
    if (typing) return;
    const search = document.querySelector("[data-search], input[type=search]");
    const follow = (rel) => document.querySelector(`a[rel=${rel}]`)?.click();
    const acts = {
      "/": () => { search?.focus(); search?.select(); },
      "?": () => document.getElementById("help")?.showModal(),
      t: switchTheme,
      ArrowLeft: () => follow("prev"),
      ArrowRight: () => follow("next"),
    };
    if (!acts[event.key]) return;
    if ("/?".includes(event.key)) event.preventDefault();
    acts[event.key]();
  }

  function clicks(event) {
    const link = event.target.closest("a[href^='#']");
    if (link && location.protocol === "about:") {
      event.preventDefault();
      openTarget(link.hash);
    } else if (link && link.hash === location.hash) openTarget(link.hash);
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.take) takeChart(button.closest("[data-chart]"), button.dataset.take);
    else if (button.dataset.results) takeResults(button.dataset.results);
    else if (button.dataset.theme) switchTheme();
    else if (button.dataset.help !== undefined) document.getElementById("help").showModal();
    else if (button.dataset.copy !== undefined) {
      navigator.clipboard?.writeText(button.parentElement.querySelector("code").textContent);
      button.textContent = "Copied";
    }
  }

  function begin() {
    all("table[data-sortable]").forEach(sortable);
    all("[data-order]").forEach(orderable);
    all("[data-density]").forEach(density);
    all("[data-filter]").forEach(filterable);
    relativeTimes();
    watchTips();
    document.addEventListener("click", clicks);
    document.addEventListener("keydown", keys);
    addEventListener("hashchange", () => openTarget(location.hash));
    openTarget(location.hash);
    const figures = all("[data-chart]");
    lazily(figures);
    addEventListener("beforeprint", beforePrint);
    addEventListener("afterprint", afterPrint);
    dark.addEventListener("change", () => { if (!root.dataset.theme) redraw(); });
    if (figures.length) (window.requestIdleCallback ?? setTimeout)(() => loadLibrary().catch(() => {}));
    root.dataset.ready = "";
  }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
  else begin();
})();
