/** The style and the script of the page of a profile. */

export const STYLE = `
main { max-width: 90rem; }
h2 { font-size: 1.1rem; margin: 1.5rem 0 .5rem; }
.tools:not([hidden]) { display: flex; flex-wrap: wrap; gap: .4rem 1rem; align-items: center; margin: 0 0 .75rem; }
.tools input[type="search"], button { font: inherit; color: inherit; background: var(--card); border: 1px solid var(--line);
  border-radius: 6px; padding: .15rem .6rem; }
.tools input[type="search"] { width: 12rem; max-width: 60vw; }
button { cursor: pointer; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
#chosen { min-height: 3em; white-space: pre-line; overflow-wrap: anywhere; }
.flames { overflow-x: auto; }
svg { display: block; width: 100%; min-width: 46rem; font: 11px ui-monospace, monospace; }
svg text { fill: #1c2024; pointer-events: none; }
rect { stroke: none; }
g { cursor: zoom-in; }
g:hover rect { opacity: .8; }
g.chosen rect { stroke: var(--mark); stroke-width: 2; }
.searching g:not(.hit) rect { opacity: .3; }
.key { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin: 0 .3em 0 .6em; }
.key:first-child { margin-left: 0; }
.application rect { fill: #f3a95f; } .key.application { background: #f3a95f; }
.package rect { fill: #9cc3ef; } .key.package { background: #9cc3ef; }
.paster rect { fill: #c9b3ec; } .key.paster { background: #c9b3ec; }
.node rect { fill: #a9d8b0; } .key.node { background: #a9d8b0; }
.engine rect { fill: #c9ccd3; } .key.engine { background: #c9ccd3; }
table { border-collapse: collapse; font: .85em ui-monospace, monospace; min-width: 100%; }
th { text-align: left; color: var(--soft); font-weight: 600; }
th, td { padding: .2rem .9rem .2rem 0; white-space: nowrap; border-bottom: 1px solid var(--line); }
`;

/**
 * Draws the flame graph again after each change. It shows the bars within the range that the user has zoomed in on, except
 * folded ones: the functions that a folded function calls move up into its row. A bar comes after the bar of its caller.
 */
export const SCRIPT = String.raw`
(() => {
  const ROW = 20, WIDTH = 1000, CHARACTER = 6.6;
  const svg = document.querySelector('#flames svg');
  const area = document.getElementById('flames');
  const search = document.getElementById('search');
  const fold = document.getElementById('fold');
  const chosenText = document.getElementById('chosen');
  const bars = [...svg.querySelectorAll('g')].map((g) => {
    const rect = g.querySelector('rect');
    const title = g.querySelector('title').textContent;
    return {
      g, rect, text: g.querySelector('text'), title, name: title.split('\n', 2).join(' ').toLowerCase(), caller: Number(g.dataset.caller),
      x: Number(rect.getAttribute('x')), width: Number(rect.getAttribute('width')),
      isFoldable: /^(?:node|paster)$/.test(g.getAttribute('class')), level: 0, isShown: true,
    };
  });
  const label = bars.map(({ title }) => title.split('\n')[0]);
  let zoomed = -1, chosen = -1;

  const draw = () => {
    const { x: from, width: range } = zoomed < 0 ? { x: 0, width: WIDTH } : bars[zoomed];
    const scale = WIDTH / range;
    let depth = 1;
    bars.forEach((bar, index) => {
      const caller = bars[bar.caller];
      const isFolded = fold.checked && bar.isFoldable;
      bar.level = caller ? caller.level + (caller.isFolded ? 0 : 1) : 0;
      bar.isFolded = isFolded;
      const x = Math.max(0, (bar.x - from) * scale);
      const end = Math.min(WIDTH, (bar.x + bar.width - from) * scale);
      bar.isShown = !isFolded && end - x > .4;
      bar.g.style.display = bar.isShown ? '' : 'none';
      if (!bar.isShown) return;
      depth = Math.max(depth, bar.level + 1);
      const y = bar.level * ROW;
      const room = Math.floor((end - x - 6) / CHARACTER);
      const name = label[index];
      bar.rect.setAttribute('x', x);
      bar.rect.setAttribute('width', end - x);
      bar.rect.setAttribute('y', y);
      bar.text.setAttribute('x', x + 3);
      bar.text.setAttribute('y', y + 14);
      bar.text.textContent = name.length <= room ? name : room > 3 ? name.slice(0, room - 1) + '…' : '';
    });
    svg.setAttribute('viewBox', '0 0 ' + WIDTH + ' ' + depth * ROW);
  };

  const find = () => {
    const wanted = search.value.trim().toLowerCase();
    svg.classList.toggle('searching', wanted !== '');
    for (const bar of bars) bar.g.classList.toggle('hit', wanted !== '' && bar.name.includes(wanted));
    for (const row of document.querySelectorAll('#functions tbody tr')) {
      row.hidden = wanted !== '' && !row.textContent.toLowerCase().includes(wanted);
    }
    if (wanted !== '') chosenText.textContent = svg.querySelectorAll('g.hit').length + ' bars match';
  };

  const choose = (index) => {
    if (index < 0) return;
    bars[chosen]?.g.classList.remove('chosen');
    chosen = index;
    bars[chosen].g.classList.add('chosen');
    chosenText.textContent = bars[chosen].title;
  };

  const zoom = (index) => { zoomed = index; draw(); };

  const visibleCaller = (index) => {
    let caller = bars[index]?.caller ?? -1;
    while (caller >= 0 && !bars[caller].isShown) caller = bars[caller].caller;
    return caller;
  };
  const beside = (index, step) => {
    const { level } = bars[index];
    for (let at = index + step; bars[at]; at += step) if (bars[at].isShown && bars[at].level === level) return at;
    return -1;
  };
  const below = (index) => {
    let widest = -1;
    bars.forEach((bar, at) => {
      if (bar.isShown && visibleCaller(at) === index && !(widest >= 0 && bars[widest].width >= bar.width)) widest = at;
    });
    return widest;
  };

  area.addEventListener('keydown', (event) => {
    const moves = {
      ArrowUp: () => choose(visibleCaller(chosen)),
      ArrowDown: () => choose(below(chosen)),
      ArrowLeft: () => choose(chosen < 0 ? below(-1) : beside(chosen, -1)),
      ArrowRight: () => choose(chosen < 0 ? below(-1) : beside(chosen, 1)),
      Enter: () => zoom(chosen),
      Escape: () => zoom(-1),
    };
    if (!moves[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    moves[event.key]();
  });
  svg.addEventListener('click', ({ target }) => {
    const index = bars.findIndex(({ g }) => g === target.closest('g'));
    if (index < 0) return;
    choose(index);
    zoom(index === zoomed ? -1 : index);
  });
  search.oninput = find;
  search.onkeydown = ({ key }) => {
    const hits = bars.filter(({ g, isShown }) => isShown && g.classList.contains('hit'));
    if (key !== 'Enter' || hits.length === 0) return;
    const widest = bars.indexOf(hits.reduce((one, other) => (other.width > one.width ? other : one)));
    choose(widest);
    zoom(widest);
  };
  fold.onchange = draw;
  document.getElementById('reset').onclick = () => zoom(-1);
  const save = document.getElementById('save');
  save.onclick = async () => {
    const packed = Uint8Array.from(atob(document.getElementById('profile').textContent), (each) => each.charCodeAt(0));
    const blob = await new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream('gzip'))).blob();
    const link = document.createElement('a');
    link.href = URL.createObjectURL(blob);
    link.download = save.dataset.name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };
  document.querySelector('.tools').hidden = false;
  draw();
})();
`;
