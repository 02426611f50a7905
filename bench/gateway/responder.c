/*
 * The floor of the FastCGI figures: a responder that does nothing but the system calls. It takes a request without a body
 * that arrives in one piece, as nginx sends it, and writes "Hello World".
 *
 * responder PATH: serves on a Unix socket.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { HEADER = 8, BEGIN = 1, STDIN = 5, MOST = 64 * 1024 };

static const char BODY[] =
    "Status: 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 12\r\n\r\nHello World\n";

/* Returns the id of the request, or -1 if it is not whole. */
static int read_request(const unsigned char *bytes, int length, int *keep) {
  int id = -1, whole = 0;
  for (int at = 0; at + HEADER <= length;) {
    const unsigned char *record = bytes + at;
    int content = record[4] << 8 | record[5];
    at += HEADER + content + record[6];
    if (at > length) return -1;
    if (record[1] == BEGIN && content >= 3) {
      id = record[2] << 8 | record[3];
      *keep = record[HEADER + 2] & 1;
    }
    whole = record[1] == STDIN && content == 0;
  }
  return whole ? id : -1;
}

/* STDOUT with the response, its end, and END_REQUEST. */
static int make_response(unsigned char *out, int id) {
  const int length = sizeof BODY - 1;
  const unsigned char high = id >> 8, low = id & 255;
  const unsigned char head[] = {1, 6, high, low, length >> 8, length & 255, 0, 0};
  const unsigned char tail[] = {1, 6, high, low, 0, 0, 0, 0, 1, 3, high, low, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  memcpy(out, head, sizeof head);
  memcpy(out + sizeof head, BODY, length);
  memcpy(out + sizeof head + length, tail, sizeof tail);
  return sizeof head + length + sizeof tail;
}

/* Returns whether the connection stays open. */
static int serve(int connection) {
  static unsigned char request[MOST];
  unsigned char response[sizeof BODY + 64];
  int keep = 0;
  ssize_t length = read(connection, request, sizeof request);
  int id = length > 0 ? read_request(request, length, &keep) : -1;
  if (id < 0) return 0;
  int total = make_response(response, id);
  return write(connection, response, total) == total && keep;
}

int main(int count, char **arguments) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (count != 2 || strlen(arguments[1]) >= sizeof address.sun_path) return 2;
  strcpy(address.sun_path, arguments[1]);
  int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 1024)) return 1;
  chmod(arguments[1], 0666);
  int poll = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[64];
  epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
  /* nginx may close a connection before it has read the response. */
  signal(SIGPIPE, SIG_IGN);
  puts("ready");
  fflush(stdout);
  for (;;) {
    int ready = epoll_wait(poll, events, 64, -1);
    for (int i = 0; i < ready; i++) {
      int each = events[i].data.fd;
      if (each != listener) {
        if (!serve(each)) close(each);
        continue;
      }
      for (int accepted; (accepted = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
        struct epoll_event added = {.events = EPOLLIN, .data.fd = accepted};
        epoll_ctl(poll, EPOLL_CTL_ADD, accepted, &added);
      }
    }
  }
}
