// What attached clients send, on its way into the container.
#include <errno.h>
#include <string.h>

#include "instance.h"
#include "util.h"

bool instance_input_room(const struct instance *instance) {
  if (instance->terminal.wanted)
    return relay_room(&instance->relay) > 0;
  return instance->streams.in >= 0 && instance->input.start == instance->input.end;
}

void instance_take_input(struct instance *instance) {
  char bytes[sizeof instance->input.bytes];
  size_t room = instance->terminal.wanted ? relay_room(&instance->relay) : sizeof bytes;
  if (room == 0 || !instance_input_room(instance))
    return;
  size_t size = attached_input(&instance->control, bytes, room);
  if (size == 0)
    return;
  if (instance->terminal.wanted) {
    relay_type(&instance->relay, bytes, size);
    return;
  }
  memcpy(instance->input.bytes, bytes, size);
  instance->input.start = 0;
  instance->input.end = size;
}

void instance_give_input(struct instance *instance) {
  struct relay_buffer *input = &instance->input;
  ssize_t count = RETRY(write(instance->streams.in, input->bytes + input->start, input->end - input->start));
  if (count > 0)
    input->start += (size_t)count;
  else if (count < 0 && errno != EAGAIN) { // nobody reads it any more
    close(instance->streams.in);
    instance->streams.in = -1;
    input->start = input->end = 0;
  }
}
