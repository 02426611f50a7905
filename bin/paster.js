#!/bin/sh
':' /*
# A program for sh and for Node: sh ignores the line above, and Node takes what follows it for a comment.
#
# Node reads some options, such as --env-file, wherever they are on its command line, and "--" keeps it from only some of
# them. A web server makes arguments of a query without "=" (RFC 3875, section 4.4), so that in a CGI program the client
# could give Node options. There arguments reach paster in variables instead: see src/process/program/command-line.ts.
if [ -n "${GATEWAY_INTERFACE-}${REQUEST_METHOD-}" ]; then
  count=0
  for argument do
    count=$((count + 1))
    export "PASTER_ARGUMENT_$count=$argument"
  done
  exec node -- "$0"
fi
exec node -- "$0" "$@"
*/
import '../dist/cli.js';
