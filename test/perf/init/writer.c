// Writes a file to standard output as cat(1) of coreutils does.
#include <fcntl.h>
#include <unistd.h>

int main(int argc, char **argv) {
  static char bytes[128 << 10];
  ssize_t count = -1;
  int fd = argc > 1 ? open(argv[1], O_RDONLY) : -1;
  while (fd >= 0 && (count = read(fd, bytes, sizeof bytes)) > 0)
    if (write(STDOUT_FILENO, bytes, (size_t)count) != count)
      return 1;
  return count == 0 ? 0 : 1;
}
