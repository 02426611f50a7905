/**
 * What a server in development attaches to a request: the tools that an error page needs, and whether a filter shows errors. With
 * such a filter, the adapters of frameworks pass it the errors that the framework would respond to itself.
 */
import type { IncomingMessage } from 'node:http';
import type { ErrorPageOptions } from './error-page.ts';
import type { EditorLinks } from './stack-html.ts';

export interface DeveloperTools {
  /** Opens an editor. Absent for clients that may not open one. */
  readonly editor?: EditorLinks | undefined;
  /** Returns the path of the script that reloads the page, once: the caller includes the script, and it is not added to the response. */
  takeReloadScript?(): string | undefined;
}

const TOOLS = Symbol('paster.developer-tools');
const SHOWS_ERRORS = Symbol('paster.shows-errors');

interface DevelopmentRequest extends IncomingMessage {
  [TOOLS]?: DeveloperTools;
  [SHOWS_ERRORS]?: true;
}

export function giveDeveloperTools(req: DevelopmentRequest, tools: DeveloperTools): void {
  req[TOOLS] = tools;
}

/** The tools for an error page. After a POST it must not reload, because the browser would send the form again. */
export function pageTools(req: DevelopmentRequest): Pick<ErrorPageOptions, 'editor' | 'reloadScript'> {
  const { editor, takeReloadScript } = req[TOOLS] ?? {};
  const reloadScript = takeReloadScript?.();
  return { editor, reloadScript: req.method === 'GET' ? reloadScript : undefined };
}

/** Notes that a filter shows a developer what the application throws. */
export function markShowsErrors(req: DevelopmentRequest): void {
  req[SHOWS_ERRORS] = true;
}

/** Whether a filter shows a developer the errors that the application throws. */
export function showsErrors(req: DevelopmentRequest): boolean {
  return req[SHOWS_ERRORS] === true;
}
