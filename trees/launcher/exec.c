#include "exec.h"

#include "util.h"

int exec_main(int argc, char **argv) {
  (void)argc;
  die("wrong usage: unknown option %s", argv[1]);
}
