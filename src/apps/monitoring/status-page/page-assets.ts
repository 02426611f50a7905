/** The style and the script of the status page. */

export const STYLE = `
main { max-width: 90rem; padding: 1.25rem 1rem 3rem; }
header { display: flex; flex-wrap: wrap; gap: .25rem 1rem; align-items: baseline; }
header h1 { margin: 0; }
header p { margin: 0; }
#live { display: inline-flex; align-items: center; gap: .4rem; }
#live::before { content: ""; width: .6rem; height: .6rem; border-radius: 50%; background: var(--soft); }
#live[data-state="live"]::before { background: var(--ok); }
#live[data-state="lost"]::before { background: var(--mark); }
button { font: inherit; color: inherit; background: var(--card); border: 1px solid var(--line); border-radius: 6px;
  padding: .15rem .7rem; cursor: pointer; }
button:focus-visible, a:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
:root { --ok: #1f7a4d; --s1: #6b7280; --s2: #1f7a4d; --s3: #2563c9; --s4: #a85b00; --s5: #b3261e; }
@media (prefers-color-scheme: dark) {
  :root { --ok: #57c78b; --s1: #9aa3b0; --s2: #57c78b; --s3: #7eb0ff; --s4: #f0a94a; --s5: #ff8a80; }
}
h2 { font-size: 1rem; margin: 1.75rem 0 .5rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: .6rem; margin: 1rem 0 0; }
.tile { border: 1px solid var(--line); border-radius: 8px; background: var(--card); padding: .6rem .75rem; }
.tile dt { color: var(--soft); font-size: .8rem; }
.tile dd { margin: 0; font-size: 1.35rem; font-variant-numeric: tabular-nums; line-height: 1.35; }
.tile dd small { display: block; font-size: .8rem; color: var(--soft); }
.charts { display: grid; grid-template-columns: 1fr; gap: .6rem; }
@media (min-width: 60rem) { .charts { grid-template-columns: 1fr 1fr; } }
figure { margin: 0; border: 1px solid var(--line); border-radius: 8px; background: var(--card); padding: .6rem .75rem; }
figcaption { display: flex; flex-wrap: wrap; gap: 0 .9rem; font-size: .85rem; }
figcaption strong { flex: 1 1 auto; }
.axis { display: flex; justify-content: space-between; color: var(--soft); font-size: .75rem; }
svg.chart { display: block; width: 100%; height: 7rem; margin: .4rem 0 .2rem; border-bottom: 1px solid var(--line); }
svg.spark { display: block; width: 7rem; height: 1.5rem; }
svg.bar { display: block; width: 7rem; height: .3rem; border-radius: 2px; margin: .15rem 0; }
svg path { fill: none; stroke: var(--s3); stroke-width: 1.5; vector-effect: non-scaling-stroke; }
svg.stacks path { stroke-width: .8; vector-effect: none; }
.track { fill: var(--line); } .fill { fill: var(--s3); }
.status1 { stroke: var(--s1) !important; } .status2 { stroke: var(--s2) !important; } .status3 { stroke: var(--s3) !important; }
.status4 { stroke: var(--s4) !important; } .status5 { stroke: var(--s5) !important; }
.quantile0 { stroke: var(--s2) !important; } .quantile1 { stroke: var(--s3) !important; } .quantile2 { stroke: var(--s4) !important; }
.key::before { content: ""; display: inline-block; width: .7em; height: .7em; border-radius: 2px; margin-right: .35em; background: currentColor; }
.key { margin: 0; }
.k1 { color: var(--s1); } .k2 { color: var(--s2); } .k3 { color: var(--s3); } .k4 { color: var(--s4); } .k5 { color: var(--s5); }
table { width: 100%; border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; color: var(--soft); font-size: .8rem; white-space: nowrap; }
th, td { padding: .4rem .75rem .4rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td { overflow-wrap: anywhere; }
td small { color: var(--soft); }
.num { text-align: right; white-space: nowrap; width: 1%; }
th:first-child.num, td:first-child.num { text-align: left; }
.url { font-family: ui-monospace, monospace; font-size: .85rem; }
.bad { color: var(--s5); } .warn { color: var(--s4); } .good { color: var(--s2); }
.facts { display: grid; grid-template-columns: fit-content(40%) 1fr; gap: .25rem .9rem; margin: 0; font-size: .9rem; }
.facts dt { color: var(--soft); } .facts dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 48rem) {
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  table, tbody, tr, td { display: block; }
  tr { border: 1px solid var(--line); border-radius: 8px; background: var(--card); padding: .4rem .75rem; margin: 0 0 .5rem; }
  td { display: grid; grid-template-columns: 7rem 1fr; gap: .5rem; border: 0; padding: .15rem 0; text-align: left; }
  .num { text-align: left; }
  td.none { display: none; }
  td::before { content: attr(data-label); color: var(--soft); font-size: .8rem; font-family: system-ui, sans-serif; }
}
`;

/**
 * Replaces the parts of the page that the server sends. A part with selected text stays as it is, and a hidden page is not
 * connected. After an update of paster the page reloads itself.
 */
export const SCRIPT = `
(() => {
  const live = document.getElementById('live');
  const pause = document.getElementById('pause');
  const build = document.getElementById('dashboard').dataset.build;
  let source, timer, isPaused = false;
  const say = (text, state) => { if (live.textContent !== text) live.textContent = text; live.dataset.state = state; };
  const close = () => { clearTimeout(timer); if (source) source.close(); source = undefined; };
  const connect = () => {
    close();
    if (isPaused || document.hidden) return;
    source = new EventSource('?format=events');
    source.onmessage = ({ data }) => {
      const update = JSON.parse(data);
      if (update.build !== build) { close(); location.reload(); return; }
      const selection = getSelection();
      for (const [id, html] of Object.entries(update.parts)) {
        const part = document.getElementById(id);
        const isSelected = selection && !selection.isCollapsed && part && part.contains(selection.anchorNode);
        if (part && !isSelected) part.innerHTML = html;
      }
      say('live', 'live');
    };
    source.onerror = () => {
      say('reconnecting', 'lost');
      if (source && source.readyState === EventSource.CLOSED) timer = setTimeout(connect, 5000);
    };
  };
  pause.hidden = false;
  pause.onclick = () => {
    isPaused = !isPaused;
    pause.textContent = isPaused ? 'Continue' : 'Pause';
    if (isPaused) say('paused', 'paused');
    connect();
  };
  document.addEventListener('visibilitychange', connect);
  addEventListener('pagehide', close);
  connect();
})();
`;
