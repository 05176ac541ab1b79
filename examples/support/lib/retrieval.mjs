import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import MiniSearch from 'minisearch';
import { term, terms, words } from './words.mjs';

/** An index over the paragraphs of a folder of Markdown files. */
export class HelpCentre {
  #index = new MiniSearch({
    fields: ['title', 'text'],
    storeFields: ['file', 'text'],
    tokenize: words,
    processTerm: term,
    searchOptions: {
      boost: { title: 2 },
      prefix: (word) => word.length > 4,
      fuzzy: (word) => (word.length > 5 ? 0.2 : false),
    },
  });

  constructor(folder) {
    for (const file of readdirSync(folder).filter((name) => name.endsWith('.md')).sort()) {
      const [heading, ...paragraphs] = readFileSync(join(folder, file), 'utf8').split(/\n{2,}/);
      const title = heading.replace(/^#\s*/, '').trim();
      paragraphs.forEach((paragraph, n) => {
        const text = paragraph.replace(/\s+/g, ' ').trim();
        if (text) this.#index.add({ id: `${file}#${n}`, file, title, text });
      });
    }
  }

  get paragraphs() {
    return this.#index.documentCount;
  }

  /** The paragraphs nearest to the question, best first, each as `file: text`. */
  search(question, most = 5) {
    const found = this.#index.search(terms(question).join(' '));
    const worthwhile = found.filter((hit) => hit.score > found[0].score * 0.25);
    return worthwhile.slice(0, most).map((hit) => `${hit.file}: ${hit.text}`);
  }
}
