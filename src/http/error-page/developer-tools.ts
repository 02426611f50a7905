/**
 * What a server in development gives with a request to those who respond to it: the error page, and the adapters of frameworks,
 * which otherwise respond to errors themselves.
 */
import type { IncomingMessage } from 'node:http';
import type { ErrorPageOptions } from './error-page.ts';
import type { EditorLinks } from './stack-html.ts';

export interface DeveloperTools {
  /** Opens an editor. Absent for clients that may not open one. */
  readonly editor?: EditorLinks | undefined;
  /** The path of the script that reloads the page, for one that includes it itself. */
  takeReloadScript?(): string | undefined;
}

const TOOLS = Symbol('paster.developer-tools');
const SHOWS_ERRORS = Symbol('paster.shows-errors');

interface DevelopedRequest extends IncomingMessage {
  [TOOLS]?: DeveloperTools;
  [SHOWS_ERRORS]?: true;
}

export function giveDeveloperTools(req: DevelopedRequest, tools: DeveloperTools): void {
  req[TOOLS] = tools;
}

/** What an error page of this request can use. A page that a form was sent for must not reload: the browser would send it again. */
export function pageTools(req: DevelopedRequest): Pick<ErrorPageOptions, 'editor' | 'reloadScript'> {
  const { editor, takeReloadScript } = req[TOOLS] ?? {};
  const reloadScript = takeReloadScript?.();
  return { editor, reloadScript: req.method === 'GET' ? reloadScript : undefined };
}

/** Notes that a filter shows a developer what the application throws. */
export function markShowsErrors(req: DevelopedRequest): void {
  req[SHOWS_ERRORS] = true;
}

/** Whether an error is shown to a developer if it is thrown. A framework's adapter throws what it would respond to otherwise. */
export function showsErrors(req: DevelopedRequest): boolean {
  return req[SHOWS_ERRORS] === true;
}
