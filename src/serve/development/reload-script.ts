/** The script that pages get in development; its own URL names the version of the page. */
export const RELOAD_SCRIPT = `(() => {
  const { src, dataset } = document.currentScript;
  const own = new URL(src).searchParams.get('v');
  const url = new URL('reload', src).pathname;
  let events;

  // The storage may be forbidden.
  const recall = (key) => {
    try {
      return sessionStorage.getItem('paster.' + key) ?? '';
    } catch {
      return '';
    }
  };
  const remember = (key, value) => {
    try {
      sessionStorage.setItem('paster.' + key, value);
    } catch {}
  };

  // Several workers may be exchanged one after the other, so an old one may respond to the reload. It must not go on for ever.
  const mayReload = (version) => {
    const [last, count] = recall('reload').split(' ');
    const times = last === version ? Number(count) + 1 : 1;
    remember('reload', version + ' ' + times);
    return times <= 10;
  };

  const reload = (version) => {
    disconnect();
    if (!isError) remember('scroll', scrollX + ' ' + scrollY + ' ' + location.href);
    if (mayReload(version)) location.reload();
  };

  // The browser keeps the position of a page that it reloads, but that of an error page is another one.
  const isError = 'error' in dataset;
  const restorePosition = () => {
    const [x, y, ...href] = recall('scroll').split(' ');
    remember('scroll', '');
    const isSame = href.join(' ') === location.href && scrollY === 0;
    // After the browser has gone to the position of the error page.
    if (isSame) requestAnimationFrame(() => setTimeout(() => scrollTo(x, y)));
  };
  if (!isError) {
    if (document.readyState === 'complete') restorePosition();
    else addEventListener('load', restorePosition);
  }

  const connect = () => {
    disconnect();
    events = new EventSource(url);
    events.onmessage = ({ data }) => {
      if (data !== own) reload(data);
    };
    events.addEventListener('draining', () => {
      disconnect();
      findSuccessor();
    });
    // After another status than 200, such as a proxy's 502 while the server starts, the browser does not connect again by itself.
    events.onerror = ({ target }) => {
      if (target.readyState === EventSource.CLOSED && target === events) connectLater();
    };
  };

  const connectLater = () => {
    disconnect();
    setTimeout(() => {
      if (!document.hidden && !events) connect();
    }, 1000);
  };

  const disconnect = () => {
    events?.close();
    events = undefined;
  };

  // The connections that the browser keeps lead to the worker that ends, which closes each of them with one response. EventSource
  // would wait before each.
  const findSuccessor = async () => {
    try {
      for (let tries = 0; tries < 30 && !document.hidden && !events; tries++) {
        const response = await fetch(url + '?version', { cache: 'no-store' });
        if (!response.ok) break;
        const version = (await response.text()).trim();
        // Something else may respond before paster does, such as a page to sign in.
        if (version !== own && /^[\\w-]+$/.test(version)) return reload(version);
        if (tries > 4) await new Promise((resolve) => setTimeout(resolve, 10));
      }
    } catch {
      // There is no server: it may be started again.
    }
    connectLater();
  };

  // A browser opens few connections to a server, so hidden pages keep none.
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) disconnect();
    else connect();
  });
  if (!document.hidden) connect();
})();
`;
