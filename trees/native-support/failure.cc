#include "failure.h"

#include <cerrno>
#include <cstring>

namespace trees {

void throw_errno(const std::string &what) {
  const int number = errno;
  const char *code = number == ENOSPC || number == EDQUOT ? "NO_SPACE" : "IO";
  char buffer[128];
  throw Failure(code, what + ": " + ::strerror_r(number, buffer, sizeof buffer));
}

} // namespace trees
