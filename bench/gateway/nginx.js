/** One nginx in front of every server that is measured: a location for each. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Program, pinned } from '../measure/program.js';

/**
 * @typedef {{ name: string, protocol: 'http' | 'fastcgi', socket: string, keep?: boolean, script?: string, stream?: boolean }} Upstream
 * `keep`: connections are kept (default: true); `stream`: request bodies are forwarded as they arrive; `script`: the file that
 * php-fpm runs.
 */

/**
 * @param {string} directory
 * @param {number} port
 * @param {readonly Upstream[]} upstreams
 * @param {string | undefined} processors
 */
export async function startNginx(directory, port, upstreams, processors) {
  const file = join(directory, 'nginx.conf');
  writeFileSync(file, configuration(directory, port, upstreams));
  const nginx = await Program.start(pinned(['nginx', '-c', file], processors));
  for (let attempt = 0; ; attempt++) {
    try {
      await fetch(`http://127.0.0.1:${port}/`);
      return nginx;
    } catch (error) {
      if (attempt === 50) throw new Error('nginx does not answer', { cause: error });
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

function configuration(directory, port, upstreams) {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `${kind}_temp_path ${join(directory, `nginx-${kind}`)};`,
  );
  return `daemon off;
worker_processes 1;
pid ${join(directory, 'nginx.pid')};
error_log ${join(directory, 'nginx.log')} error;
events { worker_connections 4096; }
http {
  access_log off;
  ${temporary.join(' ')}
  keepalive_requests 100000000;
  client_max_body_size 0;
  ${upstreams.map(upstreamBlock).join('\n  ')}
  server {
    listen 127.0.0.1:${port};
    location = / { return 204; }
    ${upstreams.map(location).join('\n    ')}
  }
}
`;
}

function upstreamBlock({ name, socket, keep = true }) {
  const kept = keep ? ' keepalive 64; keepalive_requests 100000000;' : '';
  return `upstream ${name} { server unix:${socket};${kept} }`;
}

function location({ name, protocol, keep = true, script, stream = false }) {
  if (protocol === 'http') {
    const kept = keep ? ' proxy_http_version 1.1; proxy_set_header Connection "";' : '';
    return `location /${name} {
      proxy_pass http://${name};${kept}
      proxy_buffers 64 64k; proxy_max_temp_file_size 0;
    }`;
  }
  const file = script === undefined ? '' : ` fastcgi_param SCRIPT_FILENAME ${script};`;
  const parameters = [
    'QUERY_STRING $query_string',
    'REQUEST_METHOD $request_method',
    'CONTENT_TYPE $content_type',
    'CONTENT_LENGTH $content_length',
    'SCRIPT_NAME $fastcgi_script_name',
    'REQUEST_URI $request_uri',
    'DOCUMENT_URI $document_uri',
    'DOCUMENT_ROOT $document_root',
    'SERVER_PROTOCOL $server_protocol',
    'REQUEST_SCHEME $scheme',
    'GATEWAY_INTERFACE CGI/1.1',
    'SERVER_SOFTWARE nginx/$nginx_version',
    'REMOTE_ADDR $remote_addr',
    'REMOTE_PORT $remote_port',
    'REMOTE_USER $remote_user',
    'SERVER_ADDR $server_addr',
    'SERVER_PORT $server_port',
    'SERVER_NAME $server_name',
  ].map((parameter) => `fastcgi_param ${parameter};`);
  return `location /${name} {
      fastcgi_pass ${name}; fastcgi_keep_conn ${keep ? 'on' : 'off'};${file}
      fastcgi_buffers 64 64k; fastcgi_max_temp_file_size 0;${stream ? ' fastcgi_request_buffering off;' : ''}
      ${parameters.join(' ')}
    }`;
}
