// Runs first in the page's own world: a clock that stands still until it is told to go on, and dice with a seed.
// Replaces Date, performance.now, timers, animation frames and idle callbacks.
(({ start, seed }, probe) => {
  let now = start, last = 0;
  const origin = start, timers = new Map();
  const NativeDate = Date;

  function FrozenDate(...given) {
    if (!new.target) return new NativeDate(now).toString();
    const made = given.length ? new NativeDate(...given) : new NativeDate(now);
    return Object.setPrototypeOf(made, new.target.prototype);
  }
  FrozenDate.prototype = NativeDate.prototype;
  FrozenDate.now = () => Math.floor(now);
  FrozenDate.parse = NativeDate.parse;
  FrozenDate.UTC = NativeDate.UTC;
  NativeDate.prototype.constructor = FrozenDate;
  Object.defineProperty(FrozenDate, "name", { value: "Date" });
  window.Date = FrozenDate;
  performance.now = () => now - origin;

  const add = (call, delay, every, given) => {
    const wait = Math.max(1, Math.min(Number(delay) || 0, 2147483647));
    const run = typeof call === "function" ? () => call.apply(window, given) : () => (0, eval)(String(call));
    timers.set(++last, { at: now + wait, run, every: every ? wait : 0, id: last });
    return last;
  };
  const remove = (id) => { timers.delete(Number(id)); };
  window.setTimeout = (call, delay, ...given) => add(call, delay, false, given);
  window.setInterval = (call, delay, ...given) => add(call, delay, true, given);
  window.clearTimeout = window.clearInterval = remove;
  window.requestAnimationFrame = (call) => {
    timers.set(++last, { at: (Math.floor((now - origin) / 16) + 1) * 16 + origin, run: () => call(now - origin), every: 0, id: last });
    return last;
  };
  window.cancelAnimationFrame = remove;
  window.requestIdleCallback = (call) => add(() => call({ didTimeout: false, timeRemaining: () => 8 }), 1, false, []);
  window.cancelIdleCallback = remove;

  let state = seed >>> 0;
  Math.random = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };

  // Let `ms` pass: due timers run in their order, promises in between. A timer that throws stops nothing.
  const tick = async (ms, most) => {
    const until = now + ms;
    for (let ran = 0; ran < most; ran++) {
      let next = null;
      for (const timer of timers.values())
        if (timer.at <= until && (!next || timer.at < next.at || (timer.at === next.at && timer.id < next.id))) next = timer;
      if (!next) break;
      now = Math.max(now, next.at);
      if (next.every) next.at += next.every;
      else timers.delete(next.id);
      try { next.run(); } catch (error) { reportError(error); }
      await null;
      await null;
    }
    now = until;
  };
  // Told so by `browser_page.js`, in its own world; strings alone pass between the two.
  const send = window.dispatchEvent.bind(window), Told = CustomEvent, text = JSON.stringify;
  window.addEventListener("trace_gym_tick", async (event) => {
    event.stopImmediatePropagation();
    send(new Told("trace_gym_heard"));
    const [ms, most] = JSON.parse(event.detail);
    if (ms) await tick(ms, most);
    let said;
    try { said = { value: probe() ?? null }; } catch (error) { said = { error: String(error) }; }
    send(new Told("trace_gym_ticked", { detail: text(said) }));
  }, true);
})
