/** The search of the site: MiniSearch in the browser, over the sections of all pages. */
import type { DefaultTheme } from 'vitepress';

export const SEARCH: DefaultTheme.LocalSearchOptions = {
  // Neither lists of pages nor pages about the project answer a question.
  _render: (source, env, md) => {
    const isForUsers = /^(?:docs\/(?!index\.md|error-codes\.md)|README\.md)/.test(env.relativePath);
    const html = md.render(source, env);
    return isForUsers ? html : '';
  },
  miniSearch: {
    options: {
      // VitePress sends this function to the browser as text, so it can use nothing from outside.
      processTerm(term) {
        const word = term.toLowerCase();
        return /^(?:a|an|and|are|as|at|be|by|can|do|does|for|from|how|i|in|is|it|my|not|of|on|or|see|the|to|use|what|when|why|with)$/.test(
          word,
        )
          ? null
          : word;
      },
    },
    searchOptions: { fuzzy: 0.2, prefix: true, boost: { title: 4, text: 2, titles: 3 } },
  },
};
