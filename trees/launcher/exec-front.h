// A command on a terminal that its caller can leave running: the caller's process only passes on bytes,
// window sizes and signals to another one, which has the command for a child and outlives it.
#pragma once
#include "detach-keys.h"
#include "terminal.h"

enum front_kind { FRONT_NONE, FRONT_DETACH, FRONT_SIZE, FRONT_SIGNAL };

struct front_word {
  enum front_kind kind;
  int number; // of the signal
  unsigned rows;
  unsigned columns;
};

// Returns in the process that stays, with the caller's streams replaced by sockets; `front_read` reads from
// the descriptor. The caller's ends with the exit status of that one, or with 0 when the keys were typed.
int front_split(const struct detach_keys *keys, const struct terminal *terminal, int signals);

// The next word of the caller.
struct front_word front_read(int fd);

// The caller is gone by its own will: nobody looks any more, and nobody's end is ours.
void front_detached(int fd);
