/** What a developer can type at the terminal of `serve --reload`: a letter and Enter, as in Vite. */
import { paintFor } from '../../diagnostics/paint.ts';
import { TerminalLines } from '../../process/program/terminal-lines.ts';
import { addressLines, type ShownAddress } from './banner.ts';
import { qrCode } from './qr-code.ts';

/** What the letters do. */
export interface KeyActions {
  readonly open: () => undefined;
  readonly reload: () => undefined;
  readonly quit: () => undefined;
  readonly addresses: () => readonly ShownAddress[];
}

interface Key {
  readonly letter: string;
  readonly meaning: string;
  readonly act: (actions: KeyActions) => readonly string[] | undefined;
}

const PAINT = paintFor(process.stdout);

/** Clears the screen and what has scrolled out of it. */
const CLEAR = '\x1b[2J\x1b[3J\x1b[H';

const KEYS: readonly Key[] = [
  { letter: 'r', meaning: 'reload configuration and code', act: ({ reload }) => reload() },
  { letter: 'u', meaning: 'show the URLs', act: ({ addresses }) => ['', ...addressLines(addresses(), PAINT), ''] },
  { letter: 'o', meaning: 'open the browser', act: ({ open }) => open() },
  { letter: 'n', meaning: 'show a QR code of the network URL', act: ({ addresses }) => networkCode(addresses()) },
  { letter: 'c', meaning: 'clear the screen', act: () => [CLEAR] },
  { letter: 'q', meaning: 'stop', act: ({ quit }) => quit() },
];

/** Acts on what is typed. @returns What ends it, and resolves when nothing more is read. */
export function handleKeys(actions: KeyActions): () => Promise<void> {
  const lines = new TerminalLines((line) => {
    const letter = line.trim().toLowerCase();
    const shown = letter === 'h' ? HELP : KEYS.find((key) => key.letter === letter)?.act(actions);
    if (shown) process.stdout.write(`${shown.join('\n')}\n`);
  });
  return () => lines.close();
}

const HELP = ['', '  Shortcuts', ...KEYS.map(helpLine), ''];

function networkCode(addresses: readonly ShownAddress[]): readonly string[] {
  const url = addresses.find(({ label }) => label === 'Network')?.url;
  if (url === undefined) return ['', `  ${PAINT('dim', 'there is no network URL: use --host 0.0.0.0 to expose')}`, ''];
  return ['', ...qrCode(url, PAINT), '', `  ${PAINT('cyan', url)}`, ''];
}

function helpLine({ letter, meaning }: Key): string {
  return `  ${PAINT('dim', 'press')} ${PAINT('bold', `${letter} + enter`)} ${PAINT('dim', `to ${meaning}`)}`;
}
