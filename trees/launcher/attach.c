#include "attach.h"

#include "util.h"

int attach_main(int argc, char **argv) {
  (void)argc;
  die("wrong usage: unknown option %s", argv[1]);
}
