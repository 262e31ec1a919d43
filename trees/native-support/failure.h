// Failures that JavaScript gets as errors with a code.
#pragma once

#include <map>
#include <stdexcept>
#include <string>
#include <utility>

namespace trees {

// An expected failure. `code` is one of trees/errors.ts, or IO; `details` go into the error's `details`.
class Failure : public std::runtime_error {
public:
  Failure(std::string failure_code, const std::string &message, std::map<std::string, std::string> facts = {})
      : std::runtime_error(message), code(std::move(failure_code)), details(std::move(facts)) {}

  std::string code;
  std::map<std::string, std::string> details;
};

// Throws what errno says, with the code that fits it: NO_SPACE or IO.
[[noreturn]] void throw_errno(const std::string &what);

} // namespace trees
