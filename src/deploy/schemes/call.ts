/** `call:./module.js:factory`: a factory in a module, without any declaration. */
import { KINDS } from '../kinds.ts';
import { moduleTarget } from '../module-target.ts';
import { type Scheme, uriContext } from '../uri-request.ts';

export const callScheme: Scheme = async (uri, _name, request) => {
  const target = moduleTarget(uri.path, request.relativeTo, request.from);
  return uriContext(request, {
    protocol: KINDS[request.kind].called,
    protocolAssumed: true,
    target: { ...target, description: uri.text },
  });
};
