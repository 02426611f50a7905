/** `paster config`: shows an INI file as the loader sees it, or what it composes to as a tree or a page. */
import { basename } from 'node:path';
import { type IniDocument, readIni } from '../../config/ini/ini.ts';
import { didYouMean } from '../../config/nearest.ts';
import { type DocumentView, type ViewedEntry, viewDocument } from '../../deploy/inspect/document-view.ts';
import { hideSecrets, showSecrets } from '../../deploy/inspect/secret-settings.ts';
import { applyEnvironment } from '../../deploy/server/environment.ts';
import { LoadSession } from '../../deploy/session.ts';
import type { Paint } from '../../diagnostics/paint.ts';
import { EXIT_OK, formatError, formatLocation, UsageError } from '../../errors.ts';
import { printable } from '../../printable.ts';
import type { Settings } from '../../protocol/types.ts';
import { DOTENV, iniPath, parseAssignments, readEnvFiles } from '../command-line/arguments.ts';
import { type Command, type Console, flagOption, listOption, textOption } from '../command-line/command.ts';
import { jsonArray, jsonObject, jsonText } from '../command-line/json.ts';

export const configCommand: Command = {
  name: 'config',
  summary: 'show an INI file as paster reads it',
  args: [
    ['<config>', 'an INI file'],
    ['[name=value...]', 'a global value; overrides [DEFAULT]'],
  ],
  options: [
    { flags: '--section <section>', help: 'only this section' },
    { flags: '--raw', help: 'show values as they are written, without interpolation' },
    { flags: '--json', help: 'as JSON' },
    { flags: '--tree', help: 'show which part wraps which, and where each is written' },
    { flags: '--html', help: 'the same as a page for a browser' },
    { flags: '--show-secrets', help: 'show passwords and other secrets instead of ********' },
    DOTENV,
    {
      flags: '-n, --app-name <name>',
      help: 'with --tree or --html: the application section (default: main)',
      completes: ['app'],
    },
    {
      flags: '--server-name <name>',
      help: 'with --tree or --html: the server section (default: serve of [paster], or main, if there is one)',
      repeatable: true,
      completes: ['server'],
    },
    { flags: '-v, --verbose', help: 'show where each value is written; with --tree: show the settings' },
  ],
  examples: [
    ['paster config etc/develop.ini', 'all sections, interpolated'],
    [
      'paster config --section server:main etc/develop.ini http_port=8081',
      'one section with the values that it inherits, and another global value',
    ],
    ['paster config --json etc/develop.ini', 'for programs'],
    ['paster config --tree etc/develop.ini', 'which part wraps which'],
    ['paster config --html etc/develop.ini > composition.html', 'the same with all settings, for a browser'],
  ],
  run: config,
};

async function config(
  args: readonly string[],
  options: Readonly<Record<string, unknown>>,
  console: Console,
): Promise<number> {
  const [argument = '', ...assignments] = args;
  readEnvFiles(options);
  const callerGlobals = parseAssignments(assignments);
  const file = iniPath(argument);
  const picture = flagOption(options, 'tree') || flagOption(options, 'html');
  checkOptions(options, picture);
  const serverNames = listOption(options, 'serverName');
  // If the variables of the file have an error, it is found again below, and reported with the others.
  await applyEnvironment({ file, serverNames }, new LoadSession(callerGlobals)).catch(() => {});
  if (picture) {
    console.out(await compositionPicture(file, callerGlobals, options, console.screen?.paint));
    return EXIT_OK;
  }
  const document = await readIni(file);
  const view = viewDocument(document, callerGlobals, flagOption(options, 'raw'));
  const wanted = selectSection(view, textOption(options, 'section'));
  const shown = flagOption(options, 'showSecrets') ? wanted : await hideSecretValues(wanted, document, callerGlobals);
  if (flagOption(options, 'json')) {
    console.out(viewJson(file, shown));
    return EXIT_OK;
  }
  const verbose = flagOption(options, 'verbose');
  // If [DEFAULT] is shown too, the other sections do not repeat what they inherit from it.
  const isShown = wanted === view ? (entry: ViewedEntry) => !entry.inherited : () => true;
  const texts = shown.sections.map(({ name, entries }) => sectionText(name, entries.filter(isShown), verbose));
  console.out(texts.join('\n\n'));
  // An error in [DEFAULT] occurs in every section that inherits the value, but at one location.
  const lines = new Map(shown.errors.map(({ error }) => [JSON.stringify(error.location), formatError(error)]));
  for (const line of lines.values()) console.err(`paster: ${line}`);
  return EXIT_OK;
}

/** Refuses options of the listing together with `--tree` or `--html`, and the reverse. */
function checkOptions(options: Readonly<Record<string, unknown>>, picture: boolean): void {
  const others = picture ? ['section', 'raw', 'json'] : ['appName', 'serverName'];
  const given = others.find((name) => isGiven(options[name]));
  const bothPictures = flagOption(options, 'tree') && flagOption(options, 'html');
  if (given === undefined && !bothPictures) return;
  const flag = given === undefined ? '--html' : `--${given.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
  const message = picture
    ? `config: ${flag} does not work with --tree or --html`
    : `config: ${flag} needs --tree or --html`;
  throw new UsageError('PASTER_USAGE', bothPictures ? 'config: --tree and --html are mutually exclusive' : message);
}

function isGiven(option: unknown): boolean {
  return Array.isArray(option) ? option.length > 0 : option !== undefined && option !== false;
}

async function compositionPicture(
  file: string,
  callerGlobals: Settings,
  options: Readonly<Record<string, unknown>>,
  paint: Paint | undefined,
): Promise<string> {
  const { compositionOf, compositionTree } = await import('../../deploy/inspect/composition.ts');
  const names = { app: textOption(options, 'appName'), servers: listOption(options, 'serverName') };
  const show = flagOption(options, 'showSecrets') ? showSecrets : undefined;
  const composition = await compositionOf(file, names, new LoadSession(callerGlobals), show);
  if (flagOption(options, 'tree'))
    return compositionTree(composition, { settings: flagOption(options, 'verbose') }, paint);
  const { compositionPage } = await import('../../deploy/inspect/composition-page.ts');
  return compositionPage(basename(file), composition);
}

function selectSection(view: DocumentView, name: string | undefined): DocumentView {
  if (name === undefined) return view;
  const section = view.sections.find((each) => each.name === name);
  if (section) return { sections: [section], errors: view.errors.filter((error) => error.section === name) };
  const names = view.sections.map((each) => each.name);
  throw new UsageError('PASTER_USAGE', `config: there is no section [${name}]`, {
    hint: didYouMean(name, names),
  });
}

async function hideSecretValues(
  view: DocumentView,
  document: IniDocument,
  callerGlobals: Settings,
): Promise<DocumentView> {
  const { file, sections, defaults } = document;
  const show = await hideSecrets(file, new LoadSession(callerGlobals));
  const shown = (section: string, entry: ViewedEntry): ViewedEntry => {
    const { key, value, location } = entry;
    const own = sections.get(section)?.entries.get(key);
    const given = own === undefined ? callerGlobals[key] : undefined;
    const written = given === undefined ? (own ?? defaults.entries.get(key))?.value : undefined;
    const text = show({ file, section, key, value, written });
    return text === value ? entry : { key, value: text, inherited: entry.inherited ?? false, location };
  };
  return {
    sections: view.sections.map(({ name, entries }) => ({ name, entries: entries.map((each) => shown(name, each)) })),
    errors: view.errors,
  };
}

/** A section in the syntax of an INI file, safe for a terminal: lines after the first are indented. */
function sectionText(name: string, entries: readonly ViewedEntry[], verbose: boolean): string {
  const lines = entries.flatMap(({ key, value, location }) => {
    const place = verbose ? [`# ${location ? formatLocation(location) : 'not from a file'}`] : [];
    const rows = value.split('\n').map((row, index) => (index === 0 ? `${key} = ${row}` : `    ${row}`).trimEnd());
    return [...place, ...rows];
  });
  return printable([`[${name}]`, ...lines].join('\n'));
}

function viewJson(file: string, { sections, errors }: DocumentView): string {
  const values = sections.map(
    ({ name, entries }) => [name, jsonObject(entries.map(({ key, value }) => [key, jsonText(value)]))] as const,
  );
  const members: [string, string][] = [
    ['file', jsonText(file)],
    ['sections', jsonObject(values)],
  ];
  if (errors.length > 0) {
    const items = errors.map(({ section, key, error }) =>
      jsonObject([
        ['section', jsonText(section)],
        ['key', jsonText(key)],
        ['message', jsonText(error.message)],
        ['line', String(error.location?.line ?? 0)],
      ]),
    );
    members.push(['errors', jsonArray(items)]);
  }
  return jsonObject(members);
}
