# The commands of the picture in README.md, and what they print. Needs paster on the PATH, nginx and curl.
set -u
green=$'\e[32m' dim=$'\e[2m' bold=$'\e[1m' plain=$'\e[0m'

note() { printf '%s# %s%s\n' "$dim" "$*" "$plain"; sleep 0.5; }
shown() {
  printf '%s$%s ' "$green" "$plain"
  local i
  for ((i = 0; i < ${#1}; i++)); do printf '%s%s%s' "$bold" "${1:i:1}" "$plain"; sleep 0.016; done
  sleep 0.25
  printf '\n'
}
typed() { shown "$1"; eval "$1"; sleep "${2:-0.6}"; }
# Runs a server in the background and waits until it listens on the port, and then so many seconds.
started() {
  shown "$1"
  eval "exec $1" </dev/tty & pid=$!
  for ((i = 0; i < 200; i++)); do (: < "/dev/tcp/127.0.0.1/$2") 2>"$NOWHERE" && break; sleep 0.05; done
  sleep "${3:-0.5}"
}
ended() { kill -TERM "$pid" 2>"$NOWHERE"; wait "$pid" 2>"$NOWHERE"; }
# Prints a response in one piece, since the server writes to the same terminal.
curl() { printf '%s\n' "$(command curl "$@")"; }
NOWHERE=/dev/null
set +m

note 'a project: an application and two INI files'
typed 'paster create shop --no-interactive'
cd shop || exit 1
mkdir -p node_modules && ln -s "$PASTER_HOME" node_modules/paster

note 'development: HTTP, and a reload that refuses no request'
started "paster serve etc/develop.ini --reload http_port=$PORT" "$PORT" 3
typed "curl -sw '\n' 127.0.0.1:$PORT/hello/Ada" 0.4
typed "sed -i 's/Hello, /Good morning, /' app.js" 0.3
typed "curl -sw '\n' 127.0.0.1:$PORT/hello/Ada"
note 'an error is shown instead of the application until it is fixed'
typed "sed -i 's/makeApp/makeAp/' etc/develop.ini" 0.4
typed "curl -s 127.0.0.1:$PORT/hello/Ada" 1
typed "sed -i 's/makeAp/makeApp/' etc/develop.ini" 0.4
typed "curl -sw '\n' 127.0.0.1:$PORT/hello/Ada"
ended

note 'production: the same application, FastCGI behind nginx'
typed 'paster config --tree etc/config.ini'
typed 'paster serve etc/config.ini -w 2 start'
typed "paster export nginx etc/config.ini --standalone --listen 127.0.0.1:$NGINX_PORT -o nginx.conf" 0.3
started 'nginx -c "$PWD/nginx.conf"' "$NGINX_PORT"
note 'a new version in the middle of 200 requests: how many failed?'
typed "(sleep 0.2; kill -HUP \$(head -n 1 var/paster.pid)) &" 0
typed "for i in {1..200}; do curl -s -o $NOWHERE -w '%{http_code}\\n' 127.0.0.1:$NGINX_PORT/; done | sort | uniq -c" 1.5
ended
paster serve etc/config.ini stop > "$NOWHERE"
