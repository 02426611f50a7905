/** The authenticated user of a request: CGI's REMOTE_USER and AUTH_TYPE, and Paste's roles. */
import type { MountedRequest } from './mount.ts';

/** A request that a filter such as `auth_basic` or `grantip` has let through. */
export interface IdentifiedRequest extends MountedRequest {
  /** The user's name (RFC 3875 section 4.1.11). */
  remoteUser?: string;
  /** How the user was authenticated: `Basic`, `Digest` (RFC 3875 section 4.1.1). */
  authType?: string;
  /** The roles of the user, as Paste's REMOTE_USER_TOKENS. */
  remoteRoles?: readonly string[];
}

/** The user that a filter or the web server in front has authenticated. */
export function remoteUser(req: IdentifiedRequest): string | undefined {
  return req.remoteUser ?? (req.environ?.['REMOTE_USER'] || undefined);
}

/** Sets the user in the request and its CGI environment, or removes the one that was set. */
export function setRemoteUser(req: IdentifiedRequest, user: string | undefined, authType?: string): void {
  const { environ } = req;
  if (user === undefined) delete req.remoteUser;
  else req.remoteUser = user;
  if (authType === undefined) delete req.authType;
  else req.authType = authType;
  if (!environ) return;
  setVariable(environ, 'REMOTE_USER', user);
  setVariable(environ, 'AUTH_TYPE', authType);
}

/** Sets the roles of the user. */
export function setRemoteRoles(req: IdentifiedRequest, roles: readonly string[]): void {
  req.remoteRoles = roles;
  if (req.environ) setVariable(req.environ, 'REMOTE_USER_TOKENS', roles.join(','));
}

function setVariable(environ: Record<string, string>, name: string, value: string | undefined): void {
  if (value === undefined) delete environ[name];
  else environ[name] = value;
}
