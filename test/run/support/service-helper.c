// What tests of services need and a busybox cannot do. Static, so that it runs in any tree.
//   notify TEXT            sends TEXT to NOTIFY_SOCKET and waits until it was taken (sd_notify_barrier(3))
//   flood COUNT            sends COUNT messages, then READY=1
//   system FIFO            makes FIFO and sends its lines (';': a new line) itself, not through a child;
//                          `exit N` ends it, `long N` sends N bytes that begin as READY=1 does
//   accept FD              accepts one connection and answers with a line
//   datagram FD            prints one datagram
//   send PORT              sends one to a port of 127.0.0.1
//   daemon FILE            leaves a process behind in a session of its own, whose id is written to FILE
//   orphans COUNT          leaves COUNT processes behind that end at once
//   forks                  forks processes that fork, until it is killed
//   http STATUS            answers HTTP requests on port 8080
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int open_notify(struct sockaddr_un *address, socklen_t *size) {
  const char *name = getenv("NOTIFY_SOCKET");
  *address = (struct sockaddr_un){.sun_family = AF_UNIX};
  if (name == NULL)
    exit(9);
  size_t length = strlen(name);
  memcpy(address->sun_path, name, length);
  if (name[0] == '@')
    address->sun_path[0] = '\0';
  *size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
  return socket(AF_UNIX, SOCK_DGRAM, 0);
}

static void send_text(const char *text) {
  struct sockaddr_un address;
  socklen_t size;
  int fd = open_notify(&address, &size);
  if (sendto(fd, text, strlen(text), 0, (struct sockaddr *)&address, size) < 0)
    exit(8);
  close(fd);
}

static void barrier(void) {
  struct sockaddr_un address;
  socklen_t size;
  int fd = open_notify(&address, &size);
  int ends[2];
  char control[CMSG_SPACE(sizeof(int))] = {0};
  char text[] = "BARRIER=1";
  struct iovec bytes = {text, sizeof text - 1};
  struct msghdr message = {.msg_name = &address,
                           .msg_namelen = size,
                           .msg_iov = &bytes,
                           .msg_iovlen = 1,
                           .msg_control = control,
                           .msg_controllen = sizeof control};
  struct cmsghdr *part = CMSG_FIRSTHDR(&message);
  if (pipe(ends) != 0 || part == NULL)
    exit(7);
  part->cmsg_level = SOL_SOCKET;
  part->cmsg_type = SCM_RIGHTS;
  part->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(part), &ends[1], sizeof(int));
  if (sendmsg(fd, &message, 0) < 0)
    exit(7);
  close(ends[1]);
  char byte;
  if (read(ends[0], &byte, 1) != 0) // until the other side has closed it
    exit(7);
}

static void speak(const char *path) {
  static char line[65536];
  FILE *in = mkfifo(path, 0600) == 0 ? fopen(path, "r+") : NULL; // its own writer: it never ends
  if (in == NULL)
    exit(4);
  while (fgets(line, sizeof line, in) != NULL) {
    line[strcspn(line, "\n")] = '\0';
    if (strncmp(line, "exit ", 5) == 0)
      exit(atoi(line + 5));
    if (strncmp(line, "long ", 5) == 0) {
      size_t size = (size_t)atoi(line + 5);
      memset(line, 'x', size);
      memcpy(line, "READY=1\n", 8);
      line[size] = '\0';
    }
    for (char *at = line; (at = strchr(at, ';')) != NULL;)
      *at = '\n';
    send_text(line);
  }
}

// Returns when the file is written, as well-behaved daemons do.
static void leave_daemon(const char *file) {
  int ends[2];
  char byte;
  if (pipe(ends) != 0)
    exit(5);
  if (fork() != 0) {
    close(ends[1]);
    (void)!read(ends[0], &byte, 1);
    return;
  }
  setsid();
  if (fork() != 0)
    _exit(0);
  FILE *out = fopen(file, "w");
  if (out == NULL)
    _exit(1);
  fprintf(out, "%d\n", (int)getpid());
  fclose(out);
  close(ends[0]);
  close(ends[1]);
  for (;;)
    pause();
}

static void serve(int status) {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  int on = 1;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(8080)};
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 8) != 0)
    exit(6);
  for (;;) {
    int peer = accept(fd, NULL, NULL);
    char text[1024];
    if (read(peer, text, sizeof text) > 0)
      dprintf(peer, "HTTP/1.1 %d Whatever\r\nContent-Length: 0\r\n\r\n", status);
    close(peer);
  }
}

int main(int argc, char **argv) {
  const char *verb = argc > 1 ? argv[1] : "";
  const char *word = argc > 2 ? argv[2] : "0";
  if (strcmp(verb, "notify") == 0) {
    send_text(word);
    barrier();
  } else if (strcmp(verb, "flood") == 0) {
    for (int i = 0; i < atoi(word); i++)
      send_text("STATUS=busy");
    send_text("READY=1");
    barrier();
  } else if (strcmp(verb, "system") == 0) {
    speak(word);
  } else if (strcmp(verb, "accept") == 0) {
    int peer = accept(atoi(word), NULL, NULL);
    dprintf(peer, "hello from %d\n", (int)getpid());
    return peer < 0;
  } else if (strcmp(verb, "datagram") == 0) {
    char text[512];
    long size = recv(atoi(word), text, sizeof text, 0);
    return size < 0 || write(1, text, (size_t)size) != size;
  } else if (strcmp(verb, "send") == 0) {
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(word))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return sendto(fd, "packet\n", 7, 0, (struct sockaddr *)&address, sizeof address) != 7;
  } else if (strcmp(verb, "daemon") == 0) {
    leave_daemon(word);
    wait(NULL);
  } else if (strcmp(verb, "orphans") == 0) {
    for (int i = 0; i < atoi(word); i++) {
      pid_t child = fork();
      if (child == 0) {
        if (fork() == 0)
          _exit(0);
        _exit(0);
      }
      waitpid(child, NULL, 0);
    }
  } else if (strcmp(verb, "forks") == 0) {
    for (;;) {
      pid_t child = fork();
      if (child == 0)
        setpgid(0, 0);
      usleep(2000);
    }
  } else if (strcmp(verb, "http") == 0) {
    serve(atoi(word));
  } else {
    return 2;
  }
  return 0;
}
