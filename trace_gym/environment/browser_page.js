// Runs in an isolated world of every document: what the page shows as lines with references, and where things
// are. The page cannot see or change it. References are numbers given in document order at first sight; they
// last as long as the document.
(() => {
  const numbers = new WeakMap();
  const elements = new Map();
  let last = 0;

  const SKIPPED = new Set(["SCRIPT", "STYLE", "TEMPLATE", "NOSCRIPT", "HEAD", "META", "LINK", "TITLE", "DEFS"]);
  const INLINE = new Set(["B", "I", "EM", "STRONG", "U", "SMALL", "SUB", "SUP", "BR", "MARK", "CODE", "ABBR", "WBR"]);
  const SHAPES = new Set(["rect", "circle", "ellipse", "polygon", "polyline", "path", "line", "text", "image"]);
  const ROLES = {
    A: "link", BUTTON: "button", H1: "heading", H2: "heading", H3: "heading", H4: "heading", H5: "heading",
    H6: "heading", IMG: "image", SELECT: "combobox", TEXTAREA: "textbox", OPTION: "option", NAV: "navigation",
    MAIN: "main", FORM: "form", TABLE: "table", TR: "row", TD: "cell", TH: "columnheader", UL: "list",
    OL: "list", LI: "listitem", DIALOG: "dialog", PROGRESS: "progressbar", METER: "meter", SUMMARY: "button",
    DETAILS: "group", FIELDSET: "group", ASIDE: "complementary", ARTICLE: "article", HR: "separator",
    CANVAS: "canvas", OUTPUT: "status", LEGEND: "legend", CAPTION: "caption", IFRAME: "frame",
  };
  const INPUTS = {
    button: "button", submit: "button", reset: "button", image: "button", checkbox: "checkbox", radio: "radio",
    range: "slider", number: "spinbutton", search: "searchbox", hidden: "", color: "color", date: "date",
    time: "time", file: "file",
  };
  // Roles whose name is their content, and roles that only group.
  const NAMED = new Set([
    "link", "button", "heading", "option", "tab", "menuitem", "cell", "columnheader", "rowheader", "checkbox", "radio",
    "switch", "treeitem", "legend", "caption", "status", "alert", "tooltip", "clickable",
  ]);
  const GROUPS = new Set(["list", "listitem", "row", "table", "form", "main", "group", "rowgroup", "presentation",
    "none", "generic", "article", "banner", "contentinfo", "region"]);

  const flat = (text) => (text || "").replace(/\s+/g, " ").trim();
  const quoted = (text, most = 300) => JSON.stringify(text.length > most ? text.slice(0, most - 1) + "…" : text);

  function refOf(element) {
    let number = numbers.get(element);
    if (number === undefined) {
      number = ++last;
      numbers.set(element, number);
      elements.set(number, new WeakRef(element));
    }
    return number;
  }

  function roleOf(element) {
    const given = element.getAttribute("role");
    if (given) return given.split(/\s+/)[0].toLowerCase();
    if (element.tagName === "INPUT") return INPUTS[element.type] ?? "textbox";
    if (element.tagName === "A" && !element.hasAttribute("href")) return "";
    if (element.tagName === "SELECT" && (element.multiple || element.size > 1)) return "listbox";
    if (element.isContentEditable && !element.parentElement?.isContentEditable) return "textbox";
    return ROLES[element.tagName] ?? "";
  }

  function nameOf(element, role) {
    const label = flat(element.getAttribute("aria-label"));
    if (label) return label;
    const by = element.getAttribute("aria-labelledby");
    if (by) {
      const parts = by.split(/\s+/).map((id) => flat(element.getRootNode().getElementById?.(id)?.textContent));
      if (parts.some(Boolean)) return parts.filter(Boolean).join(" ");
    }
    if (element.tagName === "INPUT" && ["button", "submit", "reset"].includes(element.type))
      return flat(element.value) || (element.type === "button" ? "" : element.type);
    if (element.labels?.length) {
      const text = flat([...element.labels].map((each) => each.innerText).join(" "));
      if (text) return text;
    }
    const alt = flat(element.getAttribute("alt"));
    if (alt) return alt;
    if (NAMED.has(role)) {
      const text = flat(element.innerText ?? element.textContent);
      if (text) return text;
      const image = element.querySelector("img[alt], svg[aria-label], [aria-label]");
      if (image) return flat(image.getAttribute("alt") || image.getAttribute("aria-label"));
    }
    return flat(element.getAttribute("placeholder")) || flat(element.getAttribute("title"));
  }

  const hex = (colour) => {
    const found = /^rgba?\((\d+), (\d+), (\d+)(?:, ([\d.]+))?\)$/.exec(colour);
    if (!found || found[4] === "0") return "";
    return "#" + found.slice(1, 4).map((part) => Number(part).toString(16).padStart(2, "0")).join("");
  };
  const place = (element) => {
    const box = element.getBoundingClientRect();
    return `at ${Math.round(box.left)},${Math.round(box.top)} size ${Math.round(box.width)}x${Math.round(box.height)}`;
  };

  function statesOf(element, role) {
    const found = [];
    const aria = (name) => element.getAttribute("aria-" + name);
    if (element.tagName === "SELECT") {
      const names = [...element.options].map((option) => flat(option.text));
      const chosen = [...element.selectedOptions].map((option) => flat(option.text));
      if (chosen.length) found.push("value " + chosen.map((each) => quoted(each, 80)).join(", "));
      found.push("options " + names.slice(0, 60).map((each) => quoted(each, 80)).join(" | ") +
        (names.length > 60 ? ` and ${names.length - 60} more` : ""));
    } else if (element.tagName === "INPUT" && ["checkbox", "radio"].includes(element.type)) {
      if (element.checked) found.push("checked");
    } else if (element.tagName === "INPUT" && element.type === "password") {
      if (element.value) found.push("value " + quoted("•".repeat(element.value.length), 80));
    } else if (["INPUT", "TEXTAREA"].includes(element.tagName) && role !== "button") {
      if (element.value) found.push("value " + quoted(element.value, 1000));
    } else if (element.isContentEditable && role === "textbox") {
      if (flat(element.innerText)) found.push("value " + quoted(element.innerText.trim(), 1000));
    }
    if (aria("checked") === "true") found.push("checked");
    if (aria("selected") === "true") found.push("selected");
    if (aria("pressed") === "true") found.push("pressed");
    if (aria("expanded")) found.push(aria("expanded") === "true" ? "expanded" : "collapsed");
    if (aria("current") && aria("current") !== "false") found.push("current");
    if (aria("valuenow")) found.push("value " + quoted(aria("valuenow")));
    if (element.tagName === "DETAILS") found.push(element.open ? "expanded" : "collapsed");
    if (/^H[1-6]$/.test(element.tagName)) found.push("level " + element.tagName[1]);
    if (element.disabled || aria("disabled") === "true") found.push("disabled");
    if (element.readOnly && role !== "button") found.push("read-only");
    if (aria("invalid") === "true") found.push("invalid");
    if (element === element.getRootNode().activeElement) found.push("focused");
    return found;
  }

  function shapeOf(element) {
    const found = [], style = getComputedStyle(element), tag = element.tagName;
    const fill = hex(style.fill), stroke = hex(style.stroke);
    if (fill) found.push("fill " + fill);
    if (stroke) found.push("stroke " + stroke);
    if (tag === "text") found.unshift(quoted(flat(element.textContent)), "font " + style.fontSize);
    if (tag === "polygon" || tag === "polyline")
      found.push(`${element.points.length} points`);
    if (tag === "path") found.push(`${(element.getAttribute("d") || "").match(/[LlHhVv]/g)?.length ?? 0} segments`);
    if (tag === "line") {
      const matrix = element.getScreenCTM();
      const ends = [[element.x1, element.y1], [element.x2, element.y2]].map(([x, y]) => {
        const point = new DOMPoint(x.baseVal.value, y.baseVal.value).matrixTransform(matrix);
        return `${Math.round(point.x)},${Math.round(point.y)}`;
      });
      found.push(`from ${ends[0]} to ${ends[1]}`);
    }
    return found;
  }

  // What a nameless thing is called in the document, where shapes are told.
  const called = (element) => {
    const id = element.id, kind = flat(element.getAttribute("class"));
    return [...(id ? ["id " + quoted(id, 40)] : []), ...(kind ? ["class " + quoted(kind, 60)] : [])];
  };

  // Does a thing that looks clickable only hold the things to be clicked, such as the entries of a list?
  function holds(element) {
    if (element.querySelectorAll("li, [role=option], [role=menuitem]").length > 1) return true;
    while (element.childElementCount === 1) element = element.firstElementChild;
    const block = (child) => /^(block|list-item|flex|grid|table)/.test(getComputedStyle(child).display);
    return [...element.children].filter((child) => block(child) && flat(child.textContent)).length > 1;
  }

  function collect(lines, element, depth, named, { shapes, skip, held }) {
    const tag = element.tagName, how = { shapes, skip, held };
    if (SKIPPED.has(tag.toUpperCase()) || element.getAttribute("aria-hidden") === "true") return;
    if (skip && element.matches(skip)) return;
    const style = getComputedStyle(element);
    if (style.display === "none") return;
    const seen = style.visibility === "visible" && style.contentVisibility !== "hidden";
    if (element instanceof SVGElement) {
      if (!shapes && tag !== "text" && !element.getAttribute("role") && style.cursor !== "pointer") {
        // Drawings are silent unless shapes are asked for.
      } else if (seen && SHAPES.has(tag)) {
        lines.push([depth, refOf(element), [tag, ...shapeOf(element), ...(shapes ? [place(element)] : [])].join(" "), element]);
        return;
      }
      const root = shapes && seen && tag === "svg";
      if (root) lines.push([depth, refOf(element), ["drawing", ...called(element), place(element)].join(" "), element]);
      for (const child of element.children) collect(lines, child, depth + (root ? 1 : 0), named, how);
      return;
    }
    let role = roleOf(element), next = depth, silent = named;
    if (tag === "INPUT" && role === "") return;
    const pointed = style.cursor === "pointer" && !held && !holds(element);
    const clickable = pointed || element.hasAttribute("onclick") || (element.hasAttribute("tabindex") && element.tabIndex >= 0) || element.draggable && tag !== "IMG" && tag !== "A";
    if (!role && clickable && seen && tag !== "LABEL" && tag !== "BODY" && tag !== "HTML") role = "clickable";
    if (role && style.cursor === "pointer") how.held = true;
    if (seen && role && role !== "presentation" && role !== "none" && role !== "generic") {
      const name = nameOf(element, role), states = statesOf(element, role);
      const bare = GROUPS.has(role) && !name && !states.length;
      if (!bare || role === "listitem" || role === "row") {
        const words = [role, ...(name ? [quoted(name)] : []), ...states];
        if (shapes && (["canvas", "clickable", "image", "slider"].includes(role) || (role === "button" && !name))) {
          const paint = hex(style.backgroundColor);
          if (!name) words.push(...called(element), ...(paint ? ["colour " + paint] : []));
          words.push(place(element));
        }
        if (!bare) {
          lines.push([depth, refOf(element), words.join(" "), element]);
          next = depth + 1;
          if (NAMED.has(role) && name) silent = true;
        }
      }
      if (["SELECT", "TEXTAREA", "INPUT", "CANVAS"].includes(tag) || (role === "textbox" && element.isContentEditable)) return;
      if (tag === "IFRAME") {
        const inside = element.contentDocument;
        if (inside?.body) collect(lines, inside.body, next, false, how);
        return;
      }
    } else if (shapes && seen && !element.childElementCount && !flat(element.textContent)) {
      const paint = hex(style.backgroundColor), box = element.getBoundingClientRect();
      const drawn = paint || style.backgroundImage !== "none" || style.content.startsWith("url") || parseFloat(style.borderTopWidth) > 0;
      if (drawn && box.width >= 3 && box.height >= 3)
        lines.push([depth, refOf(element), ["box", ...called(element), ...(paint ? ["colour " + paint] : []), place(element)].join(" "), element]);
    }
    const children = [...(element.shadowRoot ?? element).childNodes];
    const plain = children.every((child) => !(child instanceof Element) || (INLINE.has(child.tagName) && !child.childElementCount));
    if (plain) {
      const text = seen && !silent ? flat(element.innerText ?? element.textContent) : "";
      if (text) lines.push([next, refOf(element), "text " + quoted(text, 2000), element]);
      return;
    }
    for (const child of children) {
      if (child instanceof Element) collect(lines, child, next, silent, how);
      else if (child instanceof Text && seen && !silent && flat(child.data))
        lines.push([next, refOf(element), "text " + quoted(flat(child.data), 2000), element]);
    }
  }

  function serialised(node) {
    // Everything that is the page's state: structure, attributes, live values, scroll places, focus.
    let text = "";
    const walk = (at) => {
      if (at instanceof Text) { text += at.data + "\u0001"; return; }
      if (!(at instanceof Element)) return;
      text += "<" + at.tagName;
      for (const attribute of at.attributes) text += " " + attribute.name + "=" + attribute.value;
      if ("value" in at && typeof at.value === "string") text += "\u0002" + at.value;
      if (at.checked) text += "\u0003";
      if (at.tagName === "SELECT") text += "\u0004" + [...at.selectedOptions].map((each) => each.index).join();
      if (at.scrollTop || at.scrollLeft) text += "\u0005" + Math.round(at.scrollTop) + "," + Math.round(at.scrollLeft);
      if (at === document.activeElement) text += "\u0006";
      text += ">";
      for (const child of (at.shadowRoot ?? at).childNodes) walk(child);
      if (at.tagName === "IFRAME" && at.contentDocument) walk(at.contentDocument.documentElement);
      text += "</>";
    };
    walk(node);
    return text;
  }

  function digest(text) {
    let a = 0xdeadbeef, b = 0x41c6ce57;
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      a = Math.imul(a ^ code, 2654435761);
      b = Math.imul(b ^ code, 1597334677);
    }
    a = Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909);
    b = Math.imul(b ^ (b >>> 16), 2246822507) ^ Math.imul(a ^ (a >>> 13), 3266489909);
    return (b >>> 0).toString(16).padStart(8, "0") + (a >>> 0).toString(16).padStart(8, "0");
  }

  function look({ shapes, root, skip, most }) {
    const top = root ? document.querySelector(root) : document.body;
    const lines = [];
    if (top) collect(lines, top, 0, false, { shapes, skip, held: false });
    let first = 0;
    if (lines.length > most) {
      first = lines.findIndex(([, , , element]) => element.getBoundingClientRect().bottom > 0);
      first = Math.max(0, Math.min(first, lines.length - most));
    }
    const shown = lines.slice(first, first + most).map(([depth, ref, text]) => "  ".repeat(Math.min(depth, 12)) + `[${ref}] ` + text);
    if (first) shown.unshift(`(${first} lines above: scroll up)`);
    if (first + most < lines.length) shown.push(`(${lines.length - first - most} lines below: scroll down)`);
    return { title: document.title, url: location.href, lines: shown, digest: digest(document.title + location.href + serialised(document.documentElement)) };
  }

  const frameOffset = (element) => {
    let x = 0, y = 0, view = element.ownerDocument.defaultView;
    while (view && view !== window && view.frameElement) {
      const box = view.frameElement.getBoundingClientRect();
      x += box.left + view.frameElement.clientLeft;
      y += box.top + view.frameElement.clientTop;
      view = view.parent;
    }
    return [x, y];
  };

  // Where to point at for an element; `x`, `y` count from its top left corner; a
  // `cover` over it does not matter, or does. An object with `error` where
  // nobody could point at it.
  function locate({ ref, x, y, cover: covered }) {
    const element = elements.get(ref)?.deref();
    if (!element || !element.isConnected) return { error: "is not on the page" };
    if (!element.checkVisibility({ visibilityProperty: true }) && getComputedStyle(element).display !== "contents") return { error: "is hidden" };
    element.scrollIntoView({ block: "nearest", inline: "nearest", behavior: "instant" });
    const boxes = [...element.getClientRects()].filter((box) => box.width || box.height);
    const box = x === null && y === null && boxes.length ? boxes[0] : element.getBoundingClientRect();
    const [dx, dy] = frameOffset(element);
    const facts = { tag: element.tagName, kind: element.type ?? "", disabled: !!element.disabled, editable: !!element.isContentEditable, readonly: !!element.readOnly, focused: element === element.ownerDocument.activeElement };
    if (x > box.width || y > box.height) return { error: `is only ${Math.ceil(box.width)}x${Math.ceil(box.height)} pixels` };
    if (x !== null || y !== null) {
      const px = x ?? box.width / 2, py = y ?? box.height / 2;
      return { ...facts, x: dx + box.left + px, y: dy + box.top + py };
    }
    if (covered) return { ...facts, x: dx + box.left + box.width / 2, y: dy + box.top + box.height / 2 };
    const tried = [[0.5, 0.5], [0.25, 0.5], [0.75, 0.5], [0.5, 0.25], [0.5, 0.75], [0.1, 0.1], [0.9, 0.9]];
    let cover = null;
    for (const [u, v] of tried) {
      const px = box.left + box.width * u, py = box.top + box.height * v;
      const hit = element.getRootNode().elementFromPoint?.(px, py) ?? element.ownerDocument.elementFromPoint(px, py);
      if (hit && (element.contains(hit) || hit.contains(element) || [...(element.labels ?? [])].some((label) => label.contains(hit))))
        return { ...facts, x: dx + px, y: dy + py };
      cover = cover ?? hit;
    }
    if (!cover) return { error: "lies outside the window" };
    return { error: "is covered by " + (numbers.has(cover) ? `[${numbers.get(cover)}]` : "something else") };
  }

  // The elements of a selector, for those who know the page: which listed element to point at (itself, one
  // around it, else one inside), and where in it.
  function find({ selector }) {
    return [...document.querySelectorAll(selector)].map((asked) => {
      const box = asked.getBoundingClientRect();
      let at = asked, element = asked;
      while (at && !numbers.has(at)) at = at.parentElement;
      if (!at) {
        const inner = [...element.querySelectorAll("*")].find((each) => numbers.has(each));
        if (inner) at = element = inner;
      }
      const around = at?.getBoundingClientRect();
      return {
        ref: at ? numbers.get(at) : null,
        own: at === element,
        x: at ? Math.round(box.left + box.width / 2 - around.left) : 0,
        y: at ? Math.round(box.top + box.height / 2 - around.top) : 0,
        box: [box.left, box.top, box.width, box.height],
        shown: asked.checkVisibility({ visibilityProperty: true }) && box.width > 0 && box.height > 0,
        text: flat(asked.innerText ?? asked.textContent),
        value: "value" in asked && typeof asked.value === "string" ? asked.value : "",
        checked: !!asked.checked,
        focused: asked === document.activeElement,
        attributes: Object.fromEntries([...asked.attributes].map((each) => [each.name, each.value])),
      };
    });
  }

  const changed = (element) => {
    element.dispatchEvent(new Event("input", { bubbles: true, composed: true }));
    element.dispatchEvent(new Event("change", { bubbles: true }));
  };

  function choose({ ref, option }) {
    const element = elements.get(ref)?.deref();
    if (!element || !element.isConnected) return { error: "is not on the page" };
    if (element.tagName !== "SELECT") return { error: "is no list to choose from" };
    if (element.disabled) return { error: "is disabled" };
    const options = [...element.options];
    const found = options.find((each) => flat(each.text) === flat(option)) ?? options.find((each) => each.value === option);
    if (!found) return { error: "has no option " + quoted(option, 80) };
    if (found.disabled) return { error: "has that option, but disabled" };
    element.focus();
    if (element.multiple) found.selected = !found.selected;
    else found.selected = true;
    changed(element);
    return {};
  }

  function fill({ ref, text }) {
    const element = elements.get(ref)?.deref();
    if (!element || !element.isConnected) return { error: "is not on the page" };
    const before = element.value;
    element.focus();
    element.value = text;
    if (element.value !== text && !(element.type === "color" && element.value === text.toLowerCase())) {
      const after = element.value;
      if (element.type !== "range") { element.value = before; return { error: `of type ${element.type} does not take ` + quoted(text, 80) }; }
      if (after === before && String(Number(text)) !== text) return { error: "does not take " + quoted(text, 80) };
    }
    changed(element);
    return {};
  }

  function selectAll({ ref }) {
    const element = elements.get(ref)?.deref();
    if (element?.select) element.select();
    else if (element) element.ownerDocument.getSelection().selectAllChildren(element);
    return {};
  }

  function scroll({ ref, right, down }) {
    let element = document.scrollingElement;
    if (ref !== null) {
      element = elements.get(ref)?.deref();
      if (!element || !element.isConnected) return { error: "is not on the page" };
      const can = (at) => /auto|scroll/.test(getComputedStyle(at).overflowY + getComputedStyle(at).overflowX) || at.tagName === "TEXTAREA";
      const grows = (at) => at.scrollHeight > at.clientHeight + 1 || at.scrollWidth > at.clientWidth + 1;
      while (element && !(can(element) && grows(element))) element = element.parentElement;
      element = element ?? document.scrollingElement;
    }
    const before = [element.scrollLeft, element.scrollTop];
    const page = element === document.scrollingElement;
    const width = page ? innerWidth : element.clientWidth, height = page ? innerHeight : element.clientHeight;
    element.scrollBy({ left: right * width * 0.8, top: down * height * 0.8, behavior: "instant" });
    return { moved: element.scrollLeft !== before[0] || element.scrollTop !== before[1] };
  }

  // Two turns of the real event loop: what an event has set off has begun by then.
  const pause = () => new Promise((done) => setTimeout(() => setTimeout(done, 0), 0));
  const frame = () => new Promise((done) => requestAnimationFrame(done));

  // The page's own clock goes on, if it is ours (an error page has none); the answer is the probe's.
  const passed = (ms, most) => new Promise((done) => {
    let heard = false;
    window.addEventListener("trace_gym_heard", () => { heard = true; }, { once: true, capture: true });
    window.addEventListener("trace_gym_ticked", (event) => done(JSON.parse(event.detail)), { once: true, capture: true });
    window.dispatchEvent(new CustomEvent("trace_gym_tick", { detail: JSON.stringify([ms, most]) }));
    if (!heard) done({});
  });

  async function settle({ ms, most = 0, clock, ...how }) {
    const told = clock ? await passed(ms, most) : {};
    await frame();
    await pause();
    if (told.error) throw new Error("the probe failed: " + told.error);
    return { ...(how.lines ? look({ ...how, most: how.lines }) : {}), probe: told.value ?? null };
  }

  globalThis.traceGym = { look, find, locate, choose, fill, selectAll, scroll, pause, settle };
  const still = new CSSStyleSheet();
  still.replaceSync("*,*::before,*::after{transition:none!important;animation-duration:0s!important;animation-delay:0s!important;scroll-behavior:auto!important;caret-color:auto}");
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, still];
})();
